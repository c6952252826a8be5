#!/usr/bin/python3
"""The completion scripts in the shells themselves: bash, zsh (where installed) and fish (where installed). A line is typed on a
terminal, with a tabulator at its end; the program's name is a function there that shows the words that it gets."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import places

SECONDS = 60

# What is typed, and the words that the program gets.
CASES = (
    ("quoratectl endpoint stat\t", "endpoint status"),
    ("quoratectl get --keys-o\t", "get --keys-only"),
    ("quoratectl get some/key --keys-o\t", "get some/key --keys-only"),
    ("quoratectl snapshot sa\t", "snapshot save"),
    # Values of flags are no commands, whichever way they are given, and whatever is in them.
    ("quoratectl --endpoints=https://h:2379 get --keys-o\t", "--endpoints=https://h:2379 get --keys-only"),
    ("quoratectl --endpoints https://h:2379 get --keys-o\t", "--endpoints https://h:2379 get --keys-only"),
    ("quoratectl --user get endpoint stat\t", "--user get endpoint status"),
    ("quoratectl --hex endpoint stat\t", "--hex endpoint status"),
    ("quoratectl -w json endpoint stat\t", "-w json endpoint status"),
    ("quoratectl get a -w js\t", "get a -w json"),
    ("quoratectl get a --write-out=js\t", "get a --write-out=json"),
    ("quoratectl get a --write-out js\t", "get a --write-out json"),
    # Files, for flags that name one and for arguments.
    ("quoratectl --cacert ca-fi\t", "--cacert ca-file.pem"),
    ("quoratectl --cacert=ca-fi\t", "--cacert=ca-file.pem"),
    ("quoratectl snapshot status ca-fi\t", "snapshot status ca-file.pem"),
    ("quorateutl --timeout 3s snapshot stat\t", "--timeout 3s snapshot status"),
    ("quorateutl dump wal --start-i\t", "dump wal --start-index"),
)
PROGRAMS = {"quoratectl": places.quoratectl, "quorateutl": places.quorateutl}


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command, directory):
        self._master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        environment = {"PATH": f"{directory}/bin:{os.environ['PATH']}", "HOME": str(directory), "TERM": "dumb", "LANG": "C.UTF-8",
                       "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=directory, env=environment,
                                         start_new_session=True)
        os.close(slave)
        self.seen = ""

    def type(self, text):
        os.write(self._master, text.encode())

    def wait_for(self, pattern):
        """The match in what has come since the last one."""
        deadline = time.monotonic() + SECONDS
        while not (match := re.search(pattern, self.seen)):
            if not select.select([self._master], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern} after {SECONDS} s:\n{self.seen}")
            try:
                piece = os.read(self._master, 65536)
            except OSError as error:
                raise AssertionError(f"the shell ended:\n{self.seen}") from error
            self.seen += piece.decode(errors="replace").replace("\r", "")
        self.seen = self.seen[match.end():]
        return match

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._master)


class CompletionTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="completion-", dir=places.scratch())
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        os.mkdir(f"{self.directory}/bin")
        with open(f"{self.directory}/ca-file.pem", "w", encoding="utf-8"):
            pass

    def script(self, shell):
        """Both programs' scripts, as a file."""
        path = f"{self.directory}/completion.{shell}"
        with open(path, "w", encoding="utf-8") as file:
            for find in PROGRAMS.values():
                file.write(subprocess.run([find(), "completion", shell], capture_output=True, text=True, check=True).stdout)
        return path

    def expect_cases(self, terminal):
        self.addCleanup(terminal.close)
        functions = "; ".join(f"{name}() {{ printf '%s' GOT; printf '<%s>' \"$@\"; echo .; }}" for name in PROGRAMS)
        # The mark is computed, so that the line itself, should it be shown, is no mark.
        terminal.type(f"{functions}; echo READY$((1+1))\n")
        terminal.wait_for("READY2")
        for typed, wanted in CASES:
            with self.subTest(typed):
                terminal.type(typed + "\n")
                got = terminal.wait_for(r"GOT((?:<[^>\n]*>)*)\.").group(1)
                self.assertEqual(got, "".join(f"<{word}>" for word in wanted.split()))

    def test_bash(self):
        script = self.script("bash")
        terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], self.directory)
        terminal.type(f"PS1=; bind 'set enable-bracketed-paste off'; source {script}\n")
        self.expect_cases(terminal)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        script = self.script("zsh")
        terminal = Terminal(["zsh", "-f", "-i"], self.directory)
        terminal.type(f"PS1=; unsetopt zle_bracketed_paste; setopt no_beep; autoload -Uz compinit; compinit -D -u; source {script}\n")
        self.expect_cases(terminal)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        """fish tells what it would propose, without a terminal."""
        script = self.script("fish")
        for typed, wanted in CASES:
            with self.subTest(typed):
                line = typed.rstrip("\t")
                done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], capture_output=True,
                                      text=True, check=True, cwd=self.directory, timeout=SECONDS,
                                      env={"PATH": os.environ["PATH"], "HOME": self.directory, "LANG": "C.UTF-8"})
                proposed = [one.split("\t")[0] for one in done.stdout.splitlines()]
                self.assertIn(wanted.split()[-1], proposed, done.stderr)
                self.assertEqual(len(proposed), 1, proposed)


class PasswordTest(unittest.TestCase):
    """The prompt for a password hides what is typed, and gives the terminal back whatever happens."""

    def echo(self, slave):
        return bool(termios.tcgetattr(slave)[3] & termios.ECHO)

    def prompt(self, *arguments):
        """A program that asks for a password; its process and both ends of its terminal."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        process = subprocess.Popen(["setsid", "--ctty", places.quoratectl(), *arguments], stdin=slave, stdout=slave, stderr=slave,
                                   env={"PATH": os.environ["PATH"], "ETCDCTL_API": "3"})
        self.addCleanup(process.kill)
        seen, deadline = "", time.monotonic() + SECONDS
        while "Password: " not in seen or self.echo(slave):
            self.assertLess(time.monotonic(), deadline, seen)
            if select.select([master], [], [], 0.02)[0]:
                seen += os.read(master, 4096).decode()
        return process, master, slave

    def test_interrupted(self):
        for command in (("get", "a"), ("lock", "a"), ("snapshot", "save", "nothing.db")):
            for keys, status in ((b"\x03", -2), (b"half\x1c", -3)):
                with self.subTest(command=command, keys=keys):
                    process, master, slave = self.prompt("--user", "root", "--endpoints", "127.0.0.1:1", *command)
                    os.write(master, keys)
                    self.assertEqual(process.wait(SECONDS), status)
                    self.assertTrue(self.echo(slave))

    def test_typed(self):
        process, master, slave = self.prompt("--user", "root", "--endpoints", "127.0.0.1:1", "--dial-timeout", "100ms",
                                             "--command-timeout", "200ms", "get", "a")
        os.write(master, b"secret\n")
        self.assertNotEqual(process.wait(SECONDS), 0)
        self.assertTrue(self.echo(slave))
        self.assertNotIn(b"secret", os.read(master, 65536))


if __name__ == "__main__":
    if not places.quoratectl():
        print("skipped: quoratectl is not built")
        sys.exit(places.SKIPPED)
    unittest.main(verbosity=2)
