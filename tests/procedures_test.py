#!/usr/bin/python3
"""`quoratectl cluster ...` on three real members: health, the version raised, rolling restarts and replacements under load, each of
them refused where the majority would be lost, interrupted and resumed. The hosts are a small supervisor in this program, which
--exec reaches with curl."""

import contextlib
import http.server
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import certificates
import places
from api import rpc
from cluster import Cluster

QUARANTINED = "is quarantined, its log went back in time"
# Short elections, so that what waits for several of them fits into a test.
FLAGS = ("--heartbeat-interval", "50", "--election-timeout", "500")
ADDRESSES = ("127.0.0.1", "127.0.0.11", "127.0.0.12", "127.0.0.13", "localhost")
PASSED_ON = ("QUORATE_STEP", "QUORATE_MEMBER_NAME", "QUORATE_MEMBER_ID", "QUORATE_MEMBER_HOST", "QUORATE_ASIDE_SUFFIX",
             "ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE")


class Hosts:
    """Stands for the hosts and their service managers. The calls with the numbers in `fail` (from 0) end with an error before
    anything is done."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.steps = []  # (step, member's name) as they were done.
        self.fail = set()
        self.calls = 0
        self.trouble = []
        hosts = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                variables = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
                try:
                    done = hosts.act(variables)
                except Exception as error:  # Told by the test, whose thread this is not.
                    hosts.trouble.append(error)
                    done = False
                self.send_response(200 if done else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        # One thread that lives as long as the members that it starts: they die with it.
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        data = " ".join(f'--data-urlencode "{name}=${name}"' for name in PASSED_ON)
        self.command = f"curl -sS --fail -o /dev/null {data} http://127.0.0.1:{self.server.server_port}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def act(self, variables):
        step = variables["QUORATE_STEP"] or "restart"
        one = next(m for m in self.cluster.members if m.name == variables["QUORATE_MEMBER_NAME"])
        assert variables["QUORATE_MEMBER_HOST"] == one.address, variables
        number, self.calls = self.calls, self.calls + 1
        if number in self.fail:
            return False
        self.steps.append((step, one.name))
        getattr(self, step.replace("-", "_"))(one, variables)
        return True

    def restart(self, one, _):
        if one.running:
            one.stop()
        one.spawn()

    def stop(self, one, _):
        if one.running:
            one.kill()

    def move_aside(self, one, variables):
        if one.running:
            one.kill()
        aside = pathlib.Path(f"{one.data_dir}{variables['QUORATE_ASIDE_SUFFIX']}")
        if not aside.exists() and one.data_dir.exists():
            one.data_dir.rename(aside)

    def start(self, one, variables):
        assert variables["ETCD_NAME"] == one.name
        one.initial_cluster = variables["ETCD_INITIAL_CLUSTER"]
        one.initial_state = variables["ETCD_INITIAL_CLUSTER_STATE"]
        one.spawn()


class Writer:
    """Puts numbers one after another at all members that answer; every acknowledged one must be there in the end."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.acknowledged = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            for one in list(self.cluster.members):
                try:
                    one.put(f"load/{number}", str(number), timeout=5)
                    self.acknowledged.append(number)
                    break
                except Exception:  # Of a member that is down, or has no leader: the next one is asked.
                    continue
            self.ended.wait(0.01)

    def check(self, test):
        with self.cluster.running[0].api() as service:
            found = service.KV.Range(rpc.RangeRequest(key=b"load/", range_end=b"load0"), timeout=30).kvs
        test.assertTrue(self.acknowledged)
        test.assertLessEqual(set(self.acknowledged), {int(kv.value) for kv in found})


