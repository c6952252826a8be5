#!/usr/bin/python3
"""Directories that can't be served: one clear error, a failing status, and not a byte is changed."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import places
import state
import wal
from api import rpc

EXIT_SECONDS = 90
PAGE_LOST_STATUS = 74
ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"


class BadDirectoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """One good directory, killed, with a raft snapshot in it, for all cases to damage."""
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="bad-", dir=places.scratch()))
        cls.good = cls.root / "good"
        with member.Member(places.etcd(), data_dir=cls.good, flags=("--snapshot-count", "10")) as server:
            server.start()
            with api.Api(server.endpoint) as service:
                for i in range(60):
                    service.KV.Put(rpc.PutRequest(key=b"k%d" % i, value=b"v" * 500))
                service.Maintenance.Defragment(rpc.DefragmentRequest())
            server.stop()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root, ignore_errors=True)

    def setUp(self):
        self.directory = self.root / self._testMethodName
        shutil.copytree(self.good, self.directory)
        self.db = self.directory / "member/snap/db"
        self.wal = max((self.directory / "member/wal").glob("*.wal"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def refuse(self, *words, flags=(), user=None):
        """Starts our server on the directory; it must end by itself, name what is wrong, and leave all as it was."""
        before = state.checksums(self.directory)
        server = member.Member(places.quorate(), data_dir=self.directory, flags=("--snapshot-count", "10", *flags))
        server.user = user
        self.addCleanup(server.remove)
        with self.assertRaises(member.StartError) as refused:
            server.start(EXIT_SECONDS)
        error = refused.exception
        if ETCD_IN_BOTH_ROLES:
            return  # etcd panics, or waits; what it says is not ours to check.
        self.assertIsNotNone(error.code, f"it did not end by itself: {error.log[-2000:]}")
        self.assertNotEqual(error.code, 0)
        self.assertGreater(error.code, 0, f"it died by a signal: {error.log[-2000:]}")
        for word in words:
            self.assertIn(word, error.log)
        self.assertNotIn("QUORATE_CHECK", error.log)
        self.assertEqual(before, state.checksums(self.directory))

    def overwrite(self, path, offset, data):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def test_the_good_one_is_good(self):
        server = member.Member(places.quorate(), data_dir=self.directory)
        self.addCleanup(server.remove)
        server.start()
        with api.Api(server.endpoint) as service:
            self.assertEqual(len(api.every_key(service)), 60)

    def test_locked_by_etcd(self):
        with member.Member(places.etcd(), data_dir=self.directory) as holder:
            holder.start()
            server = member.Member(places.quorate(), data_dir=self.directory)
            self.addCleanup(server.remove)
            with self.assertRaises(member.StartError) as refused:
                server.start(25 if not ETCD_IN_BOTH_ROLES else 3)
            if not ETCD_IN_BOTH_ROLES:
                self.assertRegex(refused.exception.log, "(?i)lock")
                self.assertTrue(refused.exception.code is None or refused.exception.code > 0)
            with api.Api(holder.endpoint) as service:
                service.KV.Put(rpc.PutRequest(key=b"still", value=b"mine"))

    def test_etcd_is_locked_out(self):
        with member.Member(places.quorate(), data_dir=self.directory) as holder:
            holder.start()
            server = member.Member(places.etcd(), data_dir=self.directory)
            self.addCleanup(server.remove)
            with self.assertRaises(member.StartError):
                server.start(3)
            with api.Api(holder.endpoint) as service:
                service.KV.Put(rpc.PutRequest(key=b"still", value=b"mine"))

    def test_foreign_files_in_place_of_ours(self):
        self.db.write_bytes(b"SQLite format 3\0" + b"x" * 100_000)
        self.refuse("db")

    def test_db_is_empty(self):
        """etcd would begin a new, empty store and lose everything in silence."""
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd does not refuse it")
        self.db.write_bytes(b"")
        self.refuse("db")

    def test_db_is_missing(self):
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd does not refuse it")
        self.db.unlink()
        self.refuse("db")

    def test_db_is_cut(self):
        with open(self.db, "r+b") as file:
            file.truncate(12_000)
        self.refuse("db")

    def test_db_is_cut_while_it_serves(self):
        """A page that can't be had any more: one line names file and offset, and the process ends with its own code."""
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd dies of SIGBUS")
        server = member.Member(places.quorate(), data_dir=self.directory)
        self.addCleanup(server.remove)
        server.start()
        with api.Api(server.endpoint) as service:
            # All that the start has to write is written: a commit later on would make the file longer again.
            service.KV.Put(rpc.PutRequest(key=b"last", value=b""))
            service.Maintenance.Defragment(rpc.DefragmentRequest())
        os.truncate(self.db, 8192)
        with api.Api(server.endpoint) as service, self.assertRaises(grpc.RpcError):
            api.every_key(service)
        self.assertEqual(server.wait_exit(), PAGE_LOST_STATUS, server.log()[-2000:])
        last = json.loads(server.log().splitlines()[-1])
        self.assertEqual(last["level"], "fatal")
        self.assertEqual(last["msg"], "a page of a mapped file can't be read")
        self.assertEqual(last["file"], str(self.db))
        self.assertGreaterEqual(last["offset"], 8192)
        self.assertIn("restore this member", last["error"])

    def test_both_meta_pages_are_damaged(self):
        self.overwrite(self.db, 16, b"\0" * 64)
        self.overwrite(self.db, 4096 + 16, b"\0" * 64)
        self.refuse("db")

    def test_db_pages_are_garbage(self):
        size = self.db.stat().st_size
        self.overwrite(self.db, 8192, os.urandom(size - 8192))
        self.refuse("db")

    def test_wal_bit_flip(self):
        offset = wal.offset_in_an_entry(self.wal, 3)
        self.overwrite(self.wal, offset, bytes(byte ^ 0xff for byte in self.wal.read_bytes()[offset:offset + 3]))
        self.refuse(self.wal.name)

    def test_wal_is_missing(self):
        """The store without its log: etcd would begin a new cluster on top of it."""
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd does not refuse it")
        shutil.rmtree(self.directory / "member/wal")
        self.refuse("wal")

    def test_wal_has_no_segment(self):
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd does not refuse it")
        for path in (self.directory / "member/wal").glob("*"):
            path.unlink()
        self.refuse("wal")

    def test_wal_gap(self):
        """A segment is missing between two: their sequence numbers show it."""
        shutil.copy(self.wal, self.wal.with_name("0000000000000007-0000000000000fff.wal"))
        self.refuse("wal")

    def test_snapshot_files_are_garbage(self):
        """The log still reaches back to the first entry here, so etcd sets them aside and serves; so may we."""
        for path in (self.directory / "member/snap").glob("*.snap"):
            path.write_bytes(b"garbage")
        server = member.Member(places.quorate(), data_dir=self.directory)
        self.addCleanup(server.remove)
        try:
            server.start()
        except member.StartError as error:
            self.assertGreater(error.code or 0, 0)
            self.assertIn("snap", error.log)
            return
        with api.Api(server.endpoint) as service:
            self.assertEqual(len(api.every_key(service)), 60)

    def test_data_dir_is_a_file(self):
        shutil.rmtree(self.directory)
        self.directory.write_bytes(b"hello")
        server = member.Member(places.quorate(), data_dir=self.directory)
        self.addCleanup(server.remove)
        self.addCleanup(lambda: self.directory.unlink())
        with self.assertRaises(member.StartError) as refused:
            server.start(EXIT_SECONDS)
        if not ETCD_IN_BOTH_ROLES:
            self.assertGreater(refused.exception.code or 0, 0)
        self.assertEqual(self.directory.read_bytes(), b"hello")

    def test_read_only(self):
        """Without the right to write. Root may write everywhere, so as root the server runs as nobody."""
        nobody = 65534 if os.geteuid() == 0 else None
        binary = places.quorate()
        if nobody and subprocess.run(["test", "-x", binary, "-a", "-x", str(self.root.parent)], user=nobody,
                                     check=False).returncode != 0:
            self.skipTest("nobody may not reach the clone")
        self.root.chmod(0o755)
        for path in [self.directory, *self.directory.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            self.refuse("ermission denied", user=nobody)
        finally:
            for path in [self.directory, *self.directory.rglob("*")]:
                path.chmod(0o700)

    def test_port_is_taken(self):
        with member.Member(places.etcd()) as holder:
            holder.start()
            server = member.Member(places.quorate(), data_dir=self.directory, client_port=holder.client_port)
            self.addCleanup(server.remove)
            server.spawn()
            code = server.wait_exit(EXIT_SECONDS)
            self.assertGreater(code, 0, server.log()[-2000:])
            self.assertRegex(server.log(), "(?i)address already in use")

    def test_term_signal_ends_cleanly(self):
        server = member.Member(places.quorate(), data_dir=self.directory)
        self.addCleanup(server.remove)
        server.start()
        server.signal(signal.SIGTERM)
        self.assertIn(server.wait_exit(), (0, -signal.SIGTERM))


if __name__ == "__main__":
    unittest.main(verbosity=2)
