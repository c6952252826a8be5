#!/usr/bin/python3
"""The published security advisories of etcd that clients, operators or files could bring about: each test is named after
its advisory. docs/security.md lists all of them, with the tests that lie elsewhere and those that can't apply."""

import http.client
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import users
import wal
from api import election, lock, rpc
from users import DENIED, EMPTY, OK, READ, READWRITE, WRITE, Watching, outcome

ETCD_IN_OUR_ROLE = os.environ.get("QUORATE_BIN") == "etcd"
# The older original is vulnerable to what was published after it.
fixed_later = unittest.skipIf(ETCD_IN_OUR_ROLE, "3.4.23 is vulnerable")


def ask(server, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection(server.endpoint, timeout=60)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, text


class AdvisoryCase(unittest.TestCase):
    def server(self, *flags, start=True):
        server = member.quorate(flags=flags)
        self.addCleanup(server.remove)
        return server.start() if start else server

    def service(self, server, name=None, password=None):
        service = api.Api(server.endpoint)
        self.addCleanup(service.close)
        if name:
            service.login(name, password)
        return service


class PermissionAdvisories(AdvisoryCase):
    """Mallory may read the one key "own" and write "written"; everything else is a secret of root's."""

    def setUp(self):
        server = self.server()
        service = self.service(server)
        service.Lease.LeaseGrant(rpc.LeaseGrantRequest(ID=77, TTL=5000))
        for key, number in ((b"own", 0), (b"secret", 77), (b"written", 0), (b"zz-secret", 0)):
            service.KV.Put(rpc.PutRequest(key=key, value=b"value of " + key, lease=number))
        users.add(service, "mallory", "pw", ((READ, b"own", b""), (WRITE, b"written", b"")))
        users.enable(service)
        self.nobody = service
        self.mallory = self.service(server, "mallory", "pw")
        self.root = self.service(server, "root", "rootpw")

    @fixed_later
    def test_CVE_2023_32082_keys_of_a_lease(self):
        """LeaseTimeToLive told the names of keys that one may not read."""
        ask_keys = lambda keys: self.mallory.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=77, keys=keys))
        self.assertEqual(outcome(lambda: ask_keys(True)), DENIED)
        self.assertEqual(list(ask_keys(False).keys), [])
        answer = self.root.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=77, keys=True))
        self.assertEqual(list(answer.keys), [b"secret"])

    @fixed_later
    def test_CVE_2026_33343_nested_transactions(self):
        """What stood in a transaction within a transaction was not checked (GHSA-rfx7-8w68-q57q)."""
        for inner in (rpc.RequestOp(request_range=rpc.RangeRequest(key=b"secret")),
                      rpc.RequestOp(request_put=rpc.PutRequest(key=b"secret", value=b"stolen")),
                      rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=b"secret"))):
            for depth in (1, 2, 10):
                op = inner
                for _ in range(depth):
                    op = rpc.RequestOp(request_txn=rpc.TxnRequest(success=[op]))
                self.assertEqual(outcome(lambda o=op: self.mallory.KV.Txn(rpc.TxnRequest(success=[o]))), DENIED)
                self.assertEqual(outcome(lambda o=op: self.mallory.KV.Txn(rpc.TxnRequest(failure=[o]))), DENIED)
        self.assertEqual(self.root.KV.Range(rpc.RangeRequest(key=b"secret")).kvs[0].value, b"value of secret")

    @fixed_later
    def test_CVE_2026_33413_calls_without_a_token(self):
        """Members, alarms, leases and compaction for everybody (GHSA-q8m4-xhhv-38mg)."""
        for call in (lambda a: a.Cluster.MemberList(rpc.MemberListRequest()),
                     lambda a: a.Maintenance.Alarm(rpc.AlarmRequest(action=1, memberID=1, alarm=1)),
                     lambda a: a.Maintenance.Alarm(rpc.AlarmRequest()),
                     lambda a: a.Maintenance.Status(rpc.StatusRequest()),
                     lambda a: a.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=100)),
                     lambda a: a.Lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=77)),
                     lambda a: a.Lease.LeaseKeepAlive(iter([rpc.LeaseKeepAliveRequest(ID=77)]), timeout=60),
                     lambda a: a.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=77)),
                     lambda a: a.Lease.LeaseLeases(rpc.LeaseLeasesRequest()),
                     lambda a: a.KV.Compact(rpc.CompactionRequest(revision=2))):
            self.assertEqual(outcome(lambda c=call: c(self.nobody)), EMPTY)
        # A lock makes a lease before it asks for a key.
        for call in (lambda a: a.Lock.Lock(lock.LockRequest(name=b"x"), timeout=60),
                     lambda a: a.Election.Campaign(election.CampaignRequest(name=b"x"), timeout=60)):
            self.assertEqual(outcome(lambda c=call: c(self.nobody)), ("UNKNOWN", EMPTY[1]))
        leases = self.root.Lease.LeaseLeases(rpc.LeaseLeasesRequest()).leases
        self.assertEqual([lease.ID for lease in leases], [77])
        self.assertEqual(outcome(lambda: self.mallory.KV.Compact(rpc.CompactionRequest(revision=2))), DENIED)
        self.assertEqual(outcome(lambda: self.mallory.Maintenance.Alarm(
            rpc.AlarmRequest(action=1, memberID=1, alarm=1))), DENIED)

    @fixed_later
    def test_CVE_2026_44283_puts_in_transactions(self):
        """A put with prev_kv read, and one with a lease took the lease of others (GHSA-x35m-3gp4-4fh5)."""
        reads = rpc.PutRequest(key=b"written", prev_kv=True)
        takes = rpc.PutRequest(key=b"written", lease=77)
        for put in (reads, takes):
            self.assertEqual(outcome(lambda p=put: self.mallory.KV.Put(p)), DENIED)
            op = rpc.RequestOp(request_put=put)
            for txn in (rpc.TxnRequest(success=[op]), rpc.TxnRequest(failure=[op]),
                        rpc.TxnRequest(success=[rpc.RequestOp(request_txn=rpc.TxnRequest(success=[op]))])):
                self.assertEqual(outcome(lambda t=txn: self.mallory.KV.Txn(t)), DENIED)
        self.assertEqual(outcome(lambda: self.mallory.KV.Put(rpc.PutRequest(key=b"written"))), OK)

    @fixed_later
    def test_GHSA_xg4h_6gfc_h4m8_watch_from_a_key(self):
        """Who may read one key watched every key from there on."""
        for end in (b"\0", b"zzz", b"own\0\0"):
            watching = Watching(self.mallory, b"own", end)
            self.assertTrue(watching.created.canceled, end)
            self.assertIn("permission denied", watching.created.cancel_reason)
            watching.close()
        watching = Watching(self.mallory, b"own")
        self.root.KV.Put(rpc.PutRequest(key=b"zz-secret", value=b"unseen"))
        self.root.KV.Put(rpc.PutRequest(key=b"own", value=b"seen"))
        self.assertEqual([event.kv.value for event in watching.next().events], [b"seen"])
        watching.close()

    def test_GHSA_vjg6_93fv_qv64_attempts_on_users_without_password(self):
        """A guess at a user who has no password was logged as an ordinary wrong password."""
        server = self.server()
        service = self.service(server)
        service.Auth.UserAdd(rpc.AuthUserAddRequest(name="cert-only", options={"no_password": True}))
        users.enable(service)
        text = "password was given for no password user"
        self.assertIn(text, outcome(lambda: service.login("cert-only", ""))[1])
        self.assertIn(text, outcome(lambda: service.login("cert-only", "guess"))[1])
        lines = [line for line in server.log().splitlines() if "cert-only" in line and text in line]
        self.assertEqual(len(lines), 2)

    @fixed_later
    def test_PR_15619_empty_permission_ranges(self):
        """A permission of no keys, which checks then misread."""
        for key, end in ((b"", b""), (b"", b"x"), (b"b", b"a"), (b"a", b"a")):
            self.assertEqual(outcome(lambda k=key, e=end: users.grant(self.root, "mallory", READWRITE, k, e)),
                             ("INVALID_ARGUMENT", "etcdserver: invalid auth management"))
        self.assertEqual(outcome(lambda: self.root.Auth.RoleGrantPermission(
            rpc.AuthRoleGrantPermissionRequest(name="mallory")))[0], "INVALID_ARGUMENT")


