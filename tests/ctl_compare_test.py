#!/usr/bin/python3
"""quoratectl beside Debian's etcdctl: the same command lines print the same on stdout, end with the same status, and begin
their errors with the same text.

    tests/ctl_compare_test.py               every script in tests/ctl_compare, against our server and against etcd
    tests/ctl_compare_test.py get put       only these
    QUORATECTL_BIN=etcdctl tests/...        etcd's tool in our role: that is how the test shows that it is sound itself

Each side has servers of its own that are in the same state. All differences are printed, with the lines that made them.
A script is a list of command lines as typed behind `etcdctl`, read by the rules of the shell, and run in this order:

    get a -w json                   compared
    A=B get a                       with an environment
    put a << '1\\n'                  with this on stdin; written as in Python
    = member list -w table          both ask the same server, so that even widths must be equal
    ? get --help                    only the exit status must be the same
    ~ snapshot save {dir}/x         only stdout and the exit status
    > 3 lock l -- sh -c 'exit 3'    ours must end with 3, with good reason, whatever Debian's does; only stdout is compared
    ! put a 1                       a preparation: with etcd's tool on both sides
    lease = lease grant 100         compared, and the ID that it prints is {lease} from here on
    @tty 'pw\\npw\\n' user add x      on a terminal, where these answers are typed
    & watch a                       in the background
    @wait 3                         until that has printed three lines
    @send 'watch b\\n'              to its stdin; @eof closes it
    @int, @term, @end               a signal, or nothing; then its whole output is compared
    @grant 1234 100, @alarm         a lease with this ID and time to live; an alarm; on both sides
    @keys PREFIX 2                  until there are two keys with this prefix, on each side
    @revoke                         revokes all leases, on both sides
    @mirrored KEY VALUE             until the other cluster has it (VALUE -: until it has it not)
    @needs cluster | tls | mirror | NAME    three members, certificates, another cluster, or servers of its own
Placeholders: {ep} {ep2} {eps} {dead} {dest} {member} {id2} {leader} {follower} {dir} {rev} {rev+2} {ca} {cert} {key} {badca}.
"""

import ast
import concurrent.futures
import os
import pathlib
import shlex
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import certificates
import ctl_output
import member
import places
from cluster import Cluster
from ctl_pair import Side

_FLAGS = ("--bcrypt-cost", "4")  # Quick passwords.
# Else etcd refuses new members during its first five seconds.
_ANY_CHANGE = ("--strict-reconfig-check=false",)
SCRIPTS = pathlib.Path(__file__).resolve().parent / "ctl_compare"


def our_tool():
    """By the name under which it names itself as etcd's does."""
    chosen = os.environ.get("QUORATECTL_BIN") or str(pathlib.Path(places.quorate()).parent / "etcdctl")
    if chosen == "etcdctl":
        return places.etcdctl()
    if not os.access(chosen, os.X_OK):
        chosen = str(places.REPOSITORY / "build/release/bin/etcdctl")
    return chosen


def read_line(line):
    """(environment, arguments, stdin) of a command line."""
    words = shlex.split(line)
    stdin = b""
    if "<<" in words:
        at = words.index("<<")
        stdin = unescaped(words[at + 1])
        del words[at:at + 2]
    environment = {}
    while words and "=" in words[0] and words[0].split("=")[0].isupper():
        name, value = words.pop(0).split("=", 1)
        environment[name] = value
    return environment, words, stdin


def unescaped(text):
    return ast.literal_eval("b'''" + text.replace("'", "\\'") + "'''") if text.isascii() else text.encode()


class World:
    """The servers of one kind, as far as scripts need them; two of each, one for each client."""

    def __init__(self, kind, tls):
        self.kind = kind
        self.tls = tls
        self.opened = []
        self.pairs = {}

    def server(self, name="m1", flags=(), credentials=None):
        one = member.Member({"etcd": places.etcd, "quorate": places.quorate}[self.kind](), name=name, flags=[*_FLAGS, *flags])
        one.credentials = credentials
        self.opened.append(one.remove)
        return one.spawn()

    def cluster(self):
        made = Cluster((self.kind,) * 3, flags=[*_FLAGS, *_ANY_CHANGE])
        self.opened.append(lambda: made.__exit__(None))
        made.start()
        return made.members

    def pair(self, needs):
        if needs not in self.pairs:
            self.pairs[needs] = self._make(needs)
        return self.pairs[needs]

    def _make(self, needs):
        tools = (places.etcdctl(), our_tool())
        if needs == "cluster":
            # By threads that live on: a server ends with the thread that has started it.
            clusters = list(POOL.map(lambda _: self.cluster(), tools))
            sides = [Side(tool, members) for tool, members in zip(tools, clusters)]
        elif needs == "tls":
            servers = [self.server(flags=self.tls.server_flags, credentials=self.tls.credentials) for _ in tools]
            self._wait(servers)
            sides = [Side(tool, [one], secured=self.tls.client_flags) for tool, one in zip(tools, servers)]
        else:
            servers = [self.server() for _ in tools]
            others = [self.server("other") if needs == "mirror" else None for _ in tools]
            self._wait(servers + [other for other in others if other])
            sides = [Side(tool, [one], other) for tool, one, other in zip(tools, servers, others)]
        for side in sides:
            side.names.update({self.tls.directory: "TLS"})
            self.opened.append(side.close)
        return sides

    @staticmethod
    def _wait(servers):
        for one in servers:
            one.wait_healthy()

    def close(self):
        for close in reversed(self.opened):
            close()