class ProcedureTest(unittest.TestCase):
    maxDiff = None

    def cluster(self, kinds=("quorate",) * 3, **options):
        cluster = Cluster(kinds, flags=options.pop("flags", ()), **options)
        self.addCleanup(cluster.__exit__, None)
        cluster.start()
        hosts = Hosts(cluster)
        self.addCleanup(hosts.close)
        return cluster, hosts

    def command(self, cluster, *arguments, endpoints=None):
        secured = []
        if cluster.credentials:
            secured = ["--cacert", str(cluster.credentials.ca), "--cert", str(cluster.credentials.certificate.cert),
                       "--key", str(cluster.credentials.certificate.key)]
        urls = endpoints or [m.url for m in cluster.running]
        return [places.quoratectl(), "--endpoints", ",".join(urls), *secured, *map(str, arguments)]

    def environment(self, cluster):
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("ETCD_", "ETCDCTL_", "XDG_"))}
        return clean | {"XDG_STATE_HOME": str(cluster.members[0].root / "state")}

    def ctl(self, cluster, *arguments, code=0, **options):
        """stdout and stderr in one."""
        result = subprocess.run(self.command(cluster, *arguments, **options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False, timeout=150, stdin=subprocess.DEVNULL, env=self.environment(cluster))
        self.assertEqual(result.returncode, code, result.stdout)
        return result.stdout

    def lose_directory(self, cluster, victim):
        """Its disk is empty, and it is started again: the commonest way to lose a log."""
        victim.kill()
        shutil.rmtree(victim.data_dir)
        victim.spawn()
        cluster.wait(lambda: QUARANTINED in victim.http("/health")[1], f"{victim.name} is quarantined")

    def all_healthy(self, cluster):
        for one in cluster.members:
            one.wait_healthy()
        self.assertIn("cluster is healthy\n", self.ctl(cluster, "cluster", "health"))


class HealthTest(ProcedureTest):
    def test_healthy_and_not(self):
        cluster, _ = self.cluster()
        text = self.ctl(cluster, "cluster", "health")
        for one in cluster.members:
            self.assertIn(f"member {one.id:x} is healthy: got healthy result from {one.url}\n", text)
        self.assertTrue(text.endswith("cluster is healthy\n"), text)
        told = json.loads(self.ctl(cluster, "cluster", "health", "-w", "json"))
        self.assertEqual((told["healthy"], told["clusterVersion"], told["findings"]), (True, "3.4", []))
        self.assertEqual([m["name"] for m in told["members"]], cluster.names)
        self.assertEqual(told["leader"], f"{cluster.leader().id:x}")
        for row in told["members"]:
            self.assertEqual(row["health"], "healthy")
            self.assertGreater(row["startedAt"], 0)
            self.assertEqual(row["clockAheadSeconds"], 0)
        # One is down: by any of the others' endpoints alone.
        gone = cluster.followers()[0]
        gone.kill()
        text = self.ctl(cluster, "cluster", "health", code=1, endpoints=[cluster.leader().url])
        self.assertIn(f"failed to check the health of member {gone.id:x} on {gone.url}: ", text)
        self.assertIn(f"problem: {gone.name} ({gone.id:x}): is unreachable", text)
        self.assertIn("warning: not one more member may fail", text)
        self.assertTrue(text.endswith("cluster is degraded\n"), text)
        # Two are: the majority is gone.
        last = next(m for m in cluster.running)
        for one in cluster.running[1:]:
            one.kill()
        text = self.ctl(cluster, "cluster", "health", code=1, endpoints=[last.url])
        self.assertTrue(text.endswith("cluster is unavailable\n"), text)
        last.kill()
        self.assertIn("failed to list members", self.ctl(cluster, "cluster", "health", code=1, endpoints=[last.url]))

    def test_certificates_that_end_soon(self):
        root = pathlib.Path(places.scratch())
        with contextlib.ExitStack() as stack:
            directory = root / f"certificates-{os.getpid()}"
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            directory.mkdir()
            ca = certificates.Authority(directory)
            now = certificates.datetime.datetime.now(certificates.datetime.timezone.utc)
            days = certificates.datetime.timedelta(days=1)
            server = ca.issue("server", names=ADDRESSES, begin=now - days, end=now + 20 * days)
            client = ca.issue("client")
            tls = ["--trusted-ca-file", str(ca.cert), "--client-cert-auth", *server.flags()]
            cluster, _ = self.cluster(credentials=ca.credentials(client), flags=tls)
            text = self.ctl(cluster, "cluster", "health")
            self.assertIn("its certificate expires in 19 days", text)
            self.assertNotIn("certificate expires", self.ctl(cluster, "cluster", "health", "--certificate-days", "10"))

    def test_mixed_with_etcd(self):
        cluster, _ = self.cluster(("quorate", "quorate", "etcd"))
        text = self.ctl(cluster, "cluster", "health")
        self.assertIn("note: the members run different versions: etcd 3.4.", text)
        self.assertTrue(text.endswith("cluster is healthy\n"), text)


class VersionTest(ProcedureTest):
    def test_raise(self):
        cluster, _ = self.cluster()
        self.assertIn("cluster version: 3.4\n", self.ctl(cluster, "cluster", "version"))
        self.assertEqual(json.loads(self.ctl(cluster, "cluster", "version", "-w", "json"))["cluster_version"], "3.4")
        text = self.ctl(cluster, "cluster", "version", "raise", "3.5", "--dry-run")
        self.assertIn("There is no way back to 3.4", text)
        # Nobody to ask.
        self.assertIn("--yes", self.ctl(cluster, "cluster", "version", "raise", "3.5", code=1))
        self.assertIn("the next is 3.5", self.ctl(cluster, "cluster", "version", "raise", "3.6", "--yes", code=1))
        self.assertIn("cluster version: 3.4\n", self.ctl(cluster, "cluster", "version"))
        self.assertIn("The cluster's version is 3.5.\n", self.ctl(cluster, "cluster", "version", "raise", "3.5", "--yes"))
        self.assertIn("downgrade enable 3.5", self.ctl(cluster, "cluster", "version", "raise", "3.6", "--yes"))
        self.assertIn("cluster version: 3.6\n", self.ctl(cluster, "cluster", "version"))

    def test_an_etcd_keeps_it_down(self):
        cluster, _ = self.cluster(("quorate", "quorate", "etcd"))
        ours = [m.url for m in cluster.running if not m.is_etcd]
        self.assertIn("runs etcd 3.4", self.ctl(cluster, "cluster", "version", "raise", "3.5", "--yes", code=1, endpoints=ours))


class RollingRestartTest(ProcedureTest):
    def test_under_load_and_interrupted(self):
        cluster, hosts = self.cluster()
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--dry-run")
        self.assertIn("Nothing was done", text)
        self.assertIn("--yes", self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, code=1))
        self.assertEqual(hosts.steps, [])
        with Writer(cluster) as writer:
            # The command fails for the second member.
            hosts.fail = {1}
            said = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", code=1)
            self.assertIn("the command of --exec ended: exit status 22", said)
            self.assertEqual(len(hosts.steps), 1)
            text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes")
            self.assertIn(f"done already: {hosts.steps[0][1]} ", text)
            self.assertIn("All members were restarted.", text)
        self.assertEqual(hosts.trouble, [])
        self.assertEqual(sorted(name for _, name in hosts.steps), sorted(cluster.names))
        self.assertIn("moving leadership from ", said + text)
        self.assertFalse(list((cluster.members[0].root / "state").rglob("*.json")))
        self.all_healthy(cluster)
        writer.check(self)
        cluster.agree()

    def test_refused_or_noticed(self):
        cluster, hosts = self.cluster()
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", "true", "--wait", "5s", "--yes", code=1)
        self.assertIn("it runs on as before", text)
        self.assertIn("needs --exec", self.ctl(cluster, "cluster", "rolling-restart", code=128))
        # One is down, and its command does not bring it back: the others are left alone.
        gone = cluster.followers()[0]
        gone.kill()
        text = self.ctl(cluster, "cluster", "rolling-restart", "--all", "--exec", "true", "--wait", "5s", "--yes", code=1)
        self.assertIn(f"restarting {gone.name}", text)
        self.assertIn(f"waited too long until {gone.name}", text)
        # It comes first, and comes back.
        self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes")
        self.assertEqual(hosts.steps[0], ("restart", gone.name))
        self.assertEqual(len(hosts.steps), 3)
        self.all_healthy(cluster)

    def test_a_member_alone(self):
        cluster, hosts = self.cluster(("quorate",))
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", code=1)
        self.assertIn("would cost the cluster its majority", text)
        self.assertEqual(hosts.steps, [])


