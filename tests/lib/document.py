"""The command blocks of a document in Markdown, and whether what a command printed has the shape that the document shows.

A block is indented by four spaces or fenced. Lines that begin with a prompt are commands, the lines after one are what it
prints; a prompt may name the host it is typed at (all: at each of them):

    $ etcdctl put greeting hello
    OK
    node3$ systemctl stop etcd

A command goes on in the next line after a backslash. A line `...` stands for any lines. What is said to the test is hidden:

    <!-- test: site -->            once, before all blocks: where they run (tests/docs_test.py)
    <!-- shown only: WHY -->       the next block is not run
    <!-- fails -->                 the last command of the next block fails

A block that has no prompt is no command block; one that names our programs at the begin of a line must say that it is only shown.
"""

import dataclasses
import itertools
import re

_MARKER = re.compile(r"^\s*<!-- (test|shown only|fails)(?:: (.*))? -->$")
_PROMPT = re.compile(r"^([a-z]+\d*)?\$ (.*)$")
_COMMAND = re.compile(r"^(?:[A-Z_]+=\S* )*(?:sudo )?(?:[\w./]*/)?(etcdctl|etcdutl|etcd|quorate|quoratectl|quorateutl|systemctl|"
                      r"etcdctl3\.sh|etcd-health\.sh|apt-get|curl)(?=\s|$)")


@dataclasses.dataclass
class Command:
    line: int
    host: str  # Empty: wherever the document is.
    text: str
    output: list = dataclasses.field(default_factory=list)
    fails: bool = False


@dataclasses.dataclass
class Block:
    line: int  # Of its first line, from 1.
    lines: list
    markers: dict

    @property
    def commands(self):
        """Empty where it is only shown."""
        if "shown only" in self.markers:
            return []
        found, going_on = [], False
        for number, line in enumerate(self.lines):
            prompt = _PROMPT.match(line)
            if going_on:
                found[-1].text += "\n" + line
            elif prompt:
                found.append(Command(self.line + number, prompt.group(1) or "", prompt.group(2)))
            elif found:
                found[-1].output.append(line)
            going_on = bool(found) and (prompt or going_on) and line.endswith("\\")
        if found and "fails" in self.markers:
            found[-1].fails = True
        for one in found:
            while one.output and not one.output[-1].strip():
                one.output.pop()
        return found

    @property
    def hidden_commands(self):
        """Lines that look like commands in a block that neither runs nor says that it is only shown."""
        if "shown only" in self.markers or any(_PROMPT.match(line) for line in self.lines):
            return []
        return [line for line in self.lines if _COMMAND.match(line)]


class Document:
    def __init__(self, text):
        self.setting = ""
        self.blocks = []
        self._markers = {}
        lines = text.splitlines()
        i = 0
        while i < len(lines):
            i = self._take(lines, i)

    def _take(self, lines, i):
        """Reads what begins at line i; returns where to go on."""
        line = lines[i]
        if marker := _MARKER.match(line):
            if marker.group(1) == "test":
                self.setting = marker.group(2)
            else:
                self._markers[marker.group(1)] = marker.group(2) or ""
            return i + 1
        if line.lstrip().startswith("```"):
            end = next(j for j in range(i + 1, len(lines)) if lines[j].lstrip().startswith("```"))
            self._add(i + 2, lines[i + 1:end])
            return end + 1
        before = lines[i - 1] if i else ""
        if line.startswith("    ") and (not before.strip() or before.startswith("#") or _MARKER.match(before)):
            end = i
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            self._add(i + 1, lines[i:end])
            return end
        if line.strip():
            self._markers = {}
        return i + 1

    def _add(self, number, lines):
        indent = min((len(one) - len(one.lstrip()) for one in lines if one.strip()), default=0)
        self.blocks.append(Block(number, [one[indent:] for one in lines], self._markers))
        self._markers = {}


# Shapes: what differs from run to run becomes a word for it.
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+(?::\d+)?")
_SHAPES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,16}\b"), "ID"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:B|kB|KB|MB|GB|KiB|MiB|GiB)(?![\w])"), "SIZE"),
    (re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:h|ms|µs|ns|m|s))+(?!\w)"), "DURATION"),
    (re.compile(r"(?<![\w.])-?\d+(?:\.\d+)*(?:e[+-]?\d+)?(?!\w)"), "N"),
    (re.compile(r"\b(?:true|false)\b"), "BOOLEAN"),
    (re.compile(r"-{3,}"), "---"),
    (re.compile(r" +"), " "),
)
_LOG_LINE = '{"level":'
_HEX = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,16}\b")


def shape(line):
    """The line without what differs from run to run; addresses stay."""
    kept = []
    # Members are listed by ID.
    line = re.sub(r'(?<=INITIAL_CLUSTER=")[^"]*', lambda match: ",".join(sorted(match.group().split(","))), line)

    def keep(match):
        kept.append(match.group())
        return f"\0{'a' * len(kept)}\0"
    line = _ADDRESS.sub(keep, line.rstrip())
    for pattern, word in _SHAPES:
        line = pattern.sub(word, line)
    for number, address in enumerate(kept, 1):
        line = line.replace(f"\0{'a' * number}\0", address)
    return line.strip()


def compare(shown, printed):
    """(what differs or "", IDs of the document -> those of this run). Lines of a run between two `...` may come in any order,
    since members are listed by ID. Log lines of a tool that the document does not show may come, too."""
    shown_logs = any(line.startswith(_LOG_LINE) for line in shown)
    printed = [line for line in printed if line.strip() and (shown_logs or not line.startswith(_LOG_LINE))]
    shown = [line for line in shown if line.strip()]
    parts = [list(group) for dots, group in itertools.groupby(shown, lambda line: line.strip() == "...") if not dots]
    open_begin, open_end = bool(shown) and shown[0].strip() == "...", bool(shown) and shown[-1].strip() == "..."
    rest, learned = printed, {}
    for number, part in enumerate(parts):
        at = _find(part, rest, 0 if number == 0 and not open_begin else None)
        if at is None:
            return _differs(shown, printed), {}
        learned |= _learn(part, rest[at:at + len(part)])
        rest = rest[at + len(part):]
    if rest and not open_end and parts:
        return _differs(shown, printed), {}
    return "", learned


def _find(part, lines, exactly):
    wanted = sorted(map(shape, part))
    places = range(len(lines) - len(part) + 1) if exactly is None else [exactly]
    return next((i for i in places if sorted(map(shape, lines[i:i + len(part)])) == wanted), None)


def _learn(part, lines):
    learned, left = {}, list(lines)
    for line in part:
        other = next(one for one in left if shape(one) == shape(line))
        left.remove(other)
        learned |= dict(zip(_HEX.findall(line), _HEX.findall(other)))
    return learned


def _differs(shown, printed):
    return "the document shows\n  " + "\n  ".join(shown) + "\nit printed\n  " + "\n  ".join(printed)
