#!/usr/bin/python3
"""Users on a cluster whose members are not equally far: a token that comes before its login, renewals in a row."""

import concurrent.futures
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import users
from api import rpc
from cluster import Cluster
from users import DENIED, EMPTY, INVALID_TOKEN, OK, READWRITE, outcome

LATE_SECONDS = 0.7
# Much more than that, so that nobody campaigns on a busy machine.
FLAGS = ("--election-timeout", "3000")


class AuthClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(proxied=True, flags=FLAGS)
        cls.cluster.__enter__()
        cls.cluster.start()
        cls.pool = concurrent.futures.ThreadPoolExecutor()
        cls.leader = cls.cluster.leader()
        cls.late = cls.cluster.followers()[0]  # Hears of everything later, in the tests.
        with cls.leader.api() as service:
            users.add(service, "al", "alpw", [(READWRITE, b"al/", b"al0")])
            users.enable(service)
        with cls.late.api() as service:  # Which is to know of it before it hears of everything later.
            cls.cluster.wait(lambda: outcome(
                lambda: service.KV.Range(rpc.RangeRequest(key=b"k", serializable=True), timeout=30)) == EMPTY,
                "the late member asks nobody who he is")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None)

    def setUp(self):
        self.cluster.proxy.delay(self.leader.name, self.late.name, LATE_SECONDS)

    def tearDown(self):
        self.cluster.proxy.heal()

    def raft_index(self):
        root = self.leader.log_in("root", "rootpw")
        with self.leader.api() as service:
            return service.Maintenance.Status(rpc.StatusRequest(), timeout=30, metadata=root).raftIndex

    def test_a_token_waits_for_its_login(self):
        with self.late.api() as service:
            token = self.leader.log_in("al", "alpw")
            put = self.pool.submit(service.KV.Put, rpc.PutRequest(key=b"al/1", value=b"1"), metadata=token, timeout=30)
            watch = service.Watch.Watch(iter([rpc.WatchRequest(
                create_request=rpc.WatchCreateRequest(key=b"al/1", start_revision=1))]), metadata=token, timeout=30)
            read = self.pool.submit(service.KV.Range, rpc.RangeRequest(key=b"al/2", serializable=True), metadata=token,
                                    timeout=30)
            denied = self.pool.submit(service.KV.Range, rpc.RangeRequest(key=b"x", serializable=True), metadata=token,
                                      timeout=30)
            self.assertEqual(OK, outcome(put.result))
            self.assertEqual(OK, outcome(read.result))
            self.assertEqual(DENIED, outcome(denied.result))
            created = next(watch)
            self.assertTrue(created.created)
            self.assertFalse(created.canceled, created.cancel_reason)
            self.assertEqual(b"1", next(watch).events[0].kv.value)
            watch.cancel()

    def test_a_made_up_token_does_not_wait_long(self):
        index = self.raft_index()
        with self.late.api() as service:
            for token in ("made.up", f"madeupmadeupmade.{index + 1_000_000}", f"madeupmadeupmade.{1}"):
                read = rpc.RangeRequest(key=b"al/1", serializable=True)
                self.assertEqual(INVALID_TOKEN, outcome(
                    lambda: service.KV.Range(read, metadata=(("token", token),), timeout=30)), token)
            # One that might have been given out is refused when the others have come so far, or the time is over.
            token = f"madeupmadeupmade.{index + 1}"
            read = self.pool.submit(service.KV.Range, rpc.RangeRequest(key=b"al/1", serializable=True),
                                    metadata=(("token", token),), timeout=30)
            self.leader.put("al/2", "2", metadata=self.leader.log_in("al", "alpw"))
            self.assertEqual(INVALID_TOKEN, outcome(read.result))

    def test_renewals_before_a_forbidden_one_are_answered(self):
        root = self.leader.log_in("root", "rootpw")
        with self.leader.api() as service:
            for lease, key in ((1, b"al/l"), (2, b"root/l")):
                service.Lease.LeaseGrant(rpc.LeaseGrantRequest(ID=lease, TTL=600), metadata=root)
                service.KV.Put(rpc.PutRequest(key=key, lease=lease), metadata=root)
            token = self.leader.log_in("al", "alpw")
        self.cluster.wait(lambda: self.late.get("root/l", serializable=True, metadata=root) is not None, "all is applied")
        with self.late.api() as service:
            asked = [rpc.LeaseKeepAliveRequest(ID=lease) for lease in (1, 2, 1)]
            answers = service.Lease.LeaseKeepAlive(iter(asked), metadata=token, timeout=30)
            self.assertEqual((1, 600), (lambda one: (one.ID, one.TTL))(next(answers)))
            self.assertEqual(DENIED, outcome(lambda: next(answers)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
