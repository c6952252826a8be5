#!/usr/bin/python3
"""What servers count of ranges, puts, deletes and transactions: beside etcd, after each of the same random requests.

QUORATE_TEST_SEED replays a run, QUORATE_TEST_STEPS sets its length.
"""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
from api import rpc
from generator import LEASES, Generator

STEPS = int(os.environ.get("QUORATE_TEST_STEPS", "600"))
SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
COUNTERS = re.compile(r"(?m)^etcd_mvcc_(range|put|delete|txn)_total (\S+)$")


class Side:
    def __init__(self, process):
        self.process = process.start()
        self.api = api.Api(process.endpoint)
        self.before = self.counters()

    def counters(self):
        return {name: float(value) for name, value in COUNTERS.findall(self.process.http("/metrics")[1])}

    def call(self, service, method, request):
        """How it ended, and by how much each counter rose."""
        try:
            getattr(getattr(self.api, service), method)(request)
            outcome = "ok"
        except grpc.RpcError as error:
            outcome = api.code_and_text(error)
        before, self.before = self.before, self.counters()
        return outcome, {name: self.before[name] - before[name] for name in self.before}


class CountersTest(unittest.TestCase):
    def test_random_requests(self):
        print(f"seed {SEED}, {STEPS} steps (QUORATE_TEST_SEED={SEED} QUORATE_TEST_STEPS={STEPS})", flush=True)
        sides = []
        for process in (member.etcd(), member.quorate()):
            self.addCleanup(process.remove)
            sides.append(Side(process))
            self.addCleanup(sides[-1].api.close)
        generator = Generator(SEED)
        requests = [("Lease", "LeaseGrant", rpc.LeaseGrantRequest(TTL=100_000, ID=lease)) for lease in LEASES]
        for step in range(STEPS):
            if not requests:
                requests.append(self.random_request(generator))
            service, method, request = requests.pop()
            left, right = (side.call(service, method, request) for side in sides)
            self.assertEqual(left, right, f"seed {SEED}, step {step}: {method} {request}")
            if left[0] == "ok" and method in ("Put", "DeleteRange", "Txn"):
                generator.revision += 1  # About.

    def random_request(self, generator):
        pick = generator.random.random()
        if pick < 0.15:
            return "KV", "Range", generator.range_request()
        if pick < 0.35:
            return "KV", "Put", generator.put_request()
        if pick < 0.45:
            return "KV", "DeleteRange", generator.delete_request()
        if pick < 0.9:
            return "KV", "Txn", self.transaction(generator)
        if pick < 0.95:
            lease = generator.lease_id()
            if generator.maybe(0.5):
                return "Lease", "LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease)
            return "Lease", "LeaseGrant", rpc.LeaseGrantRequest(TTL=100_000, ID=lease)
        call = generator.compact_step()
        return call.service, call.method, call.request

    @staticmethod
    def transaction(generator):
        """None that could delete the key whose value or lease it keeps: etcd ends over that."""
        while True:
            request = generator.txn_request()
            text = str(request)
            if "request_delete_range" not in text or "ignore_" not in text:
                return request


if __name__ == "__main__":
    unittest.main()
