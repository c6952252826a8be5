#!/usr/bin/python3
"""Debian's etcd and ours in one cluster, in every mix, led by either: one store, whatever happens to it.

QUORATE_TEST_SEED replays the random requests and the load's choices.
"""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import places
import state
from api import rpc
from cluster import Cluster
from generator import Call, Generator

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
MIXES = (("etcd", "quorate", "quorate"), ("etcd", "etcd", "quorate"))
KINDS = ("etcd", "quorate")
QUOTA = 16 << 20


class MixedTest(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)

    def check(self, cluster, load):
        load.finish()
        print(load.summary(), flush=True)
        cluster.agree()
        self.assertEqual([], load.check([one.endpoint for one in cluster.running], may_time_out=True)[:10],
                         f"seed {SEED}\n{cluster.logs(800)}")

    def test_every_request_through_either(self):
        """Random requests of every kind through members in turn, led by each kind; one state at all of them, after a
        restart of all, too."""
        for number, mix in enumerate(MIXES):
            with self.subTest(mix=mix), Cluster(mix) as cluster:
                cluster.start()
                generator = Generator(SEED + number, watches=False, big=False, old_reads_in_txns=False)
                chance = random.Random(SEED + number)
                for kind in KINDS:
                    cluster.lead_by(kind)
                    self.random_requests(cluster, generator, chance, 250)
                    self.keep_alive_everywhere(cluster)
                    cluster.agree()
                before = self.same_state(cluster)
                cluster.stop()
                cluster.start()
                cluster.agree()
                self.assertEqual("", state.differences(before, self.same_state(cluster)))

    def random_requests(self, cluster, generator, chance, steps):
        services = [api.Api(endpoint) for endpoint in cluster.endpoints]
        refused, term = 0, cluster.leader().status().raftTerm
        for _ in range(steps):
            step = generator.step()
            if not isinstance(step, Call) or step.service not in ("KV", "Lease"):
                continue
            service = chance.choice(services)
            try:
                answer = getattr(getattr(service, step.service), step.method)(step.request)
                generator.revision = max(generator.revision, answer.header.revision)
            except grpc.RpcError as error:
                refused += 1
                if error.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
                    # An election, which a busy machine may bring about by itself, costs what is under way.
                    before, term = term, cluster.leader().status().raftTerm
                    self.assertGreater(term, before, f"{error.code().name}: {error.details()}")
        for service in services:
            service.close()
        self.assertLess(refused, steps / 2)

    def keep_alive_everywhere(self, cluster):
        """A lease granted at each is known and renewed through each."""
        for one in cluster.members:
            with one.api() as service:
                number = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=1000)).ID
            one.put(f"leased/{number}", one.kind, lease=number)
            for other in cluster.members:
                with other.api() as service:
                    alive = next(iter(service.Lease.LeaseKeepAlive(iter([rpc.LeaseKeepAliveRequest(ID=number)]))))
                    self.assertEqual(alive.TTL, 1000, f"granted by {one.kind}, renewed through {other.kind}, led by "
                                                      f"{cluster.leader().kind}")
                    self.expect_lease(cluster, service, number, 1000, b"leased/%d" % number)

    def expect_lease(self, cluster, service, number, seconds, key, metadata=None):
        """The leader is asked for it, who may apply the put later than the member that has answered."""
        request = rpc.LeaseTimeToLiveRequest(ID=number, keys=True)

        def is_so():
            left = service.Lease.LeaseTimeToLive(request, metadata=metadata)
            return (left.grantedTTL, list(left.keys)) == (seconds, [key])
        cluster.wait(is_so, f"lease {number} of {seconds} s has the key {key}")

    def same_state(self, cluster):
        """What clients see, which is the same at all members; that of the first."""
        captured = []
        for one in cluster.members:
            with one.api() as service:
                captured.append(state.capture(service, hashes=40))
                captured[-1].pop("compacted")
        for other in captured[1:]:
            self.assertEqual("", state.differences(captured[0], other), f"seed {SEED}")
        return captured[0] | {"compacted": None}

    def test_leaders_go(self):
        """Under load: leadership moved across by etcdctl, then the leader killed, then paused, of each kind in turn."""
        for mix in MIXES:
            with self.subTest(mix=mix), Cluster(mix) as cluster:
                cluster.start()
                with cluster.load(SEED, leases=1, timeout=4) as load:
                    for kind in KINDS:
                        leader = cluster.lead_by(next(other for other in KINDS if other != kind))
                        target = next(one for one in cluster.members if one.kind == kind)
                        cluster.ctl("move-leader", f"{target.id:x}", endpoints=[leader.endpoint])
                        self.assertIs(cluster.leader(), target)
                        target.kill()
                        cluster.leader()
                        target.start()
                        leader = cluster.lead_by(kind)
                        leader.pause()
                        cluster.leader()
                        leader.resume()
                        cluster.leader()
                    self.check(cluster, load)

    def test_snapshots_both_ways(self):
        """A member that is too far behind gets a snapshot from the other kind. etcd 3.4 keeps 5000 entries at least."""
        kept = {"etcd": 5300, "quorate": 5300 if places.quorate() == places.etcd() else 300}
        with Cluster(("etcd", "quorate", "quorate"), flags=("--snapshot-count", "50"),
                     quorate_flags=("--snapshot-catchup-entries", "20")) as cluster:
            cluster.start()
            for leading, behind in (KINDS[::-1], KINDS):
                leader = cluster.lead_by(leading)
                slow = next(one for one in cluster.followers() if one.kind == behind)
                slow.kill()
                leader.fill(kept[leading], size=100, prefix=f"{leading}/")
                with leader.api() as service:
                    lease = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=1000)).ID
                leader.put(f"leased/{leading}", "x", lease=lease)
                before = slow.log().count('"applied snapshot"')
                slow.start()
                cluster.agree()
                self.assertGreater(slow.log().count('"applied snapshot"'), before, "it was caught up by log")
                self.same_state(cluster)
                cluster.move_leader(slow)
                slow.put(f"led by {behind}", "x")
                slow.restart()
                cluster.agree()
                self.same_state(cluster)

    def test_members_of_either_kind_join(self):
        """Either kind is added, as a voter and as a learner, while either leads; then all of the first are removed."""
        for leading, other in (KINDS, KINDS[::-1]):
            with self.subTest(leading=leading), Cluster((leading,)) as cluster:
                cluster.start()
                cluster.members[0].fill(200)
                second = cluster.add(other)
                learner = cluster.add(other, learner=True)
                cluster.promote(learner, through=cluster.members[0])
                learner.wait_healthy()
                cluster.agree()
                self.assertEqual(cluster.lead_by(leading), cluster.members[0])
                fourth = cluster.add(leading, through=second)
                cluster.agree()
                cluster.wait(lambda: len({tuple(sorted((m.ID, m.name, tuple(m.clientURLs)) for m in cluster.member_list(one)))
                                          for one in cluster.members}) == 1, "all tell the same of the members")
                for one in (cluster.members[0], fourth):
                    cluster.dismiss(one, through=second)
                    one.wait_exit()
                    self.assertIn("removed", one.recent_log())
                    cluster.members.remove(one)
                    one.remove()
                    cluster.leader()
                self.assertEqual(cluster.leader().kind, other)
                cluster.agree()

    def test_authentication(self):
        """Enabled once, enforced by all; a token of one member is good at the other; users change everywhere."""
        for mix, leading in zip(MIXES, KINDS):
            with self.subTest(mix=mix), Cluster(mix) as cluster:
                cluster.start()
                cluster.lead_by(leading)
                members = {kind: next(one for one in cluster.members if one.kind == kind) for kind in KINDS}
                for line in ("user add root:secret", "user grant-role root root", "role add r", "put k v",
                             "role grant-permission r read k", "user add reader:pw", "user grant-role reader r"):
                    cluster.ctl(*line.split(), endpoints=[random.choice(cluster.endpoints)])
                cluster.ctl("auth", "enable", endpoints=[members["quorate"].endpoint])
                for one in cluster.members:
                    user = lambda name, *words, one=one, check=True: cluster.ctl("--user", name, *words, check=check,
                                                                                 endpoints=[one.endpoint])
                    cluster.wait(lambda one=one: "user name is empty" in cluster.ctl(
                        "get", "k", check=False, endpoints=[one.endpoint]).stderr, f"{one.kind} asks who one is")
                    self.assertEqual(user("reader:pw", "get", "k").stdout, "k\nv\n")
                    self.assertIn("permission denied", user("reader:pw", "put", "k", "w", check=False).stderr)
                    self.assertIn("invalid user ID or password", user("reader:no", "get", "k", check=False).stderr)
                self.tokens_travel(cluster, members)
                root = lambda *words: cluster.ctl("--user", "root:secret", *words, endpoints=[random.choice(cluster.endpoints)])
                root("role", "grant-permission", "r", "readwrite", "z", "zz")
                for one in cluster.members:
                    cluster.ctl("--user", "reader:pw", "put", "z1", one.name, endpoints=[one.endpoint])
                one = members["quorate"]
                one.stop()
                one.start_with_alarm()
                metadata = (("token", self.token(one, "root", "secret")),)
                cluster.agree(metadata=metadata)
                root("auth", "disable")
                for one in cluster.members:
                    cluster.wait(lambda one=one: one.get("k") == "v", "authentication is off")
                cluster.agree()

    @staticmethod
    def token(one, name, password):
        with one.api() as service:
            return service.Auth.Authenticate(api.rpc.AuthenticateRequest(name=name, password=password)).token

    def tokens_travel(self, cluster, members):
        for issuer in members.values():
            root = (("token", self.token(issuer, "root", "secret")),)
            reader = (("token", self.token(issuer, "reader", "pw")),)
            for one in cluster.members:
                cluster.wait(lambda one=one, reader=reader: one.get("k", metadata=reader) == "v", "the token is known")
                one.put("root's", issuer.kind, metadata=root)
                with self.assertRaises(grpc.RpcError) as refused:
                    one.put("k", "w", metadata=reader)
                self.assertEqual(api.code_and_text(refused.exception),
                                 ("PERMISSION_DENIED", "etcdserver: permission denied"))
                with one.api() as service:
                    number = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=500), metadata=root).ID
                    one.put("leased", "x", metadata=root, lease=number)
                for other in cluster.members:
                    with other.api() as service:
                        request = iter([rpc.LeaseKeepAliveRequest(ID=number)])
                        self.assertEqual(next(iter(service.Lease.LeaseKeepAlive(request, metadata=root))).TTL, 500)
                        self.expect_lease(cluster, service, number, 500, b"leased", metadata=root)
            cluster.agree(metadata=root)

    def test_alarms_and_newer_requests(self):
        """What only newer APIs can ask for never reaches an etcd's log; alarms of one kind bind the other."""
        with Cluster(MIXES[0], flags=("--quota-backend-bytes", str(QUOTA))) as cluster:
            cluster.start()
            ours = next(one for one in cluster.members if one.kind == "quorate")
            with ours.api() as service:
                for call in (lambda: service.Maintenance.Downgrade(rpc.DowngradeRequest(action=0, version="3.3")),
                             lambda: service.Maintenance.Downgrade(rpc.DowngradeRequest(action=1, version="3.3")),
                             lambda: service.Auth.AuthStatus(rpc.AuthStatusRequest()),
                             lambda: service.Cluster.MemberList(rpc.MemberListRequest(linearizable=True))):
                    try:
                        call()
                    except grpc.RpcError as error:
                        if not ours.is_etcd:
                            self.assertNotIn(error.code().name, ("UNIMPLEMENTED", "UNAVAILABLE"), error.details())
            for writer in cluster.members[:2]:
                with self.assertRaises(grpc.RpcError) as refused, writer.api() as service:
                    for i in range(400):
                        service.KV.Put(rpc.PutRequest(key=b"big/%d" % (i % 10), value=b"x" * 100_000))
                self.assertEqual(refused.exception.details(), "etcdserver: mvcc: database space exceeded")
                for one in cluster.members:
                    cluster.wait(lambda one=one: self.alarms(one), f"{one.name} knows the alarm")
                    with self.assertRaises(grpc.RpcError) as refused:
                        one.put("more", "x")
                    self.assertEqual(refused.exception.code().name, "RESOURCE_EXHAUSTED")
                with writer.api() as service:
                    service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"big/", range_end=b"big0"))
                revision = cluster.agree()
                cluster.ctl("compaction", revision, "--physical")
                for one in cluster.members:
                    cluster.wait_compacted(one, revision)  # The others do when they come to it.
                    cluster.ctl("defrag", endpoints=[one.endpoint])
                cluster.ctl("alarm", "disarm")
                for one in cluster.members:
                    cluster.wait(lambda one=one: one.put("more", "x"), f"{one.name} writes again")
            cluster.agree()

    @staticmethod
    def alarms(one):
        with one.api() as service:
            return list(service.Maintenance.Alarm(rpc.AlarmRequest()).alarms)


if __name__ == "__main__":
    unittest.main(verbosity=2)