class Tls:
    def __init__(self, directory):
        self.directory = directory
        authority = certificates.Authority(directory)
        server, client = authority.issue("server"), authority.issue("client", common_name="root")
        stranger = certificates.Authority(directory, "stranger")
        self.server_flags = ["--cert-file", server.cert, "--key-file", server.key, "--client-cert-auth",
                             "--trusted-ca-file", authority.cert]
        self.server_flags = [str(flag) for flag in self.server_flags]
        self.credentials = authority.credentials(client)
        self.client_flags = self.credentials.etcdctl()
        self.values = {"ca": authority.cert, "cert": client.cert, "key": client.key, "badca": stranger.cert}


class Script:
    """One script on one pair of sides."""

    def __init__(self, path, world, report):
        self.name = path.stem
        self.lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        self.needs = next((line.split()[1] for line in self.lines if line.startswith("@needs ")), "")
        self.world = world
        self.report = report
        self.compared = 0
        self.background = None
        self.sides = None
        self.base = None

    def run(self):
        self.sides = self.world.pair(self.needs)
        for side in self.sides:
            side.captured = {name: str(value) for name, value in self.world.tls.values.items()}
            side.captured["dead"] = f"127.0.0.1:{DEAD_PORT}"
            side.clear()
        self.level()
        self.base = self.sides[0].revision()
        for line in self.lines:
            begun = time.monotonic()
            if line.startswith("@needs "):
                continue
            self.step(line)
            if (revisions := self.revisions())[0] != revisions[1] and not self.background:
                self.differ(line, "revision of the store", *revisions)
                self.level()
            if TIMES and time.monotonic() - begun > 1:
                print(f"{time.monotonic() - begun:.1f} s: {self.world.kind}: {self.name}: {line}", flush=True)
        if self.background:
            self.finish("(end of the script)", signal.SIGKILL)
        contents = self.both(lambda side: side.contents())
        if contents[0] != contents[1]:
            self.differ("(end of the script)", "the store", *contents)

    def revisions(self):
        return self.both(lambda side: side.revision())

    def both(self, call):
        return list(POOL.map(call, self.sides))

    def level(self):
        revisions = self.revisions()
        if None in revisions:
            return
        for side, revision in zip(self.sides, revisions):
            side.pad(max(revisions) - revision)

    def step(self, line):
        mark, _, rest = line.partition(" ")
        if mark == ">":
            wanted, _, rest = rest.partition(" ")
            self.command(rest, mark, wanted_code=int(wanted))
        elif mark in ("=", "?", "~", "!"):
            self.command(rest, mark)
        elif " = " in line.split("'")[0] and mark.isidentifier():
            self.command(line.split(" = ", 1)[1], "", capture=mark)
        elif mark == "@tty":
            answers, command = shlex.split(rest)[0], rest
            self.terminal(line, unescaped(answers).decode().split("\n")[:-1], shlex.split(command)[1:])
        elif mark == "&":
            self.background = line
            environment, arguments, _ = read_line(rest)
            self.both(lambda side: side.start_background(*self.filled(side, arguments, environment)))
        elif mark == "@wait":
            self.both(lambda side: side.background.wait_lines(int(rest)))
        elif mark == "@send":
            data = unescaped(shlex.split(rest)[0])
            self.both(lambda side: side.background.write(side.filled(data.decode(), self.base).encode()))
        elif mark == "@eof":
            self.both(lambda side: side.background.close_input())
        elif mark in ("@int", "@term", "@end"):
            self.finish(line, {"@int": signal.SIGINT, "@term": signal.SIGTERM, "@end": None}[mark])
        elif mark == "@grant":
            lease, ttl = rest.split()
            self.both(lambda side: side.grant(int(lease, 16), int(ttl)))
        elif mark == "@alarm":
            self.both(lambda side: side.raise_alarm())
        elif mark == "@keys":
            prefix, count = rest.split()
            self.both(lambda side: side.wait_keys(prefix.encode(), int(count)))
        elif mark == "@revoke":
            self.both(lambda side: side.revoke_all())
        elif mark == "@mirrored":
            self.both(lambda side: side.wait_mirrored(*rest.split()))
        else:
            self.command(line, "")

    def filled(self, side, arguments, environment):
        return ([side.filled(argument, self.base) for argument in arguments],
                {name: side.filled(value, self.base) for name, value in environment.items()})

    def command(self, line, mark, capture=None, wanted_code=None):
        environment, arguments, stdin = read_line(line)

        def run(side):
            # The same server for both where it says "=".
            filler = self.sides[0] if mark == "=" else side
            command = self.filled(filler, arguments, environment)
            if mark == "=" and not any(a.startswith("--endpoints") for a in command[0]):
                command[0][:0] = ["--endpoints", filler.members[0].endpoint]
            typed = side.filled(stdin.decode("latin-1"), self.base).encode("latin-1")
            return side.run(*command, typed, tool=places.etcdctl() if mark == "!" else None)

        outcomes = [run(side) for side in self.sides] if mark == "=" else self.both(run)
        if capture:
            for side, outcome in zip(self.sides, outcomes):
                side.capture(capture, outcome)
        if wanted_code is not None:
            if outcomes[1].code != wanted_code and our_tool() != places.etcdctl():
                self.differ(line, "exit status", outcomes[0].code, f"{outcomes[1].code} instead of {wanted_code}")
            outcomes[1].code = outcomes[0].code
        if mark == "!":
            for outcome in outcomes:
                if outcome.code != 0:
                    raise AssertionError(f"{self.name}: preparation failed: {line}: {outcome.error}")
        else:
            self.compare(line, arguments, mark, outcomes)

    def terminal(self, line, answers, arguments):
        environment = {}
        outcomes = self.both(lambda side: side.run_on_terminal(*self.filled(side, arguments, environment), list(answers)))
        self.compare(line, arguments, "", outcomes)

    def finish(self, line, number):
        outcomes = self.both(lambda side: side.background.end(number))
        started, self.background = self.background, None
        for side in self.sides:
            side.background = None
        self.compare(f"{started} ... {line}", read_line(started[2:])[1], "", outcomes)

    def compare(self, line, arguments, mark, outcomes):
        self.compared += 1
        if b"\npanic: " in b"\n" + outcomes[0].error:
            return  # Nobody wants to be like etcdctl where it crashes.
        if outcomes[0].code != outcomes[1].code:
            self.differ(line, "exit status", *(f"{o.code}  stderr: {o.error.decode(errors='replace')[-500:]}" for o in outcomes))
        if mark == "?":
            return
        texts = [(side if mark != "=" else self.sides[0]).shown(arguments, outcome)
                 for side, outcome in zip(self.sides, outcomes)]
        if mark == "=":
            for what, one, other in zip(("stdout", "stderr"), *texts):
                if one != other and (what == "stdout" or not ctl_output.same_errors(one, other)):
                    self.differ(line, what, one, other)
            return
        # Help is ours; only where it is shown is etcd's.
        if texts[0][0] != texts[1][0] and not texts[0][0].startswith("NAME:"):
            self.differ(line, "stdout", texts[0][0], texts[1][0])
        if mark not in ("~", ">") and outcomes[0].code == outcomes[1].code and not ctl_output.same_errors(texts[0][1], texts[1][1]):
            self.differ(line, "stderr", *("\n".join(ctl_output.error_lines(text[1])) for text in texts))

    def differ(self, line, what, theirs, ours):
        self.report(f"{self.world.kind}: {self.name}: {line}\n    {what} of etcdctl: {indented(theirs)}\n"
                    f"    {what} of ours:    {indented(ours)}")


