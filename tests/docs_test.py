#!/usr/bin/python3
"""Each command of README.md and docs/*.md, run as it stands: it succeeds, and what it prints has the shape that is shown.
tests/lib/document.py says how the documents are read. `<!-- test: ... -->` in a document chooses where they run:

    member         (where nothing is said) an empty directory. A command that is a server is started there and goes on in the
                   background; one that takes the port or the directory of another one takes its place. A watch is interrupted when it has
                   printed what is shown
    member running the same, and a member runs already
    site [KIND]    three hosts with TLS (tests/lib/hosts.py) that run KIND (default: quorate); 10.10.1.10 to 10.10.1.12 are
                   node1 to node3, prompts name the host. `apt-get install` changes the server's program there, scp copies
                   between the hosts

    tests/docs_test.py docs/operating.md     one document
"""

import base64
import os
import pathlib
import re
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import places
from ports import free_port
from document import Document, compare
from hosts import Site

sys.path[:0] = [str(places.REPOSITORY / "docs"), str(places.REPOSITORY / "packaging/man")]

import make_man
import make_reference
import program_help

DOCS = places.REPOSITORY / "docs"
DOCUMENTS = ["README.md", *sorted(str(p.relative_to(places.REPOSITORY)) for p in DOCS.glob("*.md"))]
PROGRAMS = ("quorate", "quorateutl", "quoratectl")
COMMAND_SECONDS = 90
_SERVERS = ("quorate", "etcd", "./dev run", "build/release/bin/quorate")
_GOES_ON = re.compile(r"(?:etcdctl|quoratectl) watch\b")
_PORT = re.compile(r"\b(127\.0\.0\.1|localhost):(\d{4,5})\b")


class Shell:
    """A bash that keeps its variables from command to command."""

    def __init__(self, directory, environment):
        self._directory = directory
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "bash", "--norc", "--noprofile"],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         cwd=directory, env=environment)

    def run(self, text):
        """(exit status, lines)"""
        mark = secrets.token_hex(8)
        self._process.stdin.write(f"{{ {text}\n}} </dev/null\nprintf '\\n{mark} %d\\n' $?\n".encode())
        self._process.stdin.flush()
        printed, deadline = b"", time.monotonic() + COMMAND_SECONDS
        while not (end := re.search(rb"\n%s (\d+)\n" % mark.encode(), printed)):
            if not select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no end after {COMMAND_SECONDS} s: {text}\n{printed.decode(errors='replace')}")
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError(f"the shell ended at: {text}\n{printed.decode(errors='replace')}")
            printed += piece
        return int(end.group(1)), printed[:end.start()].decode(errors="replace").splitlines()

    def run_until(self, text, done):
        """A command that goes on until it is interrupted, which it is when done(lines)."""
        status, lines = self.run("env -0 | base64 -w0")
        environment = dict(pair.split("=", 1) for pair in base64.b64decode("".join(lines)).decode().split("\0") if "=" in pair)
        with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "bash", "-c", "exec " + text], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=self._directory) as going_on:
            printed, deadline = b"", time.monotonic() + COMMAND_SECONDS
            while not done(lines := printed.decode(errors="replace").splitlines()) and time.monotonic() < deadline:
                if select.select([going_on.stdout], [], [], 0.2)[0]:
                    piece = os.read(going_on.stdout.fileno(), 65536)
                    if not piece:
                        break
                    printed += piece
            going_on.kill()
        return status, lines

    def close(self):
        self._process.kill()
        self._process.communicate()


