#!/usr/bin/python3
"""Debian's etcdctl, unchanged, against etcd and against our server: the same commands print the same."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places


def same_shape(text, server):
    """Output without what must differ from one server to the next: addresses, IDs, sizes, durations, versions."""
    text = text.replace(server.endpoint, "ENDPOINT").replace(f"127.0.0.1:{server.peer_port}", "PEER")
    text = re.sub(r"\b3\.\d+\.\d+\b", "VERSION", text)
    text = re.sub(r"\b\d+(\.\d+)?(ns|µs|ms|s)\b", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)? [kM]?B\b", "SIZE", text)
    text = re.sub(r'"(cluster_id|member_id|raft_term|ID|leader|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":\s*\d+',
                  r'"\1":N', text)
    text = re.sub(r'"(ClusterID|MemberID|RaftTerm|Leader|RaftIndex|RaftAppliedIndex|DBSize|DBSizeInUse|ID)" : \d+',
                  r'"\1" : N', text)
    text = re.sub(r"(true|false), (true|false), \d+, \d+, \d+, ", r"\1, \2, TERM, INDEX, INDEX, ", text)
    text = re.sub(r"memberID:\d+", "memberID:N", text)
    return re.sub(r"\b[0-9a-f]{10,16}\b", "HEX", text)


# One line a command; what it prints on both streams and its exit status are compared. {lease} is a lease of each side.
COMMANDS = """
put a 1
put a 2 --prev-kv
put b bee
put c/1 x
put c/2 y
get a
get a -w json
get a -w fields
get nosuch
get c/ --prefix
get c/ --prefix --keys-only
get c/ --prefix --limit 1
get "" --prefix --order DESCEND --sort-by MODIFY
get a c --print-value-only
get a --rev 2
get a --rev 99999
get "" --from-key --consistency s
put a --ignore-value --prev-kv
put nosuch --ignore-value
put a v --lease 7777
del c/1 --prev-kv
del c/ --prefix
del nosuch
del
put
compaction 3
compaction 3
compaction 99999
get a --rev 2
compaction 5 --physical
lease timetolive 1234
lease revoke 1234
lease list
lease grant -- -5
lease keep-alive --once 1234
member list
member list -w json
member list -w fields
member add x --peer-urls nonsense
member remove 1234
member promote 1234
member update 1234 --peer-urls http://127.0.0.1:1
move-leader 1234
endpoint health
endpoint status
endpoint status -w json
endpoint status -w fields
endpoint hashkv
endpoint hashkv --rev 4
alarm list
alarm disarm
defrag
get "" --prefix
user list
role list
"""

TXNS = [
    ('mod("a") > "0"\n\nput t1 yes\nget a\n\nput t1 no\n\n'),
    ('version("nosuch") = "5"\n\nput t1 yes\n\nget b\ndel b\n\n'),
    ('value("a") = "2"\ncreate("a") < "100"\n\nget a\n\nget b\n\n'),
    ("\nput z 1\nput z 2\n\n\n"),
]


class EtcdctlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.access(places.etcdctl(), os.X_OK):
            sys.exit(places.SKIPPED)

    def setUp(self):
        self.servers = [member.etcd(), member.quorate()]
        for server in self.servers:
            self.addCleanup(server.remove)
            server.start()

    def both(self, *arguments, stdin=None):
        """Runs the command on both; asserts that they agree; returns the results."""
        results = [server.ctl(*arguments, stdin=stdin, check=False) for server in self.servers]
        shapes = [(r.returncode, same_shape(r.stdout, s), same_shape(self.plain(r.stderr), s))
                  for r, s in zip(results, self.servers)]
        self.assertEqual(shapes[0], shapes[1], f"etcdctl {' '.join(map(str, arguments))}")
        return results

    @staticmethod
    def plain(stderr):
        """The client's own log lines hold times and are about the connection, not the answer."""
        return "\n".join(line for line in stderr.splitlines() if not line.startswith('{"level"'))

    def test_commands(self):
        import shlex
        for line in COMMANDS.strip().splitlines():
            with self.subTest(line):
                self.both(*shlex.split(line))
        for text in TXNS:
            with self.subTest(text):
                self.both("txn", stdin=text)

    def test_leases(self):
        leases = [server.ctl("lease", "grant", "1000").stdout.split()[1] for server in self.servers]
        for server, lease in zip(self.servers, leases):
            self.assertRegex(lease, "^[0-9a-f]{16}$")
            self.assertEqual(server.ctl("put", "k", "v", "--lease", lease).stdout, "OK\n")
            self.assertEqual(server.ctl("lease", "keep-alive", "--once", lease).stdout,
                             f"lease {lease} keepalived with TTL(1000)\n")
            self.assertRegex(server.ctl("lease", "timetolive", lease, "--keys").stdout,
                             rf"^lease {lease} granted with TTL\(1000s\), remaining\((1000|9\d\d)s\), "
                             r"attached keys\(\[k\]\)\n$")
            self.assertEqual(server.ctl("lease", "list").stdout, f"found 1 leases\n{lease}\n")
            self.assertEqual(server.ctl("lease", "revoke", lease).stdout, f"lease {lease} revoked\n")
            self.assertEqual(server.ctl("get", "k").stdout, "")
        self.both("get", "k", "-w", "json")

    def test_lease_expires(self):
        leases = []
        for server in self.servers:
            leases.append(server.ctl("lease", "grant", "10").stdout.split()[1])  # The put must come before its end.
            server.ctl("put", "mortal", "v", "--lease", leases[-1])
        for server, lease in zip(self.servers, leases):
            deadline = time.monotonic() + 60
            while server.ctl("get", "mortal").stdout and time.monotonic() < deadline:
                time.sleep(0.2)
            self.assertEqual(server.ctl("get", "mortal").stdout, "")
            self.assertIn("already expired", server.ctl("lease", "timetolive", lease).stdout)

    def background(self, server, *arguments):
        """A command that keeps running; its output lines arrive in a list."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        process = subprocess.Popen([places.etcdctl(), "--endpoints", server.endpoint, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                                   env={**environment, "ETCDCTL_API": "3"})
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
        reader.start()

        def stop():
            process.send_signal(signal.SIGINT)
            process.wait(60)
            reader.join(60)
            process.stdout.close()

        def wait_for(count, what=""):
            deadline = time.monotonic() + 60
            while len(lines) < count and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertGreaterEqual(len(lines), count, f"{what}: {lines}")

        return lines, wait_for, stop

    def test_watch(self):
        outputs = []
        for server in self.servers:
            for i in range(3):
                server.ctl("put", "w", f"v{i}")
            lines, wait_for, stop = self.background(server, "watch", "w", "--rev", "2", "--prev-kv")
            wait_for(3 * 3 + 2 * 2, "history")
            server.ctl("del", "w")
            wait_for(18, "delete")
            stop()
            outputs.append(lines)
        self.assertEqual(outputs[0], outputs[1])

    def test_watch_compacted(self):
        outputs = []
        for server in self.servers:
            for i in range(5):
                server.ctl("put", "w", f"v{i}")
            server.ctl("compaction", "5")
            lines, wait_for, stop = self.background(server, "watch", "w", "--rev", "2")
            wait_for(1, "the refusal")
            stop()
            outputs.append(lines[0])
        self.assertEqual(outputs[0], outputs[1])

    def test_lock_and_elect(self):
        for server in self.servers:
            lines, wait_for, stop = self.background(server, "lock", "mutex")
            wait_for(1, "lock")
            self.assertRegex(lines[0], "^mutex/[0-9a-f]+\n$")
            self.assertEqual(server.ctl("get", "mutex", "--prefix", "--keys-only").stdout.strip(), lines[0].strip())
            stop()
            self.assertEqual(server.ctl("get", "mutex", "--prefix").stdout, "")
            self.assertEqual(server.ctl("lock", "mutex", "--", "echo", "held").stdout, "held\n")
            lines, wait_for, stop = self.background(server, "elect", "chair", "me")
            wait_for(2, "election")
            self.assertEqual(lines[1], "me\n")
            listen, wait_listen, stop_listen = self.background(server, "elect", "--listen", "chair")
            wait_listen(2, "observer")
            self.assertEqual(listen[1], "me\n")
            stop_listen()
            stop()

    def test_snapshot(self):
        for server in self.servers:
            for i in range(50):
                server.ctl("put", f"s{i}", "v" * 100)
            path = str(server.root / "backup.db")
            self.assertIn(f"Snapshot saved at {path}", server.ctl("snapshot", "save", path).stdout)
            status = json.loads(server.ctl("snapshot", "status", path, "-w", "json").stdout)
            self.assertEqual(status["revision"], 51)
            restored = server.root / "restored"
            server.ctl("snapshot", "restore", path, "--data-dir", str(restored))
            # Whoever wrote the snapshot, etcd serves it.
            with member.etcd(data_dir=restored, name="default") as again:
                again.start()
                self.assertEqual(again.ctl("get", "s49").stdout, "s49\n" + "v" * 100 + "\n")

    @unittest.skipUnless(os.environ.get("QUORATE_TEST_LONG"), "takes a minute; QUORATE_TEST_LONG=1 runs it")
    def test_check_perf(self):
        result = self.servers[1].ctl("check", "perf", "--load", "s", "--auto-compact", check=False, timeout=120)
        self.assertRegex(result.stdout, "PASS: Throughput")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
