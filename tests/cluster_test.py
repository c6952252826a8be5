#!/usr/bin/python3
"""Three of ours as one store: through any of them, over any fault that leaves a majority, with the whole history checked.

QUORATE_TEST_SEED replays the load's choices (not the interleaving).
"""

import os
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
from api import rpc
from cluster import Cluster

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))


class ClusterTest(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)

    def check(self, cluster, load):
        """Ends the load; nothing that its clients saw may be wrong, and all members hold the same."""
        load.finish()
        print(load.summary(), flush=True)
        cluster.agree()
        self.assertEqual([], load.check([one.endpoint for one in cluster.running], may_time_out=True)[:10],
                         f"seed {SEED}\n{cluster.logs(800)}")

    def test_every_member_serves(self):
        with Cluster() as cluster:
            cluster.start()
            leader = cluster.leader()
            names = set()
            for one in cluster.members:
                one.put(f"by/{one.name}", one.kind)
                with one.api() as service:
                    members = cluster.member_list(one)
                    names.add(tuple(sorted((m.ID, m.name, tuple(m.peerURLs), tuple(m.clientURLs)) for m in members)))
                    granted = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=300))
                    one.put(f"leased/{one.name}", "x", lease=granted.ID)
                    for other in cluster.members:
                        self.assertEqual(other.get(f"by/{one.name}"), one.kind)
                        with other.api() as through:
                            left = through.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=granted.ID, keys=True))
                            self.assertEqual((left.grantedTTL, list(left.keys)), (300, [b"leased/%s" % one.name.encode()]))
                            self.assertIn(left.TTL, range(200, 301))
                            alive = next(iter(through.Lease.LeaseKeepAlive(iter([rpc.LeaseKeepAliveRequest(ID=granted.ID)]))))
                            self.assertEqual(alive.TTL, 300)
                state = one.status()
                self.assertEqual((state.leader, state.header.member_id), (leader.id, one.id))
                self.assertIn("3.4", one.http("/version")[1])
                cluster.wait(lambda one=one: one.http("/metrics")[1].count("\netcd_network_active_peers{") == 2,
                             f"{one.name} knows both others")
            self.assertEqual(len(names), 1, names)
            self.assertEqual(sorted(name for _, name, _, _ in names.pop()), cluster.names)
            self.every_watch_sees_all(cluster)
            cluster.ctl("compaction", cluster.agree() - 2)
            cluster.agree()
            self.assertEqual(cluster.ctl("endpoint", "health").stderr.count("is healthy") +
                             cluster.ctl("endpoint", "health").stdout.count("is healthy"), 3)
            self.assertEqual(len(cluster.ctl("member", "list").stdout.splitlines()), 3)
            follower = cluster.followers()[0]
            with self.assertRaises(grpc.RpcError) as refused, follower.api() as service:
                service.Maintenance.MoveLeader(rpc.MoveLeaderRequest(targetID=follower.id))
            self.assertEqual(api.code_and_text(refused.exception), ("FAILED_PRECONDITION", "etcdserver: not leader"))
            with self.assertRaises(grpc.RpcError) as refused, leader.api() as service:
                service.Maintenance.MoveLeader(rpc.MoveLeaderRequest(targetID=4711))
            self.assertEqual(api.code_and_text(refused.exception),
                             ("FAILED_PRECONDITION", "etcdserver: bad leader transferee"))
            for one in cluster.members:
                cluster.move_leader(one)
                one.put("led", one.name)

    def every_watch_sees_all(self, cluster):
        """A watch at each member; a write through each; every watch has them all, in the same order."""
        answers = []
        for one in cluster.members:
            service = api.Api(one.endpoint)
            self.addCleanup(service.close)
            create = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"w/", range_end=b"w0"))
            stream = service.Watch.Watch(_stay_open(create), timeout=60)
            self.assertTrue(next(stream).created)
            answers.append(stream)
        revisions = [one.put("w/" + one.name, "x") for one in cluster.members]
        for stream in answers:
            seen = []
            while len(seen) < len(revisions):
                seen += [event.kv.mod_revision for event in next(stream).events]
            self.assertEqual(seen, revisions)
            stream.cancel()

    def test_killed_members(self):
        """The leader, then a follower; each comes back."""
        with Cluster() as cluster:
            cluster.start()
            with cluster.load(SEED, leases=1) as load:
                time.sleep(0.5)
                for victim in (cluster.leader(), cluster.followers()[0]):
                    began = time.monotonic()
                    victim.kill()
                    cluster.leader()
                    time.sleep(1.5)
                    print(f"{victim.name} killed: {load.longest_gap(began, time.monotonic()):.2f} s without a write")
                    victim.start()
                self.check(cluster, load)

    def test_paused_members(self):
        """SIGSTOP for longer than an election: the old leader wakes up deposed and shows nobody what is over."""
        with Cluster() as cluster:
            cluster.start()
            with cluster.load(SEED + 1, timeout=3, leases=1) as load:
                for choose in (cluster.leader, lambda: cluster.followers()[0]):
                    victim = choose()
                    victim.pause()
                    cluster.leader()
                    time.sleep(2.0)
                    victim.resume()
                    cluster.leader()
                self.check(cluster, load)

    def test_partitions(self):
        """Leader cut off, leader heard by nobody, a follower that hears nothing, half-open connections, a slow link."""
        with Cluster(proxied=True) as cluster:
            cluster.start()
            with cluster.load(SEED + 2, timeout=3, leases=1) as load:
                for number in range(5):
                    leader = cluster.leader()
                    others = [one for one in cluster.members if one is not leader]
                    if number == 0:
                        cluster.proxy.isolate(leader.name, cluster.names)
                        cluster.leader(among=others)
                    elif number == 1:
                        for other in others:
                            cluster.proxy.stall(leader.name, other.name)
                        cluster.leader(among=others)
                    elif number == 2:
                        for other in (leader, others[1]):
                            cluster.proxy.stall(other.name, others[0].name)
                        time.sleep(2)
                    elif number == 3:
                        for other in others:
                            cluster.proxy.freeze(leader.name, other.name)
                        time.sleep(2)
                    else:
                        for other in others:
                            cluster.proxy.delay(leader.name, other.name, 0.05, 0.1)
                        time.sleep(1.5)
                    cluster.proxy.heal()
                    cluster.leader()
                    time.sleep(0.3)
                self.check(cluster, load)

    def test_linearizable_reads_over_a_slow_link(self):
        """Slower than the interval after which a member asks its leader again."""
        # An election takes so much longer that a busy machine holds none.
        with Cluster(proxied=True, flags=("--election-timeout", "3000")) as cluster:
            cluster.start()
            leader, late = cluster.leader(), cluster.followers()[0]
            leader.put("k", "v")
            cluster.proxy.delay(leader.name, late.name, 0.7)
            for _ in range(3):
                self.assertEqual("v", late.get("k", timeout=60))

    def test_without_a_majority(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.members[0].put("k", "v")
            cluster.agree()
            last = cluster.leader()
            others = [one for one in cluster.members if one is not last]
            for one in others:
                one.kill()
            refused = []

            def refuse(call):
                try:
                    refused.append(("OK", str(call())))
                except grpc.RpcError as error:
                    refused.append(api.code_and_text(error))
            calls = [threading.Thread(target=refuse, args=(call,)) for call in
                     (lambda: last.put("k", "w", timeout=60), lambda: last.get("k", timeout=60))]
            for call in calls:
                call.start()
            for call in calls:
                call.join()
            for code, text in refused:
                self.assertEqual(code, "UNAVAILABLE")
                self.assertTrue(text in ("etcdserver: request timed out", "etcdserver: leader changed",
                                         "etcdserver: request timed out, possibly due to previous leader failure"), text)
            self.assertEqual(last.get("k", serializable=True), "v")
            cluster.wait(lambda: last.status().leader == 0, "the leader without followers steps down")
            self.assertNotEqual(last.http("/health")[0], 200)
            with self.assertRaises(grpc.RpcError) as caught:
                last.put("k", "w", metadata=(("hasleader", "true"),))
            self.assertEqual(api.code_and_text(caught.exception), ("UNAVAILABLE", "etcdserver: no leader"))
            cluster.start()
            self.assertIn(last.get("k"), ("v", "w"))
            cluster.agree()

    def test_restart_of_all(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.members[0].fill(200)
            with cluster.members[1].api() as service:
                lease = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=500)).ID
            cluster.members[2].put("leased", "x", lease=lease)
            revision = cluster.agree()
            for end in (cluster.stop, cluster.kill):
                statuses = end()
                cluster.start()
                self.assertEqual(cluster.agree(), revision)
                self.assertEqual(cluster.members[0].get("fill/000199"), "v" * 20)
                for one in cluster.members:
                    with one.api() as service:
                        left = service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=lease, keys=True))
                    self.assertEqual((left.grantedTTL, list(left.keys)), (500, [b"leased"]))
                if end == cluster.stop and not cluster.members[0].is_etcd:
                    self.assertEqual(statuses, [-signal.SIGTERM] * 3)  # As etcd: it ends by the signal.
                cluster.members[1].put("after", "x")
                revision += 1

    def test_leases_survive_a_change_of_leader(self):
        with Cluster() as cluster:
            cluster.start()
            leader = cluster.leader()
            seconds = 8  # So long may a busy machine take to find the successor.
            with leader.api() as service:
                lasting, short = (service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=ttl)).ID for ttl in (600, seconds))
            leader.put("lasting", "x", lease=lasting)
            leader.put("short", "x", lease=short)
            leader.kill()
            granted = time.monotonic()
            successor = cluster.leader()
            self.assertEqual(successor.get("short"), "x")
            cluster.wait(lambda: successor.get("short") is None, "the short lease ends")
            self.assertGreater(time.monotonic() - granted, seconds - 0.5)
            leader.start()
            cluster.move_leader(leader)
            for one in cluster.members:
                self.assertEqual(one.get("lasting"), "x")
                self.assertIsNone(one.get("short"))
                with one.api() as service:
                    left = service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=lasting))
                    self.assertIn(left.TTL, range(500, 601))
                    gone = service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=short))
                    self.assertEqual((gone.TTL, gone.grantedTTL), (-1, 0))
            with cluster.followers()[0].api() as service:
                service.Lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=lasting))
            self.assertIsNone(leader.get("lasting"))
            cluster.agree()


def _stay_open(first):
    yield first
    time.sleep(60)


if __name__ == "__main__":
    unittest.main(verbosity=2)
