#!/usr/bin/python3
"""Backups that servers take by themselves, and the way back from them: who takes them, a lost leader, a lost majority
restored with Debian's etcdctl and with ours, any moment of a recorded history."""

import datetime
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import places
import state
from api import rpc
from cluster import Cluster

# In restored clusters the members get new IDs.
NOT_KEPT = ("cluster", "members")
WAIT_SECONDS = 60


def tool():
    chosen = os.environ.get("QUORATEUTL_BIN") or str(pathlib.Path(places.quorate()).parent / "quorateutl")
    if not os.access(chosen, os.X_OK):
        chosen = str(places.REPOSITORY / "build/release/bin/quorateutl")
    return chosen


def run(*command):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL")} | {"ETCDCTL_API": "3"}
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120,
                          env=environment)


def backups(directory):
    """The whole ones, oldest first."""
    return sorted(pathlib.Path(directory).glob("backup-*.db"))


def note(path):
    return json.loads(path.with_suffix(".json").read_text())


def wait_for(condition, what, seconds=WAIT_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
        except OSError:  # Old backups go while they are looked at.
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def metric(one, name):
    line = next(line for line in one.http("/metrics")[1].splitlines() if line.startswith(name + " "))
    return float(line.split()[1])


@unittest.skipIf(os.path.basename(places.quorate()) == "etcd", "etcd takes no backups")
class BackupTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="backup-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def directory(self, name):
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path

    def start_cluster(self, shared=False, interval="1s", flags=()):
        cluster = Cluster()
        self.addCleanup(cluster.__exit__, None)
        for one in cluster.members:
            one.backups = self.directory("shared" if shared else one.name)
            one.extra_flags = ["--backup-dir", str(one.backups), "--backup-interval", interval, *flags]
        return cluster.start()

    def fill(self, service):
        """A store with history: keys changed and deleted, a lease, a compaction. The revision."""
        lease = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=86400, ID=0x1234)).ID
        for i in range(60):
            service.KV.Put(rpc.PutRequest(key=b"k/%d" % (i % 20), value=b"v%d" % i, lease=lease if i % 7 == 0 else 0))
        service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"k/3", range_end=b"k/5"))
        service.KV.Compact(rpc.CompactionRequest(revision=40, physical=True))
        return service.KV.Put(rpc.PutRequest(key=b"after", value=b"compaction")).header.revision

    def expect_sound(self, path):
        """Debian's etcdctl takes it as it is; its note says the same."""
        status = run(places.etcdctl(), "snapshot", "status", path, "-w", "json")
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertEqual(json.loads(status.stdout)["revision"], note(path)["revision"])
        self.assertEqual(path.stat().st_size, note(path)["size"])
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)