class Server:
    """A server that a document starts."""

    def __init__(self, text, directory, environment, ports):
        self.text = text
        words = shlex.split(text)
        flags = {word.partition("=")[0]: word.partition("=")[2] or follower
                 for word, follower in zip(words, [*words[1:], ""]) if word.startswith("--")}
        environment = dict(environment)
        # A flag that is not there takes its port from here.
        client = f"http://127.0.0.1:{ports(2379)}"
        peer = f"http://127.0.0.1:{ports(2380)}"
        for flag, value in (("listen-client-urls", client), ("advertise-client-urls", client), ("listen-peer-urls", peer),
                            ("initial-advertise-peer-urls", peer),
                            ("initial-cluster", f"{flags.get('--name', 'default')}={peer}")):
            if "--" + flag not in flags:
                environment["ETCD_" + flag.upper().replace("-", "_")] = value
        self.url = flags.get("--listen-client-urls", client).split(",")[0]
        self.log = pathlib.Path(directory) / f"server-{secrets.token_hex(4)}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "bash", "-c", "exec " + text], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, cwd=directory, env=environment)

    def wait(self, campaigns=False):
        """Until it serves, or `campaigns`: of a cluster of which the document shows but one member."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.text} ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            try:
                if self.url.startswith("https"):
                    # With certificates of the document's own; its next command is what finds out more.
                    socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=5).close()
                    return
                with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError:
                pass
            except OSError:
                if campaigns and "is starting a new election" in self.log.read_text():
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.text} did not serve:\n{self.log.read_text()[-3000:]}")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class MemberSetting:
    """Ports of the document become ports of the test, here and in what its servers listen on."""

    def __init__(self, state):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="docs-", dir=places.scratch()))
        self.servers = {}
        self._ports = {}
        programs = self.directory / "build/release/bin"
        programs.mkdir(parents=True)
        for name in PROGRAMS:
            source = pathlib.Path(places.quorate()).parent / name
            if source.exists():
                (programs / name).symlink_to(source)
        (self.directory / "dev").write_text("#!/bin/bash\nshift\nexec build/release/bin/quorate \"$@\"\n")
        (self.directory / "dev").chmod(0o755)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        self.environment |= {"PATH": f"{programs}:{self.environment['PATH']}",
                             "ETCDCTL_ENDPOINTS": f"127.0.0.1:{self.port(2379)}"}
        self.shell = Shell(self.directory, self.environment)
        if state == "running":
            self._start("quorate")

    def port(self, number):
        if number not in self._ports:
            self._ports[number] = free_port("127.0.0.1")
        return self._ports[number]

    def run(self, command, learned):
        text = _PORT.sub(lambda match: f"127.0.0.1:{self.port(int(match.group(2)))}", replace_ids(command.text, learned))
        words = text.split()
        if words[0] in _SERVERS or " ".join(words[:2]) in _SERVERS:
            if "--version" not in words and "--help" not in words:
                self._start(re.sub(r"(\s*>\s*\S+)?(\s*2>&1)?\s*&?\s*$", "", text.replace("\\\n", " ")))
                return 0, []
        for server in self.servers.values():
            server.wait()
        if _GOES_ON.match(text):
            status, lines = self.shell.run_until(text, lambda lines: not compare(command.output, lines)[0])
        else:
            # etcdctl refuses a setting that is given twice.
            status, lines = self.shell.run(f"( unset ETCDCTL_ENDPOINTS; {text} )" if "--endpoints" in text else text)
        back = {str(mine): str(its) for its, mine in self._ports.items()}
        return status, [re.sub(r"\b\d{4,5}\b", lambda match: back.get(match.group(), match.group()), one) for one in lines]

    def _start(self, text):
        taken = []
        for flag in ("listen-client-urls", "data-dir"):
            value = re.search(rf"--{flag}[ =](\S+)", text)
            taken.append(value.group(1) if value else f"the default {flag}")
        for place in [place for place in self.servers if set(place) & set(taken)]:
            self.servers.pop(place).stop()
        self.servers[tuple(taken)] = Server(text, self.directory, self.environment, self.port)

    def settle(self):
        for server in self.servers.values():
            server.wait(campaigns=True)

    def close(self):
        self.shell.close()
        for server in self.servers.values():
            server.process.kill()
            server.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class SiteSetting:
    """The document's 10.10.1.10 to 10.10.1.12 with ports 2379 and 2380 are the hosts of the test."""

    def __init__(self, kind):
        self.site = Site((kind or "quorate",) * 3, places.etcdctl())
        for host in self.site.hosts:
            self._equip(host)
        try:
            self.site.start()
        except BaseException:
            self.site.__exit__(None)
            raise
        self.shells = {host.host: Shell(host.root, host.environment_of_shell()) for host in self.site.hosts}

    def _equip(self, host):
        """The programs, and what stands for the package manager and for the way between the hosts."""
        program = host.path("/bin/server")
        program.symlink_to(host.supervisor.program)
        host.supervisor.program = program
        for name in PROGRAMS:
            source = pathlib.Path(places.quorate()).parent / name
            if source.exists():
                host.path(f"/bin/{name}").symlink_to(source)
        host.add_program("/bin/apt-get", f"""#!/bin/bash
case "$*" in
  "install "*quorate-server*) ln -sfn {places.quorate()} {program} ;;
  "install "*etcd-server*) ln -sfn {places.etcd()} {program} ;;
  *) echo "E: what is this to do: $*" >&2; exit 100 ;;
esac
""")
        roots = "".join(f"  {one.host}:*) from={one.root}${{1#*:}} ;;\n" for one in self.site.hosts)
        host.add_program("/bin/scp", f"#!/bin/bash\ncase $1 in\n{roots}esac\ncp \"$from\" \"$2\"\n")

    def run(self, command, learned):
        """At all hosts: the first status that is not 0, what the last one prints."""
        hosts = [one for one in self.site.hosts if command.host == "all" or one.host == (command.host or "node1")]
        results = [self._run_at(one, command.text, learned) for one in hosts]
        return next((status for status, _ in results if status), 0), results[-1][1]

    def _run_at(self, host, text, learned):
        text = host.rooted(replace_ids(text, learned))
        text = re.sub(r"10\.10\.1\.(1[0-2])(?::(2379|2380))?", lambda m: f"127.0.0.{m.group(1)}" + self._port(m.group(2)), text)
        text = text.replace("127.0.0.1:2379", f"127.0.0.1:{host.local_port}")
        # As the operator is told: changes of members are refused until all have been connected for some seconds.
        deadline = time.monotonic() + 60
        while True:
            status, lines = self.shells[host.host].run(text)
            if not any("etcdserver: unhealthy cluster" in one for one in lines) or time.monotonic() > deadline:
                break
        return status, [self._as_shown(one, host) for one in lines]

    def _port(self, number):
        if number is None:
            return ""
        return f":{self.site.client_port if number == '2379' else self.site.peer_port}"

    def _as_shown(self, line, host):
        line = line.replace(str(host.root), "").replace(f"127.0.0.1:{host.local_port}", "127.0.0.1:2379")
        line = line.replace(f":{self.site.client_port}", ":2379").replace(f":{self.site.peer_port}", ":2380")
        return re.sub(r"\b127\.0\.0\.(1[0-2])\b", r"10.10.1.\1", line)

    def settle(self):
        for host in self.site.hosts:
            host.wait_healthy()
        self.site.agree()

    def close(self):
        for shell in self.shells.values():
            shell.close()
        self.site.__exit__(None)