class ReplaceTest(ProcedureTest):
    def test_heal_under_load_and_interrupted(self):
        cluster, hosts = self.cluster(flags=FLAGS)
        self.assertIn("No member is quarantined", self.ctl(cluster, "cluster", "heal", "--exec", hosts.command))
        victim = cluster.followers()[0]
        old = victim.id
        with Writer(cluster) as writer:
            self.lose_directory(cluster, victim)
            healthy = [m.url for m in cluster.members if m is not victim]
            self.assertIn("is quarantined", self.ctl(cluster, "cluster", "health", code=1, endpoints=healthy))
            text = self.ctl(cluster, "cluster", "heal", "--exec", hosts.command, "--dry-run", endpoints=healthy)
            self.assertIn(f"Will replace {victim.name}", text)
            self.assertEqual(hosts.steps, [])
            # It fails when the member is removed and added already, and its data lies aside.
            hosts.fail = {2}
            self.ctl(cluster, "cluster", "heal", "--exec", hosts.command, "--yes", code=1, endpoints=healthy)
            self.assertEqual([step for step, _ in hosts.steps], ["stop", "move-aside"])
            text = self.ctl(cluster, "cluster", "heal", "--exec", hosts.command, "--yes", endpoints=healthy)
            self.assertIn("is resumed", text)
        self.assertEqual([step for step, _ in hosts.steps], ["stop", "move-aside", "start"])
        self.assertEqual(hosts.trouble, [])
        victim.wait_healthy()
        self.assertNotEqual(victim.id, old)
        self.assertTrue(pathlib.Path(f"{victim.data_dir}.replaced-{old:x}").is_dir())
        self.assertFalse(list((cluster.members[0].root / "state").rglob("*.json")))
        self.all_healthy(cluster)
        writer.check(self)
        cluster.agree()

    def test_a_leader_by_hand(self):
        """Without --exec: what it tells to do is done by whoever reads it."""
        cluster, hosts = self.cluster()
        victim = cluster.leader()
        cluster.members[0].put("k", "v")
        old = victim.id
        others = [m.url for m in cluster.members if m is not victim]
        command = self.command(cluster, "cluster", "replace-member", victim.name, "--yes", endpoints=others)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, stdin=subprocess.DEVNULL,
                              env=self.environment(cluster)) as running:
            said = []
            for line in running.stdout:
                said.append(line)
                if "systemctl start etcd" in line:
                    break
            values = dict(re.findall(r'^\s*(ETCD_\w+)="([^"]*)"$', "".join(said), re.MULTILINE))
            self.assertEqual(values["ETCD_NAME"], victim.name, said)
            hosts.move_aside(victim, {"QUORATE_ASIDE_SUFFIX": f".replaced-{old:x}"})
            hosts.start(victim, values)
            rest = running.stdout.read()
            self.assertEqual(running.wait(timeout=60), 0, rest)
        self.assertIn("moving leadership", "".join(said))
        self.assertIn("was replaced", rest)
        victim.wait_healthy()
        self.assertNotEqual(victim.id, old)
        self.all_healthy(cluster)
        cluster.agree()

    def test_refused(self):
        cluster, hosts = self.cluster()
        self.assertIn("there is no member", self.ctl(cluster, "cluster", "replace-member", "nosuch", "--yes", code=1))
        gone, *others = cluster.followers() + [cluster.leader()]
        gone.kill()
        text = self.ctl(cluster, "cluster", "replace-member", others[0].name, "--yes", "--exec", hosts.command, code=1)
        self.assertIn("would cost the cluster its majority", text)
        self.assertIn(gone.name, text)
        self.assertEqual(hosts.steps, [])
        self.assertEqual(len(json.loads(self.ctl(cluster, "member", "list", "-w", "json"))["members"]), 3)


