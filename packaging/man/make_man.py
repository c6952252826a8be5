#!/usr/bin/env python3
"""Writes the man page of a program from its --help: make_man.py PROGRAM VERSION SUMMARY > PAGE.

Help comes in two forms: that of the server ("Section:", then "  --flag 'default'" with its text indented below), and that of
the tools (sections in capitals, with lines below). Both become sections and tagged paragraphs.
"""
import re
import subprocess
import sys
from pathlib import Path


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def section_of(line):
    """The title, if the line opens a section."""
    match = re.fullmatch(r"([A-Z][A-Za-z /()-]*):\s*", line)
    return match.group(1).upper() if match else None


def options(text):
    """The body of the page. A line indented by two to seven columns begins an item, a deeper one goes on with it."""
    out, in_item = [], False
    for line in text.splitlines():
        title = section_of(line)
        if title:
            out.append(f".SH {escape(title)}")
            in_item = False
            continue
        bare = line.strip()
        if not bare:
            continue
        indent = len(line) - len(line.lstrip())
        columns = re.split(r"\s{2,}", bare, maxsplit=1)
        if bare.startswith("-") or (0 < indent < 8 and len(columns) == 2):
            out += [".TP", f".B {escape(columns[0])}"]
            if len(columns) == 2:
                out.append(escape(columns[1]))
            in_item = True
        elif in_item and indent > 0:
            out.append(escape(bare))
        else:
            out += [".PP", escape(bare)]
            in_item = False
    return out


def page(program, version, summary):
    name = Path(program).name
    lines = [
        f'.TH {name.upper()} 1 "" "Quorate {escape(version)}" "Quorate"',
        ".SH NAME",
        f"{name} \\- {escape(summary)}",
        ".SH SYNOPSIS",
        f".B {name}",
        "[options]" if name == "quorate" else "command [options]",
    ]
    lines += options(run(program, "--help"))
    lines += [".SH SEE ALSO", "quorate(1), quorateutl(1), etcdctl(1); the documents in /usr/share/doc/quorate\\-server."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1], sys.argv[2], sys.argv[3]))
