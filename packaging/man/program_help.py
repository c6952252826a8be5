"""What a command-line tool says of itself, read from `--help` of each of its commands: for man pages and for docs/commands.md."""

import dataclasses
import re
import subprocess

_TITLE = re.compile(r"([A-Z][A-Z ]*):")
_FLAG = re.compile(r"^ +((?:-\w, )?--[\w-]+(?:=\S*)?)(?:  +(.*))?$")


@dataclasses.dataclass
class Command:
    path: str  # "snapshot save"; empty: the program itself.
    usage: str
    description: str
    notes: list  # Lines of the text between usage and flags, with the titles of its sections.
    flags: list  # (name with default, description)
    global_flags: list


def run(program, *arguments, both=False):
    """What it prints; with `both` what it prints on stderr, too, which comes first."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=60)
    return (done.stderr if both else "") + done.stdout


def _sections(text):
    """(title, lines) in order; the lines without their first tab."""
    found = []
    for line in text.splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            found.append((title.group(1), []))
        elif found:
            found[-1][1].append(line.removeprefix("\t"))
    return found


def _flags(lines):
    return [(match.group(1), match.group(2) or "") for match in map(_FLAG.match, lines) if match]


def command(program, path):
    sections = _sections(run(program, *path.split(), "--help"))
    known = dict(sections)
    notes = []
    for title, lines in sections:
        if title not in ("NAME", "USAGE", "COMMANDS", "FLAGS", "GLOBAL FLAGS"):
            notes += ([title + ":"] if title != "DESCRIPTION" else []) + lines
    while notes and not notes[-1]:
        notes.pop()
    return Command(path, known["USAGE"][0], known["NAME"][0].partition(" - ")[2], notes, _flags(known.get("FLAGS", [])),
                   _flags(known.get("GLOBAL FLAGS", [])))


def commands(program):
    """All that do something, by name."""
    rows = dict(_sections(run(program, "--help")))["COMMANDS"]
    paths = [re.split(r"  +", line)[0] for line in rows if line]
    return [command(program, path) for path in paths]
