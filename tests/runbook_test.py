#!/usr/bin/python3
"""The operators' runbook, R1 to R5, typed as it stands, on three hosts with mutual TLS while clients write, read and watch; the
whole history is checked. With Debian's client and with ours under its name, on members of ours and among etcds.

QUORATE_TEST_SEED replays the load's choices. QUORATE_BIN=etcd runs R1 to R4 on etcd: R5 is what it can't do.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import places
from hosts import Site

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
ID = "[0-9a-f]{1,16}"
QUARANTINED = "is quarantined, its log went back in time"


class Runbook:
    """One operator at one site. Each method is a chapter; R5 is of the last host."""

    def __init__(self, test, site):
        self.test = test
        self.site = site
        self.port = site.client_port

    # R1

    def healthy(self, host, count=3):
        """Types etcd-health.sh until it shows so many healthy members and nothing else; returns the addresses by ID."""
        def looks_healthy():
            status, output = host.run("etcd-health.sh")
            found = re.findall(rf"^member ({ID}) is healthy: got healthy result from https://(127\.0\.0\.1\d):{self.port}$",
                               output, re.M)
            return (status, output, found) if status == 0 and len(found) == count else None
        _, output, found = self.site.wait(looks_healthy, f"{count} healthy members as {host.host} sees it", 60)
        lines = output.splitlines()
        local = rf"https://127\.0\.0\.1:{host.local_port}"
        self.test.assertRegex(lines[0], rf"^Cluster-Endpoints: {local}$")
        self.test.assertRegex(lines[1], rf"^cURL Command: curl -X GET {local}/v2/members$")
        self.test.assertEqual(lines[-1], "cluster is healthy")
        self.test.assertEqual(len(lines), count + 3, output)
        return dict(found)

    def degraded(self, host, count=2):
        """Types it until so many are healthy, and one is not: (status, output)."""
        def looks_degraded():
            status, output = host.run("etcd-health.sh")
            fine = output.count("is healthy: got healthy result") == count and output.endswith("cluster is degraded\n")
            return (status, output) if fine else None
        return self.site.wait(looks_degraded, f"{count} healthy members as {host.host} sees it")

    def r1_health(self):
        """All are well; then one is down."""
        first, second, third = self.site.hosts
        members = self.healthy(first)
        self.test.assertEqual(sorted(members.values()), [host.address for host in self.site.hosts])
        self.test.assertEqual(members, self.healthy(second))
        down = next(number for number, address in members.items() if address == third.address)
        third.sh("systemctl stop etcd")
        status, output = self.degraded(first)
        url = rf"https://{re.escape(third.address)}:{self.port}"
        self.test.assertRegex(output, rf'(?m)^failed to check the health of member {down} on {url}: Get "?{url}/health"?: '
                                      rf"dial tcp {re.escape(third.address)}:{self.port}: .*connection refused$")
        self.test.assertRegex(output, rf"(?m)^member {down} is unreachable: \[{url}\] are all unreachable$")
        self.test.assertEqual(output.count("is healthy: got healthy result"), 2)
        self.test.assertEqual((status, output.splitlines()[-1]), (5, "cluster is degraded"))
        third.sh("systemctl start etcd")
        self.healthy(first)

    # R2

    def r2_inspect(self):
        first, second, third = self.site.hosts
        watch = third.begin("exec etcdctl3.sh watch --prefix /registry")
        shown = []
        reader = threading.Thread(target=lambda: shown.extend(iter(watch.stdout.readline, "")), daemon=True)
        reader.start()
        try:
            first.sh("etcdctl3.sh put /registry/pods/default/a 'of the first'")
            second.sh("etcdctl3.sh put /registry/pods/default/b 'of the second'")
            keys = third.sh("etcdctl3.sh get --prefix --keys-only /")
            self.test.assertEqual(keys, "/registry/pods/default/a\n\n/registry/pods/default/b\n\n")
            document = json.loads(second.sh("etcdctl3.sh get /registry/pods/default/a -w json"))
            self.test.assertEqual(document["kvs"][0]["value"], "b2YgdGhlIGZpcnN0")
            # The watch may have begun after the first puts.
            self.site.wait(lambda: first.run("etcdctl3.sh put /registry/seen yes")[0] == 0 and "yes\n" in shown,
                           "the watch shows a change")
        finally:
            watch.kill()
            watch.wait()
            reader.join()
            watch.stdout.close()
        self.test.assertIn("PUT\n/registry/seen\nyes\n", "".join(shown))
        table = first.sh("etcdctl3.sh endpoint status -w table").splitlines()
        self.test.assertRegex(table[1], r"^\|\s+ENDPOINT\s+\|\s+ID\s+\|\s+VERSION\s+\|\s+DB SIZE\s+\|\s+IS LEADER\s+\|")
        self.test.assertRegex(table[3], rf"^\| https://127\.0\.0\.1:{first.local_port} \| +{ID} \|")

    # R3

    def r3_rolling_restart(self):
        """Host by host, the leader in its turn, one of them rebooted; at last the leader crashes."""
        rebooted = self.site.hosts[0]
        for host in self.site.hosts:
            self.healthy(host)
            led = self.site.leader() is host
            host.sh("systemctl stop etcd")
            if led and not host.is_etcd:
                self.test.assertIn("received signal", host.log())
            if host is rebooted:
                host.supervisor.boot()
            host.sh("systemctl start etcd")
            self.healthy(host)
        crashed = self.site.leader()
        crashed.supervisor.kill()
        others = [host for host in self.site.hosts if host is not crashed]
        self.site.leader(among=others)
        crashed.sh("systemctl start etcd")
        self.healthy(others[0])
        self.site.agree()

    # R4

    def prepare_backups(self):
        """The servers take some by themselves; before they are started."""
        for host in self.site.hosts:
            host.path("/var/backups/own").mkdir()
            host.set(f"ETCD_BACKUP_DIR={host.path('/var/backups/own')}")
            host.set("ETCD_BACKUP_INTERVAL=5s")

    def r4_back_up(self):
        """A snapshot by hand, under load. Returns its revision."""
        first = self.site.hosts[0]
        first.sh("etcdctl3.sh snapshot save /var/backups/etcd.db")
        return self._snapshot_revision(first)

    def r4_own_backup(self):
        """What the servers have taken meanwhile takes the place of the one by hand; a newer one may replace it at any moment."""
        first = self.site.hosts[0]
        directories = " ".join(str(host.path("/var/backups/own")) for host in self.site.hosts)
        self.site.wait(lambda: first.run(f"cp $(find {directories} -name 'backup-*.db' | tail -1) /var/backups/etcd.db")[0] == 0,
                       "a backup by a server", 60)
        return self._snapshot_revision(first)

    def _snapshot_revision(self, host):
        table = host.sh("etcdctl3.sh snapshot status /var/backups/etcd.db -w table").splitlines()
        table = [line for line in table if line.startswith(("+", "|"))]
        self.test.assertRegex(table[1], r"^\|\s+HASH\s+\|\s+REVISION\s+\|\s+TOTAL KEYS\s+\|\s+TOTAL SIZE\s+\|")
        self.test.assertEqual(len(table), 5)
        return int(table[3].split("|")[2])

    def r4_restore(self, revision, events):
        """The majority is lost, and all come back from the one file as a new cluster, at exactly that revision."""
        first, second, third = self.site.hosts
        first.sh("etcdctl3.sh put /registry/after 'the snapshot'")
        for lost in (second, third):
            lost.supervisor.kill()
            lost.sh("rm -rf /var/lib/etcd")
        self.test.assertNotEqual(first.run("etcd-health.sh")[0], 0)
        first.sh("systemctl stop etcd")
        first.sh("mv /var/lib/etcd /var/lib/etcd.lost")
        names = ",".join(f"{host.name}={host.peer_url}" for host in self.site.hosts)
        for host in self.site.hosts:
            if host is not first:
                host.sh(f"cp {first.path('/var/backups/etcd.db')} /var/backups/etcd.db")
            host.sh(f"etcdctl3.sh snapshot restore /var/backups/etcd.db --name {host.name} --data-dir /var/lib/etcd "
                    f"--initial-cluster {names} --initial-cluster-token restored "
                    f"--initial-advertise-peer-urls {host.peer_url}")
            host.set('ETCD_INITIAL_CLUSTER_TOKEN=restored')
            host.set(f'ETCD_INITIAL_CLUSTER="{names}"')
        self.site.start()
        self.healthy(third)
        answer = json.loads(third.sh("etcdctl3.sh get '' --from-key -w json"))
        self.test.assertEqual(answer["header"]["revision"], revision)
        state = {}
        for event in events:
            if event.revision <= revision:
                state[event.key] = (event.value, event.revision)
        expected = {key: found for key, found in state.items() if found[0] is not None}
        restored = {base64.b64decode(kv["key"]): (base64.b64decode(kv.get("value", "")), kv["mod_revision"])
                    for kv in answer["kvs"]}
        self.test.assertEqual(restored, expected)
        self.site.agree()

    # R5

    def lead_elsewhere(self, victim):
        leader = self.site.leader()
        if leader is victim:
            leader.sh(f"etcdctl3.sh move-leader {self.site.hosts[0].id:x}")
            self.site.leader()

    def set_disk_back(self, victim, told):
        """The machine goes back to an image from some writes ago; it boots, and the member is started. A busy machine may hold an
        election meanwhile, after which nobody may be left who can tell: where it is well, once more."""
        others = [host for host in self.site.hosts if host is not victim]
        for _ in range(3):
            self.set_disk_back_once(victim)
            victim.sh("systemctl start etcd")
            self.site.wait(lambda: told() or self.caught_up(victim, others), f"{victim.name} knows what it is")
            if told():
                return
            self.site.agree()

    def caught_up(self, victim, others):
        """It serves, and holds what the others' leader does: nobody has anything against it any more."""
        leader = self.site.leader(among=others).status()
        return victim.healthy() and victim.status().raftAppliedIndex >= leader.raftAppliedIndex

    def set_disk_back_once(self, victim):
        victim.sh("systemctl stop etcd")
        victim.sh("cp -r --sparse=always /var/lib/etcd /var/backups/image")
        victim.sh("systemctl start etcd")
        self.healthy(victim)
        self.lead_elsewhere(victim)
        self.site.hosts[0].fill(50, prefix="/registry/lost/")
        self.site.agree()
        victim.sh("systemctl stop etcd")
        victim.sh("rm -rf /var/lib/etcd && mv /var/backups/image /var/lib/etcd")
        victim.supervisor.boot()
        victim.mark_log()

    @staticmethod
    def quarantined(victim):
        try:
            status, body = victim.http("/health")
        except OSError:
            return False
        return status == 503 and QUARANTINED in body

    def expect_quarantined(self, victim, number):
        """One clear error with the numbers and the way out; alive, not healthy, and not restarted."""
        self.site.wait(lambda: self.quarantined(victim), f"{victim.name} is quarantined")
        errors = [json.loads(line) for line in victim.recent_log().splitlines() if '"way-out"' in line and '"proof"' in line]
        self.test.assertEqual(len(errors), 1)
        for fact in ("term", "commit", "last-index", "proof"):
            self.test.assertIn(fact, errors[0])
        self.test.assertIn(f"member remove {number}", " ".join(errors[0]["way-out"]))
        self.test.assertEqual(victim.supervisor.restarts, 0)
        status, output = self.degraded(self.site.hosts[0])
        self.test.assertEqual(status, 5)
        self.test.assertRegex(output, rf"(?m)^member {number} is (unhealthy|unreachable)")
        status, output = victim.run("etcdctl3.sh put /registry/never 'through it'")
        self.test.assertNotEqual(status, 0)
        self.test.assertIn(QUARANTINED, output)

    def reconfigure(self, host, line):
        """Refused until all members have been connected for some seconds: then the operator types it again."""
        def accepted():
            status, output = host.run(line)
            self.test.assertTrue(status == 0 or "etcdserver: unhealthy cluster" in output, output)
            return output if status == 0 else None
        return self.site.wait(accepted, line)

    def r5_by_hand(self):
        first, second, victim = self.site.hosts
        number = f"{victim.id:x}"
        self.set_disk_back(victim, lambda: self.quarantined(victim))
        self.expect_quarantined(victim, number)

        victim.sh("systemctl stop etcd")
        output = self.reconfigure(first, f"etcdctl3.sh member remove {number}")
        self.test.assertRegex(output, rf"^Member +{number} removed from cluster +{ID}\n$")
        self.healthy(first, count=2)
        output = self.reconfigure(first, f"etcdctl3.sh member add {victim.name} --peer-urls {victim.peer_url}")
        added = re.match(rf"Member +({ID}) added to cluster +{ID}\n\n", output)
        self.test.assertTrue(added, output)
        settings = output[added.end():]
        self.test.assertRegex(settings, rf'(?m)^ETCD_NAME="{victim.name}"$')
        self.test.assertRegex(settings, r'(?m)^ETCD_INITIAL_CLUSTER_STATE="existing"$')
        names = re.search(r'(?m)^ETCD_INITIAL_CLUSTER="(.*)"$', settings).group(1)
        self.test.assertEqual(sorted(names.split(",")), sorted(f"{h.name}={h.peer_url}" for h in self.site.hosts))
        victim.set(settings)

        def listed_at_second():
            """It may hear of it later than the first."""
            text = second.sh("etcdctl3.sh member list")
            return text.splitlines() if added.group(1) in text else None
        listed = self.site.wait(listed_at_second, "the second host knows the new member")
        for host in (first, second):
            self.test.assertEqual(1, sum(bool(re.match(rf"{host.id:x}, started, {host.name}, {host.peer_url}, {host.url}\b",
                                                       line)) for line in listed), listed)
        self.test.assertEqual(1, sum(line.startswith(f"{added.group(1)}, unstarted, , {victim.peer_url}, ")
                                     for line in listed), listed)

        victim.sh("mv /var/lib/etcd /var/lib/etcd.bak")
        victim.sh("systemctl start etcd")
        members = self.healthy(first)
        self.test.assertEqual(members[added.group(1)], victim.address)
        victim.wait_healthy()
        self.site.agree()

    def r5_by_itself(self):
        """The same, told by a flag to go the way out alone."""
        first, _, victim = self.site.hosts
        number = f"{victim.id:x}"
        victim.set("ETCD_LOST_LOG_ACTION=rejoin")
        self.set_disk_back(victim, lambda: "rejoined the cluster" in victim.recent_log())
        self.site.wait(lambda: "rejoined the cluster" in victim.recent_log(), f"{victim.name} rejoins", 60)
        self.test.assertNotIn(number, self.healthy(first))
        victim.wait_healthy()
        self.site.agree()
        self.test.assertEqual(victim.supervisor.restarts, 0)


