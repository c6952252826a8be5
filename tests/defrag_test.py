#!/usr/bin/python3
"""Defragmentation while clients work: what they see is checked, the free bytes go back, etcd opens what is left.

QUORATE_TEST_SEED replays the clients' choices and the moments of the crashes.
"""

import os
import random
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import load
import member
import places
import state
from api import rpc

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
DEFRAG_SECONDS = 120


class LaterLoad(load.Load):
    """Clients of a store whose past up to `base` is compacted."""

    def __init__(self, endpoint, base, **options):
        super().__init__([endpoint], SEED, **options)
        self._base = base
        for record in self.watches:
            record.start = base + 1

    def truth(self, endpoint, until=None):
        until = until or self._target
        events, done = [], threading.Event()

        def requests():
            yield rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"\0", range_end=b"\0",
                                                                         start_revision=self._base + 1))
            done.wait()
        with api.Api(endpoint) as service:
            stream = service.Watch.Watch(requests(), timeout=300)
            for response in stream:
                events += [load.Event(e.kv.mod_revision, e.kv.key, e.kv.value if e.type == e.PUT else None)
                           for e in response.events]
                if events and events[-1].revision >= until:
                    break
            done.set()
            stream.cancel()
        return [event for event in events if event.revision <= until]


def fill(service, sizes, gone):
    """Keys with values of these sizes; those that `gone` chooses go, and what they held becomes free."""
    batch = []
    for number, size in enumerate(sizes):
        batch.append(rpc.RequestOp(request_put=rpc.PutRequest(key=b"fill/%06d" % number, value=b"v" * size)))
        if len(batch) == 100 or sum(len(op.request_put.value) for op in batch) > 500_000:
            service.KV.Txn(rpc.TxnRequest(success=batch))
            batch = []
    service.KV.Txn(rpc.TxnRequest(success=batch))
    batch = []
    for number, _ in enumerate(sizes):
        if gone(number):
            batch.append(rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=b"fill/%06d" % number)))
        if len(batch) == 100:
            service.KV.Txn(rpc.TxnRequest(success=batch))
            batch = []
    service.KV.Txn(rpc.TxnRequest(success=batch))
    revision = service.KV.Put(rpc.PutRequest(key=b"last", value=b"")).header.revision
    service.KV.Compact(rpc.CompactionRequest(revision=revision, physical=True))
    return revision


def sizes(service):
    status = service.Maintenance.Status(rpc.StatusRequest())
    return status.dbSize, status.dbSize - status.dbSizeInUse


# Single pages, the first half of them free: they can be moved.
def fill_small(service):
    return fill(service, [900] * 16_000, lambda number: number < 9_000)


# Overflow pages that grow towards the end, two in four of them free: none fits where an earlier one was.
def fill_growing(service):
    return fill(service, [5_000 + 200 * i for i in range(400)], lambda number: number % 8 < 4)


