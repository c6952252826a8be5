"""What the tests of abuse share: an honest client beside the attack, and a bound for what the server may hold."""

import os
import threading
import unittest

import grpc

import api
import attacker as h2
import member
import places
from api import rpc
from attacker import Attacker

ETCD_IN_OUR_ROLE = os.path.basename(places.quorate()) == "etcd"
HOST = "127.0.0.1"
MEGABYTE = 1 << 20
_TOO_LATE = ("etcdserver: request timed out", "Deadline Exceeded")


def resident(pid):
    """Bytes of memory that the process holds."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


class Bystander:
    """An honest client that writes and reads one call after the other as long as the attack lasts."""

    def __init__(self, endpoint, credentials=None):
        self._endpoint = endpoint
        self._credentials = credentials
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answered = 0
        self.failures = []

    def _run(self):
        with api.Api(self._endpoint, self._credentials) as service:
            while not self._stop.is_set():
                value = b"%d" % self.answered
                try:
                    service.KV.Put(rpc.PutRequest(key=b"bystander", value=value), timeout=30)
                    read = service.KV.Range(rpc.RangeRequest(key=b"bystander"), timeout=30).kvs[0].value
                except grpc.RpcError as error:
                    # How long a call may take is nothing to judge here: the machine may be busy, too.
                    if error.details() not in _TOO_LATE:
                        self.failures.append(error.details())
                    continue
                if read != value:
                    self.failures.append(f"wrote {value}, read {read}")
                self.answered += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def wait_answers(self, count):
        """Until so many more calls were answered: the server is with the others, not with the attacker alone."""
        target = self.answered + count
        while self.answered < target and not self.failures and self._thread.is_alive():
            self._stop.wait(0.01)


class AbuseCase(unittest.TestCase):
    def setUp(self):
        self.ours = self.make()
        self.addCleanup(self.ours.remove)
        self.ours.start()
        self.attackers = []
        self.addCleanup(lambda: [one.close() for one in self.attackers])

    def make(self):
        return member.quorate()

    def attacker(self, port=None, **options):
        one = Attacker(HOST, port or self.ours.client_port, **options)
        self.attackers.append(one)
        return one

    def under(self, attack, megabytes):
        """Runs attack() and lets a bystander work during and after it; memory may grow by so much."""
        before = resident(self.ours.process.pid)
        with Bystander(self.ours.endpoint, self.ours.credentials) as bystander:
            bystander.wait_answers(3)
            attack()
            bystander.wait_answers(10)
        if not ETCD_IN_OUR_ROLE:
            self.assertEqual(bystander.failures, [])
        grown = resident(self.ours.process.pid) - before
        print(f"{self.id().rpartition('.')[2]}: {grown / MEGABYTE:.1f} MB more, {bystander.answered} calls answered "
              "meanwhile", flush=True)
        self.assert_grown(grown, megabytes)

    def assert_grown(self, grown, megabytes):
        """A sanitizer's allocator holds back what was freed, and puts room around each piece: no bound holds there."""
        if not ETCD_IN_OUR_ROLE and not places.sanitized():
            self.assertLess(grown, megabytes * MEGABYTE)

    def assert_told_off(self, one, text=b"too_many_idle_frames"):
        """etcd has its own, other, bounds."""
        if not ETCD_IN_OUR_ROLE:
            self.assertTrue(one.closed())
            self.assertEqual(one.goaway(), h2.ENHANCE_YOUR_CALM, one.received[:200])
            self.assertIn(text, one.received)
