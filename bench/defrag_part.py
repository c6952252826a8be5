"""What a defragmentation costs those who write meanwhile: a 2 GB file, half of it free, Puts at half our maximum."""

import json
import os
import threading
import time

from harness import number, places

VALUE_BYTES = 1024
# A file of 2 GB: so many values twice.
KEYS = 900_000
KEYS_QUICK = 60_000
WINDOW_SECONDS = 3
# Of these windows without a defragmentation, before it and after it.
WINDOWS_QUIET = 4


def status(server):
    return json.loads(server.ctl("endpoint", "status", "-w", "json").stdout)[0]["Status"]


def compact(server):
    revision = status(server)["header"]["revision"]
    server.ctl("compaction", str(revision), "--physical", "--command-timeout", "900s", timeout=910)
    server.ctl("put", "x", "y")


def sizes(server):
    """Size of the file and what of it is in use, in bytes."""
    found = status(server)
    return found["dbSize"], found["dbSizeInUse"]


def windows(bench, server, rate, until):
    """Puts at the rate, window after window, until `until` says so; the results."""
    out = []
    while not until(out):
        out.append(bench.load(server, "put", rate=rate, seconds=WINDOW_SECONDS, connections=10, keys=10_000))
    return out


def defragment(server, result):
    began = time.monotonic()
    answer = server.ctl("defrag", "--command-timeout", "900s", check=False, timeout=910)
    result["seconds"] = time.monotonic() - began
    result["error"] = "" if answer.returncode == 0 else answer.stderr.strip()


def run(bench):
    keys = KEYS_QUICK if bench.options.quick else bench.options.keys or KEYS
    with bench.server("quorate") as server:
        bench.start(server)
        # Small values first, so that the windows' own keys are there and the large ones are what is free.
        bench.load(server, "fill", requests=10_000, inflight=100, keys=10_000)
        maximum = bench.load(server, "put", inflight=1000, connections=10, seconds=WINDOW_SECONDS, keys=10_000)
        rate = maximum["per_second"] / 2
        for _ in range(2):
            bench.load(server, "fill", requests=keys, inflight=1000, keys=keys, value_bytes=VALUE_BYTES)
        compact(server)
        quiet = windows(bench, server, rate, lambda done: len(done) == WINDOWS_QUIET)
        before = sizes(server)
        result = {}
        worker = threading.Thread(target=defragment, args=(server, result))
        worker.start()
        busy = windows(bench, server, rate, lambda done: done and not worker.is_alive())
        worker.join()
        if result["error"]:
            raise RuntimeError(f"defrag: {result['error']}")
        after = sizes(server)
        on_disk = os.stat(server.data_dir / "member/snap/db").st_size
        quiet += windows(bench, server, rate, lambda done: len(done) == WINDOWS_QUIET)
    report(bench, rate, result["seconds"], {"before": before, "after": after, "on_disk": on_disk}, quiet, busy)


def report(bench, rate, seconds, found, quiet, busy):
    def line(name, runs):
        p99s = sorted(run["p99_us"] for run in runs)
        bench.note(f"    {name}: p99 {number(p99s[len(p99s) // 2])} (windows {', '.join(number(p) for p in p99s)}), "
                   f"longest {number(max(run['max_us'] for run in runs))} µs, {len(runs)} windows of {WINDOW_SECONDS} s")
        return p99s[len(p99s) // 2]

    (size, used), (size_after, used_after) = found["before"], found["after"]
    # What the Puts of the windows took out of the free bytes meanwhile can't be returned.
    free = size - used - (used_after - used)
    bench.note(f"defragmentation of {mebibytes(size)} MiB, {mebibytes(size - used)} MiB of them free, at {rate:,.0f} Puts/s "
               f"({os.path.basename(places.quorate())} alone)")
    without, beside = line("without it", quiet), line("meanwhile", busy)
    bench.note(f"    took {seconds:.1f} s; the Puts took {mebibytes(used_after - used)} MiB of the free ones, of the others "
               f"{(size - size_after) / free:.1%} were returned; the file has {mebibytes(found['on_disk'])} MiB; "
               f"p99 {beside / without:.2f} times that without it")


def mebibytes(count):
    return f"{count / 2**20:,.0f}"
