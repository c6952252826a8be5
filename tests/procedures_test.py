#!/usr/bin/python3
"""`quoratectl cluster ...` on real members: health, the version raised, rolling restarts under load, refused where the majority would be
lost, interrupted and resumed; and `get --tree --decode`. Replacements are in procedures_replace_test.py."""

import json
import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import certificates
from api import rpc
from ports import free_port
from procedure import ProcedureTest, Writer


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

    def test_a_time_too_short_is_not_none(self):
        """A member that never answers would keep us for ever."""
        cluster, _ = self.cluster(("quorate",))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            for short in ("500us", "0s", "-1s"):
                text = self.ctl(cluster, f"--command-timeout={short}", "cluster", "health", code=1, endpoints=[url])
                self.assertIn("context deadline exceeded", text)

    def test_certificates_that_end_soon(self):
        now = certificates.datetime.datetime.now(certificates.datetime.timezone.utc)
        days = certificates.datetime.timedelta(days=1)
        ca, server = self.certificates(begin=now - days, end=now + 20 * days)
        tls = ["--trusted-ca-file", str(ca.cert), "--client-cert-auth", *server.flags()]
        cluster, _ = self.cluster(credentials=ca.credentials(ca.issue("client")), flags=tls)
        text = self.ctl(cluster, "cluster", "health")
        self.assertIn("its certificate expires in 19 days", text)
        self.assertNotIn("certificate expires", self.ctl(cluster, "cluster", "health", "--certificate-days", "10"))

    def test_mixed_with_etcd(self):
        cluster, _ = self.cluster(("quorate", "quorate", "etcd"))
        text = self.ctl(cluster, "cluster", "health")
        self.assertIn("note: the members run different versions: etcd 3.4.", text)
        self.assertTrue(text.endswith("cluster is healthy\n"), text)
        # etcd tells its quota in its metrics only.
        told = json.loads(self.ctl(cluster, "cluster", "health", "-w", "json"))
        self.assertEqual([m["dbSizeQuota"] for m in told["members"]], [2 << 30] * 3)

    def test_alarms(self):
        """Members with an alarm serve."""
        cluster, _ = self.cluster()
        self.alarm(cluster.members[0], rpc.NOSPACE, cluster.members[1].id)
        text = self.ctl(cluster, "cluster", "health", code=1)
        self.assertIn("3 of 3 voters serve", text)
        self.assertIn(f"problem: m2 ({cluster.members[1].id:x}): alarm NOSPACE: writes are refused", text)
        self.assertTrue(text.endswith("cluster is degraded\n"), text)

    def test_one_url_for_two_members(self):
        """Whoever answers at a member's URL must be that member."""
        cluster, hosts = self.cluster()
        shared, other, third = cluster.members
        other.stop()
        other.extra_flags = ["--advertise-client-urls", shared.url]
        other.start()
        cluster.wait(lambda: [m for m in cluster.member_list() if m.ID == other.id and list(m.clientURLs) == [shared.url]],
                     "the URL is published")
        text = self.ctl(cluster, "cluster", "health", code=1, endpoints=[shared.url])
        self.assertIn(f"{shared.url} answers as the member {shared.id:x}", text)
        self.assertIn("2 of 3 voters serve", text)
        third.kill()
        cluster.leader()
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", code=1, endpoints=[shared.url])
        self.assertIn("would cost the cluster its majority", text)
        self.assertEqual(hosts.steps, [])


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
        self.assertFalse(self.notes(cluster))
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

    def test_an_alarm_changes_nothing(self):
        """With NOSPACE members are restarted as ever, and as ever not the one whose stop would cost the majority."""
        cluster, hosts = self.cluster()
        self.alarm(cluster.members[0], rpc.NOSPACE, cluster.members[0].id)
        # By the endpoint of a member that is stopped itself.
        self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", endpoints=[cluster.leader().url])
        self.assertEqual(len(hosts.steps), 3)
        self.assertEqual(hosts.trouble, [])
        self.assertIn("3 of 3 voters serve", self.ctl(cluster, "cluster", "health", code=1))

        # The first that was restarted dies again before the last one's turn.
        def die():
            next(m for m in cluster.members if m.name == hosts.steps[3][1]).kill()
        hosts.after = {4: die}
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", code=1)
        self.assertEqual(hosts.trouble, [])
        self.assertEqual(len(hosts.steps), 5)
        last = next(m.name for m in cluster.members if m.name not in (hosts.steps[3][1], hosts.steps[4][1]))
        self.assertRegex(text, rf"stopping {last} \([0-9a-f]+\) would cost the cluster its majority")
        self.assertIn(f"not serving: {hosts.steps[3][1]} ", text)

    def test_the_question(self):
        """What has changed while it stood open counts; and meanwhile nobody else begins."""
        cluster, hosts = self.cluster()
        command = ("cluster", "rolling-restart", "--exec", hosts.command)
        asked = self.terminal(cluster, *command)
        asked.wait_for("Go on? [y/N] ")
        self.assertIn("another procedure is at work on this cluster: rolling-restart, process",
                      self.ctl(cluster, *command, "--yes", code=1))
        asked.type("n")
        self.assertEqual(asked.end(), 1)
        self.assertIn("nothing was done", asked.text)
        self.assertEqual(hosts.steps, [])
        hosts.fail = {1}
        self.ctl(cluster, *command, "--yes", code=1)
        asked = self.terminal(cluster, *command)
        asked.wait_for("Go on? [y/N] ")
        done = next(m for m in cluster.members if m.name == hosts.steps[0][1])
        self.assertIn(f"done already: {done.name} ", asked.text)
        done.kill()
        asked.type("y")
        self.assertEqual(asked.end(), 1, asked.text)
        self.assertIn("would cost the cluster its majority", asked.text)
        self.assertEqual(len(hosts.steps), 1)
        done.start()
        asked = self.terminal(cluster, *command)
        asked.wait_for("Go on? [y/N] ")
        asked.type("y")
        self.assertEqual(asked.end(), 0, asked.text)
        self.assertEqual(len(hosts.steps), 3)
        self.all_healthy(cluster)

    def test_without_metrics(self):
        """Where nothing shows when a member was started."""
        cluster, hosts = self.cluster(start=False)
        for one in cluster.members:
            one.extra_flags = ["--listen-client-http-urls", f"http://{one.address}:{free_port(one.address)}"]
            one.spawn()
        cluster.leader()
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", "true", "--wait", "3s", "--yes", code=1)
        self.assertIn("nothing shows that it was restarted", text)
        self.assertIn("--assume-restarted", text)
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", "--assume-restarted")
        self.assertEqual(len(hosts.steps), 3)

    def test_a_member_alone(self):
        cluster, hosts = self.cluster(("quorate",))
        text = self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes", code=1)
        self.assertIn("would cost the cluster its majority", text)
        self.assertEqual(hosts.steps, [])


