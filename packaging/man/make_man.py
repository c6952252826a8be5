#!/usr/bin/env python3
"""Writes the man page of a program from its --help: make_man.py PROGRAM VERSION SUMMARY > PAGE.

Help comes in two forms: that of the server ("Section:", then "  --flag 'default'" with its text indented below), and that of
the tools, which have commands, each with a help of its own (program_help.py).
"""
import re
import sys
from pathlib import Path

import program_help

PROGRAMS = ("quorate", "quoratectl", "quorateutl")
ENVIRONMENT = ["ETCDCTL_ENDPOINTS, ETCDCTL_CACERT, and so on: each global flag is also a variable. Both at once are an error.",
               "ETCDCTL_API=2: the commands of the second generation, cluster-health and member; ETCDCTL_API=2 quoratectl --help "
               "lists them."]


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def section_of(line):
    """The title, if the line opens a section."""
    match = re.fullmatch(r"([A-Z][A-Za-z /()-]*):\s*", line)
    return match.group(1).upper() if match else None


def server(text):
    """A line indented by two to seven columns begins an item, a deeper one goes on with it."""
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
        if bare.startswith("-") or (bare.startswith("quorate ") and line.startswith("  ")):
            out += [".TP", f".B {escape(bare)}"]
            in_item = True
        elif in_item and line.startswith(" "):
            out.append(escape(bare))
        else:
            out += [".PP", escape(bare)]
            in_item = False
    return out


def tagged(flags):
    out = []
    for name, description in flags:
        out += [".TP", f".B {escape(name)}"] + ([escape(description)] if description else [])
    return out


def tool(program):
    itself = program_help.command(program, "")
    out = [".SH DESCRIPTION", escape(itself.description), ".SH COMMANDS"]
    for one in program_help.commands(program):
        out += [f".SS {escape(one.usage.partition(' ')[2].removesuffix(' [flags]'))}", escape(one.description)]
        if one.notes:
            out += [".PP", ".nf", *map(escape, one.notes), ".fi"]
        out += tagged(one.flags)
    out += [".SH GLOBAL FLAGS", *tagged(itself.flags)]
    if Path(program).name == "quoratectl":
        out.append(".SH ENVIRONMENT")
        for text in ENVIRONMENT:
            out += [".PP", escape(text)]
    return out


def page(program, version, summary):
    name = Path(program).name
    is_server = name == "quorate"
    lines = [
        f'.TH {name.upper()} 1 "" "Quorate {escape(version)}" "Quorate"',
        ".SH NAME",
        f"{name} \\- {escape(summary)}",
        ".SH SYNOPSIS",
        f".B {name}",
        "[options]" if is_server else "command [flags]",
    ]
    lines += server(program_help.run(program, "--help", both=True)) if is_server else tool(program)
    others = ", ".join(f"{other}(1)" for other in PROGRAMS if other != name)
    lines += [".SH SEE ALSO", f"{others}; the documents in /usr/share/doc/quorate\\-server."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1], sys.argv[2], sys.argv[3]))