class RequestAdvisories(AdvisoryCase):
    def test_CVE_2018_1098_forms_of_other_sites(self):
        """A page of another site makes a browser post a form; that must change nothing."""
        server = self.server()
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}
        for path, body in (("/v2/keys/queue", "value=x"), ("/v2/members", "peerURLs=http://10.0.0.1:2380"),
                           ("/v2/members", '{"peerURLs":["http://10.0.0.1:2380"]}')):
            status, _ = ask(server, "POST", path, form, body)
            self.assertGreaterEqual(status, 400, path)
        service = self.service(server)
        self.assertEqual(len(service.Cluster.MemberList(rpc.MemberListRequest()).members), 1)
        self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0")).count, 0)

    def test_CVE_2018_1099_names_that_point_here(self):
        """DNS rebinding (CVE-2018-5702 of another program): a name of the attacker's resolves to this server."""
        server = self.server("--host-whitelist", "127.0.0.1,good.example")
        for host, expected in (("127.0.0.1", 200), ("good.example:2379", 200), ("evil.example", 421),
                               ("evil.example:2379", 421), ("127.0.0.1.evil.example", 421)):
            status, text = ask(server, "GET", "/version", {"Host": host})
            self.assertEqual(status, expected, host)
            if status == 421:
                self.assertIn(f"  - e.g. etcd --host-whitelist \"{host.removesuffix(':2379')}\"\n", text)

    def test_PR_9379_elections_without_a_leader(self):
        """Proclaim and Resign without their leader field ended the server."""
        server = self.server()
        service = self.service(server)
        for call in (lambda: service.Election.Proclaim(election.ProclaimRequest(value=b"x")),
                     lambda: service.Election.Resign(election.ResignRequest())):
            self.assertEqual(outcome(call)[1], '"leader" field must be provided')
        self.assertTrue(server.healthy())


