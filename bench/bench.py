#!/usr/bin/python3
"""Debian's etcd and our member in turn on the same disk, the server on one core and the load on the other.

Prints one table, and writes bench.json and bench.svg into build/bench (or --out). The load comes from
bench/load.cc (quorate_load), which checks every answer's gRPC status. --quick makes everything small; --only NAME
(latency, throughput, open-loop, watch, memory, background, cold) picks parts and may be repeated.

How to read it: "x" is ours divided by etcd's where more is better, and etcd's divided by ours where less is better, so
above 1 we are ahead in every row. Both run twice, A B A B, and the better run of each counts.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))
os.environ.setdefault("QUORATE_TEST_DIR", str(ROOT / "build/bench/data"))

import chart
import member
import places

LOAD = ROOT / "build/release/bin/quorate_load"
SERVER_CORE, LOAD_CORE = 0, 1


class Bench:
    def __init__(self, options):
        self.options = options
        self.rows = []
        self.seconds = 1 if options.quick else options.seconds
        self.repeats = 1 if options.quick else 2
        self.many_cores = (os.cpu_count() or 1) > 1

    # Servers

    def server(self, kind, **fields):
        server = member.etcd(**fields) if kind == "etcd" else member.quorate(**fields)
        # etcd 3.4 would otherwise refuse to begin at its quota of 2 GiB; both get the same.
        server.flags += ["--quota-backend-bytes", str(8 << 30)]
        if self.many_cores:
            server.prefix = ["taskset", "-c", str(SERVER_CORE)]
        return server

    def start(self, server):
        server.spawn()
        began = time.monotonic()
        deadline = began + 300
        while not server.healthy():
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise member.StartError(f"{server.binary} did not start", server.log(), server.process.poll())
            time.sleep(0.002)
        return time.monotonic() - began

    def load(self, server, workload, may_fail=False, **options):
        command = [str(LOAD), str(server.client_port), workload]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        if self.many_cores:
            command = ["taskset", "-c", str(LOAD_CORE), *command]
        before = cpu_seconds(server.process.pid)
        result = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{workload} against {server.binary}: {result.stderr}")
        answer = json.loads(result.stdout)
        used = cpu_seconds(server.process.pid) - before
        answer["server_cpu_us"] = 1e6 * used / max(1, answer["requests"])
        if answer["errors"] and not may_fail:
            raise RuntimeError(f"{workload} against {server.binary}: {answer['errors']} errors {answer['codes']}")
        return answer

    # Rows

    def row(self, part, name, unit, etcd, ours, more_is_better):
        ratio = (ours / etcd if more_is_better else etcd / ours) if etcd and ours else None
        self.rows.append({"part": part, "name": name, "unit": unit, "etcd": etcd, "quorate": ours,
                          "more_is_better": more_is_better, "ratio": ratio})
        print(f"{name:46} {number(etcd):>12} {number(ours):>12} {unit:12} "
              f"{'' if ratio is None else f'{ratio:6.2f} x'}", flush=True)

    def paired(self, measure):
        """measure(kind) for both, A B A B; per kind the list of results."""
        results = {"etcd": [], "quorate": []}
        for _ in range(self.repeats):
            for kind in results:
                results[kind].append(measure(kind))
        return results

    # Parts

    def throughput(self):
        """Each kind of call at 1, 64 and 1,000 under way, on a fresh store of 10,000 keys."""
        keys = 1_000 if self.options.quick else 10_000
        reads = ("range", "range-linear", "range1000")
        writes = ("put", "txn", "delete", "keepalive")
        levels = (1, 64) if self.options.quick else (1, 64, 1000)

        def measure(kind):
            out = {}
            with self.server(kind) as server:
                self.start(server)
                self.load(server, "fill", requests=keys, inflight=100)
                server.stop()
                self.start(server)  # So that reads find a store that was just opened.
                for workload in reads + writes:
                    for level in levels:
                        if workload == "delete":
                            self.load(server, "fill", requests=keys * 5, inflight=500)
                            out[workload, level] = self.load(server, workload, requests=keys * 5 if level > 1 else keys,
                                                             inflight=level, keys=keys * 5)
                        else:
                            out[workload, level] = self.load(server, workload, inflight=level, seconds=self.seconds,
                                                             keys=keys)
            return out

        results = self.paired(measure)
        for key in results["etcd"][0]:
            workload, level = key
            etcd, ours = (max((r[key] for r in results[k]), key=lambda a: a["per_second"]) for k in results)
            title = f"{workload}, {level} under way"
            self.row("throughput", title, "per second", etcd["per_second"], ours["per_second"], True)
            self.row("mean", f"{title}: mean", "µs", etcd["mean_us"], ours["mean_us"], False)
            self.row("p99", f"{title}: p99", "µs", etcd["p99_us"], ours["p99_us"], False)
            if level == levels[-1]:
                self.row("cpu", f"{title}: server CPU", "µs a call", etcd["server_cpu_us"], ours["server_cpu_us"], False)

    def latency(self):
        """One client's Put beside the disk's own sync."""
        floor = sync_microseconds(places.scratch())
        print(f"{'fdatasync of 4 KiB into a preallocated file':46} {number(floor):>12} {'':12} µs")
        self.rows.append({"part": "latency", "name": "fdatasync", "unit": "µs", "etcd": floor, "quorate": floor,
                          "more_is_better": False, "ratio": None})

    def open_loop(self):
        """The same arrivals at both: 80 % of what etcd itself can do."""
        seconds = self.seconds * 2

        def measure(kind, workload, rate=None):
            with self.server(kind) as server:
                self.start(server)
                self.load(server, "fill", requests=1_000, inflight=100)
                if rate is None:
                    return self.load(server, workload, inflight=64, seconds=self.seconds, keys=1_000)
                return self.load(server, workload, may_fail=True, rate=rate, seconds=seconds, connections=10,
                                 keys=1_000)

        for workload in ("put", "range", "txn"):
            rate = 0.8 * max(measure("etcd", workload)["per_second"] for _ in range(self.repeats))
            results = self.paired(lambda kind, w=workload, r=rate: measure(kind, w, r))
            refused = {kind: min(r["errors"] for r in runs) for kind, runs in results.items()}
            if any(refused.values()):
                print(f"{workload}, open loop: refused as too many: {refused}")
            for part, field in (("p99", "p99_us"), ("mean", "mean_us")):
                etcd, ours = (min(r[field] for r in results[k]) for k in results)
                self.row(part, f"{workload}, open loop at {rate:.0f}/s: {part}", "µs", etcd, ours, False)

    def watch(self):
        watchers = 100 if self.options.quick else 1_000
        for workload, name in (("watch", f"one key, {watchers} watchers"),
                               ("watch-spread", f"{watchers} keys, a watcher each")):
            for level in (1, 64):
                def measure(kind, w=workload, n=level):
                    with self.server(kind) as server:
                        self.start(server)
                        return self.load(server, w, inflight=n, seconds=self.seconds, watchers=watchers)
                results = self.paired(measure)
                etcd, ours = (max(results[k], key=lambda a: a["events"] / a["seconds"]) for k in results)
                title = f"{name}, {level} puts under way"
                self.row("watch", title, "events/s", etcd["events"] / etcd["seconds"], ours["events"] / ours["seconds"],
                         True)
                self.row("p99", f"{title}: p99", "µs", etcd["p99_us"], ours["p99_us"], False)

    def memory(self):
        """Memory after a million keys and a pass over all of them; the time to start on that store."""
        keys = 20_000 if self.options.quick else 1_000_000
        results = {}
        for kind in ("etcd", "quorate"):
            with self.server(kind) as server:
                self.start(server)
                self.load(server, "fill", requests=keys, inflight=1000, keys=keys)
                self.load(server, "scan", requests=keys // 1000, inflight=4)
                filled = resident(server.process.pid)
                server.stop()
                start = min(self.start_again(server) for _ in range(3))
                self.load(server, "scan", requests=keys // 1000, inflight=4)
                results[kind] = {"filled": filled, "start": start, "opened": resident(server.process.pid),
                                 "db": (server.data_dir / "member/snap/db").stat().st_size}
        etcd, ours = results["etcd"], results["quorate"]
        for state, text in (("filled", "after writing"), ("opened", "after a restart")):
            self.row("memory", f"{keys} keys, {text}: anonymous memory", "MiB", etcd[state]["RssAnon"],
                     ours[state]["RssAnon"], False)
            self.row("memory", f"{keys} keys, {text}: with file pages", "MiB",
                     etcd[state]["RssAnon"] + etcd[state]["RssFile"], ours[state]["RssAnon"] + ours[state]["RssFile"],
                     False)
        self.row("start", f"start on {keys} keys", "ms", etcd["start"] * 1e3, ours["start"] * 1e3, False)
        self.row("size", "size of the db file", "MiB", etcd["db"] / 2**20, ours["db"] / 2**20, False)

    def start_again(self, server):
        if server.process is not None:
            server.stop()
        return self.start(server)

    def background(self):
        """Half puts, half reads, while a compaction or a defragmentation of many keys is under way."""
        keys = 10_000 if self.options.quick else 200_000
        for name in ("compaction", "defragment"):
            results = {}
            for kind in ("etcd", "quorate"):
                with self.server(kind) as server:
                    self.start(server)
                    for _ in range(2):
                        self.load(server, "fill", requests=keys, inflight=1000, keys=keys)
                    answer = server.ctl("endpoint", "status", "-w", "json")
                    revision = json.loads(answer.stdout)[0]["Status"]["header"]["revision"]
                    command = ["compaction", str(revision - 10), "--physical"] if name == "compaction" else ["defrag"]
                    if name == "defragment":
                        server.ctl("compaction", str(revision - 10), "--physical", "--command-timeout", "120s",
                                   timeout=150)
                    worker = subprocess.Popen(
                        ["sh", "-c", f"sleep 1; exec {places.etcdctl()} --command-timeout 300s --endpoints "
                                     f"{server.endpoint} {' '.join(command)}"],
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "ETCDCTL_API": "3"})
                    results[kind] = self.load(server, "mixed", inflight=64, seconds=max(4, 3 * self.seconds), keys=keys)
                    worker.wait(400)
            etcd, ours = results["etcd"], results["quorate"]
            self.row("background", f"mixed load during {name}", "per second", etcd["per_second"], ours["per_second"], True)
            self.row("p99", f"mixed load during {name}: p99", "µs", etcd["p99_us"], ours["p99_us"], False)
            self.row("max", f"mixed load during {name}: longest", "µs", etcd["max_us"], ours["max_us"], False)

    def cold(self):
        """A store four times the memory that the server may use: random reads that mostly miss."""
        limit = 128 << 20
        keys = 20_000 if self.options.quick else 4 * limit // 1100
        group = pathlib.Path(f"/sys/fs/cgroup/quorate-bench-{os.getpid()}")
        try:
            group.mkdir()
            (group / "memory.max").write_text(str(limit))
        except OSError as error:
            if group.exists():
                group.rmdir()
            print(f"cold reads: left out, no memory limit can be set here ({error})")
            self.rows.append({"part": "cold", "name": f"left out: {error}", "ratio": None, "etcd": None, "quorate": None,
                              "unit": "", "more_is_better": True})
            return
        try:
            results = {}
            for kind in ("etcd", "quorate"):
                with self.server(kind) as server:
                    self.start(server)
                    self.load(server, "fill", requests=keys, inflight=500, keys=keys, value_bytes=1024)
                    server.stop()
                    (pathlib.Path("/proc/sys/vm") / "drop_caches").write_text("3")
                    self.start(server)
                    (group / "cgroup.procs").write_text(str(server.process.pid))
                    results[kind] = self.load(server, "range", inflight=64, seconds=max(5, 3 * self.seconds), keys=keys)
                    log = server.log()
                    results[kind]["late"] = log.count("failed to send out heartbeat") + log.count("leader changed")
            etcd, ours = results["etcd"], results["quorate"]
            self.row("cold", "random reads, store of 4 times the memory", "per second", etcd["per_second"],
                     ours["per_second"], True)
            self.row("p99", "random reads, store of 4 times the memory: p99", "µs", etcd["p99_us"], ours["p99_us"], False)
        except OSError as error:
            print(f"cold reads: left out ({error})")
        finally:
            try:
                group.rmdir()
            except OSError:
                pass

    PARTS = ("latency", "throughput", "open-loop", "watch", "memory", "background", "cold")

    def run(self):
        print(f"{'':46} {'etcd':>12} {'quorate':>12}")
        for part in self.options.only or self.PARTS:
            getattr(self, part.replace("-", "_"))()
        out = pathlib.Path(self.options.out)
        out.mkdir(parents=True, exist_ok=True)
        result = {"machine": machine(), "etcd": version(places.etcd()), "quorate": version(places.quorate()),
                  "rows": self.rows}
        (out / "bench.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
        (out / "bench.svg").write_text(chart.svg(result))
        print(f"\nwritten: {out}/bench.json, {out}/bench.svg")


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("RssAnon", "RssFile"))}


def sync_microseconds(directory, rounds=300):
    """The median time of a 4 KiB write into a preallocated file with fdatasync."""
    path = pathlib.Path(directory) / "sync-probe"
    times = []
    with open(path, "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 8 << 20)
        os.fsync(file.fileno())
        for i in range(rounds):
            began = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 4096, 4096 * i)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return sorted(times)[rounds // 2] * 1e6


def version(binary):
    result = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    return result.stdout.splitlines()[0] if result.stdout else binary


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown")
    return f"{model}, {os.cpu_count()} cores, {os.uname().release}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", action="append", choices=Bench.PARTS)
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--load", default=str(LOAD))
    arguments = parser.parse_args()
    LOAD = pathlib.Path(arguments.load)
    Bench(arguments).run()
