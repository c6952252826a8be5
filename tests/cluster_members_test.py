#!/usr/bin/python3
"""The life of a cluster: members added, added as learners, promoted, moved, removed; who may not join; force-new-cluster."""

import itertools
import os
import random
import shutil
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
from api import rpc
from cluster import Cluster
from ports import free_port

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))


class MembersTest(unittest.TestCase):
    def refused(self, call):
        """(code, text) of the error that the call must end in."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        return api.code_and_text(caught.exception)

    def test_add_promote_update_remove(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.members[0].fill(300)
            follower = cluster.followers()[0]
            fourth = cluster.add("quorate", through=follower)
            self.assertEqual(fourth.get("fill/000299"), "v" * 20)
            listed = {m.ID: m for m in cluster.member_list(fourth)}
            self.assertEqual(sorted(m.name for m in listed.values()), cluster.names)
            self.assertEqual(list(listed[fourth.id].clientURLs), [fourth.url])
            cluster.agree()
            learner = self.learner_is_promoted(cluster)
            self.moved(cluster, learner)
            cluster.move_leader(fourth)
            self.removed(cluster, fourth)
            self.removed(cluster, cluster.followers()[0])
            cluster.agree()
            self.assertEqual(len(cluster.member_list()), 3)

    def learner_is_promoted(self, cluster):
        learner = cluster.announce("quorate", learner=True)
        self.assertEqual(self.refused(lambda: self.promote(cluster.leader(), learner)), (
            "FAILED_PRECONDITION", "etcdserver: can only promote a learner member which is in sync with leader"))
        learner.spawn()
        cluster.wait(lambda: learner.answers() and learner.status().leader, "the learner joins")
        self.assertTrue(learner.status().isLearner)
        listed = {m.ID: m.isLearner for m in cluster.member_list()}
        self.assertEqual([number for number, is_learner in listed.items() if is_learner], [learner.id])
        # Unavailable below cluster version 3.6: it is what sends clients of then to another member.
        self.assertEqual(self.refused(lambda: learner.put("a", "b")),
                         ("UNAVAILABLE", "etcdserver: rpc not supported for learner"))
        self.assertEqual(self.refused(lambda: learner.get("a"))[1], "etcdserver: rpc not supported for learner")
        cluster.wait(lambda: learner.get("fill/000299", serializable=True), "the learner has the keys")
        second = "etcdserver: too many learner members in cluster"
        # Unhealthy, as long as the members have not been connected for a while.
        cluster.wait(lambda: self.refused(lambda: self.add_one(cluster.members[0], learner=True)) == (
            "FAILED_PRECONDITION", second), "a second learner is refused for the first one's sake")
        leader = cluster.leader(among=[m for m in cluster.running if m is not learner])
        self.assertEqual(self.refused(lambda: self.transfer(leader, learner)),
                         ("FAILED_PRECONDITION", "etcdserver: bad leader transferee"))
        follower = next(m for m in cluster.running if m not in (learner, leader))
        cluster.promote(learner, through=follower)
        learner.wait_healthy()
        cluster.wait(lambda: not learner.status().isLearner, "the learner knows that it is none any more")
        self.assertEqual(self.refused(lambda: self.promote(follower, learner)),
                         ("FAILED_PRECONDITION", "etcdserver: can only promote a learner member"))
        cluster.agree()
        return learner

    @staticmethod
    def promote(through, one):
        with through.api() as service:
            service.Cluster.MemberPromote(rpc.MemberPromoteRequest(ID=one.id))

    @staticmethod
    def transfer(leader, one):
        with leader.api() as service:
            service.Maintenance.MoveLeader(rpc.MoveLeaderRequest(targetID=one.id))

    def moved(self, cluster, one):
        """A member whose host got another address: updated first, then restarted there."""
        one.stop()
        one.peer_port = one.advertised_port = free_port(one.address)
        with cluster.running[0].api() as service:
            service.Cluster.MemberUpdate(rpc.MemberUpdateRequest(ID=one.id, peerURLs=[one.peer_url]))
        one.start()
        cluster.wait(lambda: {m.ID: list(m.peerURLs) for m in cluster.member_list(one)}[one.id] == [one.peer_url],
                     "it knows its new address")
        cluster.agree()

    def removed(self, cluster, one):
        """The removed member ends by itself, in order, and says why; and so it does when it is started again."""
        was_leader = cluster.leader() is one
        cluster.dismiss(one)
        status = one.wait_exit()
        self.assertIn("removed", one.recent_log())
        print(f"removed {'leader' if was_leader else 'follower'}: status {status}: {_reason(one)}")
        self.assertIn(status, (0, 1))
        cluster.members.remove(one)
        self.addCleanup(one.remove)
        cluster.leader()
        self.assertNotIn(one.id, [m.ID for m in cluster.member_list()])
        self.assertEqual(self.refused(lambda: self.remove_one(cluster.members[0], one)),
                         ("NOT_FOUND", "etcdserver: member not found"))
        one.spawn()
        status = one.wait_exit()
        print(f"started again: status {status}: {_reason(one)}")
        self.assertIn("removed", one.recent_log())
        cluster.members[0].put("after", "removal")

    def test_strict_reconfiguration(self):
        """Nothing that would cost the majority is accepted."""
        with Cluster(("quorate",)) as cluster:
            cluster.start()
            second = cluster.announce("quorate")
            self.assertEqual(self.refused(lambda: self.add_one(cluster.members[0])), (
                "UNKNOWN", "etcdserver: re-configuration failed due to not enough started members"))
            second.start()
            cluster.members[0].wait_healthy()
            cluster.agree()
        with Cluster() as cluster:
            cluster.start()
            leader = cluster.leader()
            lost, other = cluster.followers()
            lost.kill()
            cluster.wait_noticed(lost, by=leader)
            unhealthy = ("UNAVAILABLE", "etcdserver: unhealthy cluster")
            cluster.wait(lambda: self.refused(lambda: self.add_one(leader)) == unhealthy, "adding is refused")
            cluster.wait(lambda: self.refused(lambda: self.remove_one(leader, other)) == unhealthy, "removing is refused")
            self.assertEqual(len(cluster.member_list()), 3)
            lost.start()
            cluster.agree()
            lost.kill()
            cluster.wait_noticed(lost, by=leader)
            self.remove_one(leader, lost)
            self.assertEqual(len(cluster.member_list()), 2)

    @staticmethod
    def add_one(through, learner=False):
        with through.api() as service:
            service.Cluster.MemberAdd(rpc.MemberAddRequest(peerURLs=["http://127.0.0.99:1"], isLearner=learner))

    @staticmethod
    def remove_one(through, one):
        with through.api() as service:
            service.Cluster.MemberRemove(rpc.MemberRemoveRequest(ID=one.id))

    def test_who_may_not_join(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.members[0].put("a", "b")
            wrong = cluster.announce("quorate")
            right = wrong.initial_cluster
            wrong.initial_cluster = right + ",m9=http://127.0.0.99:2380"
            wrong.spawn()
            self.assertNotEqual(wrong.wait_exit(), 0)
            self.assertIn("member count is unequal", wrong.recent_log())
            wrong.initial_cluster = right
            if wrong.data_dir.exists():
                shutil.rmtree(wrong.data_dir)
            wrong.start()
            cluster.agree()
            # A stranger at a member's address: of another cluster, by its token.
            victim = cluster.followers()[0]
            victim.kill()
            kept = victim.data_dir.rename(victim.root / "kept")
            token, cluster.token = cluster.token, "another"
            victim.initial_state = "new"
            victim.spawn()
            others = [m for m in cluster.running if m is not victim]
            cluster.wait(lambda: any("cluster ID mismatch" in m.recent_log() or "different cluster ID" in m.recent_log()
                                     for m in cluster.members), "somebody names the mismatch")
            others[0].put("a", "c")
            cluster.leader(among=others)
            victim.kill()
            cluster.token = token
            shutil.rmtree(victim.data_dir, ignore_errors=True)
            kept.rename(victim.data_dir)
            victim.start()
            self.assertEqual(victim.get("a"), "c")
            cluster.agree()

    def test_bytes_that_no_peer_sends(self):
        """Random and half-right bytes at the peer port of the leader: nobody dies, nobody is deposed for it."""
        chance = random.Random(SEED)
        print(f"seed {SEED}", flush=True)
        # An election takes so long that a busy machine holds none by itself.
        with Cluster(flags=("--election-timeout", "3000")) as cluster:
            cluster.start()
            leader = cluster.leader()
            term = leader.status().raftTerm
            with leader.api() as service:
                cluster_id = service.Cluster.MemberList(rpc.MemberListRequest()).header.cluster_id
            heads = [f"X-Etcd-Cluster-ID: {cluster_id:x}", f"X-Server-From: {cluster.followers()[0].id:x}",
                     "X-Server-Version: 3.4.23", "X-Min-Cluster-Version: 3.0.0", f"X-Raft-To: {leader.id:x}"]
            paths = ["/raft", "/raft/snapshot", "/raft/stream/msgapp/1", "/raft/stream/message/ff", "/raft/probing",
                     "/members", "/version", "/leases", "/leases/internal", "/members/promote/12", "/members/hashkv", "/nosuch"]
            for number in range(120):
                body = chance.randbytes(chance.choice((0, 1, 7, 8, 9, 100, 70_000)))
                if chance.random() < 0.3:
                    body = chance.choice((0, 1, 100, 1 << 20, 1 << 40, (1 << 64) - 1)).to_bytes(8, "big") + body
                length = len(body) if chance.random() < 0.8 else chance.choice((len(body) + 9, 0, 1 << 62))
                lines = [f"{chance.choice(('GET', 'POST', 'PUT'))} {chance.choice(paths)} HTTP/1.1", "Host: x",
                         f"Content-Length: {length}", *[line for line in heads if chance.random() < 0.9]]
                request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
                if number % 10 == 0:
                    request = chance.randbytes(300)
                try:
                    with socket.create_connection((leader.address, leader.peer_port), 5) as connection:
                        connection.settimeout(0.05)
                        connection.sendall(request)
                        connection.recv(1000)
                except OSError:
                    pass
            leader.put("a", "b")
            self.assertEqual(leader.status().raftTerm, term, f"seed {SEED}")
            cluster.agree()

    def test_force_new_cluster(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.members[0].fill(100)
            revision = cluster.agree()
            survivor, *lost = cluster.members
            number = survivor.id
            for one in lost:
                one.kill()
            survivor.kill()
            survivor.extra_flags = ["--force-new-cluster"]
            survivor.start()
            self.assertEqual([m.ID for m in cluster.member_list(survivor)], [number])
            self.assertEqual(survivor.get("fill/000099"), "v" * 20)
            self.assertEqual(survivor.put("a", "b"), revision + 1)
            survivor.extra_flags = []
            survivor.restart()
            for one in lost:
                cluster.members.remove(one)
                one.remove()
            for _ in lost:
                cluster.add("quorate", through=survivor)
            self.assertEqual(len(cluster.member_list()), 3)
            self.assertEqual(cluster.agree(), revision + 1)

    def write_until(self, one, prefix, stop, acknowledged):
        with one.api() as service:
            for number in itertools.count():
                key = f"{prefix}/{number}".encode()
                try:
                    service.KV.Put(rpc.PutRequest(key=key, value=b"v" * 100), timeout=30)
                except grpc.RpcError:
                    return  # Killed.
                acknowledged.append(key)
                if stop.is_set():
                    return

    def test_a_forgotten_force_new_cluster(self):
        """Left in the flags, it costs no acknowledged write when the member is killed; and its log is good for new members."""
        with Cluster(("quorate",)) as cluster:
            cluster.start()
            alone = cluster.members[0]
            alone.extra_flags = ["--force-new-cluster"]
            alone.restart()
            acknowledged = []
            for number in range(3):
                stop = threading.Event()
                writers = [threading.Thread(target=self.write_until, args=(alone, f"{number}/{writer}", stop, acknowledged))
                           for writer in range(10)]
                for writer in writers:
                    writer.start()
                enough = len(acknowledged) + 300
                cluster.wait(lambda enough=enough: len(acknowledged) >= enough, "300 more writes")
                alone.kill()
                stop.set()
                for writer in writers:
                    writer.join()
                alone.start()
                with alone.api() as service:
                    found = service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0", keys_only=True), timeout=30)
                there = {pair.key for pair in found.kvs}
                self.assertEqual([key for key in acknowledged if key not in there], [], f"killed {number + 1} times")
            alone.extra_flags = []
            alone.kill()
            alone.start()
            cluster.add("quorate", through=alone)
            cluster.agree()

    def test_learner_as_the_first_addition(self):
        """One member grows to three by way of learners."""
        with Cluster(("quorate",)) as cluster:
            cluster.start()
            cluster.members[0].fill(50)
            for _ in range(2):
                learner = cluster.add("quorate", learner=True, through=cluster.members[0])
                cluster.promote(learner, through=cluster.members[0])
                learner.wait_healthy()
            cluster.agree()
            cluster.leader().kill()
            cluster.leader()
            cluster.running[0].put("a", "b")


def _reason(one):
    return next((line for line in reversed(one.recent_log().splitlines()) if "permanently removed" in line), "")[:300]


if __name__ == "__main__":
    unittest.main(verbosity=2)