class TakingTest(BackupTest):
    def test_the_leader_takes_them_and_then_a_follower(self):
        cluster = self.start_cluster()
        leader = cluster.leader()
        with leader.api() as service:
            revision = self.fill(service)
        wait_for(lambda: any(note(b)["revision"] >= revision for b in backups(leader.backups)),
                 "the leader takes a backup")
        # The file has its name before the keeper has heard of it.
        wait_for(lambda: "took a backup" in leader.log(), "it is told in the log")
        self.assertGreater(metric(leader, "quorate_backup_successes_total"), 0)
        self.assertGreater(metric(leader, "quorate_backup_last_size_bytes"), 0)
        # An item of its own, which never makes it fail.
        code, text = leader.http("/readyz?verbose")
        self.assertEqual(code, 200, text)
        self.assertRegex(text, r"(?m)^\[[+-]\]backup ")
        self.assertNotIn("backup", leader.http("/readyz")[1])

        leader.kill()
        rest = [one for one in cluster.members if one is not leader]
        following = cluster.leader(among=rest)
        with following.api() as service:
            after = service.KV.Put(rpc.PutRequest(key=b"after", value=b"the leader died")).header.revision
        taken = wait_for(lambda: [b for one in rest for b in backups(one.backups) if note(b)["revision"] >= after],
                         "another member takes over")
        for one in rest:
            one.kill()  # Nothing is taken away any more.
        for path in [b for one in cluster.members for b in backups(one.backups)]:
            self.expect_sound(path)
        self.assertTrue(taken)

    def test_a_missing_or_full_directory_harms_nothing_else(self):
        with member.quorate(flags=["--backup-dir", str(self.root / "not-mounted"), "--backup-interval", "1s"]) as one:
            one.start()
            wait_for(lambda: metric(one, "quorate_backup_failures_total") > 1, "backups fail")
            wait_for(lambda: "[-]backup too old" in one.http("/readyz?verbose")[1], "it is told")
            self.assertEqual(one.http("/readyz")[0], 200)
            self.assertTrue(one.healthy())
            wait_for(lambda: "not-mounted" in one.log(), "it is told in the log")
            self.assertFalse((self.root / "not-mounted").exists())
            with one.api() as service:
                service.KV.Put(rpc.PutRequest(key=b"still", value=b"served"))
            (self.root / "not-mounted").mkdir()
            wait_for(lambda: backups(self.root / "not-mounted"), "the disk is back")

    def test_leftovers_go_and_generations_stay(self):
        directory = self.directory("b")
        with member.quorate(flags=["--backup-dir", str(directory), "--backup-interval", "1s"]) as one:
            one.start()
            first = wait_for(lambda: backups(directory), "a backup")[0]
            one.kill()
            part = first.with_name(first.name + ".part")
            part.write_bytes(b"half")
            one.start()
            wait_for(lambda: metric(one, "quorate_backup_successes_total") > 1, "two more")
            self.assertFalse(part.exists())
            one.kill()
        # Of the same hour, or of two if the clock struck meanwhile; and one that was not removed yet.
        self.assertLessEqual(len(backups(directory)), 3)
        self.assertNotIn(first, backups(directory)[-1:])

    def test_settings_that_can_not_be_meant(self):
        data = self.root / "data"
        (self.root / "link").symlink_to(self.root)
        for flags, text in ((["--backup-dir", str(data)], "which the server owns"),
                            (["--backup-dir", str(data / "member" / "snap")], "which the server owns"),
                            (["--backup-dir", str(self.root / "link" / "data" / "b")], "which the server owns"),
                            (["--backup-dir", "b", "--backup-retention", "24"], "24h,7d,4w"),
                            (["--backup-dir", "b", "--backup-interval", "10ms"], "at least 1s")):
            result = run(places.quorate(), "--data-dir", data, "--name", "m", *flags)
            self.assertEqual(result.returncode, 1, flags)
            self.assertIn(text, result.stderr)
            self.assertFalse(data.exists())


class RestoreTest(BackupTest):
    def restore_all(self, cluster, path, restore):
        """A new directory for each member from the one file, and the cluster on them (R4)."""
        names = ",".join(f"{one.name}={one.peer_url}" for one in cluster.members)
        for one in cluster.members:
            one.data_dir = one.root / f"restored-{os.path.basename(str(restore[0]))}"
            result = run(*restore, path, "--name", one.name, "--data-dir", one.data_dir, "--initial-cluster", names,
                         "--initial-cluster-token", cluster.token, "--initial-advertise-peer-urls", one.peer_url)
            self.assertEqual(result.returncode, 0, result.stderr)
        cluster.start()

    def kept(self, capture):
        return {name: value for name, value in capture.items() if name not in NOT_KEPT}

    def test_a_lost_majority_comes_back_from_one_file(self):
        cluster = self.start_cluster(shared=True)
        leader = cluster.leader()
        with leader.api() as service:
            revision = self.fill(service)
            seen = state.capture(service)
        wait_for(lambda: any(note(b)["revision"] >= revision for b in backups(leader.backups)), "a backup of it all")
        cluster.kill()
        path = next(b for b in backups(leader.backups) if note(b)["revision"] >= revision)
        self.expect_sound(path)
        self.assertEqual(note(path)["hashKV"], seen["hash"])
        for one in cluster.members:
            one.extra_flags = []
        for restore in ([places.etcdctl(), "snapshot", "restore"], [tool(), "snapshot", "restore"]):
            with self.subTest(os.path.basename(str(restore[0]))):
                self.restore_all(cluster, path, restore)
                cluster.agree()
                for one in cluster.members:
                    with one.api() as service:
                        self.assertEqual("", state.differences(self.kept(seen), self.kept(state.capture(service))))
                with cluster.leader().api() as service:
                    service.KV.Put(rpc.PutRequest(key=b"new", value=b"x"))
                cluster.agree()
                cluster.kill()


