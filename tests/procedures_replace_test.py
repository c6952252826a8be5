#!/usr/bin/python3
"""`quoratectl cluster replace-member` and `heal` on real members: quarantined and corrupt ones, a leader by hand, one of two; under load,
refused, interrupted and resumed, with notes that no longer fit; with users and over mutual TLS."""

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import places
from api import rpc
from procedure import FLAGS, ProcedureTest, Writer


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
        self.assertFalse(self.notes(cluster))
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
        # A learner that is there already would keep the new member out.
        gone.start()
        learner = cluster.add("quorate", learner=True)
        text = self.ctl(cluster, "cluster", "replace-member", gone.name, "--yes", "--exec", hosts.command, code=1,
                        endpoints=[others[0].url])
        self.assertIn(f"{learner.name} ({learner.id:x}) is a learner already", text)
        self.assertEqual(hosts.steps, [])
        self.assertEqual(len(cluster.member_list(others[0])), 4)

    def test_corrupt(self):
        """Exactly the member with the alarm, and then the alarm is gone."""
        cluster, hosts = self.cluster(flags=FLAGS)
        victim = cluster.leader()
        before = {m.name: m.id for m in cluster.members}
        cluster.members[0].put("k", "v")
        self.alarm(victim, rpc.CORRUPT, victim.id)
        text = self.ctl(cluster, "cluster", "health", code=1)
        self.assertIn("3 of 3 voters serve", text)
        self.assertIn(f"{victim.name} ({victim.id:x}): alarm CORRUPT", text)
        # By its own endpoint.
        text = self.ctl(cluster, "cluster", "heal", "--exec", hosts.command, "--yes", endpoints=[victim.url])
        self.assertIn("disarming the alarm CORRUPT", text)
        self.assertEqual(hosts.steps, [(step, victim.name) for step in ("stop", "move-aside", "start")])
        self.assertEqual(hosts.trouble, [])
        self.all_healthy(cluster)
        cluster.leader()
        after = {m.name: m.id for m in cluster.members}
        self.assertEqual({name for name in after if after[name] != before[name]}, {victim.name})
        cluster.members[0].put("k", "w")
        cluster.agree()

    def test_alarms_of_nobody(self):
        """One that is no member any more is disarmed; where nobody knows who is corrupt nothing is done."""
        cluster, hosts = self.cluster(("quorate",))
        one = cluster.members[0]
        self.alarm(one, rpc.CORRUPT, 0xabcdef)
        self.assertIn("abcdef: alarm CORRUPT: of a member that is gone", self.ctl(cluster, "cluster", "health", code=1))
        text = self.ctl(cluster, "cluster", "heal", "--yes")
        self.assertIn("disarming the alarm CORRUPT of abcdef", text)
        self.all_healthy(cluster)
        self.alarm(one, rpc.CORRUPT, 0)
        text = self.ctl(cluster, "cluster", "heal", "--yes", "--exec", hosts.command, code=1)
        self.assertIn("an alarm CORRUPT that names no member", text)
        self.assertEqual(hosts.steps, [])

    def test_one_of_two(self):
        """The removal needs both, so the stop comes after it; asked only of the member that is replaced."""
        cluster, hosts = self.cluster(("quorate",) * 2, flags=FLAGS)
        victim = cluster.leader()
        with Writer(cluster) as writer:
            self.ctl(cluster, "cluster", "replace-member", victim.name, "--exec", hosts.command, "--yes", endpoints=[victim.url])
        self.assertEqual([step for step, _ in hosts.steps], ["stop", "move-aside", "start"])
        self.assertEqual(hosts.trouble, [])
        self.all_healthy(cluster)
        writer.check(self)
        cluster.agree()

    def test_among_etcds(self):
        """An etcd is replaced in a cluster of mostly etcds, by its own endpoint; then all are restarted."""
        cluster, hosts = self.cluster(("etcd", "etcd", "quorate"), flags=FLAGS)
        victim = cluster.members[0]
        cluster.members[2].put("k", "v")
        self.ctl(cluster, "cluster", "replace-member", victim.name, "--exec", hosts.command, "--yes", endpoints=[victim.url])
        self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes")
        self.assertEqual(len(hosts.steps), 6)
        self.assertEqual(hosts.trouble, [])
        self.all_healthy(cluster)
        cluster.agree()

    def test_resumed_by_id(self):
        cluster, hosts = self.cluster(flags=FLAGS)
        victim = cluster.followers()[0]
        old = f"{victim.id:x}"
        command = ("cluster", "replace-member", old, "--exec", hosts.command, "--yes")
        # The stop fails: the member is removed, and not added again.
        hosts.fail = {0, 2}
        self.ctl(cluster, *command, code=1)
        others = [m.url for m in cluster.members if m is not victim]
        self.assertEqual(len(cluster.member_list(cluster.leader([m for m in cluster.members if m is not victim]))), 2)
        # Then what starts it: by the same ID, which is no member's any more.
        text = self.ctl(cluster, *command, code=1, endpoints=others)
        self.assertIn("An interrupted replacement is resumed", text)
        self.assertEqual([step for step, _ in hosts.steps], ["stop"])
        # It is started, and dies: it is started again.
        hosts.after = {4: victim.kill}
        text = self.ctl(cluster, *command, "--wait", "3s", code=1, endpoints=others)
        self.assertIn("waited too long until", text)
        self.assertEqual([step for step, _ in hosts.steps], ["stop", "move-aside", "start"])
        self.ctl(cluster, *command, endpoints=others)
        self.assertEqual([step for step, _ in hosts.steps], ["stop", "move-aside", "start", "start"])
        self.assertEqual(hosts.trouble, [])
        self.all_healthy(cluster)
        self.assertFalse(self.notes(cluster))

    def test_finished_by_somebody_else(self):
        """A note does not make a later call believe that its work is done, or do it to another member."""
        cluster, hosts = self.cluster(flags=FLAGS)
        victim = cluster.followers()[0]
        others = [m for m in cluster.members if m is not victim]
        urls = [m.url for m in others]
        hosts.fail = {0}
        command = ("cluster", "replace-member", victim.name, "--exec", hosts.command)
        self.ctl(cluster, *command, "--yes", code=1)
        self.assertEqual(len(self.notes(cluster)), 1)
        hosts.move_aside(victim, {"QUORATE_ASIDE_SUFFIX": ".by-hand"})

        def added():  # Refused until the others have been connected for a while.
            with others[0].api() as service:
                return service.Cluster.MemberAdd(rpc.MemberAddRequest(peerURLs=[victim.peer_url]))
        cluster.wait(added, f"{victim.name} is added")
        hosts.start(victim, {"ETCD_NAME": victim.name, "ETCD_INITIAL_CLUSTER": victim.initial_cluster,
                             "ETCD_INITIAL_CLUSTER_STATE": "existing"})
        victim.wait_healthy()
        text = self.ctl(cluster, *command, "--dry-run", endpoints=urls)
        self.assertIn("no longer fits", text)
        self.assertIn(f"Will replace {victim.name} ({victim.id:x})", text)
        text = self.ctl(cluster, "cluster", "heal", "--exec", hosts.command, "--yes", endpoints=urls)
        self.assertIn("It is dropped.", text)
        self.assertIn("No member is quarantined", text)
        self.assertFalse(self.notes(cluster))
        self.assertEqual(hosts.steps, [])
        self.all_healthy(cluster)

    def test_the_question(self):
        """A member dies while it stands open."""
        cluster, hosts = self.cluster()
        victim, other = cluster.followers()
        asked = self.terminal(cluster, "cluster", "replace-member", victim.name, "--exec", hosts.command)
        asked.wait_for("Go on? [y/N] ")
        other.kill()
        asked.type("y")
        self.assertEqual(asked.end(), 1, asked.text)
        self.assertIn("would cost the cluster its majority", asked.text)
        self.assertEqual(hosts.steps, [])
        self.assertFalse(self.notes(cluster))
        other.start()
        self.assertEqual(len(cluster.member_list()), 3)


