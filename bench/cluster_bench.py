"""`./dev bench --cluster`: three members of etcd (ETCD_BIN) and three of ours on this machine, in turn, in one run.

Prints one table, writes cluster.json and cluster.svg into build/bench (or --out). x above 1 means that we are ahead.
README.md says how each part is measured.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

import grpc

import api
import chart
from api import rpc
from cluster import Cluster, ClusterError
from harness import KINDS, ROOT, WRITES, Harness, cpu_seconds, divide, member, number, resident, times

PARTS = ("calls", "handover", "catch-up", "snapshot-load")
LEVELS = (1, 64, 1000)
KEYS = 10_000


class ClusterBench(Harness):
    def cluster(self, kind, **options):
        flags = ["--quota-backend-bytes", str(8 << 30)]
        return Cluster((kind,) * 3, one_address=True, flags=flags + options.pop("flags", []), **options)

    def load_at(self, cluster, members, workload, inflight, **options):
        """quorate_load at each of these members at once, the calls shared out; one answer for all of them."""
        shares = [len(range(i, inflight, len(members))) for i in range(len(members))]
        before = members[0].status().header.revision if workload in WRITES else None
        pids = [one.process.pid for one in cluster.running]
        cpu = sum(map(cpu_seconds, pids))
        processes = []
        for one, share in zip(members, shares):
            command = [self.options.load, str(one.client_port), workload, "--inflight", str(share)]
            for name, value in options.items():
                command += ["--" + name.replace("_", "-"), str(value)]
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        answers = []
        for process in processes:
            out, error = process.communicate(timeout=600)
            if process.returncode != 0:
                raise RuntimeError(f"{workload}: {error.strip()}")
            answers.append(json.loads(out))
        errors = [answer["codes"] for answer in answers if answer["errors"]]
        if errors:
            raise RuntimeError(f"{workload} {inflight} against {members[0].kind}: errors by grpc-status {errors}")
        requests = sum(answer["requests"] for answer in answers)
        if before is not None:
            cluster.wait(lambda: members[0].status().header.revision >= before + requests, "the writes are there")
            moved = members[0].status().header.revision - before
            if moved != requests:
                raise RuntimeError(f"{workload}: {requests} writes moved the revision by {moved}")
        return {"requests": requests, "per_second": sum(answer["per_second"] for answer in answers),
                "mean_us": sum(answer["mean_us"] * answer["requests"] for answer in answers) / max(1, requests),
                "p99_us": max(answer["p99_us"] for answer in answers),
                "max_us": max(answer["max_us"] for answer in answers),
                "server_cpu_us": 1e6 * (sum(map(cpu_seconds, pids)) - cpu) / max(1, requests),
                "load_average": os.getloadavg()[0]}

    def calls(self):
        """Linearizable reads on a store that was just opened, then Puts: at the leader, then spread over all."""
        def measure(kind):
            out = {}
            with self.cluster(kind) as cluster:
                cluster.start()
                self.load_at(cluster, [cluster.leader()], "fill", 100, requests=KEYS, keys=KEYS)
                cluster.stop()
                cluster.start()
                leader = cluster.leader()
                for workload in ("range-linear", "put"):
                    for place in ("leader", "spread"):
                        for level in LEVELS:
                            members = [leader] if place == "leader" else cluster.members
                            if place == "spread" and level == 1:
                                members = [one for one in cluster.members if one is not leader][:1]
                            out[workload, place, level] = self.load_at(cluster, members, workload, level, keys=KEYS,
                                                                       seconds=self.seconds)
                memory = {one is leader: resident(one.process.pid)["RssAnon"] for one in cluster.members}
                out["memory"] = memory
            return out

        results = self.paired(measure)
        for key in results["etcd"][0]:
            if key != "memory":
                workload, place, level = key
                where = "a follower" if (place, level) == ("spread", 1) else "all" if place == "spread" else "leader"
                runs = [[run[key] for run in results[kind]] for kind in KINDS]
                self.cell("calls", f"{workload} at {where}, {level} in flight", *runs)
        for leads, name in ((True, "leader"), (False, "follower")):
            figures = [min(run["memory"][leads] for run in results[kind]) for kind in KINDS]
            self.row("memory", f"memory of a {name} after that: RssAnon", "MiB", *figures)

    def handover(self):
        """A write every 2 ms at the followers in turn while the leader is stopped, or killed: the longest time without an
        answer."""
        rounds = 2 if self.options.quick else 6
        figures = collections.defaultdict(lambda: collections.defaultdict(list))
        for kind in KINDS:
            with self.cluster(kind) as cluster:
                cluster.start()
                for way in ("none", "stopped", "killed"):
                    for _ in range(rounds):
                        gap, failed = self.gap(cluster, way)
                        figures[way, "gap"][kind].append(gap)
                        figures[way, "failed"][kind].append(failed)
        for way, title in (("none", "no write, undisturbed"), ("stopped", "no write, leader stopped by SIGTERM"),
                           ("killed", "no write, leader killed")):
            gaps = figures[way, "gap"]
            self.row("handover", f"{title}: median", "ms", *(1e3 * statistics.median(gaps[kind]) for kind in KINDS))
            self.row("handover", f"{title}: longest", "ms", *(1e3 * max(gaps[kind]) for kind in KINDS))
            if way != "none":
                self.row("handover", f"failed writes of those, leader {way}", "in all",
                         *(sum(figures[way, "failed"][kind]) for kind in KINDS))

    def gap(self, cluster, way):
        leader = cluster.leader()
        followers = [one for one in cluster.members if one is not leader]
        services = [api.Api(one.endpoint) for one in followers]
        calls = [service.channel.unary_unary("/etcdserverpb.KV/Put") for service in services]
        answered, failed, stop, sent = [], [], threading.Event(), []

        def done(future):
            (answered if future.code() == grpc.StatusCode.OK else failed).append(time.monotonic())

        def write():
            for i in itertools.count():
                if stop.wait(0.002):
                    return
                request = rpc.PutRequest(key=b"gap/%d" % i, value=b"x").SerializeToString()
                sent.append(calls[i % len(calls)].future(request, timeout=15))
                sent[-1].add_done_callback(done)
        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.5)
        began = time.monotonic()
        if way == "stopped":
            leader.stop()
        elif way == "killed":
            leader.kill()
        time.sleep(0.5)
        cluster.leader(among=followers if way != "none" else None)
        time.sleep(1)
        stop.set()
        writer.join()
        ended = time.monotonic()
        for future in sent:
            future.code()
        if way != "none":
            leader.start()
            cluster.agree()
        for service in services:
            service.close()
        moments = [began] + sorted(moment for moment in answered if began <= moment <= ended) + [ended]
        return max(b - a for a, b in zip(moments, moments[1:])), len(failed)

    def catch_up(self):
        """From the exec of a member that was away until it has what the others had then."""
        behind = {"log": 4_000, "snapshot": 20_000 if self.options.quick else 100_000}
        for way, count in behind.items():
            def measure(kind, way=way, count=count):
                flags = ["--snapshot-count", "100000" if way == "log" else "1000"]
                with self.cluster(kind, flags=flags) as cluster:
                    cluster.start()
                    leader, slow = cluster.leader(), cluster.followers()[0]
                    slow.kill()
                    self.load_at(cluster, [leader], "fill", 1000, requests=count, keys=count)
                    top = leader.status().header.revision
                    began = time.monotonic()
                    slow.spawn()
                    cluster.wait(lambda: slow.status(timeout=1).header.revision >= top, "caught up", 300)
                    took = time.monotonic() - began
                    applied = slow.log().count('"applied snapshot"') > 0
                    if applied != (way == "snapshot"):
                        raise RuntimeError(f"{kind} caught up by {'snapshot' if applied else 'log'}")
                    return took
            results = self.paired(measure)
            self.row("catch-up", f"catch-up of {count:,} entries by {way}", "ms",
                     *(1e3 * min(results[kind]) for kind in KINDS))

    def snapshot_load(self):
        """Puts at the leader with two members, then while the third, far behind, is sent a snapshot."""
        keys, size = (5_000, 8 << 10) if self.options.quick else (40_000, 8 << 10)
        seconds = max(2, self.seconds)

        def measure(kind):
            flags = ["--snapshot-count", "1000"]
            with self.cluster(kind, flags=flags, quorate_flags=["--snapshot-catchup-entries", "1000"]) as cluster:
                cluster.start()
                leader, slow = cluster.leader(), cluster.followers()[0]
                slow.kill()
                self.load_at(cluster, [leader], "fill", 100, requests=max(keys, 6_000), keys=keys, value_bytes=size)
                quiet = self.load_at(cluster, [leader], "put", 64, keys=keys, seconds=seconds)
                slow.spawn()
                busy = self.load_at(cluster, [leader], "put", 64, keys=keys, seconds=seconds)
                cluster.wait(lambda: '"applied snapshot"' in slow.log(), "the snapshot is there", 300)
                return quiet, busy

        results = self.paired(measure)
        for i, name in enumerate(("two members", "while a snapshot is sent")):
            self.cell("snapshot-load", f"put, 64 in flight, {name}", *([run[i] for run in results[kind]] for kind in KINDS))
        kept = {kind: max(results[kind], key=lambda run: run[1]["per_second"]) for kind in KINDS}
        for kind, (quiet, busy) in kept.items():
            self.note(f"    {kind}: {100 * busy['per_second'] / quiet['per_second']:.0f} % of the throughput and "
                      f"{times(divide(busy['p99_us'], quiet['p99_us']))} of the p99 while a snapshot of "
                      f"{number(keys * size / 2**20)} MiB is sent")

    def run(self):
        """Returns how many parts failed; the others' figures are kept."""
        print(f"three members of each on {os.cpu_count()} cores shared with the load; load average {os.getloadavg()[0]:.1f}")
        self.heading()
        failed = 0
        began = time.monotonic()
        for name in self.options.only or PARTS:
            try:
                getattr(self, name.replace("-", "_"))()
            except (RuntimeError, AssertionError, OSError, subprocess.TimeoutExpired, member.StartError, ClusterError,
                    grpc.RpcError) as error:
                failed += 1
                self.note(f"{name}: FAILED: {error}")
        out = pathlib.Path(self.options.out)
        out.mkdir(parents=True, exist_ok=True)
        result = self.result()
        (out / "cluster.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        (out / "cluster.svg").write_text(chart.svg(result))
        print(f"\n{time.monotonic() - began:.0f} s; written: {out}/cluster.json, {out}/cluster.svg")
        return failed


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, one pair, small stores")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="NAME", help="repeatable: " + " ".join(PARTS))
    parser.add_argument("--seconds", type=float, help="length of one run (default 4; 0.7 with --quick)")
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--load", default=str(ROOT / "build/release/bin/quorate_load"), help="the load generator")
    return 1 if ClusterBench(parser.parse_args(arguments)).run() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