class WatchTest(ProcedureTest):
    def test_lines_and_screen(self):
        cluster, _ = self.cluster(("quorate",))
        lines = self.ctl(cluster, "cluster", "watch", "--count", "2", "--interval", "100ms").splitlines()
        self.assertEqual(len(lines), 2)
        # A variable of the second generation's scripts takes nothing away.
        with subprocess.Popen(self.command(cluster, "cluster", "health"), stdout=subprocess.PIPE, text=True,
                              env=self.environment(cluster) | {"ETCDCTL_API": "2"}) as running:
            self.assertIn("cluster is healthy\n", running.stdout.read())
        self.assertRegex(lines[1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ cluster is healthy; cluster [0-9a-f]+")
        screen = self.terminal(cluster, "cluster", "watch", "--count", "2", "--interval", "100ms")
        self.assertEqual(screen.end(), 0)
        self.assertEqual(screen.text.count("cluster is healthy"), 2)
        self.assertTrue(screen.text.endswith("\x1b[?1049l"))
        for short in ("99ms", "900us", "0s", "-1s"):
            text = self.ctl(cluster, "cluster", "watch", "--count", "1", "--interval", short, code=128)
            self.assertIn("Error: --interval must be at least 100ms, it is ", text)
        one = cluster.members[0]
        one.kill()
        self.assertIn("no member answers", self.ctl(cluster, "cluster", "watch", "--count", "1", code=1, endpoints=[one.url]))


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
