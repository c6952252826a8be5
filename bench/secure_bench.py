"""TLS and authentication: `./dev bench --tls --auth` (or one of the two).

--tls: both servers with certificates they make themselves (--auto-tls), the load over TLS 1.3: our rate by etcd's.
--auth: the same calls by a user whose role may read and write the keys, over clear text: our rate by etcd's, both with
authentication; and our rate with it by our rate without (the target is at least 0.9). For the latter two servers of ours
run side by side and are loaded in turns, so that both meet the same machine; the median of the pairs counts.
"""

import argparse
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import urllib.request

import chart
from harness import KINDS, ROOT, Harness, api, divide, member, number, places, times

WORKLOADS = ("range", "range-linear", "put", "txn")
LEVELS = (64, 1000)
USER, PASSWORD = "bench", "bench-password"
KEYS = 10_000
PAIRS = 10


class SecureMember(member.Member):
    """A member that serves clients over TLS with a certificate of its own making."""

    secure = False
    as_root = False  # Authentication is on.

    @property
    def url(self):
        return f"{'https' if self.secure else 'http'}://{self.endpoint}"

    def http(self, path, timeout=5):
        if not self.secure:
            return super().http(path, timeout)
        trusting = ssl._create_unverified_context()  # Its certificate is its own; nothing secret is sent.
        with urllib.request.urlopen(self.url + path, timeout=timeout, context=trusting) as answer:
            return answer.status, answer.read().decode()

    def ctl(self, *arguments, **options):
        secure = ("--insecure-transport=false", "--insecure-skip-tls-verify") if self.secure else ()
        user = ("--user", "root:root-password") if self.as_root else ()
        return super().ctl(*secure, *user, *arguments, **options)


class SecureBench(Harness):
    def server(self, kind, tls=False):
        server = SecureMember(places.etcd() if kind == "etcd" else places.quorate())
        server.secure = tls
        if tls:
            server.flags += ["--auto-tls"]
        if self.pinned:
            server.prefix = ["taskset", "-c", "0"]
        return server

    def enable_auth(self, server):
        """The token of a user who may read and write the keys. Logging in is no part of what is measured."""
        for command in (["user", "add", "root", "--new-user-password", "root-password"], ["role", "add", "root"],
                        ["user", "grant-role", "root", "root"],
                        ["user", "add", USER, "--new-user-password", PASSWORD], ["role", "add", "keys"],
                        ["role", "grant-permission", "--prefix", "keys", "readwrite", "key-"],
                        ["user", "grant-role", USER, "keys"], ["auth", "enable"]):
            server.ctl(*command)
        server.as_root = True
        with api.Api(server.endpoint) as client:
            return client.login(USER, PASSWORD)

    def measure(self, kind, tls, auth):
        """{(workload, level): answer} of one server, reads first on a store that was just opened."""
        out = {}
        options = {"keys": KEYS}
        if tls:
            options["tls"] = 1
        with self.server(kind, tls) as server:
            self.start(server)
            self.load(server, "fill", requests=KEYS, inflight=100, **options)
            self.restart(server)
            if auth:
                options["token"] = self.enable_auth(server)
            for workload in WORKLOADS:
                for level in LEVELS:
                    out[workload, level] = self.load(server, workload, inflight=level, seconds=self.seconds, **options)
        return out

    def tls(self):
        results = self.paired(lambda kind: self.measure(kind, tls=True, auth=False))
        for workload in WORKLOADS:
            for level in LEVELS:
                runs = [[run[workload, level] for run in results[kind]] for kind in KINDS]
                self.cell("tls", f"TLS: {workload}, {level} in flight", *runs)

    def auth(self):
        results = self.paired(lambda kind: self.measure(kind, tls=False, auth=True))
        for workload in WORKLOADS:
            for level in LEVELS:
                runs = [[run[workload, level] for run in results[kind]] for kind in KINDS]
                self.cell("auth", f"authentication: {workload}, {level} in flight", *runs)
        self.cost_of_auth()

    def cost_of_auth(self):
        with self.server("quorate") as plain, self.server("quorate") as secured:
            for server in (plain, secured):
                self.start(server)
                self.load(server, "fill", requests=KEYS, inflight=100, keys=KEYS)
            own = {plain: {}, secured: {"token": self.enable_auth(secured)}}
            for workload in WORKLOADS:
                for level in LEVELS:
                    ratios, cpu = [], {plain: [], secured: []}
                    for pair in range(PAIRS):
                        rate = {}
                        for server in (plain, secured) if pair % 2 else (secured, plain):
                            run = self.load(server, workload, inflight=level, seconds=self.seconds / 2, keys=KEYS,
                                            **own[server])
                            rate[server] = run["per_second"]
                            cpu[server].append(run["server_cpu_us"])
                        ratios.append(divide(rate[secured], rate[plain]))
                    ratio = statistics.median(ratios)
                    self.rows.append({"part": "auth", "name": f"ours with by without: {workload}, {level}",
                                      "ratio": ratio})
                    print(f"    ours with authentication by without: {workload}, {level} in flight: {times(ratio)} of the "
                          f"rate ({times(min(ratios))} to {times(max(ratios))}, {PAIRS} pairs); CPU of a call "
                          f"{number(statistics.median(cpu[plain]))} -> {number(statistics.median(cpu[secured]))} µs",
                          flush=True)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--auth", action="store_true")
    parser.add_argument("--quick", action="store_true", help="short runs, one pair")
    parser.add_argument("--seconds", type=float, help="length of one run (default 4; 0.7 with --quick)")
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--load", default=str(ROOT / "build/release/bin/quorate_load"), help="the load generator")
    options = parser.parse_args(arguments)
    bench = SecureBench(options)
    bench.heading()
    failed = 0
    for name in ("tls", "auth"):
        if not getattr(options, name):
            continue
        try:
            getattr(bench, name)()
        except (RuntimeError, AssertionError, OSError, subprocess.TimeoutExpired, member.StartError) as error:
            failed += 1
            bench.note(f"{name}: FAILED: {error}")
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    result = bench.result()
    (out / "secure.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (out / "secure.svg").write_text(chart.svg(result))
    print(f"\nload average {os.getloadavg()[0]:.1f}; written: {out}/secure.json, {out}/secure.svg")
    return 1 if failed else 0
