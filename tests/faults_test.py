#!/usr/bin/python3
"""Random faults on three real processes, links through the fault proxy, under load, with the whole history checked.

Each epoch is a new cluster of a random mix from a seed of its own, which is printed; QUORATE_TEST_SEED replays the choices
of one epoch (not the interleaving). --minutes M soaks, --kinds etcd,quorate says of which programs. Then disks that are full.
"""

import argparse
import os
import random
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import cluster as clusters
from cluster import Cluster

GIVEN = os.environ.get("QUORATE_TEST_SEED")
MINUTES = 0.0
KINDS = ("quorate",)
FAULTS_AN_EPOCH = 8


class Faults:
    """One random fault at a time, or two; each begins with start() and is over after end()."""

    def __init__(self, cluster, chance):
        self.cluster = cluster
        self.chance = chance
        self.proxy = cluster.proxy

    def pick(self):
        """(what it is, its start, its end)."""
        one, other, third = self.chance.sample(self.cluster.members, 3)
        if self.chance.random() < 0.5:
            # The leader is the more interesting victim.
            try:
                leader = self.cluster.leader(seconds=3)
            except clusters.ClusterError:
                leader = one
            one, other, third = [leader] + [m for m in (one, other, third) if m is not leader]
        heal = self.proxy.heal
        seconds, jitter = self.chance.choice(((0.005, 0.01), (0.05, 0.05), (0.2, 0.3)))
        names = f"{one.name}, {other.name}"
        return self.chance.choice([
            (f"kill {one.name}", one.kill, lambda: self.again(one)),
            (f"kill {names}", lambda: (one.kill(), other.kill()), lambda: self.again(one, other)),
            ("kill all", self.cluster.kill, lambda: self.again(one, other, third)),
            (f"stop {one.name}", one.stop, lambda: self.again(one)),
            (f"pause {one.name}", one.pause, one.resume),
            (f"pause {names}", lambda: (one.pause(), other.pause()), lambda: (one.resume(), other.resume())),
            (f"isolate {one.name}", lambda: self.proxy.isolate(one.name, self.cluster.names), heal),
            (f"cut {names}", lambda: self.proxy.cut(one.name, other.name), heal),
            (f"stall {one.name} -> {other.name}", lambda: self.proxy.stall(one.name, other.name), heal),
            (f"nobody hears {one.name}", lambda: self.each(one, lambda m: self.proxy.stall(one.name, m.name)), heal),
            (f"{one.name} hears nobody", lambda: self.each(one, lambda m: self.proxy.stall(m.name, one.name)), heal),
            (f"freeze {one.name}", lambda: self.each(one, lambda m: self.proxy.freeze(one.name, m.name)), heal),
            (f"flap {one.name}", lambda: self.flap(one), heal),
            (f"delay all by {seconds}", lambda: self.delay_all(seconds, jitter), heal),
        ])

    def each(self, one, action):
        for other in self.cluster.members:
            if other is not one:
                action(other)

    def flap(self, one):
        for _ in range(self.chance.randrange(2, 8)):
            self.each(one, lambda m: self.proxy.cut(one.name, m.name))
            time.sleep(self.chance.random() * 0.3)
            self.proxy.heal()
            time.sleep(self.chance.random() * 0.3)

    def delay_all(self, seconds, jitter):
        for one in self.cluster.members:
            self.each(one, lambda m, one=one: self.proxy.delay(one.name, m.name, seconds, jitter))

    @staticmethod
    def again(*members):
        for one in members:
            one.spawn()
        for one in members:
            one.wait_healthy()


class FaultsTest(unittest.TestCase):
    def test_random_faults(self):
        end = time.monotonic() + 60 * MINUTES
        while True:
            self.epoch(int(GIVEN) if GIVEN else int.from_bytes(os.urandom(4), "big"))
            if time.monotonic() >= end:
                return

    def epoch(self, seed):
        chance = random.Random(seed)
        kinds = [chance.choice(KINDS) for _ in range(3)]
        print(f"seed {seed} (QUORATE_TEST_SEED={seed}), {', '.join(kinds)}", flush=True)
        flags = chance.choice(((), ("--snapshot-count", "30")))
        ours = chance.choice(((), ("--snapshot-catchup-entries", "10")))
        with Cluster(kinds, proxied=True, flags=flags, quorate_flags=ours) as cluster:
            cluster.start()
            done = []
            with cluster.load(seed, timeout=3, leases=1, pause=0.005) as load:
                for _ in range(FAULTS_AN_EPOCH):
                    what, start, end = Faults(cluster, chance).pick()
                    lasting = chance.choice((0.1, 0.5, 1.5, 3.0))
                    done.append(f"{what} for {lasting} s")
                    start()
                    time.sleep(lasting)
                    end()
                    writes = len(load.acknowledged)
                    cluster.wait(lambda w=writes: len(load.acknowledged) > w + 3, f"writes go on after: {done}")
                load.finish(60)
                print("  " + "; ".join(done) + "\n  " + load.summary(), flush=True)
                cluster.agree()
                self.assertEqual([], load.check(cluster.endpoints, may_time_out=True)[:10],
                                 f"seed {seed}: {done}\n{cluster.logs(800)}")

    def test_full_disk(self):
        """The disk of a follower, then of the leader, fills up: it stops, the others go on, and with room it comes back."""
        with Cluster() as cluster:
            for one in cluster.members:
                self.small_disk(one, 170)
            cluster.start()
            for choose in (lambda: cluster.followers()[0], cluster.leader):
                victim = choose()
                others = [one for one in cluster.members if one is not victim]
                ballast = victim.data_dir.parent / "ballast"
                self.fill_up(ballast)
                cluster.wait(lambda o=others, v=victim: self.write_on(o) and v.process.poll() is not None,
                             f"{victim.name} ends for want of room", 60)
                print(f"{victim.name}: status {victim.wait_exit()}: {_last_error(victim)}", flush=True)
                cluster.leader(among=others)
                revision = others[0].put("still", "here") - 1
                ballast.unlink()
                self.compact(cluster, others, revision)
                victim.start()
                cluster.agree()

    @staticmethod
    def write_on(members):
        """A megabyte, to whoever takes it."""
        for one in members:
            try:
                for i in range(10):
                    one.put(f"big/{i}", "x" * 100_000, timeout=5)
                return True
            except grpc.RpcError:
                continue
        return False

    @staticmethod
    def compact(cluster, members, revision):
        cluster.ctl("compaction", revision, "--physical", endpoints=[members[0].endpoint])
        for one in members:
            cluster.ctl("defrag", endpoints=[one.endpoint])

    def small_disk(self, one, mebibytes):
        """The member's data directory moves to a file system of so many MiB of its own."""
        place = one.root / "disk"
        place.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"no small disk can be made here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)], check=False, capture_output=True)
        one.data_dir = place / "data"

    @staticmethod
    def fill_up(ballast):
        with open(ballast, "wb") as file:
            try:
                for size in (1 << 20, 4096):
                    while True:
                        file.write(b"\0" * size)
                        file.flush()
                        if size == 4096 and os.statvfs(ballast.parent).f_bavail == 0:
                            break
            except OSError:
                pass


def _last_error(one):
    lines = [line for line in one.recent_log().splitlines() if "no space left" in line.lower()]
    return lines[-1][:300] if lines else one.recent_log()[-300:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options, rest = parser.parse_known_args()
    MINUTES, KINDS = options.minutes, tuple(options.kinds.split(","))
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