class SecuredTest(ProcedureTest):
    """Mutual TLS at both ports, and users."""
    login = ("--user", "root:secret")

    def health(self, cluster):
        result = subprocess.run(self.command(cluster, "cluster", "health", "-w", "json"), stdout=subprocess.PIPE, check=False,
                                timeout=60, env=self.environment(cluster))
        return json.loads(result.stdout or "{}")

    def healthy(self, cluster):
        """What the look says that finds the cluster healthy: one of them may meet an election, or a busy machine."""
        looks = []

        def is_healthy():
            looks.append(self.health(cluster))
            return looks[-1].get("verdict") == "cluster is healthy"

        cluster.wait(is_healthy, "the cluster is healthy")
        return looks[-1]

    def test_all_of_it(self):
        ca, server = self.certificates()
        both = server.flags() + server.flags("peer-")
        tls = ["--trusted-ca-file", str(ca.cert), "--client-cert-auth", "--peer-trusted-ca-file", str(ca.cert), "--peer-client-cert-auth"]
        cluster, hosts = self.cluster(credentials=ca.credentials(ca.issue("client")), peer_scheme="https", flags=[*tls, *both, *FLAGS])
        for line in ("user add root:secret", "user grant-role root root", "auth enable"):
            cluster.members[0].ctl(*line.split())
        cluster.members[0].ctl("--user", "root:secret", "user", "add", "clerk:secret")
        # Who may not do all of it may do nothing: nobody in particular, and a user without root's role.
        for login, refusal in ((), "user name is empty"), (("--user", "clerk:secret"), "permission denied"):
            self.login = login
            for procedure in ("rolling-restart",), ("replace-member", "m1"):
                told = self.ctl(cluster, "cluster", *procedure, "--exec", hosts.command, "--yes", code=1)
                self.assertIn(f"{refusal} (nothing was done: this needs root)", told)
        self.assertEqual(hosts.steps, [])
        self.login = SecuredTest.login
        self.ctl(cluster, "cluster", "rolling-restart", "--exec", hosts.command, "--yes")
        self.assertEqual(len(hosts.steps), 3)
        found = self.healthy(cluster)
        leader = found["leader"]
        row = next(m for m in found["members"] if m["id"] == leader)
        self.ctl(cluster, "cluster", "replace-member", leader, "--exec", hosts.command, "--yes", endpoints=row["clientURLs"])
        self.assertEqual(hosts.steps[3:], [(step, row["name"]) for step in ("stop", "move-aside", "start")])
        self.assertEqual(hosts.trouble, [])
        self.assertNotIn(leader, [m["id"] for m in self.healthy(cluster)["members"]])


