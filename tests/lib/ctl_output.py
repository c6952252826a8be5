"""What two command-line clients printed, without what must differ: made for comparing etcd's etcdctl with ours."""

import json
import re

# Of every command.
_ALWAYS = [
    (r'"raft_term":\d+', '"raft_term":N'),
    (r'"RaftTerm" : \d+', '"RaftTerm" : N'),
]
# Fields of answers that came after etcd 3.4: only ours knows them.
_NEWER = [(r',"(dbSizeQuota|hash_revision)":-?\d+|,"downgradeInfo":\{\}', "")]
_SIZES = [(r"\b\d+(\.\d+)? [kMG]?B\b", "SIZE")]
# By the first words of the command.
_OF_COMMAND = {
    "endpoint health": [(r"\b\d+(\.\d+)?(ns|µs|ms|s)\b", "TIME")],
    "endpoint hashkv": _NEWER,
    "endpoint status": _NEWER + _SIZES + [
        (r"(true|false), (true|false), \d+, \d+, \d+, ", r"\1, \2, TERM, INDEX, INDEX, "),
        (r'"(raftIndex|raftAppliedIndex|raftTerm|dbSize|dbSizeInUse)":\d+', r'"\1":N'),
        (r'"(RaftIndex|RaftAppliedIndex|DBSize)" : \d+', r'"\1" : N'),
        (r"\|( +SIZE \|.*?\|.*?\|) +\d+ \| +\d+ \| +\d+ \|", r"|\1 TERM | INDEX | INDEX |"),
    ],
    # An ID that is not known by name is one that the client has chosen.
    "lease": [(r"\b[0-9a-f]{12,16}\b", "LEASE"), (r'"ID" : \d{12,}', '"ID" : LEASE')],
    "lease timetolive": [(r"remaining\(\d+s\)", "remaining(N)"), (r'"ttl":\d+', '"ttl":N'), (r'"TTL" : \d+', '"TTL" : N')],
    "move-leader": [(r"\bID-m\d", "ID")],
    "snapshot status": [(r'"(hash|totalSize)":\d+', r'"\1":N')],
    "lock": [(r"/[0-9a-f]{6,16}\b", "/LEASE"), (r'"Lease" : \d+', '"Lease" : N')],
    "elect": [(r"/[0-9a-f]{6,16}\b", "/LEASE"), (r'"Lease" : \d+', '"Lease" : N')],
    "check": [(r"\b\d+\.\d+( MB\.|s$)", r"N\1"), (r"is \d+ writes/s", "is N writes/s")],
}
# What Go's libraries log on their own account, and stty says when there is no terminal. Of variables etcdctl tells by log
# lines, ours by lines of its own; and ours adds ways out, indented.
_LOG_LINE = re.compile(r'^(stty: |\t|warning: unrecognized environment|Error: conflicting environment|\{"level":|(INFO|WARNING|ERROR): \d{4}/|\d{4}/\d\d/\d\d |\d{4}-\d\d-\d\d[ T])')


def command_words(arguments):
    """The first words that name a command, flags left out: "endpoint status"."""
    words, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument.startswith("-"):
            skip = argument in ("--endpoints", "--user", "--password", "-w", "--write-out", "--dial-timeout",
                                "--command-timeout", "--cacert", "--cert", "--key")
        else:
            words.append(argument)
    return " ".join(words[:2])


def normalised(text, arguments, names):
    """`text` with each key of `names` (addresses, IDs) replaced by its value, and without times and sizes."""
    text = re.sub(r"\b([Mm]ember|cluster) +(?=[0-9a-f])", r"\1 ", text)  # IDs are padded to their greatest width.
    for value in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![0-9A-Za-z_.]){re.escape(value)}(?![0-9A-Za-z_])", names[value], text)
    words = command_words(arguments)
    patterns = list(_ALWAYS)
    for prefix, more in _OF_COMMAND.items():
        if words == prefix or words.startswith(prefix + " ") or words.split(" ")[0] == prefix:
            patterns += more
    for pattern, replacement in patterns:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    if words == "endpoint health":
        text = _sorted_health(text)
    if words.startswith("member "):
        text = _sorted_members(text)
    # etcd keeps them in a hash table.
    return re.sub(r"attached keys\(\[(.*)\]\)", lambda m: f"attached keys({sorted(m[1].split())})", text)


def _sorted_members(text):
    """Members come by their IDs, which differ from cluster to cluster."""
    text = re.sub(r'(ETCD_INITIAL_CLUSTER=")(.*)"', lambda m: m[1] + ",".join(sorted(m[2].split(","))) + '"', text)
    return re.sub(r'("members":\[\{)(.*)\}\]', lambda m: m[1] + "},{".join(sorted(m[2].split("},{"))) + "}]", text)


def _sorted_health(text):
    """Endpoints are asked at the same time, and stand in the order of their answers."""
    try:
        return json.dumps(sorted(json.loads(text), key=lambda health: health["endpoint"]))
    except ValueError:
        lines = text.split("\n")
        return "\n".join(sorted(line for line in lines if " is healthy: " in line or " is unhealthy: " in line) +
                         [line for line in lines if " is healthy: " not in line and " is unhealthy: " not in line])


def fields(data, depth=0):
    """A message of protobuf's wire format as text, without its schema; the header's term (1.4) is left out."""
    lines = []
    for number, kind, value in _wire(data):
        pad = "  " * depth
        if kind == 2:
            inner = None
            try:
                inner = fields(value, depth + 1) if value else None
            except ValueError:
                pass
            lines.append(f"{pad}{number}: {value!r}" if inner is None else f"{pad}{number} {{\n{inner}\n{pad}}}")
        else:
            lines.append(f"{pad}{number}: {'N' if depth == 1 and number == 4 else value}")
    return "\n".join(lines)


def _wire(data):
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("cut off")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if number == 0 or kind not in (0, 2):
            raise ValueError("not a message")
        value = varint()
        if kind == 2:
            if at + value > len(data):
                raise ValueError("cut off")
            value, at = data[at:at + value], at + value
        yield number, kind, value


def error_lines(text):
    """stderr without log lines, up to the line that says what is wrong."""
    lines = []
    for line in text.splitlines():
        if _LOG_LINE.match(line):
            continue
        lines.append(line)
        if line.startswith("Error:"):
            break
    return lines


def same_errors(theirs, ours):
    """Each of their lines begins one of ours: ours may say more, but only behind what scripts look for. What is wrong with
    the value of a flag, ours says in its own words."""
    their_lines, our_lines = error_lines(theirs), error_lines(ours)
    return len(their_lines) == len(our_lines) and all(o.startswith(re.sub("( flag: ).*", r"\1", t.rstrip())) for t, o in zip(their_lines, our_lines))
