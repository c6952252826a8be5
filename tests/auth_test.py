#!/usr/bin/python3
"""Users, roles, permissions and tokens, as clients meet them: who may do what on every call, and for how long."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
import users
from api import auth, election, health, lock, quorate, rpc
from users import DENIED, EMPTY, INVALID_TOKEN, NOT_ENABLED, OF_PERMISSION, OK, OLD_REVISION, READ, READWRITE, WRITE, WRONG_PASSWORD
from users import Watching, outcome

ETCD_IN_OUR_ROLE = os.environ.get("QUORATE_BIN") == "etcd"

# Alice reads [r, s), writes [w, x) and does both below "both/".
PERMISSIONS = ((READ, b"r", b"s"), (WRITE, b"w", b"x"), (READWRITE, b"both/", b"both0"))
LEASE_OF_SECRET, LEASE_FREE = 50, 51

PUT, RANGE, DELETE = "request_put", "request_range", "request_delete_range"


def op(kind, **fields):
    message = {PUT: rpc.PutRequest, RANGE: rpc.RangeRequest, DELETE: rpc.DeleteRangeRequest}[kind](**fields)
    return rpc.RequestOp(**{kind: message})


def nested(**fields):
    return rpc.RequestOp(request_txn=rpc.TxnRequest(**fields))


def compare(key, end=b""):
    return rpc.Compare(target=rpc.Compare.VERSION, key=key, range_end=end, version=1)


# The columns: who gets through. None: only root, who doesn't try. Open: whoever asks, even with a wrong token. User: whoever has a good token. Alice: she and
# root. Root: only root. What root gets may be another error, but none of permission.
OPEN, USER, ALICE, ROOT = "open", "user", "alice", "root"


def key_calls():
    r, put, delete, txn = rpc.RangeRequest, rpc.PutRequest, rpc.DeleteRangeRequest, rpc.TxnRequest
    ok_put = op(PUT, key=b"w1", value=b"v")
    yield from ((f"Range {request}", who, lambda a, q=request: a.KV.Range(q)) for request, who in (
        (r(key=b"r1"), ALICE), (r(key=b"r", range_end=b"s"), ALICE), (r(key=b"both/", range_end=b"both0"), ALICE),
        (r(key=b"r", range_end=b"t"), ROOT), (r(key=b"r1", range_end=b"\0"), ROOT), (r(key=b"\0", range_end=b"\0"), ROOT),
        (r(key=b"w1"), ROOT), (r(key=b"secret"), ROOT), (r(key=b"secret", serializable=True), ROOT),
        (r(key=b"secret", count_only=True), ROOT), (r(key=b"secret", keys_only=True), ROOT),
        (r(key=b"secret", revision=2), ROOT)))
    yield from ((f"Put {request}", who, lambda a, q=request: a.KV.Put(q)) for request, who in (
        (put(key=b"w1"), ALICE), (put(key=b"both/a", prev_kv=True), ALICE), (put(key=b"w1", lease=LEASE_FREE), ALICE),
        (put(key=b"w1", ignore_lease=True), ALICE), (put(key=b"w1", ignore_value=True), ALICE),
        (put(key=b"r1"), ROOT), (put(key=b"secret"), ROOT), (put(key=b"x"), ROOT),
        (put(key=b"w1", prev_kv=True), ROOT), (put(key=b"w1", lease=LEASE_OF_SECRET), ROOT),
        (put(key=b"secret", ignore_value=True), ROOT), (put(key=b"secret", ignore_lease=True), ROOT)))
    yield from ((f"DeleteRange {request}", who, lambda a, q=request: a.KV.DeleteRange(q)) for request, who in (
        (delete(key=b"w9"), ALICE), (delete(key=b"w8", range_end=b"w9"), ALICE),
        (delete(key=b"both/9", prev_kv=True), ALICE), (delete(key=b"w9", prev_kv=True), ROOT),
        (delete(key=b"w9", range_end=b"y"), ROOT), (delete(key=b"w9", range_end=b"\0"), ROOT),
        (delete(key=b"r9"), ROOT), (delete(key=b"secret9"), ROOT)))
    yield from ((f"Txn {request}", who, lambda a, q=request: a.KV.Txn(q)) for request, who in (
        (txn(compare=[compare(b"r1")], success=[ok_put], failure=[op(RANGE, key=b"r1")]), ALICE),
        (txn(success=[nested(compare=[compare(b"both/a")], success=[ok_put])]), ALICE),
        (txn(compare=[compare(b"secret")], success=[ok_put]), ROOT),
        (txn(compare=[compare(b"w1")], success=[ok_put]), ROOT),
        (txn(compare=[compare(b"r", b"t")], success=[ok_put]), ROOT),
        (txn(compare=[compare(b"secret")]), ROOT),
        (txn(compare=[compare(b"secret")], success=[op(RANGE, key=b"r1", serializable=True)]), ROOT),
        (txn(success=[op(RANGE, key=b"secret")]), ROOT),
        (txn(failure=[op(RANGE, key=b"secret")]), ROOT),
        (txn(success=[ok_put, op(RANGE, key=b"secret")]), ROOT),
        (txn(success=[ok_put], failure=[op(PUT, key=b"secret")]), ROOT),
        (txn(success=[op(PUT, key=b"w1", prev_kv=True)]), ROOT),
        (txn(success=[op(PUT, key=b"w1", lease=LEASE_OF_SECRET)]), ROOT),
        (txn(success=[op(DELETE, key=b"w9", prev_kv=True)]), ROOT),
        (txn(success=[op(DELETE, key=b"w9", range_end=b"\0")]), ROOT),
        (txn(success=[nested(success=[op(PUT, key=b"secret")])]), ROOT),
        (txn(success=[nested(success=[op(RANGE, key=b"secret")])]), ROOT),
        (txn(success=[nested(compare=[compare(b"secret")])]), ROOT),
        (txn(success=[nested(failure=[nested(success=[op(PUT, key=b"w1", prev_kv=True)])])]), ROOT),
        (txn(success=[nested(success=[nested(success=[op(PUT, key=b"w1", lease=LEASE_OF_SECRET)])])]), ROOT)))
    yield "Compact", ROOT, lambda a: a.KV.Compact(rpc.CompactionRequest(revision=1))


def lease_calls():
    def keep_alive(a, number):
        return a.Lease.LeaseKeepAlive(iter([rpc.LeaseKeepAliveRequest(ID=number)]), timeout=60)

    def left(a, number, keys):
        return a.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=number, keys=keys))

    yield "LeaseGrant", USER, lambda a: a.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=500))
    yield "LeaseKeepAlive", USER, lambda a: keep_alive(a, LEASE_FREE)
    yield "LeaseKeepAlive of another's", ROOT, lambda a: keep_alive(a, LEASE_OF_SECRET)
    yield "LeaseTimeToLive", USER, lambda a: left(a, LEASE_OF_SECRET, False)
    yield "LeaseTimeToLive with keys", USER, lambda a: left(a, LEASE_FREE + 1, True)
    yield "LeaseTimeToLive with another's keys", ROOT, lambda a: left(a, LEASE_OF_SECRET, True)
    yield "LeaseLeases", ROOT, lambda a: a.Lease.LeaseLeases(rpc.LeaseLeasesRequest())
    yield "LeaseRevoke of another's", ROOT, lambda a: a.Lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=LEASE_OF_SECRET))


def cluster_calls():
    m, c = rpc, "Cluster"
    for method, who, request in (
            ("MemberList", USER, m.MemberListRequest()),
            ("MemberList", USER, m.MemberListRequest(linearizable=True)),
            ("MemberAdd", None, m.MemberAddRequest(peerURLs=["http://127.0.0.1:2380"])),  # Root would.
            ("MemberRemove", ROOT, m.MemberRemoveRequest(ID=1)),
            ("MemberUpdate", ROOT, m.MemberUpdateRequest(ID=1, peerURLs=["http://127.0.0.1:1"])),
            ("MemberPromote", ROOT, m.MemberPromoteRequest(ID=1))):
        yield f"{method} {request}", who, lambda a, n=method, q=request: getattr(a.Cluster, n)(q)
    for method, who, request in (
            ("Alarm", USER, m.AlarmRequest(action=0)),
            ("Alarm", ROOT, m.AlarmRequest(action=1, memberID=1, alarm=0)),
            ("Alarm", ROOT, m.AlarmRequest(action=2, memberID=1, alarm=2)),
            ("Status", USER, m.StatusRequest()), ("Defragment", ROOT, m.DefragmentRequest()),
            ("Hash", ROOT, m.HashRequest()), ("HashKV", ROOT, m.HashKVRequest()),
            ("Snapshot", ROOT, m.SnapshotRequest()), ("MoveLeader", ROOT, m.MoveLeaderRequest(targetID=1)),
            ("Downgrade", ROOT, m.DowngradeRequest(version="3.3.0"))):
        yield f"{method} {request}", who, lambda a, n=method, q=request: getattr(a.Maintenance, n)(q)


def auth_calls():
    perm = auth.Permission(permType=READWRITE, key=b"a")
    for method, who, request in (
            ("AuthDisable", None, rpc.AuthDisableRequest()),  # Root would.
            ("AuthEnable", ROOT, rpc.AuthEnableRequest()),
            ("UserAdd", ROOT, rpc.AuthUserAddRequest(name="eve", password="x")),
            ("UserGet", ROOT, rpc.AuthUserGetRequest(name="root")),
            ("UserGet", ALICE, rpc.AuthUserGetRequest(name="alice")),
            ("UserList", ROOT, rpc.AuthUserListRequest()),
            ("UserChangePassword", None, rpc.AuthUserChangePasswordRequest(name="alice", password="x")),
            ("UserChangePassword", ROOT, rpc.AuthUserChangePasswordRequest(name="nobody", password="x")),
            ("UserGrantRole", None, rpc.AuthUserGrantRoleRequest(user="alice", role="root")),
            ("UserRevokeRole", ROOT, rpc.AuthUserRevokeRoleRequest(name="alice", role="nothing")),
            ("UserDelete", ROOT, rpc.AuthUserDeleteRequest(name="nobody")),
            ("RoleAdd", ROOT, rpc.AuthRoleAddRequest(name="alice")),
            ("RoleGet", ROOT, rpc.AuthRoleGetRequest(role="other")),
            ("RoleGet", ALICE, rpc.AuthRoleGetRequest(role="alice")),
            ("RoleList", ROOT, rpc.AuthRoleListRequest()),
            ("RoleDelete", ROOT, rpc.AuthRoleDeleteRequest(role="nobody")),
            ("RoleGrantPermission", ROOT, rpc.AuthRoleGrantPermissionRequest(name="nobody", perm=perm)),
            ("RoleRevokePermission", ROOT, rpc.AuthRoleRevokePermissionRequest(role="nobody", key=b"a"))):
        yield f"{method} {request}", who, lambda a, n=method, q=request: getattr(a.Auth, n)(q)
    yield "Authenticate", OPEN, lambda a: a.Auth.Authenticate(rpc.AuthenticateRequest(name="alice", password="pw"))


def lock_calls():
    leader = election.LeaderKey(name=b"secret", key=b"secret", rev=1, lease=1)

    def taken(a, name):
        return a.Lock.Unlock(lock.UnlockRequest(key=a.Lock.Lock(lock.LockRequest(name=name), timeout=60).key))

    yield "Lock", ALICE, lambda a: taken(a, b"both/l")
    yield "Lock where one may only write", ROOT, lambda a: taken(a, b"w")
    yield "Lock of a secret name", ROOT, lambda a: taken(a, b"secret")
    yield "Unlock", ROOT, lambda a: a.Lock.Unlock(lock.UnlockRequest(key=b"secret/9"))
    yield "Campaign", ROOT, lambda a: a.Election.Campaign(election.CampaignRequest(name=b"secret", value=b"v"), timeout=60)
    yield "Leader", ROOT, lambda a: a.Election.Leader(election.LeaderRequest(name=b"secret"))
    yield "Observe", ROOT, lambda a: a.Election.Observe(election.LeaderRequest(name=b"secret"), timeout=60)
    yield "Proclaim", ROOT, lambda a: a.Election.Proclaim(election.ProclaimRequest(leader=leader, value=b"v"))
    yield "Resign", ROOT, lambda a: a.Election.Resign(election.ResignRequest(leader=leader))


def own_calls():
    yield "AuthStatus", "anyone", lambda a: a.Auth.AuthStatus(rpc.AuthStatusRequest())
    yield "Health", OPEN, lambda a: a.Health.Check(health.HealthCheckRequest())
    for request, who in ((rpc.RangeRequest(key=b"r1"), ALICE), (rpc.RangeRequest(key=b"secret"), ROOT),
                         (rpc.RangeRequest(key=b"r", range_end=b"\0"), ROOT)):
        yield f"RangeStream {request}", who, lambda a, q=request: a.KV.RangeStream(q, timeout=60)
    yield "quorate.Version", USER, lambda a: a.Quorate.Version(quorate.VersionRequest())
    yield "quorate.RaiseVersion", ROOT, lambda a: a.Quorate.RaiseVersion(
        quorate.RaiseVersionRequest(version="3.5", dry_run=True))


@unittest.skipIf(ETCD_IN_OUR_ROLE, "3.4.23 is older than most of the advisories")
class PermissionTest(unittest.TestCase):
    """One server with users; each call of the table by each of them."""

    @classmethod
    def setUpClass(cls):
        cls.server = member.quorate()
        cls.server.start()
        cls.service = api.Api(cls.server.endpoint)
        for number in (LEASE_OF_SECRET, LEASE_FREE):
            cls.service.Lease.LeaseGrant(rpc.LeaseGrantRequest(ID=number, TTL=5000))
        for key in (b"r1", b"w1", b"both/a"):
            cls.service.KV.Put(rpc.PutRequest(key=key, value=b"1"))
        for key in (b"secret", b"held"):  # The second is no row's.
            cls.service.KV.Put(rpc.PutRequest(key=key, value=b"1", lease=LEASE_OF_SECRET))
        users.add(cls.service, "alice", "pw", PERMISSIONS)
        users.add(cls.service, "other", "pw", ())
        users.enable(cls.service)
        cls.callers = {"nobody": api.Api(cls.server.endpoint), "wrong token": api.Api(cls.server.endpoint),
                       "alice": api.Api(cls.server.endpoint), "root": api.Api(cls.server.endpoint)}
        cls.callers["wrong token"].metadata = (("token", "abcdefghijklmnop.1"),)
        cls.callers["alice"].login("alice", "pw")
        cls.callers["root"].login("root", "rootpw")

    @classmethod
    def tearDownClass(cls):
        for caller in (cls.service, *cls.callers.values()):
            caller.close()
        cls.server.remove()

    def expected(self, who, caller, through_client):
        """What the caller is told; None: nothing about permissions."""
        if who == OPEN or (caller == "nobody" and who == "anyone"):
            return None
        if caller == "nobody":
            answer = EMPTY
        elif caller == "wrong token":
            answer = INVALID_TOKEN
        elif caller == "alice" and who in (ROOT, None):
            answer = DENIED
        else:
            return None
        # The Lock and Election services stand on the original's client library: the code is lost on the way.
        return ("UNKNOWN", answer[1]) if through_client else answer

    def check(self, calls, through_client=False):
        for name, who, call in calls:
            for caller, service in self.callers.items():
                if who is None and caller == "root":
                    continue
                with self.subTest(call=name, caller=caller):
                    got = outcome(lambda call=call, service=service: call(service))
                    expected = self.expected(who, caller, through_client)
                    if expected is not None:
                        self.assertEqual(got, expected)
                    else:
                        self.assertNotIn(got[1], [text for _, text in OF_PERMISSION])
                        if caller == "alice" and who == ALICE:
                            self.assertEqual(got, OK)

    def test_keys(self):
        self.check(key_calls())

    def test_leases(self):
        self.check(lease_calls())

    def test_cluster_and_maintenance(self):
        self.check(cluster_calls())

    def test_users_and_roles(self):
        self.check(auth_calls())

    def test_locks_and_elections(self):
        self.check(lock_calls(), through_client=True)

    def test_newer_calls_and_our_own(self):
        self.check(own_calls())

    def test_watches(self):
        for key, end, who in ((b"r1", b"", ALICE), (b"r", b"s", ALICE), (b"both/", b"both0", ALICE), (b"w1", b"", ROOT),
                              (b"secret", b"", ROOT), (b"r", b"t", ROOT), (b"r1", b"\0", ROOT), (b"", b"", ROOT),
                              (b"", b"\0", ROOT)):
            for caller, service in self.callers.items():
                with self.subTest(key=key, end=end, caller=caller):
                    watching = Watching(service, key, end)
                    expected = self.expected(who, caller, False)
                    self.assertTrue(watching.created.created)
                    self.assertEqual(watching.created.canceled, expected is not None)
                    if expected is not None:
                        code = {EMPTY: "InvalidArgument", INVALID_TOKEN: "Unauthenticated",
                                DENIED: "PermissionDenied"}[expected]
                        self.assertEqual(watching.created.watch_id, -1)
                        self.assertEqual(watching.created.cancel_reason,
                                         f"rpc error: code = {code} desc = {expected[1]}")
                    watching.close()

    def test_token_in_either_header(self):
        token = self.callers["alice"].metadata[0][1]
        for metadata in ((("token", token),), (("authorization", token),), (("authorization", "Bearer " + token),),
                         (("token", token), ("authorization", "wrong.1"))):
            answer = outcome(lambda m=metadata: self.service.KV.Range(rpc.RangeRequest(key=b"r1"), metadata=m))
            self.assertEqual(answer, OK, metadata)
        for metadata in ((("token", "wrong.1"), ("authorization", token)), (("token", ""),), (("token", token[:-1]),),
                         (("token", token + "0"),), (("token", "a" * 16 + ".99999999999999999999"),)):
            answer = outcome(lambda m=metadata: self.service.KV.Range(rpc.RangeRequest(key=b"r1"), metadata=m))
            self.assertEqual(answer, INVALID_TOKEN, metadata)


class LifeTest(unittest.TestCase):
    """Tokens and watches over time, each test on a server of its own."""

    def server(self, *flags):
        server = member.quorate(flags=flags)
        self.addCleanup(server.remove)
        server.start()
        return server

    def service(self, server, name=None, password=None):
        service = api.Api(server.endpoint)
        self.addCleanup(service.close)
        if name:
            service.login(name, password)
        return service

    def with_alice(self, *flags):
        server = self.server(*flags)
        service = self.service(server)
        users.add(service, "alice", "pw", PERMISSIONS)
        users.enable(service)
        return server, self.service(server, "root", "rootpw"), self.service(server, "alice", "pw")

    def assert_ended(self, watching, reason="rpc error: code = PermissionDenied desc = etcdserver: permission denied"):
        """The next response ends the watch: nothing else came before."""
        answer = watching.next()
        self.assertEqual((answer.canceled, answer.watch_id, len(answer.events)), (True, watching.created.watch_id, 0))
        self.assertEqual(answer.cancel_reason, reason)

    @unittest.skipIf(ETCD_IN_OUR_ROLE, "the original's watches go on for ever")
    def test_a_watch_ends_when_its_permission_does(self):
        takes = {
            "permission revoked": lambda root: users.revoke(root, "alice", b"r", b"s"),
            "role revoked": lambda root: root.Auth.UserRevokeRole(rpc.AuthUserRevokeRoleRequest(name="alice", role="alice")),
            "role deleted": lambda root: root.Auth.RoleDelete(rpc.AuthRoleDeleteRequest(role="alice")),
            "user deleted": lambda root: root.Auth.UserDelete(rpc.AuthUserDeleteRequest(name="alice")),
        }
        for what, take in takes.items():
            with self.subTest(what):
                server, root, alice = self.with_alice()
                idle, busy = Watching(alice, b"r1"), Watching(alice, b"r", b"s")
                of_root = Watching(root, b"r", b"s")
                root.KV.Put(rpc.PutRequest(key=b"r2", value=b"seen"))
                self.assertEqual(busy.next().events[0].kv.value, b"seen")
                take(root)
                # What is written from now on is nothing for her.
                root.KV.Put(rpc.PutRequest(key=b"r2", value=b"unseen"))
                self.assert_ended(busy)
                self.assert_ended(idle)
                self.assertEqual([of_root.next().events[0].kv.value for _ in range(2)], [b"seen", b"unseen"])
                server.remove()

    @unittest.skipIf(ETCD_IN_OUR_ROLE, "the original's watches go on for ever")
    def test_a_watch_goes_on_while_any_permission_allows_it(self):
        _, root, alice = self.with_alice()
        watching = Watching(alice, b"r1")
        users.grant(root, "alice", READ, b"r1")
        users.revoke(root, "alice", b"r", b"s")
        root.Auth.UserChangePassword(rpc.AuthUserChangePasswordRequest(name="alice", password="new"))
        root.KV.Put(rpc.PutRequest(key=b"r1", value=b"seen"))
        self.assertEqual(watching.next().events[0].kv.value, b"seen")
        users.revoke(root, "alice", b"r1")
        self.assert_ended(watching)

    @unittest.skipIf(ETCD_IN_OUR_ROLE, "the original's watches go on for ever")
    def test_watches_of_before_authentication(self):
        server = self.server()
        service = self.service(server)
        watching = Watching(service, b"a")
        users.enable(service)
        self.assert_ended(watching, "rpc error: code = InvalidArgument desc = etcdserver: user name is empty")

    @unittest.skipIf(ETCD_IN_OUR_ROLE, "the original's observers go on for ever")
    def test_observers_end_too(self):
        _, root, alice = self.with_alice()
        root.Election.Campaign(election.CampaignRequest(name=b"both/e", value=b"1"))
        observer = alice.Election.Observe(election.LeaderRequest(name=b"both/e"), timeout=60)
        self.assertEqual(next(iter(observer)).kv.value, b"1")
        users.revoke(root, "alice", b"both/", b"both0")
        with self.assertRaises(grpc.RpcError) as ended:
            next(iter(observer))
        self.assertEqual(ended.exception.details(), DENIED[1])

    def test_a_token_expires_and_its_watch_goes_on(self):
        seconds = 5
        server, root, alice = self.with_alice("--auth-token-ttl", str(seconds))
        read = lambda: outcome(lambda: alice.KV.Range(rpc.RangeRequest(key=b"r1")))
        begun = used = time.monotonic()
        alice.login("alice", "pw")
        watching = Watching(alice, b"r1")
        # Use prolongs its life: longer in all than that. A pause that the machine made too long proves nothing.
        while time.monotonic() < begun + seconds + 1:
            time.sleep(1)
            before, used = used, time.monotonic()
            if (answer := read()) != OK and time.monotonic() > before + seconds:
                begun = used = time.monotonic()
                alice.login("alice", "pw")
                continue
            self.assertEqual(answer, OK)
        time.sleep(2 * seconds)  # Nothing but time ends it; and each question would prolong it.
        self.assertEqual(read(), INVALID_TOKEN)
        root = self.service(server, "root", "rootpw")
        root.KV.Put(rpc.PutRequest(key=b"r1", value=b"seen"))
        self.assertEqual(watching.next().events[0].kv.value, b"seen")

    def test_tokens_end_with_what_they_stand_on(self):
        server, root, alice = self.with_alice()
        read = lambda service: outcome(lambda: service.KV.Range(rpc.RangeRequest(key=b"r1")))
        root.Auth.UserChangePassword(rpc.AuthUserChangePasswordRequest(name="alice", password="new"))
        self.assertEqual(read(alice), INVALID_TOKEN)
        self.assertEqual(outcome(lambda: alice.login("alice", "pw")), WRONG_PASSWORD)
        alice.login("alice", "new")
        users.grant(root, "alice", READ, b"q")
        self.assertEqual(read(alice), OK, "a simple token lives through changes of permissions")
        root.Auth.UserDelete(rpc.AuthUserDeleteRequest(name="alice"))
        self.assertEqual(read(alice), INVALID_TOKEN)
        root.Auth.AuthDisable(rpc.AuthDisableRequest())
        self.assertEqual(read(alice), OK, "nobody looks at tokens now")
        token = root.metadata
        self.assertEqual(outcome(lambda: root.login("root", "rootpw")), NOT_ENABLED)
        root.metadata = token
        root.Auth.AuthEnable(rpc.AuthEnableRequest())
        self.assertEqual(read(root), INVALID_TOKEN)
        root.login("root", "rootpw")
        server.stop()
        server.start_with_alarm()
        again = self.service(server)
        again.metadata = root.metadata
        self.assertEqual(read(again), INVALID_TOKEN)

    def test_users_without_password_and_odd_logins(self):
        _, root, _ = self.with_alice()
        root.Auth.UserAdd(rpc.AuthUserAddRequest(name="cert", options={"no_password": True}))
        saved = root.metadata

        def login(name, password):
            root.metadata = saved
            return outcome(lambda: root.login(name, password))

        self.assertEqual(login("cert", "x"),
                         ("UNKNOWN", "auth: authentication failed, password was given for no password user"))
        for name, password in (("alice", "no"), ("nobody", "pw"), ("", ""), ("alice", ""), ("alice", "pw\0"),
                               ("root", "rootpw" * 100)):
            self.assertEqual(login(name, password), WRONG_PASSWORD, (name, password))
        root.metadata = saved
        # An empty password is one, as with the original.
        root.Auth.UserAdd(rpc.AuthUserAddRequest(name="empty"))
        self.assertEqual(login("empty", ""), OK)


if __name__ == "__main__":
    unittest.main(verbosity=2)