class DefragTest(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)

    def settle(self, server, service):
        """Until what was compacted is free: that takes a commit more. Returns revision, size and free bytes."""
        for _ in range(1000):
            revision = service.KV.Put(rpc.PutRequest(key=b"last", value=b"")).header.revision
            size, free = sizes(service)
            if free > size / 3:
                return revision, size, free
            time.sleep(0.05)
        raise AssertionError(f"only {free} of {size} bytes are free: {server.log()[-2000:]}")

    def check(self, server):
        """Every page and key of a member that does not run."""
        answer = subprocess.run([places.quorateutl(), "check", "db", str(server.data_dir / "member/snap/db")],
                                capture_output=True, text=True, timeout=180, check=False)
        self.assertEqual(0, answer.returncode, answer.stdout + answer.stderr)

    def leftovers(self, server):
        return [name for name in os.listdir(server.data_dir / "member/snap") if name.startswith("db.")]

    def under_load(self, filler, copies):
        with member.quorate() as server:
            server.start()
            with api.Api(server.endpoint) as service:
                filler(service)
                base, size, free = self.settle(server, service)
                with LaterLoad(server.endpoint, base, writers=3, readers=2, watchers=2, timeout=60) as clients:
                    while len(clients.acknowledged) < 20:
                        time.sleep(0.01)
                    service.Maintenance.Defragment(rpc.DefragmentRequest(), timeout=DEFRAG_SECONDS)
                    clients.finish()
                    self.assertEqual([], clients.check([server.endpoint]))
                after, free_after = sizes(service)
                # What the clients took of the free bytes can't go back.
                taken = max(0, (after - free_after) - (size - free))
                self.assertLess(after, size - 0.85 * (free - taken),
                                f"{free} of {size} were free, now {free_after} of {after}")
                self.assertEqual(copies, "copying the db file" in server.log())
                self.assertEqual([], self.leftovers(server))
                metrics = server.http("/metrics")[1]
                self.assertIn("etcd_disk_backend_defrag_duration_seconds_count 1\n", metrics)
                self.assertIn("etcd_disk_defrag_inflight 0\n", metrics)
                expected = state.capture(service)
            server.stop()
            self.check(server)
            # Not the length: it grows ahead of what is written.
            on_disk = 512 * os.stat(server.data_dir / "member/snap/db").st_blocks
            self.assertLess(on_disk, after * 1.02 + 2_000_000)
            for binary in (places.etcd(), places.quorate()):
                server.binary = binary
                server.start()
                with api.Api(server.endpoint) as service:
                    self.assertEqual("", state.differences(expected, state.capture(service)), binary)
                    service.KV.Put(rpc.PutRequest(key=b"by/" + os.path.basename(binary).encode(), value=b"x" * 50_000))
                    expected = state.capture(service)
                server.stop()

    def test_moving_under_load(self):
        self.under_load(fill_small, copies=False)

    def test_copying_under_load(self):
        self.under_load(fill_growing, copies=True)

    def test_killed_meanwhile(self):
        """Each time at another moment; what comes after is served by etcd and by us in turn."""
        chance = random.Random(SEED)
        for filler in (fill_small, fill_growing):
            with member.quorate() as server:
                server.start()
                with api.Api(server.endpoint) as service:
                    filler(service)
                    self.settle(server, service)
                    expected = state.capture(service)
                for turn in range(4):
                    call = self.begin(server)
                    time.sleep(chance.uniform(0, 0.2))
                    server.kill()
                    call.join(DEFRAG_SECONDS)
                    self.check(server)
                    server.binary = (places.etcd(), places.quorate())[turn % 2]
                    server.start()
                    with api.Api(server.endpoint) as service:
                        self.assertEqual("", state.differences(expected, state.capture(service)),
                                         f"{filler.__name__}, turn {turn}, {server.binary}")
                    server.stop()
                    server.binary = places.quorate()
                    server.start()
                    self.assertEqual([], self.leftovers(server))

    @staticmethod
    def begin(server, answers=None):
        def run():
            with api.Api(server.endpoint) as service:
                try:
                    service.Maintenance.Defragment(rpc.DefragmentRequest(), timeout=DEFRAG_SECONDS)
                    answer = ("OK", "")
                except grpc.RpcError as error:
                    answer = api.code_and_text(error)
                if answers is not None:
                    answers.append(answer)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def test_stopped_meanwhile(self):
        """A clean end does not wait for it, and whoever asked is told."""
        with member.quorate() as server:
            server.start()
            with api.Api(server.endpoint) as service:
                fill_growing(service)
                self.settle(server, service)
                expected = state.capture(service)
            answers = []
            call = self.begin(server, answers)
            while "defragmenting" not in server.log() and call.is_alive():
                time.sleep(0.001)
            server.stop()
            call.join(DEFRAG_SECONDS)
            self.assertIn(answers[0], [("OK", ""), ("UNAVAILABLE", "etcdserver: server stopped")])
            self.assertEqual([], self.leftovers(server))
            server.binary = places.etcd()
            server.start()
            with api.Api(server.endpoint) as service:
                self.assertEqual("", state.differences(expected, state.capture(service)))

    def test_without_being_asked(self):
        with member.quorate(flags=("--auto-defrag-threshold", "40", "--auto-defrag-interval", "500ms")) as server:
            server.start()
            with api.Api(server.endpoint) as service:
                for _ in range(2):
                    for i in range(30):
                        service.KV.Put(rpc.PutRequest(key=b"big/%d" % i, value=b"x" * 1_000_000))
                # Until the file has what the log had first.
                deadline = time.monotonic() + 60
                while (size := sizes(service)[0]) < 50_000_000:
                    self.assertLess(time.monotonic(), deadline, f"{size}: {server.log()[-3000:]}")
                    time.sleep(0.05)
                revision = service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"big/1", range_end=b"big0")).header.revision
                service.KV.Compact(rpc.CompactionRequest(revision=revision, physical=True))
                deadline = time.monotonic() + 60
                while sizes(service)[0] > size / 2:
                    self.assertLess(time.monotonic(), deadline, server.log()[-3000:])
                    service.KV.Put(rpc.PutRequest(key=b"last", value=b""))
                    time.sleep(0.05)
                self.assertIn("starting auto defragmentation", server.log())
                self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"big/0")).kvs[0].value, b"x" * 1_000_000)

    def test_flags(self):
        for flags, text in (
                (("--auto-defrag-threshold", "101"), "--auto-defrag-threshold is a percentage, from 0 to 100"),
                (("--auto-defrag-threshold", "10", "--auto-defrag-interval", "0s"), "--auto-defrag-interval must be above")):
            with member.quorate(flags=flags) as server:
                with self.assertRaises(member.StartError) as refused:
                    server.start()
                self.assertIn(text, refused.exception.log)

    def test_log_lines(self):
        """Those that people look for in the original's log."""
        with member.quorate() as server:
            server.start()
            server.ctl("defrag")
            log = server.log()
            for text in ("starting defragment", "defragmenting", "finished defragmenting directory", "finished defragment"):
                self.assertIn(text, log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