class ScriptTest(ProcedureTest):
    """The command for --exec that docs/procedures.md offers, on a host that is a directory."""

    def test_each_step_twice(self):
        root = pathlib.Path(places.scratch()) / f"replace-step-{os.getpid()}"
        self.addCleanup(subprocess.run, ["rm", "-rf", root], check=True)
        (root / "bin").mkdir(parents=True)
        (root / "data").mkdir()
        (root / "data/old").touch()
        settings = root / "etcd.env"
        kept = ['ETCD_NAME="m3"', 'ETCD_INITIAL_CLUSTER_TOKEN="token"']
        settings.write_text("\n".join([kept[0], 'ETCD_INITIAL_CLUSTER="old"', kept[1], 'ETCD_INITIAL_CLUSTER_STATE="new"']) + "\n")
        text = (places.REPOSITORY / "docs/procedures.md").read_text()
        script = re.search(r"^    #!/bin/sh\n(?:    .*\n)+", text, re.MULTILINE).group(0)
        script = re.sub("^    ", "", script, flags=re.MULTILINE).replace("/var/lib/etcd", str(root / "data")).replace(
            "/etc/etcd.env", str(settings))
        programs = {"replace-step": script, "systemctl": f"#!/bin/sh\necho $* >> {root}/calls\n",
                    "ssh": '#!/bin/sh\ntest -z "$UNREACHABLE" || exit 255\nshift\nexec /bin/sh -c "$*"\n'}
        for name, content in programs.items():
            (root / "bin" / name).write_text(content)
            (root / "bin" / name).chmod(stat.S_IRWXU)
        variables = {"PATH": f"{root}/bin:{os.environ['PATH']}", "QUORATE_MEMBER_HOST": "m3", "QUORATE_ASIDE_SUFFIX": ".replaced-3",
                     "ETCD_INITIAL_CLUSTER": "m1=http://a:1,m3=http://b:1"}

        def step(name, **more):
            subprocess.run([root / "bin/replace-step"], env=variables | {"QUORATE_STEP": name} | more, check=True)
        step("stop", UNREACHABLE="yes")
        for name in ("stop", "stop", "move-aside", "move-aside", "start", "start"):
            step(name)
        self.assertTrue((root / "data.replaced-3/old").exists())
        self.assertFalse((root / "data").exists())
        self.assertEqual(settings.read_text().splitlines(),
                         [*kept, 'ETCD_INITIAL_CLUSTER="m1=http://a:1,m3=http://b:1"', 'ETCD_INITIAL_CLUSTER_STATE="existing"'])
        self.assertEqual((root / "calls").read_text().splitlines(), ["stop etcd"] * 4 + ["start etcd"] * 2)


if __name__ == "__main__":
    unittest.main()
