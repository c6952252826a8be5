#!/usr/bin/python3
"""One data directory, two servers in turn: what one leaves, cleanly or killed, the other serves unchanged.

QUORATE_TEST_SEED replays the random history.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
import places
import state
import users
from api import rpc
from generator import Call, Generator
from users import DENIED, EMPTY, OK, WRONG_PASSWORD, outcome

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))

# etcd 3.4 hashes where it applies, and on a busy machine its clients' time is up meanwhile.
CHEAP_PASSWORDS = ("--bcrypt-cost", "4")


class SwapTest(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)

    def write(self, server, seed, steps):
        """A random history, then things that a directory must carry besides keys; returns what a client sees."""
        generator = Generator(seed, watches=False, big=False, old_reads_in_txns=False)
        with api.Api(server.endpoint) as service:
            generator.revision = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
            for _ in range(steps):
                step = generator.step()
                if not isinstance(step, Call) or step.service not in ("KV", "Lease"):
                    continue
                try:
                    answer = getattr(getattr(service, step.service), step.method)(step.request)
                    generator.revision = max(generator.revision, answer.header.revision)
                except grpc.RpcError:
                    pass
            for lease in (seed % 1000 + 5000, seed % 1000 + 7000):
                service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=100_000, ID=lease))
                service.KV.Put(rpc.PutRequest(key=b"leased/%d" % lease, value=b"v", lease=lease))
            service.KV.Put(rpc.PutRequest(key=b"large", value=b"L" * 100_000))
            return state.capture(service)

    def look(self, server):
        with api.Api(server.endpoint) as service:
            return state.capture(service)

    def swap(self, first, second, end, flags=(), steps=300):
        """first writes and ends; second serves the same, writes on; first serves that, too."""
        with member.Member(first, flags=flags) as server:
            server.start()
            expected = self.write(server, SEED, steps)
            for turn, binary in enumerate((second, first, second)):
                end(server)
                server.binary = binary
                server.start()
                self.assertEqual("", state.differences(expected, self.look(server)),
                                 f"seed {SEED}, turn {turn}: {binary} on what the other left")
                expected = self.write(server, SEED + turn + 1, steps // 3)
                self.assertEqual("", state.differences(expected, self.look(server)))

    def test_ours_then_etcd_clean(self):
        self.swap(places.quorate(), places.etcd(), member.Member.stop)

    def test_ours_then_etcd_killed(self):
        self.swap(places.quorate(), places.etcd(), member.Member.kill)

    def test_etcd_then_ours_clean(self):
        self.swap(places.etcd(), places.quorate(), member.Member.stop)

    def test_etcd_then_ours_killed(self):
        self.swap(places.etcd(), places.quorate(), member.Member.kill)

    def test_with_raft_snapshots(self):
        """So many raft snapshots that the log is compacted and old files are purged between the swaps."""
        flags = ("--snapshot-count", "40", "--max-snapshots", "2", "--max-wals", "2")
        self.swap(places.quorate(), places.etcd(), member.Member.kill, flags)
        self.swap(places.etcd(), places.quorate(), member.Member.stop, flags)

    def test_alarm_is_kept(self):
        for first, second in ((places.quorate(), places.etcd()), (places.etcd(), places.quorate())):
            with member.Member(first, flags=("--quota-backend-bytes", "600000")) as server:
                server.start()
                with api.Api(server.endpoint) as service:
                    with self.assertRaises(grpc.RpcError) as refused:
                        for i in range(200):
                            service.KV.Put(rpc.PutRequest(key=b"q%d" % i, value=b"x" * 20_000))
                    self.assertEqual(api.code_and_text(refused.exception),
                                     ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"))
                    expected = state.capture(service)
                    self.assertEqual([alarm for _, alarm in expected["alarms"]], [1])
                server.stop()
                server.binary = second
                server.start_with_alarm()
                self.assertEqual("", state.differences(expected, self.look(server)))
                with api.Api(server.endpoint) as service:
                    with self.assertRaises(grpc.RpcError):
                        service.KV.Put(rpc.PutRequest(key=b"more", value=b"x"))
                    service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"q", range_end=b"r"))
                    top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
                    service.KV.Compact(rpc.CompactionRequest(revision=top, physical=True))
                    service.Maintenance.Defragment(rpc.DefragmentRequest())
                    service.Maintenance.Alarm(rpc.AlarmRequest(action=2, alarm=1, memberID=expected["members"][0][0]))
                    service.KV.Put(rpc.PutRequest(key=b"more", value=b"x"))

    def check_users(self, service, value, written):
        """Each user by his own password, with his own permissions, and by no other; k becomes `written`."""
        read = lambda key=b"k": outcome(lambda: service.KV.Range(rpc.RangeRequest(key=key)))
        write = lambda key: outcome(lambda: service.KV.Put(rpc.PutRequest(key=key, value=written)))
        login = lambda name, password: outcome(lambda: service.login(name, password))
        self.assertEqual(read(), EMPTY)
        for name, password in (("reader", "wrong"), ("reader", "pw2"), ("reader", ""), ("writer", "pw"), ("root", "pw"),
                               ("root", "rootpw "), ("nobody", "pw")):
            self.assertEqual(login(name, password), WRONG_PASSWORD, (name, password))
        self.assertEqual(login("nopw", "pw")[1], "auth: authentication failed, password was given for no password user")
        self.assertEqual(login("reader", "pw"), OK)
        self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"k")).kvs[0].value, value)
        self.assertEqual((read(b"other"), write(b"k")), (DENIED, DENIED))
        self.assertEqual(outcome(lambda: service.Auth.UserList(rpc.AuthUserListRequest())), DENIED)
        self.assertEqual(login("writer", "pw2"), OK)
        self.assertEqual((read(), read(b"other"), write(b"other"), write(b"k")), (OK, DENIED, DENIED, OK))
        self.assertEqual(login("root", "rootpw"), OK)
        self.assertEqual((read(b"other"), write(b"other")), (OK, OK))
        self.assertEqual(list(service.Auth.UserList(rpc.AuthUserListRequest()).users), ["nopw", "reader", "root", "writer"])

    def test_users_are_kept(self):
        """One enables authentication; whoever opens the directory next enforces it, passwords included."""
        for first, second in ((places.etcd(), places.quorate()), (places.quorate(), places.etcd())):
            with self.subTest(first=first), member.Member(first, flags=CHEAP_PASSWORDS) as server:
                server.start()
                with server.api() as service:
                    service.KV.Put(rpc.PutRequest(key=b"k", value=b"0"))
                    users.add(service, "reader", "pw", ((users.READ, b"k", b""),))
                    users.add(service, "writer", "pw2", ((users.READWRITE, b"k", b""),))
                    service.Auth.UserAdd(rpc.AuthUserAddRequest(name="nopw", options={"no_password": True}))
                    users.enable(service)
                for turn, binary in enumerate((second, first)):
                    server.stop()
                    server.binary = binary
                    server.start_with_alarm()
                    with server.api() as service:
                        self.check_users(service, b"%d" % turn, b"%d" % (turn + 1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
