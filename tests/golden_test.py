#!/usr/bin/python3
"""Directories that etcd 3.4.23 wrote: ours serves what their manifests say, and etcd opens them again afterwards."""

import base64
import hashlib
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import places
import state
import users
from api import rpc
from users import DENIED, EMPTY, OK, WRONG_PASSWORD, outcome

# Of single and single-auth; their manifests name the users only.
PASSWORDS = {"root": "rootpw", "alice": "alicepw", "nopw": None}
NO_PASSWORD = ("UNKNOWN", "auth: authentication failed, password was given for no password user")

def decoded(kv):
    """A manifest's key as (key, create revision, mod revision, version, lease, digest of the value)."""
    value = base64.b64decode(kv.get("value", ""))
    digest = kv.get("value_sha256") or hashlib.sha256(value).hexdigest()
    return (base64.b64decode(kv["key"]), kv["create_revision"], kv["mod_revision"], kv["version"], kv.get("lease", 0),
            digest)


def served(kv):
    return (kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.lease, hashlib.sha256(kv.value).hexdigest())


@unittest.skipIf(places.shared_data() is None, "etcd's own data (../shared/data) is not here")
class GoldenTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="golden-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def open(self, binary, directory, name, flags=(), alarmed=False):
        server = member.Member(binary, data_dir=directory, name=name, flags=flags)
        self.addCleanup(server.remove)
        return server.start_with_alarm() if alarmed else server.start()

    def check_hashes(self, service, hashes, metadata=None):
        for revision, answer in hashes.items():
            expected = answer[0]["HashKV"]
            with self.subTest(f"HashKV at {revision}"):
                self.assertEqual(api.hash_kv(service, int(revision), metadata),
                                 (expected["hash"], expected["compact_revision"]))

    def check_expected(self, service, expected):
        everything = service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0"))
        self.assertEqual([served(kv) for kv in everything.kvs], [decoded(kv) for kv in expected["range_all"]["kvs"]])
        self.assertEqual(everything.header.revision, expected["range_all"]["header"]["revision"])
        self.check_hashes(service, expected["hashkv"])
        members = service.Cluster.MemberList(rpc.MemberListRequest())
        self.assertEqual(members.header.cluster_id, expected["member_list"]["header"]["cluster_id"])
        self.assertEqual([(m.ID, list(m.peerURLs)) for m in members.members],
                         [(m["ID"], m["peerURLs"]) for m in expected["member_list"]["members"]])
        leases = service.Lease.LeaseLeases(rpc.LeaseLeasesRequest()).leases
        self.assertEqual({lease.ID for lease in leases}, {lease["id"] for lease in expected["leases"]})
        for lease in expected["leases"]:
            detail = service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=lease["id"], keys=True))
            self.assertEqual(detail.grantedTTL, lease["granted-ttl"])
            self.assertEqual(sorted(detail.keys), sorted(base64.b64decode(k) for k in lease["keys"]))

    def then_etcd(self, server, name, flags=(), alarmed=False):
        """Stops ours and has etcd open the directory; both show the same."""
        with api.Api(server.endpoint) as service:
            ours = state.capture(service)
        server.stop()
        again = self.open(places.etcd(), server.data_dir, name, flags, alarmed)
        with api.Api(again.endpoint) as service:
            self.assertEqual("", state.differences(ours, state.capture(service)))
        again.stop()

    def test_single(self):
        manifest = state.manifest("single")
        directory = state.unpack("single", self.root) / "s1.etcd"
        server = self.open(places.quorate(), directory, "s1")
        with api.Api(server.endpoint) as service:
            self.check_expected(service, manifest["expected"])
            for revision, answer in manifest["get_at_rev"].items():
                found = service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0", revision=int(revision)))
                self.assertEqual([served(kv) for kv in found.kvs], [decoded(kv) for kv in answer["kvs"]])
            service.KV.Put(rpc.PutRequest(key=b"ours", value=b"written"))
        self.then_etcd(server, "s1")

    def test_alarm(self):
        manifest = state.manifest("alarm")
        flags = ("--quota-backend-bytes", "400000")
        directory = state.unpack("alarm", self.root) / "a1.etcd"
        server = self.open(places.quorate(), directory, "a1", flags, alarmed=True)
        with api.Api(server.endpoint) as service:
            self.check_expected(service, manifest["expected"])
            alarms = [(a.memberID, a.alarm) for a in service.Maintenance.Alarm(rpc.AlarmRequest()).alarms]
            self.assertEqual(alarms, [(a["memberID"], a["alarm"])
                                      for a in manifest["expected"]["alarm_list"]["alarms"]])
            with self.assertRaises(api.grpc.RpcError) as refused:
                service.KV.Put(rpc.PutRequest(key=b"x", value=b"y"))
            self.assertEqual(api.code_and_text(refused.exception),
                             ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"))
        status, body = server.http("/health")
        self.assertEqual(status, 503)
        self.assertIn("false", body)
        self.then_etcd(server, "a1", flags, alarmed=True)

    def check_users(self, service, expected):
        """The users and roles of the manifest, each one's password and no other, and what a password opens."""
        self.assertEqual(outcome(lambda: service.KV.Range(rpc.RangeRequest(key=b"a"))), EMPTY)
        for name, right in PASSWORDS.items():
            for wrong in ("", f"{right}x", *(set(PASSWORDS.values()) - {right, None})):
                with self.subTest(name, wrong=wrong):
                    self.assertEqual(outcome(lambda n=name, w=wrong: service.login(n, w)),
                                     WRONG_PASSWORD if right else NO_PASSWORD)
        self.assertEqual(outcome(lambda: service.login("nobody", "x")), WRONG_PASSWORD)
        service.login("alice", PASSWORDS["alice"])
        for who, key, end, may_read, may_write in (
                ("read", b"k/1", b"", True, False), ("read", b"k/", b"k0", True, False), ("read", b"k/", b"k1", False, False),
                ("readwrite", b"txn/c", b"", True, True), ("write", b"leased/a0", b"", False, True),
                ("nothing", b"leased/a1", b"", False, False), ("nothing", b"after-auth", b"", False, False)):
            with self.subTest(who, key=key, end=end):
                self.assertEqual(outcome(lambda k=key, e=end: service.KV.Range(rpc.RangeRequest(key=k, range_end=e))),
                                 OK if may_read else DENIED)
                # Nothing is written: permission is asked before it is seen that the transaction's compare fails.
                never = rpc.Compare(target=rpc.Compare.VERSION, result=rpc.Compare.LESS, key=b"k/1", version=0)
                put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"x"))
                if not end:
                    self.assertEqual(outcome(lambda: service.KV.Txn(rpc.TxnRequest(compare=[never], success=[put]))),
                                     OK if may_write else DENIED)
        self.assertEqual(outcome(lambda: service.Auth.UserList(rpc.AuthUserListRequest())), DENIED)
        service.login("root", PASSWORDS["root"])
        self.assertEqual(set(service.Auth.UserList(rpc.AuthUserListRequest()).users), set(PASSWORDS))
        self.assertEqual({name: list(service.Auth.UserGet(rpc.AuthUserGetRequest(name=name)).roles) for name in PASSWORDS},
                         {name: user.get("roles", []) for name, user in expected["users"].items()})
        self.assertEqual(set(service.Auth.RoleList(rpc.AuthRoleListRequest()).roles), set(expected["roles"]))
        for name, role in expected["roles"].items():
            self.assertEqual([(p.permType, p.key, p.range_end) for p in service.Auth.RoleGet(rpc.AuthRoleGetRequest(role=name)).perm],
                             [(p.get("permType", 0), base64.b64decode(p["key"]), base64.b64decode(p.get("range_end", "")))
                              for p in role.get("perm", [])])

    def test_single_auth(self):
        """Authentication as etcd left it: enforced, and every user's password works, no other."""
        manifest = state.manifest("single-auth")
        self.assertEqual(set(PASSWORDS), set(manifest["expected"]["users"]))
        directory = state.unpack("single-auth", self.root) / "s1auth.etcd"
        # Then etcd finds all of it again.
        for binary in (places.quorate(), places.etcd()):
            with self.subTest(binary):
                server = self.open(binary, directory, "s1", alarmed=True)
                with api.Api(server.endpoint) as service:
                    self.check_users(service, manifest["expected"])
                    answer = service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0"))
                    self.assertEqual([served(kv) for kv in answer.kvs],
                                     [decoded(kv) for kv in manifest["expected"]["range_all"]["kvs"]])
                    self.check_hashes(service, manifest["expected"]["hashkv"])
                server.stop()

    def test_users_while_authentication_is_off(self):
        """The same users as in the other directory, before etcd was told to look: they work once ours is told."""
        expected = state.manifest("single")["expected"]
        directory = state.unpack("single", self.root) / "s1.etcd"
        server = self.open(places.quorate(), directory, "s1")
        with api.Api(server.endpoint) as service:
            self.assertEqual(outcome(lambda: service.login("alice", PASSWORDS["alice"])), users.NOT_ENABLED)
            service.KV.Put(rpc.PutRequest(key=b"after-auth", value=b"1"))
            service.Auth.AuthEnable(rpc.AuthEnableRequest())
            self.check_users(service, expected)
        server.stop()
        again = self.open(places.etcd(), directory, "s1", alarmed=True)
        with api.Api(again.endpoint) as service:
            self.check_users(service, expected)
        again.stop()

    def test_single_snapshot_restored(self):
        state.unpack("single-snapshot", self.root)
        manifest = state.manifest("single-snapshot")
        directory = self.root / "restored"
        tool = member.etcd(name="s1")
        self.addCleanup(tool.remove)
        tool.ctl("snapshot", "restore", self.root / "single-snapshot.db", "--name", "s1", "--data-dir", directory,
                 "--initial-cluster", "s1=http://127.0.0.1:12380", "--initial-advertise-peer-urls",
                 "http://127.0.0.1:12380")
        server = self.open(places.quorate(), directory, "s1")
        with api.Api(server.endpoint) as service:
            self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision,
                             manifest["snapshot_status"]["revision"])
            self.assertEqual(len(api.every_key(service)), 196)
            self.check_hashes(service, state.manifest("single")["expected"]["hashkv"])
            service.KV.Put(rpc.PutRequest(key=b"ours", value=b"written"))
        self.then_etcd(server, "s1")

    def test_killed(self):
        manifest = state.manifest("killed")
        directory = state.unpack("killed", self.root) / "t1.etcd"
        server = self.open(places.quorate(), directory, "t1", ("--snapshot-count", "1000"))
        with api.Api(server.endpoint) as service:
            after = manifest["after_restart_of_etcd"]
            revision = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
            self.assertEqual(revision, after["status"]["header"]["revision"])
            self.assertEqual(len(api.every_key(service)), after["key_count"])
            self.check_hashes(service, {str(revision): after["hashkv"]})
            revisions = {kv.mod_revision for kv in api.every_key(service)}
            acknowledged = {revision for writer in manifest["acked"] for _, revision in writer}
            self.assertEqual(acknowledged - revisions, set())
        self.then_etcd(server, "t1", ("--snapshot-count", "1000"))

    def test_torn_wal_variants(self):
        manifest = state.manifest("torn-wal-variants")
        state.unpack("killed", self.root / "killed")
        state.unpack("torn-wal-variants", self.root / "torn")
        for name, variant in manifest["variants"].items():
            with self.subTest(name):
                directory = self.root / f"run-{name}"
                shutil.copytree(self.root / "killed/t1.etcd", directory)
                shutil.rmtree(directory / "member/wal")
                shutil.copytree(self.root / f"torn/{name}.etcd/member/wal", directory / "member/wal")
                if variant["etcd"] == "starts":
                    self.check_variant(directory, variant)
                else:
                    self.check_refused(directory)

    def check_variant(self, directory, variant):
        server = self.open(places.quorate(), directory, "t1", ("--snapshot-count", "1000"))
        with api.Api(server.endpoint) as service:
            expected = variant["hashkv"]
            self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision,
                             expected["header"]["revision"])
            self.assertEqual(api.hash_kv(service), (expected["hash"], expected["compact_revision"]))
        self.then_etcd(server, "t1", ("--snapshot-count", "1000"))

    def check_refused(self, directory):
        """Real corruption: an error that names the file, and nothing is changed."""
        before = state.checksums(directory)
        with self.assertRaises(member.StartError) as refused:
            self.open(places.quorate(), directory, "t1", ("--snapshot-count", "1000"))
        self.assertNotEqual(refused.exception.code, 0)
        if places.quorate() != places.etcd():
            self.assertIn("0000000000000000-0000000000000000.wal", refused.exception.log)
            self.assertEqual(state.checksums(directory), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
