#!/usr/bin/python3
"""What the tools do where a file may not grow: one line that says what to do, an exit status, and nothing half-done.

The limit of the process on the size of its files stands in for the full disk (RLIMIT_FSIZE, as of `ulimit -f`); where this
machine lets the test mount one, a tiny disk that is full besides."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import places
from api import rpc

VALUE = b"x" * 100_000
KEYS = 30  # Together 3 MB: more than the limit, and more than the tiny disk.
LIMIT_BYTES = 1_000_000


def run(*command, limit=None, **options):
    limited = ["prlimit", f"--fsize={limit}"] if limit else []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL")}
    return subprocess.run([*limited, *map(str, command)], capture_output=True, text=True, check=False, timeout=120,
                          env=environment | {"ETCDCTL_API": "3"}, **options)


def fill(server):
    with api.Api(server.endpoint) as service:
        for i in range(KEYS):
            service.KV.Put(rpc.PutRequest(key=b"k%d" % i, value=VALUE))


def wait_for(condition, otherwise):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise)
        time.sleep(0.02)


class FullDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="full-disk-", dir=places.scratch()))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.server = member.quorate()
        cls.addClassCleanup(cls.server.remove)
        cls.server.start()
        fill(cls.server)
        cls.snapshot = cls.root / "snapshot.db"
        saved = cls.ctl("snapshot", "save", cls.snapshot)
        if saved.returncode != 0:
            raise AssertionError(saved.stderr)
        cls.old = cls.snapshot.read_bytes()
        cls.server.stop()
        cls.backups = cls.root / "backups"
        cls.backups.mkdir()
        cls.server.flags += ["--backup-dir", str(cls.backups), "--backup-interval", "1h"]
        cls.server.start()
        wait_for(lambda: list(cls.backups.glob("backup-*.db")), "no backup was taken")

    @classmethod
    def ctl(cls, *arguments, **options):
        return run(places.quoratectl(), "--endpoints", cls.server.endpoint, *arguments, **options)

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="case-", dir=self.root))

    def expect_advice(self, done, code, *, full="No space left on device|Disk quota exceeded|File too large"):
        """One line: what could not be written, why, and what to do."""
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], rf"/.*({full}).*; .*(free space|raise the limit).*run the same command again$")

    def stopped_member(self):
        """A directory with a database larger than the limit."""
        directory = self.directory / "data"
        restored = run(places.quorateutl(), "snapshot", "restore", self.snapshot, "--data-dir", directory)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        return directory

    def test_snapshot_save(self):
        target = self.directory / "file.db"
        target.write_bytes(self.old)
        (self.directory / "file.db.part").write_text("another's")
        self.expect_advice(self.ctl("snapshot", "save", target, "--force", limit=LIMIT_BYTES), 5)
        self.assertEqual(target.read_bytes(), self.old)
        self.assertEqual(sorted(os.listdir(self.directory)), ["file.db", "file.db.part"])

    def test_snapshot_restore(self):
        for tool in (places.quorateutl(), places.quoratectl()):
            restored = run(tool, "snapshot", "restore", self.snapshot, "--data-dir", self.directory / "new", limit=LIMIT_BYTES)
            self.expect_advice(restored, 1)
            self.assertEqual(os.listdir(self.directory), [])

    def test_restore_and_verify_of_backups(self):
        backup = next(self.backups.glob("backup-*.db"))
        self.expect_advice(run(places.quorateutl(), "backup", "verify", backup, limit=LIMIT_BYTES), 1)
        restored = run(places.quorateutl(), "restore", self.backups, "--data-dir", self.directory / "new", limit=LIMIT_BYTES)
        self.expect_advice(restored, 1)
        self.assertEqual(os.listdir(self.directory), [])

    def test_defrag_of_files(self):
        for tool in (places.quorateutl(), places.quoratectl()):
            directory = self.stopped_member()
            database = directory / "member/snap/db"
            before, beside = database.read_bytes(), sorted(os.listdir(database.parent))
            self.expect_advice(run(tool, "defrag", "--data-dir", directory, limit=LIMIT_BYTES), 1)
            self.assertEqual(database.read_bytes(), before)
            self.assertEqual(sorted(os.listdir(database.parent)), beside)
            shutil.rmtree(directory)

    def test_output(self):
        """What is printed into a full disk: no success that nobody can read."""
        with open("/dev/full", "wb") as full:
            done = subprocess.run([places.quorateutl(), "dump", "db", self.snapshot], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 6)
        self.assertEqual(done.stderr, "Error: can't write to the standard output\n")

    def test_a_disk_that_is_full(self):
        """The same on a disk of one megabyte, if one can be mounted."""
        disk = self.directory / "disk"
        disk.mkdir()
        mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
        inside = ("unshare", "--map-root-user", "--mount", "sh", "-c")
        if run(*inside, mount).returncode != 0:
            self.skipTest("no disk can be mounted here")
        for code, command in (
                (5, f"{places.quoratectl()} --endpoints {self.server.endpoint} snapshot save {disk}/file.db"),
                (1, f"{places.quorateutl()} snapshot restore {self.snapshot} --data-dir {disk}/new")):
            self.expect_advice(run(*inside, f"{mount} && {command}; code=$?; ls {disk} >&2; exit $code"), code,
                               full="No space left on device")


class Holding:
    """A port in front of a server that lets so many bytes of its answers through, and then no more."""

    def __init__(self, target_port, most):
        self._target_port = target_port
        self._left = most
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets += [client, server]
            threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source, sink, counted):
        try:
            while not counted or self._left > 0:
                data = source.recv(16384)
                if not data:
                    return
                sink.sendall(data)
                if counted:
                    self._left -= len(data)
        except OSError:
            return

    def close(self):
        for one in (self._listener, *self._sockets):
            one.close()


class SaveTest(unittest.TestCase):
    """What else may go wrong with a snapshot under way."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="save-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.server = member.quorate()
        self.addCleanup(self.server.remove)
        self.server.start()
        fill(self.server)
        self.target = self.root / "file.db"

    def command(self, endpoint):
        return [places.quoratectl(), "--endpoints", endpoint, "snapshot", "save", str(self.target), "--force"]

    def test_two_at_once_to_one_file(self):
        """Each saves a whole snapshot, and the file is one of them."""
        for _ in range(3):
            saving = [subprocess.Popen(self.command(self.server.endpoint), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True) for _ in range(4)]
            for process in saving:
                out, error = process.communicate(timeout=60)
                self.assertEqual((process.returncode, out, error), (0, f"Snapshot saved at {self.target}\n", ""))
            status = run(places.quorateutl(), "snapshot", "status", self.target, "-w", "json")
            self.assertEqual(status.returncode, 0, status.stderr)
            self.assertIn(f'"revision":{KEYS + 1},', status.stdout)
            self.assertEqual(os.listdir(self.root), ["file.db"])

    def test_interrupted(self):
        """Ctrl-C in the middle leaves what was there, and nothing beside it."""
        self.target.write_text("the last one")
        for number in (signal.SIGINT, signal.SIGTERM):
            holding = Holding(self.server.client_port, len(VALUE) * 5)
            self.addCleanup(holding.close)
            process = subprocess.Popen(self.command(holding.endpoint), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            wait_for(lambda: process.poll() is not None or list(self.root.glob("*.part")), "no part was begun")
            process.send_signal(number)
            out, error = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (5, ""), error)
            self.assertEqual((os.listdir(self.root), self.target.read_text()), (["file.db"], "the last one"))


if __name__ == "__main__":
    if not places.quoratectl():
        print("skipped: quoratectl is not built")
        sys.exit(places.SKIPPED)
    unittest.main(verbosity=2)
