#!/usr/bin/python3
"""Writes docs/flags.md, docs/commands.md and docs/metrics.md from what the programs say of themselves: `quorate --help`, `--help`
of each command of the tools, and `/metrics` of the members of a cluster with backups on. tests/docs_test.py fails when the pages say
something else.

    docs/make_reference.py       (QUORATE_BIN names another program)
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/lib"), str(HERE.parent / "packaging/man")]

import places
import program_help
from cluster import Cluster

_FLAG = re.compile(r"^  --([a-z0-9-]+) '(.*)'$")
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ")
_LABEL = re.compile(r'(\w+)="')
_OWN = "Quorate only: "
# The sections of the page, by the begin of the metrics' names.
_FAMILIES = (("etcd_server_", "The server"), ("etcd_cluster_", "The cluster"), ("etcd_disk_", "Disks"),
             ("etcd_mvcc_", "The store"), ("etcd_network_", "The network"), ("etcd_snap_", "Snapshots"),
             ("etcd_grpc_", "Connections"), ("grpc_server_", "Calls"), ("quorate_", "Of Quorate alone"),
             ("etcd_debugging_", "For debugging: may change with any release"),
             ("process_", "The process"), ("os_", "The operating system"))


def flags_page(help_text):
    lines = ["# Every flag", "", "Made by `docs/make_reference.py` from `quorate --help`.", "",
             "A flag `--some-flag` is also the variable `ETCD_SOME_FLAG` and the key `some-flag` of the file that `--config-file`",
             "names. A flag wins over a variable; with the file neither counts. What etcd does not have is marked.", "",
             "The file is read as etcd reads it: keys in any case, the last of equal keys counts, merge keys (`<<`) and YAML 1.1's",
             "booleans (`yes`, `on`) work, durations are integer nanoseconds. Only here a text that looks like a number needs no quotes."]
    section, flag = None, None
    for line in help_text.splitlines():
        if re.match(r"^[A-Z][\w /-]*:$", line) and line != "Usage:":
            section = line[:-1]
            lines += ["", f"## {section}", "", "| flag | default | what it does |", "| --- | --- | --- |"]
        elif section and (found := _FLAG.match(line)):
            flag = found.groups()
        elif flag and line.startswith("    "):
            text = line.strip().replace("|", "\\|")
            if text.startswith(_OWN):
                text = "**Quorate only.** " + text[len(_OWN):][0].upper() + text[len(_OWN) + 1:]
            default = f"`{flag[1]}`" if flag[1] else ""
            lines.append(f"| `--{flag[0]}` | {default} | {text} |")
            flag = None
    return "\n".join(lines) + "\n"


def in_table(text):
    return text.replace("|", "\\|")


def flags_table(flags):
    lines = ["", "| flag | default | what it does |", "| --- | --- | --- |"]
    for name, description in flags:
        name, _, default = name.partition("=")
        default = f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {default} | {in_table(description)} |")
    return lines


def commands_page(programs):
    lines = ["# Every command of the tools", "", "Made by `docs/make_reference.py` from `--help` of each command; [tools.md](tools.md) tells what they are",
             "for. Under the names `etcdctl` and `etcdutl` the commands are the same."]
    for program in programs:
        name = pathlib.Path(program).name
        itself = program_help.command(program, "")
        lines += ["", f"## {name}", "", "Flags of all its commands:", *flags_table(itself.flags)]
        if name == "quoratectl":
            lines += ["", "Each of these is also a variable, `--cacert` is `ETCDCTL_CACERT`; both at once are an error."]
        for one in program_help.commands(program):
            lines += ["", f"### {name} {one.path}", "", f"`{one.usage}`", "", one.description]
            if one.notes:
                lines += ["", "<!-- shown only: the words of --help -->", "```", *one.notes, "```"]
            if one.flags:
                lines += flags_table(one.flags)
    return "\n".join(lines) + "\n"


def parse_metrics(text, into):
    """Name -> [type, help, labels] of every family of a page."""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, description = line[7:].partition(" ")
            into.setdefault(name, ["", "", set()])[1] = description
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            into.setdefault(name, ["", "", set()])[0] = kind
        elif sample := _SAMPLE.match(line):
            name = sample.group(1)
            if name not in into:
                name = re.sub(r"_(bucket|sum|count)$", "", name)
            into[name][2].update(label for label in _LABEL.findall(sample.group(2) or "") if label not in ("le", "quantile"))


def metrics_of_a_cluster():
    with Cluster() as cluster:
        for one in cluster.members:
            backups = one.root / "backups"
            backups.mkdir()
            one.extra_flags = ["--backup-dir", str(backups), "--backup-log"]
        cluster.start()
        cluster.leader().fill(10)
        cluster.agree()
        found = {}
        for one in cluster.members:
            parse_metrics(one.http("/metrics")[1], found)
        return found


def metrics_page(metrics):
    lines = ["# Every metric", "", "Made by `docs/make_reference.py` from `/metrics` of a running cluster. The names are etcd's; what to",
             "watch of them, with rules for alerts, is in [operating.md](operating.md)."]
    left = dict(sorted(metrics.items()))
    for prefix, title in _FAMILIES:
        rows = {name: left.pop(name) for name in list(left) if name.startswith(prefix)}
        if not rows:
            continue
        lines += ["", f"## {title}", "", "| metric | type | labels | what it says |", "| --- | --- | --- | --- |"]
        for name, (kind, description, labels) in rows.items():
            shown = ", ".join(f"`{label}`" for label in sorted(labels))
            lines.append(f"| `{name}` | {kind} | {shown} | {description.replace('|', chr(92) + '|')} |")
    if left:
        raise SystemExit(f"metrics of no family: {', '.join(left)}")
    return "\n".join(lines) + "\n"


def pages():
    text = subprocess.run([places.quorate(), "--help"], capture_output=True, text=True, check=True)
    return {"flags.md": flags_page(text.stdout + text.stderr), "commands.md": commands_page([places.quoratectl(), places.quorateutl()]),
            "metrics.md": metrics_page(metrics_of_a_cluster())}


if __name__ == "__main__":
    for page_name, page in pages().items():
        (HERE / page_name).write_text(page)
        print(f"docs/{page_name}")