def replace_ids(text, learned):
    """IDs that the document shows become those that were printed in their place."""
    return re.sub(r"\b[0-9a-f]{7,16}\b", lambda match: learned.get(match.group(), match.group()), text)


class DocsTest(unittest.TestCase):
    def perform(self, name):
        document = Document((places.REPOSITORY / name).read_text())
        hidden = [f"{name}:{block.line}: {line}" for block in document.blocks for line in block.hidden_commands]
        self.assertEqual([], hidden, "commands without a prompt, in blocks without <!-- shown only: WHY -->")
        commands = [command for block in document.blocks for command in block.commands]
        if not commands:
            return
        kind, _, rest = document.setting.partition(" ")
        setting = {"": MemberSetting, "member": MemberSetting, "site": SiteSetting}[kind](rest)
        try:
            learned = {}
            for command in commands:
                learned |= self._one(name, command, setting, learned)
            setting.settle()
        finally:
            setting.close()

    def _one(self, name, command, setting, learned):
        where = f"{name}:{command.line}: {command.text}"
        print(where, flush=True)
        status, printed = setting.run(command, learned)
        self.assertEqual(command.fails, status != 0, f"{where}\nended with {status}:\n" + "\n".join(printed))
        differs, more = compare(command.output, printed)
        self.assertFalse(differs, f"{where}\n{differs}")
        return more


