#!/usr/bin/python3
"""Debian's etcd (ETCD_BIN) and our member in turn on the same disk, the server on one core and the load on the other.

Prints one table; writes bench.json and bench.svg into build/bench (or --out). In every line x above 1 means that we are
ahead: ours by etcd's where more is better, etcd's by ours where less is. Runs are paired A B A B and the better run of
each counts (--quick: one pair, about three minutes in all). README.md says how each part is measured.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import chart
import defrag_part
from harness import KINDS, ROOT, Harness, log_syncs, member, places, resident, revision
from memory_limit import MemoryLimit

WORKLOADS = ("range", "range-linear", "range1000", "put", "txn", "keepalive", "delete")
PARTS = (*WORKLOADS, "open-loop", "watch", "memory", "background", "cold")
# Only when asked for by name: it takes minutes, and is about ourselves.
PARTS_ON_DEMAND = ("defrag",)
LEVELS = (1, 64, 1000)


class Bench(Harness):
    def calls(self, workloads):
        """Each kind of call at each level, reads first, on a store that was just opened."""
        keys = 10_000
        deletes = 20_000 if self.options.quick else 100_000

        def measure(kind):
            out = {}
            with self.server(kind) as server:
                self.start(server)
                self.load(server, "fill", requests=keys, inflight=100, keys=keys)
                self.restart(server)
                for workload in workloads:
                    for level in LEVELS:
                        bound = {}
                        if workload == "delete":
                            self.load(server, "fill", requests=deletes, inflight=1000, keys=deletes)
                            bound = {"requests": deletes}
                        before = log_syncs(server)
                        answer = self.load(server, workload, inflight=level, keys=keys, seconds=self.seconds, **bound)
                        took, count = (b - a for a, b in zip(before, log_syncs(server)))
                        answer["sync_us"] = 1e6 * took / count if count else None
                        out[workload, level] = answer
            return out

        results = self.paired(measure)
        for workload, level in results["etcd"][0]:
            runs = [[run[workload, level] for run in results[kind]] for kind in KINDS]
            self.cell("calls", f"{workload}, {level} in flight", *runs)
            if (workload, level) == ("put", 1):
                above = [min(run["mean_us"] - run["sync_us"] for run in kind_runs) for kind_runs in runs]
                self.row("calls", "one client's Put above its log's own sync", "µs", *above)

    def open_loop(self):
        """The same arrivals at both: 80 % of what etcd itself can do."""
        def measure(kind, workload, rate=None):
            with self.server(kind) as server:
                self.start(server)
                self.load(server, "fill", requests=10_000, inflight=100, keys=10_000)
                self.restart(server)
                if rate is None:
                    return self.load(server, workload, inflight=1000, connections=10, seconds=self.seconds, keys=10_000)
                return self.load(server, workload, may_fail=True, rate=rate, seconds=2 * self.seconds, connections=10,
                                 keys=10_000)

        for workload in ("put", "range", "range-linear", "txn"):
            rate = 0.8 * max(measure("etcd", workload)["per_second"] for _ in range(self.repeats))
            results = self.paired(lambda kind, w=workload, r=rate: measure(kind, w, r))
            title = f"{workload}, open loop, {rate:,.0f}/s"
            self.cell("open-loop", title, results["etcd"], results["quorate"], chart="p99")
            refused = {kind: [run["errors"] for run in runs] for kind, runs in results.items()}
            if any(sum(errors) for errors in refused.values()):
                self.note(f"    {title}: refused calls {refused}")

    def watch(self):
        watchers = 1_000
        for workload, name in (("watch", f"1 key, {watchers} watchers"), ("watch-spread", f"{watchers} keys, 1 watcher")):
            for level in LEVELS:
                def measure(kind, w=workload, n=level):
                    with self.server(kind) as server:
                        self.start(server)
                        answer = self.load(server, w, inflight=n, seconds=max(2, self.seconds), watchers=watchers)
                        answer["events_per_second"] = answer["events"] / answer["seconds"]
                        answer["server_cpu_us"] *= answer["requests"] / max(1, answer["events"])
                        return answer
                results = self.paired(measure)
                self.cell("watch", f"watch, {name}, {level} puts", results["etcd"], results["quorate"],
                          by="events_per_second")

    def memory(self):
        """Memory after N keys of 256 bytes and a pass over all of them; the time to start on that store."""
        keys = self.options.keys or (50_000 if self.options.quick else 1_000_000)
        scan = {"requests": -(-keys // 1000), "inflight": 4, "keys": keys}
        results = {}
        for kind in KINDS:
            with self.server(kind) as server:
                self.start(server)
                self.load(server, "fill", requests=keys, inflight=1000, keys=keys)
                self.load(server, "scan", **scan)
                filled = resident(server.process.pid)
                start = min(self.restart(server) for _ in range(2 if self.options.quick else 3))
                self.load(server, "scan", **scan)
                results[kind] = {"written": filled, "opened": resident(server.process.pid), "start": start,
                                 "db": (server.data_dir / "member/snap/db").stat().st_size}
        etcd, ours = (results[kind] for kind in KINDS)
        for state in ("written", "opened"):
            title = f"{keys:,} keys {state}: RssAnon"
            self.row("memory", title, "MiB", etcd[state]["RssAnon"], ours[state]["RssAnon"])
            self.row("memory", title + " + RssFile", "MiB", sum(etcd[state].values()), sum(ours[state].values()))
        self.row("start", f"start on {keys:,} keys", "ms", etcd["start"] * 1e3, ours["start"] * 1e3)
        self.row("size", "size of the db file", "MiB", etcd["db"] / 2**20, ours["db"] / 2**20)

    def background(self):
        """Half puts, half linearizable reads, 64 in flight, while the store is compacted, then defragmented."""
        keys = 20_000 if self.options.quick else 200_000
        for name in ("compaction", "defragment"):
            def measure(kind, task=name):
                with self.server(kind) as server:
                    self.start(server)
                    for _ in range(3):
                        self.load(server, "fill", requests=keys, inflight=1000, keys=keys)
                    compact = ["compaction", str(revision(server) - 10), "--physical", "--command-timeout", "300s"]
                    if task == "defragment":
                        server.ctl(*compact, timeout=310)
                    command = compact if task == "compaction" else ["defrag", "--command-timeout", "300s"]
                    worker = subprocess.Popen(
                        ["sh", "-c", 'sleep 0.5; exec "$@"', "sh", places.etcdctl(), "--endpoints", server.endpoint, *command],
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "ETCDCTL_API": "3"})
                    answer = self.load(server, "mixed", inflight=64, seconds=max(2.5, 2 * self.seconds), keys=keys)
                    _, text = worker.communicate(timeout=400)
                    if worker.returncode != 0:
                        raise RuntimeError(f"{task} on {kind}: {text.decode().strip()}")
                    return answer
            results = self.paired(measure)
            self.cell("background", f"mixed load during {name}", results["etcd"], results["quorate"])
            self.row("background", f"mixed load during {name}: longest", "µs",
                     *(min(run["max_us"] for run in results[kind]) for kind in KINDS))

    def cold(self):
        """A store four times the memory that the server may use: random reads that mostly miss."""
        limit = 128 << 20
        value_bytes = 8 << 10  # Large, so that it is the values that do not fit, not etcd's index of the keys.
        keys = 4 * limit // value_bytes
        try:
            group = MemoryLimit(limit)
            (pathlib.Path("/proc/sys/vm") / "drop_caches").write_text("1")
        except OSError as error:
            self.note(f"cold reads: left out, this machine gives no memory limit ({error})")
            return

        def measure(kind):
            with self.server(kind) as server:
                # Else etcd reads a log of the whole store into memory when it starts.
                server.flags += ["--snapshot-count", "1000"]
                self.start(server)
                self.load(server, "fill", requests=keys, inflight=64, keys=keys, value_bytes=value_bytes)
                server.stop()
                (pathlib.Path("/proc/sys/vm") / "drop_caches").write_text("1")
                server.prefix = group.prefix() + server.prefix
                self.start(server)
                answer = self.load(server, "range", inflight=64, seconds=max(5, 2 * self.seconds), keys=keys,
                                   value_bytes=value_bytes)
                answer["late_heartbeats"] = server.log().count("failed to send out heartbeat")
                return answer

        try:
            results = self.paired(measure)
        finally:
            group.remove()
        self.cell("cold", "random reads, store of 4 x the memory", results["etcd"], results["quorate"])

    def defrag(self):
        defrag_part.run(self)

    def run(self):
        """Returns how many parts failed; the others' figures are kept."""
        chosen = self.options.only or PARTS
        calls = [name for name in WORKLOADS if name in chosen]
        parts = [("calls", lambda: self.calls(calls))] if calls else []
        parts += [(name, getattr(self, name.replace("-", "_"))) for name in chosen if name not in WORKLOADS]
        print(f"load average {os.getloadavg()[0]:.1f} at the start: other work on the machine counts against the server "
              "that it meets; CPU per call is the steady figure")
        self.heading()
        failed = 0
        began = time.monotonic()
        for name, part in parts:
            try:
                part()
            except (RuntimeError, AssertionError, OSError, subprocess.TimeoutExpired, member.StartError) as error:
                failed += 1
                self.note(f"{name}: FAILED: {error}")
        out = pathlib.Path(self.options.out)
        out.mkdir(parents=True, exist_ok=True)
        result = self.result()
        (out / "bench.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        (out / "bench.svg").write_text(chart.svg(result))
        print(f"\n{time.monotonic() - began:.0f} s; load average {os.getloadavg()[0]:.1f}; "
              f"written: {out}/bench.json, {out}/bench.svg")
        return failed


if __name__ == "__main__":
    if "--cluster" in sys.argv:
        import cluster_bench
        sys.exit(cluster_bench.main([argument for argument in sys.argv[1:] if argument != "--cluster"]))
    if "--tls" in sys.argv or "--auth" in sys.argv:
        import secure_bench
        sys.exit(secure_bench.main(sys.argv[1:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", action="store_true", help="three members of each instead; its own --help")
    for what in ("--tls", "--auth"):
        parser.add_argument(what, action="store_true", help="TLS, or users, instead; both may be given; own --help")
    parser.add_argument("--quick", action="store_true", help="short runs, one pair, small stores")
    parser.add_argument("--only", action="append", choices=PARTS + PARTS_ON_DEMAND, metavar="NAME",
                        help="repeatable: " + " ".join(PARTS + PARTS_ON_DEMAND))
    parser.add_argument("--keys", type=int, help="keys of the memory part (default 1,000,000; 50,000 with --quick)")
    parser.add_argument("--seconds", type=float, help="length of one run (default 4; 0.7 with --quick)")
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--load", default=str(ROOT / "build/release/bin/quorate_load"), help="the load generator")
    sys.exit(1 if Bench(parser.parse_args()).run() else 0)
