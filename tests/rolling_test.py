#!/usr/bin/python3
"""Restarts that clients do not notice: the rolling restart of ours, and etcd to ours and back, one member at a time.

Clients with several endpoints may see what every client library retries, and nothing else; the whole history is checked.
The time without a write is printed. --rounds N goes round so often. QUORATE_TEST_SEED replays the load's choices.
"""

import argparse
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from api import rpc
from cluster import Cluster

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
ROUNDS = 1


class RollingTest(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)

    def check(self, cluster, load):
        load.finish()
        print(load.summary(), flush=True)
        cluster.agree()
        self.assertEqual([], load.check(cluster.endpoints)[:10], f"seed {SEED}\n{cluster.logs(800)}")

    def settle(self, cluster):
        """As the runbook's operator waits for health before the next host."""
        for one in cluster.members:
            one.wait_healthy()
        return cluster.agree()

    def test_rolling_restart(self):
        """SIGTERM to the leader each time, so that each stop has something to hand over."""
        with Cluster() as cluster:
            cluster.start()
            with cluster.load(SEED, leases=2, timeout=30) as load:
                time.sleep(0.5)
                for _ in range(3 * ROUNDS):
                    leader = cluster.leader()
                    term = leader.status().raftTerm
                    began = time.monotonic()
                    status = leader.stop()
                    stopped = time.monotonic()
                    successor = cluster.leader()
                    time.sleep(0.5)
                    gap = load.longest_gap(began, time.monotonic())
                    print(f"leader {leader.name} stopped in {stopped - began:.2f} s: {gap * 1000:.0f} ms without a write, "
                          f"terms {term} -> {successor.status().raftTerm}", flush=True)
                    if not leader.is_etcd:
                        self.assertEqual(status, -signal.SIGTERM)  # As etcd: it ends by the signal.
                    leader.start()
                    self.settle(cluster)
                self.check(cluster, load)

    def test_migration_and_the_way_back(self):
        """A live cluster of etcd becomes one of ours by the ordinary rolling restart, and goes back."""
        with Cluster(("etcd",) * 3) as cluster:
            cluster.start()
            with cluster.members[0].api() as service:
                lease = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=100_000)).ID
            cluster.members[0].put("leased", "x", lease=lease)
            # Each tells of itself at its start, the others hear of it later.
            cluster.wait(lambda: all(m.clientURLs for m in cluster.member_list()), "all members are known")
            identities = sorted((m.ID, m.name, tuple(m.peerURLs), tuple(m.clientURLs)) for m in cluster.member_list())
            with cluster.load(SEED + 1, leases=2, timeout=30) as load:
                for kind in ("quorate", "etcd") * ROUNDS:
                    for one in cluster.followers() + [cluster.leader()]:
                        led = "leader" if cluster.leader() is one else "follower"
                        began = time.monotonic()
                        cluster.swap(one, kind)
                        revision = self.settle(cluster)
                        gap = load.longest_gap(began, time.monotonic())
                        print(f"{led} {one.name} is {kind} now: {gap * 1000:.0f} ms without a write; all agree at revision "
                              f"{revision}", flush=True)
                    self.assertEqual(identities, sorted((m.ID, m.name, tuple(m.peerURLs), tuple(m.clientURLs))
                                                        for m in cluster.member_list()))
                self.check(cluster, load)
            for one in cluster.members:
                with one.api() as service:
                    left = service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=lease, keys=True))
                self.assertEqual((left.grantedTTL, list(left.keys)), (100_000, [b"leased"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options, rest = parser.parse_known_args()
    ROUNDS = options.rounds
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
