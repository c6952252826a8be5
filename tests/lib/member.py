"""One server process on loopback ports of its own: start it, wait until it serves, stop it, kill it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import places
from ports import free_port

# A test that is killed takes its servers with it. Not by a function in the forked child: with gRPC's threads in the parent
# that may hang.
_DIE_WITH_THE_TEST = ("setpriv", "--pdeathsig", "KILL")
START_SECONDS = 120
# For etcdctl, which else gives up after 2 s and 5 s: that is not enough for every machine.
PATIENT = ("--dial-timeout=30s", "--command-timeout=60s")
STOP_SECONDS = 60


class StartError(Exception):
    """The server ended, or did not become healthy; .log holds what it printed, .code its exit status."""

    def __init__(self, text, log, code):
        super().__init__(f"{text}\n--- last lines of its log ---\n{log[-4000:]}")
        self.log = log
        self.code = code


class Member:
    """A server of either make. The directory is its own unless `data_dir` gives one, which then is left behind."""

    def __init__(self, binary, data_dir=None, flags=(), name="m", client_port=None, peer_port=None):
        self.binary = binary
        self.name = name
        self.flags = list(flags)
        self.client_port = client_port or free_port()
        self.peer_port = peer_port or free_port()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="member-", dir=places.scratch()))
        self.data_dir = pathlib.Path(data_dir) if data_dir else self.root / "data"
        self.log_path = self.root / "log"
        self.process = None
        self.prefix = []  # A command that runs the server's command: taskset and the like.
        self.environment = {}  # Added to the server's environment.
        self.user = None  # The numeric user that the server runs as, when not the test's own.
        self.credentials = None  # certificates.Credentials of the test's own calls; then the client port speaks TLS.
        self.peer_scheme = "http"

    # The addresses

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.client_port}"

    @property
    def url(self):
        return f"{'https' if self.credentials else 'http'}://{self.endpoint}"

    def arguments(self):
        peer = f"{self.peer_scheme}://127.0.0.1:{self.peer_port}"
        arguments = [
            "--name", self.name, "--data-dir", str(self.data_dir),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"{self.name}={peer}",
        ]
        if os.path.basename(self.binary) == "etcd":
            arguments += ["--logger", "zap", "--log-outputs", "stderr"]
        return arguments + self.flags

    # The process

    def spawn(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")} | self.environment
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*_DIE_WITH_THE_TEST, *self.prefix, self.binary, *self.arguments()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                            cwd=self.root, user=self.user)
        return self

    def start(self, seconds=START_SECONDS):
        self.spawn()
        self.wait_healthy(seconds)
        return self

    def start_with_alarm(self, seconds=START_SECONDS):
        """Starts a server that has an alarm or authentication: /health says no, but it answers."""
        self.spawn()
        self._wait(self.answers, "answered nothing", seconds)
        return self

    def wait_healthy(self, seconds=START_SECONDS):
        self._wait(self.healthy, "was not healthy", seconds)

    def _wait(self, condition, otherwise, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                code = self.process.returncode
                self.process = None
                raise StartError(f"{self.binary} ended with status {code}", self.log(), code)
            if condition():
                return
            time.sleep(0.02)
        log = self.log()
        self.kill()
        raise StartError(f"{self.binary} {otherwise} after {seconds} s", log, None)

    def answers(self):
        """It serves, and knows its cluster's version, whatever it says of its health. Before, etcd answers no call."""
        try:
            return "not_decided" not in self.http("/version")[1]
        except OSError:
            return False

    def healthy(self):
        try:
            return json.loads(self.http("/health")[1]).get("health") == "true" and self.answers()
        except (OSError, ValueError):
            return False

    def wait_exit(self, seconds=STOP_SECONDS):
        """The exit status of a server that is expected to end by itself."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StartError(f"{self.binary} still ran after {seconds} s", self.log(), None) from None
        self.process = None
        return code

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """A clean stop: SIGTERM. Returns the exit status."""
        if self.process is None:
            return None
        self.process.terminate()
        return self.wait_exit()

    def kill(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def remove(self):
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def api(self):
        import api  # Here, since not every test of a process needs gRPC.
        return api.Api(self.endpoint, self.credentials)

    # What it says

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def http(self, path, timeout=30):
        """(status, body) of a GET; an error status is an answer too."""
        try:
            context = self.credentials.ssl_context() if self.credentials else None
            with urllib.request.urlopen(self.url + path, timeout=timeout, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ctl(self, *arguments, stdin=None, check=True, timeout=90):
        """etcdctl (API version 3) against this member; a CompletedProcess with text in it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        environment["ETCDCTL_API"] = "3"
        secured = self.credentials.etcdctl() if self.credentials else []
        result = subprocess.run([places.etcdctl(), *PATIENT, "--endpoints", self.endpoint, *secured, *map(str, arguments)],
                                input=stdin, capture_output=True, text=True, errors="replace", env=environment,
                                timeout=timeout, check=False, cwd=self.root,
                                stdin=None if stdin is not None else subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise AssertionError(f"etcdctl {arguments} ended with {result.returncode}: {result.stderr}")
        return result


def etcd(**options):
    return Member(places.etcd(), **options)


def quorate(**options):
    return Member(places.quorate(), **options)