class WatchTest(ProcedureTest):
    def test_lines_and_screen(self):
        cluster, _ = self.cluster(("quorate",))
        lines = self.ctl(cluster, "cluster", "watch", "--count", "2", "--interval", "100ms").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ cluster is healthy; cluster [0-9a-f]+")
        controller, terminal = pty.openpty()
        command = self.command(cluster, "cluster", "watch", "--count", "2", "--interval", "100ms")
        with subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                              env=self.environment(cluster)) as running:
            os.close(terminal)
            seen = b""
            with contextlib.suppress(OSError):  # The end of the other side.
                while select.select([controller], [], [], 60)[0]:
                    part = os.read(controller, 4096)
                    if not part:
                        break
                    seen += part
            self.assertEqual(running.wait(timeout=60), 0)
        os.close(controller)
        self.assertEqual(seen.count(b"cluster is healthy"), 2)
        self.assertTrue(seen.endswith(b"\x1b[?1049l"))


def field(number, value):
    """A field of protobuf's wire format: bytes, all shorter than 128."""
    value = value if isinstance(value, bytes) else value.encode()
    return bytes([number << 3 | 2, len(value)]) + value


class DecodeTest(ProcedureTest):
    def test_tree_and_values(self):
        cluster, _ = self.cluster(("quorate",))
        one = cluster.members[0]
        meta = field(1, field(1, "web") + field(3, "shop"))
        secret = b"k8s\0" + field(1, field(1, "v1") + field(2, "Secret")) + field(2, meta + field(2, field(1, "pw") + field(2, "geheim")))
        one.put("/registry/secrets/shop/web", secret)
        one.put("/registry/configmaps/shop/a", '{"a":{"b":[1,2]}}')
        one.put("/registry/configmaps/shop/b", "plain")
        tree = self.ctl(cluster, "get", "--prefix", "/registry", "--tree")
        self.assertRegex(tree, r"(?m)^/registry +3 keys, ")
        self.assertRegex(tree, r"(?m)^├── configmaps +2 keys, ")
        self.assertRegex(tree, r"(?m)^    └── shop ")
        text = self.ctl(cluster, "get", "--prefix", "/registry", "--decode")
        self.assertIn("  kind: Secret\n", text)
        self.assertIn("    namespace: shop\n", text)
        self.assertIn("    pw: (hidden, 6 B)\n", text)
        self.assertNotIn("geheim", text)
        self.assertIn('  {\n    "a": {\n      "b": [\n', text)
        self.assertIn("    pw: geheim\n", self.ctl(cluster, "get", "--prefix", "/registry", "--decode", "--show-secrets"))


if __name__ == "__main__":
    unittest.main()