class ReferenceTest(unittest.TestCase):
    """What is told of the whole: flags and metrics as the program has them, links that lead somewhere."""

    def test_pages_are_what_the_program_says(self):
        for name, page in make_reference.pages().items():
            with self.subTest(name):
                self.assertEqual((DOCS / name).read_text().splitlines(), page.splitlines(),
                                 f"run docs/make_reference.py: docs/{name} is old")

    def test_man_pages(self):
        """Each has every command with every flag, and is what groff takes without a warning."""
        for program in (places.quorate(), places.quoratectl(), places.quorateutl()):
            with self.subTest(program):
                page = make_man.page(program, "1.0", "what it is")
                if shutil.which("groff"):
                    done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8"], input=page, capture_output=True, text=True, check=True)
                    self.assertEqual(done.stderr, "")
                self.assertEqual(re.findall(r"(?m)^\.SH SEE ALSO$", page), [".SH SEE ALSO"])
                if program == places.quorate():
                    continue
                sections = re.split(r"(?m)^\.S[SH] ", page)
                for command in program_help.commands(program):
                    own = [one for one in sections if one.startswith(command.path.replace("-", "\\-"))]
                    self.assertTrue(own, command.path)
                    for name, _ in command.flags:
                        self.assertTrue(any(f".B {make_man.escape(name)}\n" in one for one in own), (command.path, name))

    def test_alert_rules_name_metrics_that_exist(self):
        known = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "metrics.md").read_text(), re.M))
        page = (DOCS / "operating.md").read_text()
        used = re.findall(r"\b(?:etcd|quorate|process|grpc)_\w+", page[page.index("## What to watch"):])
        self.assertTrue(used)
        self.assertEqual([], sorted({re.sub(r"_bucket$", "", name) for name in used} - known))

    def test_links(self):
        for name in DOCUMENTS:
            path = places.REPOSITORY / name
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
                if "://" not in target:
                    with self.subTest(name, target=target):
                        self.assertTrue((path.parent / target).exists())

    def test_the_tests_that_security_names_exist(self):
        """`FILE::TEST`, or `::TEST` of the file before it."""
        file = None
        for named, test in re.findall(r"`((?:src|tests)/[\w/]+\.(?:py|cc))?::([\w.]+)`", (DOCS / "security.md").read_text()):
            file = named or file
            name = test.rpartition(".")[2]
            pattern = rf"^ *(def|class) {name}\b" if file.endswith(".py") else rf"^TEST(_F|_P)?\(\w+, {name}\)"
            with self.subTest(file, test=test):
                self.assertRegex((places.REPOSITORY / file).read_text(), re.compile(pattern, re.M))
        self.assertTrue(file)

    def test_each_page_is_in_the_index(self):
        index = (DOCS / "README.md").read_text()
        self.assertEqual([], [path.name for path in DOCS.glob("*.md") if path.name != "README.md" and f"({path.name})" not in index])


def _add(name):
    def test(self):
        self.perform(name)
    test.__doc__ = name
    setattr(DocsTest, "test_" + re.sub(r"\W+", "_", name.removesuffix(".md")), test)


for one in DOCUMENTS:
    _add(one)


if __name__ == "__main__":
    chosen = [re.sub(r"\W+", "_", "DocsTest.test_" + one.removesuffix(".md")).replace("DocsTest_", "DocsTest.")
              if one.endswith(".md") else one for one in sys.argv[1:]]
    unittest.main(argv=sys.argv[:1] + chosen, verbosity=2)
