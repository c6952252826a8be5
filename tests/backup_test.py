#!/usr/bin/python3
"""Backups that servers take by themselves, and the way back from them: who takes them, a lost leader, a lost majority
restored with Debian's etcdctl and with ours."""

import json
import os
import pathlib
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
        self.assertGreater(metric(leader, "quorate_backup_successes_total"), 0)
        self.assertGreater(metric(leader, "quorate_backup_last_size_bytes"), 0)
        self.assertIn("took a backup", leader.log())
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
            self.assertIn("not-mounted", one.log())
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