class SettingsAdvisories(AdvisoryCase):
    def refused(self, *flags):
        server = self.server(*flags, start=False)
        server.spawn()
        self.assertNotEqual(server.wait_exit(), 0)
        return server

    def test_GHSA_pm3m_32r3_7mfh_negative_retention(self):
        """A compaction loop, or a crash."""
        for mode in ("periodic", "revision"):
            for value in ("-1",) if ETCD_IN_OUR_ROLE else ("-1", "-1h"):
                server = self.refused("--auto-compaction-mode", mode, "--auto-compaction-retention", value)
                self.assertRegex(server.log(), "error parsing CompactionRetention|auto-compaction-retention")

    def test_CVE_2020_15113_directories(self):
        """Directories were made, or taken, with whatever mode: files are the owner's alone in any case."""
        server = self.server(start=False)
        outer = server.root / "outer"
        server.data_dir, server.flags = outer / "data", ["--wal-dir", str(outer / "wal")]
        mask = os.umask(0)
        try:
            server.start()
        finally:
            os.umask(mask)
        server.ctl("put", "a", "b")
        for path in (outer, server.data_dir, server.data_dir / "member", server.data_dir / "member/snap", outer / "wal"):
            self.assertEqual(oct(path.stat().st_mode & 0o777), oct(0o700), path)
        for path in (server.data_dir / "member/snap/db", *(outer / "wal").iterdir()):
            self.assertEqual(oct(path.stat().st_mode & 0o777), oct(0o600), path)
        server.stop()
        server.data_dir.chmod(0o755)
        server.start()
        self.assertIn("check file permission", server.log())

    def test_TOB_ETCD_010_keys_compacted(self):
        """The metric of keys that compactions remove stayed at 0."""
        server = self.server()
        service = self.service(server)
        for _ in range(10):
            revision = service.KV.Put(rpc.PutRequest(key=b"k")).header.revision
        service.KV.Compact(rpc.CompactionRequest(revision=revision, physical=True))
        metrics = server.http("/metrics")[1]
        self.assertIn("\netcd_debugging_mvcc_db_compaction_keys_total 9\n", metrics)


class LogAdvisories(AdvisoryCase):
    """A log that somebody has tampered with: one clear error, and no crash."""

    def spoilt(self, change):
        server = self.server()
        server.ctl("put", "a", "b")
        server.stop()
        path = server.data_dir / "member/wal/0000000000000000-0000000000000000.wal"
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)
        server.spawn()
        code = server.wait_exit()
        self.assertGreater(code, 0, "an end by a signal would be a crash")
        return server.log()

    def test_CVE_2020_15106_a_huge_record(self):
        """A length of nearly 2^56 was allocated (GHSA-p4g4-wgrh-qrg2)."""
        def grow(data):
            at, _ = list(wal.records(data))[3]
            struct.pack_into("<Q", data, at, 0x007FFFFFFFFFFFFF)
        if not ETCD_IN_OUR_ROLE:
            self.assertIn(".wal", self.spoilt(grow))


if __name__ == "__main__":
    unittest.main(verbosity=2)