def indented(text):
    return str(text).replace("\n", "\n        | ")


def run_kind(kind, names, tls, report):
    compared = 0
    world = World(kind, tls)
    try:
        for name in names:
            script = Script(SCRIPTS / f"{name}.txt", world, report)
            try:
                script.run()
            except Exception as error:  # One broken script must not hide what the others show.
                report(f"{kind}: {name}: {type(error).__name__}: {error}")
            compared += script.compared
    finally:
        world.close()
    return compared


POOL = concurrent.futures.ThreadPoolExecutor(16)
TIMES = bool(os.environ.get("QUORATE_TEST_TIMES"))  # Says which lines are slow.
DEAD_PORT = member.free_port()  # Where nobody listens.


def main():
    if not os.access(places.etcdctl(), os.X_OK):
        return places.SKIPPED
    every = sorted(path.stem for path in SCRIPTS.glob("*.txt"))
    names = sys.argv[1:] or every
    if unknown := set(names) - set(every):
        sys.exit(f"no script for {', '.join(sorted(unknown))}; there are: {' '.join(every)}")
    differences, lock = [], threading.Lock()

    def report(text):
        with lock:
            differences.append(text)
            print(f"DIFFERENT {text}", flush=True)

    with tempfile.TemporaryDirectory(dir=places.scratch()) as directory:
        tls = Tls(pathlib.Path(directory))
        tls.directory = directory
        with concurrent.futures.ThreadPoolExecutor(2) as kinds:
            counts = list(kinds.map(lambda kind: run_kind(kind, names, tls, report), ("quorate", "etcd")))
    print(f"{sum(counts)} command lines compared, {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