class MomentTest(BackupTest):
    """--backup-log: any revision and any time of a recorded history, a dead leader in it."""

    def write(self, service, history, count):
        """Random puts and deletes; what the store was after each: revision -> (keys, hash)."""
        keys = dict(history[max(history)][0]) if history else {}
        for _ in range(count):
            key = b"k%d" % self.chance.randrange(8)
            if key in keys and self.chance.random() < 0.3:
                answer = service.KV.DeleteRange(rpc.DeleteRangeRequest(key=key))
                del keys[key]
            else:
                keys[key] = b"v%d" % self.chance.randrange(1 << 30)
                answer = service.KV.Put(rpc.PutRequest(key=key, value=keys[key]))
            revision = answer.header.revision
            history[revision] = (dict(keys), api.hash_kv(service, revision)[0])
        return revision

    def archived(self, members, revision):
        wait_for(lambda: all(metric(one, "quorate_backup_log_last_revision") >= revision for one in members),
                 f"revision {revision} is archived")

    def restore(self, at, expected, history, directory):
        """Restores to the moment, and compares a server there with the history."""
        one = member.quorate(data_dir=self.root / f"restored-{self.chance.randrange(1 << 40)}", name="m1")
        self.addCleanup(one.remove)
        peer = f"http://127.0.0.1:{one.peer_port}"
        flags = [] if at is None else ["--at", at]
        result = run(tool(), "restore", *flags, directory, "--name", "m1", "--data-dir", one.data_dir,
                     "--initial-cluster", f"m1={peer}", "--initial-advertise-peer-urls", peer)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, rf"^reached revision {expected}: ")
        one.start()
        with one.api() as service:
            keys, hashed = history[expected]
            self.assertEqual({kv.key: kv.value for kv in api.every_key(service)}, keys)
            self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision, expected)
            self.assertEqual(api.hash_kv(service, expected)[0], hashed)
        one.remove()

    def test_every_moment_comes_back(self):
        seed = int(os.environ.get("QUORATE_TEST_SEED", 0)) or random.randrange(1 << 32)
        print(f"QUORATE_TEST_SEED={seed}")
        self.chance = random.Random(seed)
        cluster = self.start_cluster(shared=True, interval="1h", flags=["--backup-log"])
        leader = cluster.leader()
        directory = leader.backups
        wait_for(lambda: backups(directory), "the first backup")
        history, times = {}, []
        with leader.api() as service:
            self.write(service, history, 25)
            compacted = max(history)
            service.KV.Compact(rpc.CompactionRequest(revision=compacted - 5))
            revision = self.write(service, history, 25)
        self.archived(cluster.members, revision)
        times.append((time.time(), revision))
        leader.kill()
        rest = [one for one in cluster.members if one is not leader]
        with cluster.leader(among=rest).api() as service:
            revision = self.write(service, history, 25)
            self.archived(rest, revision)
            times.append((time.time(), revision))
            revision = self.write(service, history, 10)
        self.archived(rest, revision)
        cluster.kill()

        for at in self.chance.sample(sorted(history), 4) + [min(history), max(history)]:
            with self.subTest(revision=at):
                # Hashes know of compactions, which came later than the revisions before them.
                self.restore(at, at, history, directory)
        for moment, expected in times:
            with self.subTest(time=moment):
                text = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).isoformat()
                self.restore(text, expected, history, directory)
        self.restore(None, max(history), history, directory)

        listed = run(tool(), "backup", "list", directory, "-w", "json")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertEqual([one["file"] for one in json.loads(listed.stdout)], [b.name for b in backups(directory)])
        for path in backups(directory):
            drill = run(tool(), "backup", "verify", path, "--scratch-dir", self.root / "scratch")
            self.assertEqual(drill.returncode, 0, drill.stderr)
            self.assertIn("is good", drill.stdout)
            self.assertIn(f"to revision {max(history)}", drill.stdout)
            self.assertFalse((self.root / "scratch").exists())

        # What can't be done is told, and leaves nothing.
        goal = ["--data-dir", self.root / "nothing"]
        for flags, text in ((["--at", max(history) + 1], f"reaches revision {max(history)}"),
                            (["--at", "2020-01-01T00:00:00Z"], "the oldest is of revision"),
                            (["--at", "tomorrow"], "or give a revision")):
            refused = run(tool(), "restore", *flags, directory, *goal)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(text, refused.stderr)
        for path in directory.glob("log-*.log"):
            path.write_bytes(path.read_bytes()[:100])
        damaged = run(tool(), "restore", directory, *goal)
        self.assertEqual(damaged.returncode, 1)
        self.assertIn("is damaged at offset", damaged.stderr)
        self.assertFalse((self.root / "nothing").exists())
        page = backups(directory)[-1]
        with open(page, "r+b") as file:
            file.seek(page.stat().st_size // 2)
            file.write(b"\xff" * 64)
        drill = run(tool(), "backup", "verify", page, "--scratch-dir", self.root / "scratch")
        self.assertEqual(drill.returncode, 1)
        self.assertIn("it was damaged", drill.stderr)

    def restore_member(self, cluster, one, at):
        """From the member's own directory; what the tool says."""
        names = ",".join(f"{each.name}={each.peer_url}" for each in cluster.members)
        one.data_dir = one.root / f"restored-{self.chance.randrange(1 << 40)}"
        result = run(tool(), "restore", "--at", at, one.backups, "--name", one.name, "--data-dir", one.data_dir,
                     "--initial-cluster", names, "--initial-advertise-peer-urls", one.peer_url)
        self.assertEqual(result.returncode, 0, result.stderr)
        told = re.search(r"raft index (\d+), hash of the keys (\d+), last noted at \S+Z\n.*--at index:(\d+),", result.stdout)
        self.assertTrue(told, result.stdout)
        self.assertEqual(told[1], told[3])
        return told[1], told[2]

    def test_a_cluster_comes_back_from_a_directory_each(self):
        """By the raft index that the first restore names: the same state everywhere. Other states are another cluster."""
        self.chance = random.Random(1)
        cluster = self.start_cluster(interval="1h", flags=["--backup-log"])
        leader = cluster.leader()
        wait_for(lambda: backups(leader.backups), "the first backup")
        history = {}
        with leader.api() as service:
            revision = self.write(service, history, 20)
            # Changes that have no revision.
            for lease in range(1, 6):
                service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=86400, ID=lease))
            self.archived(cluster.members, revision)
            wanted = time.time()
            later = self.write(service, history, 20)
        self.archived(cluster.members, later)
        cluster.kill()
        base = backups(leader.backups)[0]
        for one in cluster.members:
            one.extra_flags = []
            if one is not leader:
                for path in (base, base.with_suffix(".json")):
                    shutil.copy(path, one.backups)

        first = cluster.members[0]
        text = datetime.datetime.fromtimestamp(wanted, datetime.timezone.utc).isoformat()
        index, hashed = self.restore_member(cluster, first, text)
        self.assertEqual(int(hashed), history[revision][1])
        for one in cluster.members[1:]:
            self.assertEqual(self.restore_member(cluster, one, f"index:{index}"), (index, hashed))
        cluster.start()
        self.assertEqual(cluster.agree(), revision)
        for one in cluster.members:
            with one.api() as service:
                self.assertEqual({kv.key: kv.value for kv in api.every_key(service)}, history[revision][0])
        with cluster.leader().api() as service:
            self.assertGreater(service.KV.Put(rpc.PutRequest(key=b"new", value=b"x")).header.revision, revision)
        cluster.agree()
        cluster.kill()

        # One that went further.
        other = cluster.members[2]
        for one in cluster.members[:2]:
            self.restore_member(cluster, one, f"index:{index}")
        self.restore_member(cluster, other, later)
        for one in cluster.members:
            one.spawn()
        for one in cluster.members[:2]:
            one.wait_healthy()
        wait_for(lambda: "cluster ID mismatch" in other.log() or "cluster ID mismatch" in first.log(), "it is refused")
        self.assertNotEqual(cluster.leader(among=cluster.members[:2]), other)


if __name__ == "__main__":
    unittest.main(verbosity=2)
