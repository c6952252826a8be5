"""What every part of the benchmark stands on: the two servers, the load, the checks of its truth, and the table."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))
os.environ.setdefault("QUORATE_TEST_DIR", str(ROOT / "build/bench/data"))

import api
import member
import places

SERVER_CORE, LOAD_CORE = 0, 1
KINDS = ("etcd", "quorate")
# What one call of these adds to the store's revision is one, when nothing fails.
WRITES = ("fill", "put", "txn", "delete")
START_SECONDS = 300


class Harness:
    def __init__(self, options):
        self.options = options
        self.seconds = options.seconds or (0.7 if options.quick else 4)
        self.repeats = 1 if options.quick else 2
        self.pinned = len(os.sched_getaffinity(0)) > 1
        self.rows = []
        self.cells = []
        self.notes = []

    # Servers

    def server(self, kind):
        server = member.etcd() if kind == "etcd" else member.quorate()
        # Above etcd's default of 2 GiB, and above a later pass's free pages; both get the same.
        server.flags += ["--quota-backend-bytes", str(8 << 30)]
        if self.pinned:
            server.prefix = ["taskset", "-c", str(SERVER_CORE)]
        return server

    def start(self, server):
        """Returns the seconds from exec until /health said yes."""
        began = time.monotonic()
        server.spawn()
        while not server.healthy():
            if server.process.poll() is not None or time.monotonic() > began + START_SECONDS:
                raise member.StartError(f"{server.binary} did not start", server.log(), server.process.poll())
            time.sleep(0.002)
        return time.monotonic() - began

    def restart(self, server):
        server.stop()
        return self.start(server)

    # Load

    def load(self, server, workload, may_fail=False, **options):
        """One run of quorate_load. Raises when an answer failed, or when the revision did not move by the writes."""
        command = [self.options.load, str(server.client_port), workload]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        if self.pinned:
            command = ["taskset", "-c", str(LOAD_CORE), *command]
        before = revision(server) if workload in WRITES else None
        cpu = cpu_seconds(server.process.pid)
        result = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
        cpu = cpu_seconds(server.process.pid) - cpu
        what = f"{workload} {options} against {os.path.basename(server.binary)}"
        if result.returncode != 0:
            raise RuntimeError(f"{what}: {result.stderr.strip()}")
        answer = json.loads(result.stdout)
        if answer["errors"] and not may_fail:
            raise RuntimeError(f"{what}: {answer['errors']} errors, by grpc-status {answer['codes']}")
        if before is not None:
            moved = revision(server) - before
            if not answer["requests"] - answer["errors"] <= moved <= answer["requests"]:
                raise RuntimeError(f"{what}: {answer['requests']} writes moved the revision by {moved}")
        answer["server_cpu_us"] = 1e6 * cpu / max(1, answer["requests"])
        answer["load_average"] = os.getloadavg()[0]
        return answer

    def paired(self, measure):
        """measure(kind) for both, A B A B; per kind the list of results."""
        results = {kind: [] for kind in KINDS}
        for _ in range(self.repeats):
            for kind in KINDS:
                results[kind].append(measure(kind))
        return results

    # The table

    def heading(self):
        print(f"{'':42}{'etcd':>11}{'quorate':>11}{'x':>8}  |{'mean x':>8}{'p99 x':>8}{'CPU x':>8}"
              f"  | mean, p99, server CPU in µs: etcd -> quorate")

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def cell(self, part, title, etcd_runs, our_runs, by="per_second", chart="rate"):
        """One line for one load: the better run of each kind by rate; `chart` names the ratio that the picture shows."""
        etcd, ours = (max(runs, key=lambda a: a[by]) for runs in (etcd_runs, our_runs))
        ratios = {"rate": divide(ours[by], etcd[by]), "mean": divide(etcd["mean_us"], ours["mean_us"]),
                  "p99": divide(etcd["p99_us"], ours["p99_us"]),
                  "cpu": divide(etcd["server_cpu_us"], ours["server_cpu_us"])}
        self.cells.append({"part": part, "name": title, "by": by, "etcd": etcd_runs, "quorate": our_runs,
                           "ratios": ratios})
        self.rows.append({"part": part, "name": title + (": p99" if chart == "p99" else ""), "ratio": ratios[chart]})
        pairs = ", ".join(f"{number(etcd[f])} -> {number(ours[f])}" for f in ("mean_us", "p99_us", "server_cpu_us"))
        print(f"{title:42}{number(etcd[by]):>11}{number(ours[by]):>11}{times(ratios['rate']):>8}  |"
              f"{times(ratios['mean']):>8}{times(ratios['p99']):>8}{times(ratios['cpu']):>8}  | {pairs}", flush=True)

    def row(self, part, name, unit, etcd, ours):
        """One line for one figure of which less is better."""
        ratio = divide(etcd, ours)
        self.rows.append({"part": part, "name": name, "unit": unit, "etcd": etcd, "quorate": ours, "ratio": ratio})
        print(f"{name:42}{number(etcd):>11}{number(ours):>11}{times(ratio):>8}  | {unit}", flush=True)

    def result(self):
        return {"machine": machine(), "etcd": version(places.etcd()), "quorate": version(places.quorate()),
                "quick": self.options.quick, "load_average": os.getloadavg(), "rows": self.rows, "cells": self.cells,
                "notes": self.notes}


def divide(a, b):
    return a / b if a and b else None


def times(ratio):
    return "" if ratio is None else f"{ratio:.2f}"


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def revision(server):
    status = server.ctl("endpoint", "status", "-w", "json")
    return json.loads(status.stdout)[0]["Status"]["header"]["revision"]


def cpu_seconds(pid):
    """User and system time of all threads so far, in steps of 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """{RssAnon, RssFile} in MiB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: int(kib) / 1024 for name, kib in re.findall(r"(RssAnon|RssFile):\s+(\d+)", text)}


def log_syncs(server):
    """(seconds, count) of all syncs of the log so far, by the server's own metric."""
    text = server.http("/metrics")[1]
    return [float(re.search(rf"^etcd_disk_wal_fsync_duration_seconds_{field} (\S+)", text, re.M)[1])
            for field in ("sum", "count")]


def version(binary):
    result = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    return result.stdout.splitlines()[0] if result.stdout else binary


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown")
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}"