class RunbookTest(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)

    def perform(self, kinds, etcdctl):
        with Site(kinds, etcdctl) as site:
            book = Runbook(self, site)
            by_server = not any(host.is_etcd for host in site.hosts)
            if by_server:
                book.prepare_backups()
            site.start()
            with site.load(SEED, timeout=60) as load:
                book.r1_health()
                book.r2_inspect()
                book.r3_rolling_restart()
                if not site.hosts[-1].is_etcd:
                    book.r5_by_hand()
                    book.r5_by_itself()
                revision = book.r4_back_up()
                load.finish()
                print(load.summary(), flush=True)
                self.assertEqual([], load.check(site.endpoints, may_time_out=not by_server)[:10],
                                 f"seed {SEED}\n{site.logs(800)}")
                events = load.truth(site.endpoints[0])
            if by_server:
                revision = book.r4_own_backup()
            book.r4_restore(revision, events)

    def own_client(self):
        program = places.quoratectl() or self.skipTest("quoratectl is not built")
        for generation, command in (("2", "cluster-health"), ("3", "snapshot")):
            told = subprocess.run([program, "--help"], env=os.environ | {"ETCDCTL_API": generation}, capture_output=True,
                                  text=True, check=False)
            if command not in told.stdout + told.stderr:
                self.skipTest(f"this quoratectl has no {command}")
        return program

    def test_stock_client(self):
        self.perform(("quorate",) * 3, places.etcdctl())

    def test_own_client(self):
        self.perform(("quorate",) * 3, self.own_client())

    def test_mixed_cluster_and_stock_client(self):
        self.perform(("etcd", "etcd", "quorate"), places.etcdctl())

    def test_mixed_cluster_and_own_client(self):
        self.perform(("etcd", "etcd", "quorate"), self.own_client())


if __name__ == "__main__":
    unittest.main(verbosity=2)
