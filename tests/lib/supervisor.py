"""Stands for systemd on one host of a test: it reads a unit file, and does what `systemctl start|stop|restart|status UNIT`
ask for. Called as a program it is that systemctl:

    supervisor.py SOCKET start etcd

Of a unit it knows what concerns the process: Environment, EnvironmentFile, ExecStart, Type=notify, Restart, RestartSec,
RestartPreventExitStatus, TimeoutStopSec, RuntimeDirectory with its Preserve. Absolute paths lie below the host's root. User and
sandbox are left out: the service runs as whoever runs the test.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading

START_SECONDS = 120
# Ends of a process that Restart=on-failure does not count as failures.
CLEAN_ENDS = (0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE)
_DIE_WITH_THE_TEST = ("setpriv", "--pdeathsig", "KILL")
# A supervisor that restarts in a loop would hide from a test that the service never comes up.
RESTARTS_MAX = 50


class Unit:
    """A unit file: [Service] by name of the setting, each with its values in order."""

    def __init__(self, text):
        self.settings = collections.defaultdict(list)
        section = None
        text = text.replace("%p", "etcd").replace("%H", socket.gethostname())
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and line[0] not in "#;":
                name, _, value = line.partition("=")
                self.settings[name.strip()].append(value.strip())

    def last(self, name, default=""):
        return self.settings[name][-1] if self.settings[name] else default

    def seconds(self, name, default):
        return float(self.last(name, str(default)).rstrip("s"))


def read_environment_file(text):
    """KEY=VALUE a line, values perhaps quoted, as systemd reads them."""
    found = {}
    for line in text.splitlines():
        line = line.strip()
        if line and line[0] not in "#;" and "=" in line:
            name, _, value = line.partition("=")
            found[name.strip()] = "".join(shlex.split(value))
    return found


class Supervisor:
    """`program` takes the place of ExecStart's first word; `log` gets what the service prints. close() kills the service."""

    def __init__(self, unit_text, root, program, log):
        self.unit = Unit(unit_text)
        self.root = pathlib.Path(root)
        self.program = program
        self.log = pathlib.Path(log)
        self.prefix = []  # A command that runs the service's command.
        self.restarts = 0
        self.process = None
        # The kernel takes the end of the thread that started a process for the end of its parent: so one starts them all.
        self._keeper = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._state = "inactive (dead)"
        self._wanted = False  # What the operator said last.
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.address = f"@quorate-supervisor-{secrets.token_hex(8)}"
        self._socket.bind(_abstract(self.address))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def active(self):
        return self._state == "active (running)"

    def close(self):
        self._wanted = False
        self._socket.close()
        with self._changed:
            process = self.process
        if process is not None:
            process.kill()
            process.wait()
        self._keeper.shutdown()

    def kill(self):
        """SIGKILL to the service, and it is not started again: the machine lost its power."""
        with self._changed:
            self._wanted = False
            process = self.process
        if process is None:
            return
        process.kill()
        self._wait(lambda: self.process is None, START_SECONDS)

    def boot(self):
        """What does not survive a boot is gone."""
        for name in self.unit.settings["RuntimeDirectory"]:
            shutil.rmtree(self._below("/run/" + name), ignore_errors=True)

    # systemctl

    def systemctl(self, command, *rest):
        """(exit status, output)"""
        unit = rest[-1] if rest else ""
        if unit.removesuffix(".service") not in ("etcd", "quorate"):
            return 5, f"Unit {unit} could not be found.\n"
        if command == "start":
            return self._start("--no-block" not in rest)
        if command == "stop":
            return self._stop()
        if command == "restart":
            self._stop()
            return self._start()
        if command == "status":
            return (0 if self.active else 3), f"● etcd.service\n     Active: {self._state}\n"
        if command == "is-active":
            return (0 if self.active else 3), self._state.split()[0] + "\n"
        return 1, f"Unknown command verb {command}.\n"

    def _start(self, waits=True):
        with self._changed:
            if self._wanted and self.process is not None:
                return 0, ""
            self._wanted = True
            self.restarts = 0
        process = self._spawn()
        if not waits:
            return 0, ""
        self._wait(lambda: self.active or self.process is not process, START_SECONDS)
        if self.active:
            return 0, ""
        reason = "a timeout was exceeded" if self.process is process else "the control process exited with error code"
        return 1, f"Job for etcd.service failed because {reason}.\n"

    def _stop(self):
        with self._changed:
            self._wanted = False
            process = self.process
            self._state = "deactivating (stop-sigterm)" if process else "inactive (dead)"
        if process is not None:
            process.terminate()
            if not self._wait(lambda: self.process is not process, self.unit.seconds("TimeoutStopSec", 90)):
                process.kill()
                self._wait(lambda: self.process is not process, START_SECONDS)
        if self.unit.last("RuntimeDirectoryPreserve", "no") == "no":
            self.boot()
        return 0, ""

    # The process

    def _below(self, path):
        return self.root / path.lstrip("/")

    def _environment(self):
        found = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD", "NOTIFY_SOCKET"))}
        for line in self.unit.settings["Environment"]:
            for word in shlex.split(line):
                name, _, value = word.partition("=")
                found[name] = value
        for line in self.unit.settings["EnvironmentFile"]:
            path = self._below(line.removeprefix("-"))
            if path.exists() or not line.startswith("-"):
                found |= read_environment_file(path.read_text())
        return found

    def _spawn(self):
        return self._keeper.submit(self._fork).result()

    def _fork(self):
        environment = self._environment()
        words = shlex.split(self.unit.last("ExecStart"))
        arguments = [piece for word in words[1:] for piece in
                     (environment.get(word[1:], "").split() if word.startswith("$") else [word])]
        for name in self.unit.settings["RuntimeDirectory"]:
            self._below("/run/" + name).mkdir(parents=True, exist_ok=True, mode=0o700)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"@quorate-notify-{secrets.token_hex(8)}"
        notify.bind(_abstract(name))
        environment["NOTIFY_SOCKET"] = name
        with self._changed, open(self.log, "ab") as log:
            process = subprocess.Popen([*_DIE_WITH_THE_TEST, *self.prefix, str(self.program), *arguments],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.root)
            self.process = process
            self._state = "activating (start)"
        threading.Thread(target=self._listen, args=(process, notify), daemon=True).start()
        threading.Thread(target=self._reap, args=(process,), daemon=True).start()
        return process

    def _listen(self, process, notify):
        """Until the process is gone: what it notifies."""
        notify.settimeout(0.2)
        with notify:
            while process.poll() is None:
                try:
                    message = notify.recv(4096).decode()
                except TimeoutError:
                    continue
                if "READY=1" in message:
                    with self._changed:
                        if self.process is process and self._wanted:
                            self._state = "active (running)"
                            self._changed.notify_all()

    def _reap(self, process):
        code = process.wait()
        with self._changed:
            self.process = None
            self._state = "inactive (dead)" if not self._wanted or code in CLEAN_ENDS else f"failed (Result: {code})"
            again = self._wanted and self._restarts_after(code)
            if again:
                self._state = "activating (auto-restart)"
                self.restarts += 1
            self._changed.notify_all()
            if not again:
                return
            # The pause of RestartSec, unless the operator says something else meanwhile.
            self._changed.wait_for(lambda: not self._wanted or self.process is not None,
                                   self.unit.seconds("RestartSec", 0.1))
            if not self._wanted or self.process is not None:
                return
        self._spawn()

    def _restarts_after(self, code):
        if self.restarts >= RESTARTS_MAX or str(code) in self.unit.last("RestartPreventExitStatus").split():
            return False
        return self.unit.last("Restart") in ("on-failure", "on-abnormal", "always") and code not in CLEAN_ENDS

    def _wait(self, condition, seconds):
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    # The door for systemctl

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, connection.makefile("rw") as stream:
            status, output = self.systemctl(*json.loads(stream.readline()))
            stream.write(json.dumps([status, output]) + "\n")
            stream.flush()


def _abstract(name):
    return "\0" + name[1:]


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: systemctl start|stop|restart|status|is-active [--no-block] UNIT")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(_abstract(sys.argv[1]))
        with door.makefile("rw") as stream:
            stream.write(json.dumps(sys.argv[2:]) + "\n")
            stream.flush()
            status, output = json.loads(stream.readline())
    print(output, end="", file=sys.stderr if status == 1 else sys.stdout)
    sys.exit(status)


if __name__ == "__main__":
    main()
