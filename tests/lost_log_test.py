#!/usr/bin/python3
"""A member whose disk was set back (R5 of the runbook): real processes, quarantine, the three actions of --lost-log-action,
rejoin killed at every step, with etcd as the leader, with authentication on; and restarts that must not be taken for it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

from cluster import Cluster

QUARANTINED = "is quarantined, its log went back in time"
EXIT_STATUS = 79
TRIES = 5  # For what an election at the wrong time may spoil.
# Short elections, so that what waits for several of them fits into a test.
FLAGS = ("--heartbeat-interval", "50", "--election-timeout", "500")


def copy(source, target):
    """Logs are mostly empty space."""
    subprocess.run(["cp", "-r", "--sparse=always", "--reflink=auto", source, target], check=True)


class LostLogTest(unittest.TestCase):

    def cluster(self, kinds=("quorate",) * 3, flags=(), victim_flags=()):
        """Every member of ours has a run directory of its own; without it a start is as on another boot."""
        cluster = Cluster(kinds, flags=(*FLAGS, *flags))
        self.addCleanup(cluster.__exit__, None)
        for one in cluster.members:
            if one.kind == "quorate":
                one.run_dir = one.root / "run"
                one.extra_flags = ["--run-dir", str(one.run_dir), *victim_flags]
        return cluster.start()

    def images(self, cluster, members=None):
        """The disks of these members at one moment: all stand still meanwhile, so that it is one of their clocks, too."""
        members = members or [m for m in cluster.members if m.kind == "quorate"]
        taken = {}
        running = cluster.running
        for one in running:
            one.pause()
        for one in members:
            taken[one.name] = one.root / f"image-{len(list(one.root.glob('image-*')))}"
            copy(one.data_dir, taken[one.name])
        for one in running:
            one.resume()
        return taken

    def history(self, cluster, writer, metadata=None):
        """Images from 10,000, 10 and one write before now."""
        self.assertTrue(writer.running)
        taken = {10_000: self.images(cluster)}
        writer.fill(9_990, prefix="a/", metadata=metadata)
        taken[10] = self.images(cluster)
        writer.fill(9, prefix="b/", metadata=metadata)
        taken[1] = self.images(cluster)
        writer.fill(1, prefix="c/", metadata=metadata)
        cluster.agree(metadata=metadata)
        return taken

    def swap_in(self, victim, image):
        """Its disk is what it was then, and its machine was booted since. Its own disk is put aside."""
        victim.kill()
        victim.data_dir.rename(victim.root / "own")
        copy(image, victim.data_dir)
        shutil.rmtree(victim.run_dir, ignore_errors=True)

    def set_back(self, cluster, victim, image):
        """The member runs on the image, and is quarantined by the leader that it had. Where a busy machine has held an election
        meanwhile nobody may be left who can tell, and it is caught up: then once more. Returns the reason."""
        for _ in range(TRIES):
            self.swap_in(victim, image)
            victim.spawn()
            cluster.wait(lambda: self.quarantined(victim) or self.caught_up(cluster, victim), f"{victim.name} knows what it is")
            if self.quarantined(victim):
                break
            self.swap_out(victim)
            cluster.leader().put("acknowledged", "again")
            cluster.agree()
        return self.expect_quarantined(cluster, victim)

    def caught_up(self, cluster, victim):
        """It serves, and holds what the others' leader does: nobody has anything against it any more."""
        leader = cluster.leader(among=self.others(cluster, victim)).status()
        return victim.healthy() and victim.status().raftAppliedIndex >= leader.raftAppliedIndex

    def swap_out(self, victim):
        """Its own disk is back, and lacks nothing. Where it was taken up on the other one, that is its own from now on."""
        if not self.quarantined(victim):
            shutil.rmtree(victim.root / "own")
            return
        victim.kill()
        shutil.rmtree(victim.data_dir)
        (victim.root / "own").rename(victim.data_dir)
        shutil.rmtree(victim.run_dir, ignore_errors=True)
        victim.spawn()
        victim.wait_healthy()

    def lose(self, cluster, victim, writes, told):
        """The victim's disk is what it was before these writes, its machine was booted since, and it is started. Once more where it
        is well instead of `told`, as in set_back."""
        for _ in range(TRIES):
            self.lose_unseen(cluster, victim, writes)
            victim.spawn()
            cluster.wait(lambda: told() or self.caught_up(cluster, victim), f"{victim.name} knows what it is")
            if told():
                break
            cluster.agree()

    def lose_unseen(self, cluster, victim, writes, meanwhile=None):
        """As lose(), but not started."""
        image = self.images(cluster, [victim])[victim.name]
        cluster.leader()
        leader = next(m for m in cluster.running if m is not victim)
        leader.fill(writes, prefix=f"lost-{image.name}/")
        cluster.agree()
        victim.kill()
        if meanwhile:
            meanwhile()
        shutil.rmtree(victim.data_dir)
        image.rename(victim.data_dir)
        shutil.rmtree(victim.run_dir, ignore_errors=True)

    def others(self, cluster, victim):
        return [m for m in cluster.members if m is not victim]

    def http(self, one, path):
        try:
            with urllib.request.urlopen(one.url + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def quarantined(self, one):
        """The reason, once the member says that it is."""
        try:
            status, body = self.http(one, "/health")
        except OSError:
            return None
        return json.loads(body)["reason"] if status == 503 and QUARANTINED in body else None

    def expect_quarantined(self, cluster, victim):
        reason = cluster.wait(lambda: self.quarantined(victim), f"{victim.name} is quarantined")
        self.assertEqual(200, self.http(victim, "/livez")[0])
        status, body = self.http(victim, "/readyz")
        self.assertEqual(503, status)
        self.assertIn(QUARANTINED, body)
        for call in (lambda: victim.put("k", "v"), lambda: victim.get("k", serializable=True), victim.status):
            with self.assertRaises(grpc.RpcError) as caught:
                call()
            self.assertEqual(grpc.StatusCode.UNAVAILABLE, caught.exception.code())
            self.assertIn(QUARANTINED, caught.exception.details())
        # Not the rejoining's line, which names the way out, too, and may have come already.
        errors = [json.loads(line) for line in victim.recent_log().splitlines()
                  if '"way-out"' in line and '"proof"' in line]
        self.assertTrue(errors)
        self.assertEqual("error", errors[-1]["level"])
        for key in ("term", "commit", "last-index"):
            self.assertIn(key, errors[-1])
        self.assertIn("member remove", errors[-1]["way-out"][1])
        return reason

    def expect_others_serve(self, cluster, victim):
        rest = self.others(cluster, victim)
        cluster.leader(among=rest)
        rest[0].put("after", "it")
        cluster.agree(among=rest)
        for one in rest:
            self.assertNotIn("quarantined", one.recent_log())

    # Proofs

    def expect_known(self, cluster, victim):
        """It says what it is, or lacks nothing any more: what a new leader has sent it before anybody could tell."""
        cluster.wait(lambda: self.quarantined(victim) or victim.healthy(), f"{victim.name} knows what it is", 60)
        rest = self.others(cluster, victim) if self.quarantined(victim) else cluster.members
        cluster.leader(among=rest)
        next(m for m in rest if m is not victim).put("after", "it")
        cluster.agree(among=rest)

    def test_set_back_by_1_10_and_10000_entries(self):
        # 10,000 lie across several snapshots.
        cluster = self.cluster(flags=("--snapshot-count", "1000"))
        images = self.history(cluster, cluster.leader())
        victim = cluster.followers()[0]
        for writes in (1, 10, 10_000):
            with self.subTest("a follower, the same leader", writes=writes):
                self.set_back(cluster, victim, images[writes][victim.name])
                self.expect_others_serve(cluster, victim)
                # The mark outlives the process.
                victim.kill()
                victim.spawn()
                self.expect_quarantined(cluster, victim)
                self.swap_out(victim)
        for writes in (1, 10, 10_000):
            with self.subTest("a former leader", writes=writes):
                leader = cluster.leader()
                self.swap_in(leader, images[writes][leader.name])
                cluster.leader(among=self.others(cluster, leader))
                leader.spawn()
                self.expect_known(cluster, leader)
                self.swap_out(leader)
        for writes in (1, 10_000):
            with self.subTest("a follower, across terms", writes=writes):
                cluster.leader().put("of this term", "too")
                cluster.agree()
                victim = cluster.followers()[0]
                self.set_back(cluster, victim, images[writes][victim.name])
                self.expect_others_serve(cluster, victim)
                self.swap_out(victim)
        with self.subTest("a follower, after a change of leader"):
            victim = cluster.followers()[0]
            self.swap_in(victim, images[10][victim.name])
            rest = self.others(cluster, victim)
            leader = cluster.leader(among=rest)
            cluster.move_leader(next(m for m in rest if m is not leader))
            victim.spawn()
            self.expect_known(cluster, victim)
            self.swap_out(victim)
        with self.subTest("two of three"):
            self.expect_two_of_three(cluster, images[10])
        with self.subTest("authentication on"):
            self.expect_with_authentication(cluster)

    def expect_two_of_three(self, cluster, images):
        """The one that is left keeps everything, and elects nobody who lacks it. Whoever can't be shown what it has lost (of
        a follower only its leader knows, and that one forgot) may vote for the one that is left, and is taken up by it."""
        revision = cluster.agree()
        whole, *victims = cluster.members
        for one in victims:
            self.swap_in(one, images[one.name])
        for one in victims:
            one.spawn()
        for one in victims:
            cluster.wait(lambda one=one: self.quarantined(one) or "off probation" in one.recent_log(),
                         f"{one.name} knows what it is")
        lost = [one for one in victims if self.quarantined(one)]
        self.assertTrue(lost, "the leader of then remembers itself as one")
        self.assertNotIn("quarantined", whole.recent_log())
        self.assertEqual("v" * 20, whole.get("c/000000", serializable=True))
        rest = [one for one in cluster.members if one not in lost]
        if len(rest) > 1:
            self.assertIs(whole, cluster.leader(among=rest))
            self.assertGreaterEqual(cluster.agree(among=rest), revision)
        else:
            with self.assertRaises(grpc.RpcError):
                whole.put("nobody", "agrees", timeout=2)
        for one in victims:
            self.swap_out(one)
        cluster.leader()
        self.assertGreaterEqual(cluster.agree(), revision)

    def expect_with_authentication(self, cluster):
        victim = cluster.followers()[0]
        rest = self.others(cluster, victim)
        cluster.ctl("user", "add", "root:secret")
        cluster.ctl("user", "grant-role", "root", "root")
        cluster.ctl("auth", "enable")
        token = rest[0].log_in("root", "secret")
        image = self.images(cluster, [victim])[victim.name]
        rest[0].fill(10, prefix="d/", metadata=token)
        cluster.agree(metadata=token)
        self.swap_in(victim, image)
        victim.spawn()
        self.expect_quarantined(cluster, victim)
        rest[0].put("after", "it", metadata=token)
        cluster.agree(among=rest, metadata=token)

    def test_under_leaders_that_are_etcd(self):
        cluster = self.cluster(("etcd", "etcd", "quorate"))
        etcds = cluster.members[:2]
        victim = cluster.members[2]
        images = self.history(cluster, cluster.lead_by("etcd"))
        cluster.lead_by("etcd")
        cluster.leader().put("acknowledged", "to it")
        cluster.agree()
        for writes in (1, 10, 10_000):
            with self.subTest("the same leader", writes=writes):
                self.assertIn("counts on its acknowledgement", self.set_back(cluster, victim, images[writes][victim.name]))
                self.expect_others_serve(cluster, victim)
                self.swap_out(victim)
                cluster.leader().put("acknowledged", "again")
                cluster.agree()
        # No etcd remembers anybody: what nobody can show is caught up, as between etcds.
        with self.subTest("after a change of leader"):
            self.swap_in(victim, images[10][victim.name])
            leader = cluster.leader(among=etcds)
            cluster.move_leader(next(m for m in etcds if m is not leader))
            victim.spawn()
            self.expect_known(cluster, victim)
            self.swap_out(victim)
        with self.subTest("a former leader"):
            cluster.move_leader(victim)
            self.swap_in(victim, images[10][victim.name])
            cluster.leader(among=etcds)
            victim.spawn()
            self.expect_known(cluster, victim)
            self.swap_out(victim)

    def test_same_boot_is_told_by_the_run_directory(self):
        cluster = self.cluster(("etcd", "etcd", "quorate"))
        victim = cluster.members[2]
        # An image of the running process, one write old, and no boot since: only the last index can tell. The leader of
        # then is gone with what it knew.
        cluster.move_leader(cluster.members[0])
        image = self.images(cluster, [victim])[victim.name]
        cluster.members[0].put("one", "more")
        cluster.agree()
        victim.kill()
        leader = cluster.leader(among=cluster.members[:2])
        cluster.move_leader(next(m for m in cluster.members[:2] if m is not leader))
        shutil.rmtree(victim.data_dir)
        image.rename(victim.data_dir)
        victim.spawn()
        self.assertIn("the last process of this member", self.expect_quarantined(cluster, victim))

    def test_same_boot_is_told_by_the_epoch(self):
        cluster = self.cluster(("etcd", "etcd", "quorate"))
        victim = cluster.members[2]
        victim.stop()
        copy(victim.data_dir, victim.root / "image")
        victim.start()
        victim.stop()
        shutil.rmtree(victim.data_dir)
        (victim.root / "image").rename(victim.data_dir)
        victim.spawn()
        self.assertIn("epoch", self.expect_quarantined(cluster, victim))

    def test_wiped_directory(self):
        cluster = self.cluster()
        victim = cluster.followers()[0]
        for state in ("new", "existing"):
            victim.kill()
            shutil.rmtree(victim.data_dir)
            victim.initial_state = state
            victim.spawn()
            self.assertIn("data directory was lost", self.expect_quarantined(cluster, victim))
            self.expect_others_serve(cluster, victim)

    # Actions

    def test_exit(self):
        cluster = self.cluster(victim_flags=("--lost-log-action", "exit"))
        victim = cluster.followers()[0]
        self.lose(cluster, victim, 10, lambda: victim.process.poll() is not None)
        self.assertEqual(EXIT_STATUS, victim.process.wait(timeout=60))
        victim.kill()
        victim.spawn()
        self.assertEqual(EXIT_STATUS, victim.process.wait(timeout=60))

    def expect_rejoined(self, cluster, victim, old, metadata=None, seen=0):
        cluster.wait(lambda: victim.log().count("rejoined the cluster") > seen, f"{victim.name} rejoins", 60)
        cluster.wait(victim.answers, f"{victim.name} answers")

        def is_a_voter():
            """The others may hear of it later."""
            members = {m.name: m for m in cluster.member_list(self.others(cluster, victim)[0])}
            return len(members) == 3 and members[victim.name].ID != old and not members[victim.name].isLearner
        cluster.wait(is_a_voter, f"{victim.name} is a voter again")
        self.others(cluster, victim)[0].put("after", "it", metadata=metadata)
        cluster.agree(metadata=metadata)
        self.assertTrue(any(victim.data_dir.glob(f"member.lost-{old:x}*")))

    def test_rejoin(self):
        cluster = self.cluster(victim_flags=("--lost-log-action", "rejoin"))
        victim = cluster.followers()[0]
        old = victim.id
        self.lose(cluster, victim, 10, lambda: "rejoined the cluster" in victim.log())
        self.expect_rejoined(cluster, victim, old)
        # It is a member like any other now.
        victim.stop()
        victim.start()
        cluster.agree()

    def test_rejoin_among_etcds(self):
        cluster = self.cluster(("etcd", "etcd", "quorate"), victim_flags=("--lost-log-action", "rejoin"))
        cluster.lead_by("etcd")
        victim = cluster.members[2]
        old = victim.id
        self.lose(cluster, victim, 10, lambda: "rejoined the cluster" in victim.log())
        self.expect_rejoined(cluster, victim, old)

    def test_rejoin_killed_at_each_step_and_of_a_wiped_member(self):
        cluster = self.cluster(victim_flags=("--lost-log-action", "rejoin"))
        with self.subTest("wiped"):
            victim = cluster.followers()[0]
            old = victim.id
            seen = victim.log().count("rejoined the cluster")
            victim.kill()
            shutil.rmtree(victim.data_dir)
            victim.spawn()
            self.expect_rejoined(cluster, victim, old, seen=seen)
        for step in ("remove", "add", "move", "join"):
            with self.subTest(step=step):
                for _ in range(TRIES):
                    victim = cluster.followers()[0]
                    old = victim.id
                    self.lose_unseen(cluster, victim, 10)
                    seen = victim.log().count("rejoined the cluster")
                    victim.spawn()
                    if killed := self.kill_at(victim, step, seen):
                        break
                    cluster.wait(victim.healthy, f"{victim.name} is well")
                    cluster.agree()
                self.assertTrue(killed, f"step {step} was not seen\n{victim.log()[-2000:]}")
                victim.spawn()
                self.expect_rejoined(cluster, victim, old, seen=seen)

    @staticmethod
    def kill_at(victim, step, seen):
        """SIGKILL as soon as the step is on disk. False where it was over before anybody looked, or nothing was to be done."""
        state = victim.data_dir / "quorate" / "rejoin.json"
        deadline, look = time.monotonic() + 60, time.monotonic() + 1
        while time.monotonic() < deadline:
            try:
                if json.loads(state.read_text())["step"] == step:
                    victim.kill()
                    return True
            except (OSError, ValueError):
                pass
            if time.monotonic() > look:
                if victim.log().count("rejoined the cluster") > seen or victim.healthy():
                    return False
                look = time.monotonic() + 1
            time.sleep(0.0005)
        return False

    def test_rejoin_with_authentication(self):
        cluster = self.cluster(victim_flags=("--lost-log-action", "rejoin"))
        victim = cluster.followers()[0]
        old = victim.id
        cluster.ctl("user", "add", "root:secret")
        cluster.ctl("role", "add", "root", check=False)
        cluster.ctl("user", "grant-role", "root", "root")
        self.lose_unseen(cluster, victim, 10, lambda: cluster.ctl("auth", "enable"))
        victim.spawn()
        # Without a user it stays what it is, and says why.
        self.expect_quarantined(cluster, victim)
        cluster.wait(lambda: "rejoining lacks the right" in victim.log(), "it says that it lacks the right")
        self.assertIn(f"{old:x}", cluster.ctl("--user", "root:secret", "member", "list",
                                              endpoints=[m.endpoint for m in self.others(cluster, victim)]).stdout)
        user = victim.root / "user"
        user.write_text("root:secret\n")
        user.chmod(0o600)
        victim.kill()
        victim.extra_flags += ["--recover-user-file", str(user)]
        victim.spawn()
        cluster.wait(lambda: "rejoined the cluster" in victim.log(), f"{victim.name} rejoins", 60)

    # What is none of it

    def test_restarts_are_continuous_and_never_quarantined(self):
        cluster = self.cluster()
        ended = threading.Event()

        def write():
            count = 0
            while not ended.is_set():
                count += 1
                for one in cluster.members:
                    try:
                        one.put(f"load/{count}", "v", timeout=2)
                        break
                    except (grpc.RpcError, OSError):
                        continue
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for one in cluster.members:
                for end in (one.stop, one.kill):
                    end()
                    one.start()
                    self.assertNotIn("on probation", one.recent_log())
        finally:
            ended.set()
            writer.join()
        cluster.agree()
        for one in cluster.members:
            self.assertNotIn("quarantined", one.log())

    def test_a_power_cut_of_all(self):
        cluster = self.cluster()
        cluster.members[0].fill(100)
        cluster.kill()
        for one in cluster.members:
            shutil.rmtree(one.run_dir)
        for one in cluster.members:
            one.spawn()
        for one in cluster.members:
            one.wait_healthy()
            self.assertIn("on probation", one.recent_log())
            self.assertNotIn("quarantined", one.recent_log())
        cluster.agree()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    unittest.main(verbosity=2)
