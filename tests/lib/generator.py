"""Random requests over the whole API: sane ones mostly, with every kind of odd one among them.

A Generator yields steps. A step is a call (service, method, request) or a named action of the driver (open a watch,
restart, ...). It keeps a rough idea of the present revision and of the leases, so that most requests hit something; it
never looks at answers, so one seed gives one sequence whatever the servers do.
"""

import dataclasses
import random

from api import lock, rpc

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
# Leases live far longer than a test, except those that are revoked in the next step.
TTL_LONG = (5_000, 10_000, 20_000, 40_000)
LEASES = tuple(range(101, 113))
SENTINEL = b"\xff\xffsentinel"


@dataclasses.dataclass
class Call:
    service: str
    method: str
    request: object

    def __str__(self):
        text = str(self.request)
        return f"{self.service}.{self.method} {{\n{text[:2000]}}}"


@dataclasses.dataclass
class Action:
    """Something that is more than one unary call; `arguments` are the driver's."""

    name: str
    arguments: tuple = ()

    def __str__(self):
        return f"{self.name}{self.arguments}"[:2000]


class Generator:
    def __init__(self, seed, watches=True, big=True, old_reads_in_txns=True):
        """A transaction that reads a compacted revision fails in etcd 3.4, but takes effect when 3.4 replays it after a
        crash: a history that is to survive crashes of 3.4 goes without (old_reads_in_txns=False)."""
        self.random = random.Random(seed)
        self.watches = watches
        self.big = big
        self.old_reads_in_txns = old_reads_in_txns
        self.revision = 1  # About where the store is; the driver corrects it from answers that both servers gave.
        self.compacted = 0
        self.watches_open = 0  # Roughly; the driver sets it back after a restart.

    # Pieces

    def key(self, odd=0.05):
        r = self.random
        if r.random() < odd:
            return r.choice([b"", b"\0", b"\xff", b"\0\0", b"k" * 5000, b"a\0", b"\xff\xfe", "schlüssel".encode()])
        length = r.choice((1, 1, 2, 2, 2, 3))
        return bytes(r.choice(b"abcd") for _ in range(length))

    def range_end(self, key):
        r = self.random
        pick = r.random()
        if pick < 0.45:
            return b""
        if pick < 0.55:
            return b"\0"
        if pick < 0.75 and key and key[-1] < 255:
            return key[:-1] + bytes([key[-1] + 1])
        if pick < 0.8:
            return key
        return self.key()

    def value(self):
        r = self.random
        pick = r.random()
        if pick < 0.1:
            return b""
        if pick < 0.97 or not self.big:
            return bytes(r.choice(b"0123456789") for _ in range(r.choice((1, 1, 2, 3, 10, 300))))
        return b"v" * r.choice((4096, 32_768, 200_000))

    def any_revision(self, odd=0.1):
        r = self.random
        if r.random() < odd:
            return r.choice((-1, -5, INT64_MIN, INT64_MAX, self.revision + 1, self.revision + 1000, 1, self.compacted))
        return r.randint(max(1, self.compacted), max(1, self.revision))

    def lease_id(self, odd=0.1):
        r = self.random
        if r.random() < odd:
            return r.choice((-1, -7, 999, INT64_MAX, INT64_MIN))
        return r.choice(LEASES)

    def maybe(self, chance):
        return self.random.random() < chance

    # Requests

    def range_request(self, plain=False):
        r = self.random
        request = rpc.RangeRequest(key=self.key())
        request.range_end = self.range_end(request.key)
        if self.maybe(0.3):
            request.limit = r.choice((0, 1, 2, 3, 5, 100, -1, INT64_MAX, INT64_MIN))
        if self.maybe(0.3):
            request.revision = self.any_revision()
        if self.maybe(0.4):
            request.sort_order = r.choice((0, 1, 2))
            request.sort_target = r.choice((0, 1, 2, 3, 4))
        request.serializable = self.maybe(0.5)
        request.keys_only = self.maybe(0.15)
        request.count_only = self.maybe(0.1)
        for field in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if not plain and self.maybe(0.08):
                setattr(request, field, self.any_revision(0.2))
        return request

    def put_request(self):
        r = self.random
        request = rpc.PutRequest(key=self.key(), value=self.value(), prev_kv=self.maybe(0.3))
        if self.maybe(0.25):
            request.lease = self.lease_id()
        if self.maybe(0.1):
            request.ignore_value = True
            if self.maybe(0.7):
                request.value = b""
        if self.maybe(0.1):
            request.ignore_lease = True
            if self.maybe(0.7):
                request.lease = 0
        del r
        return request

    def delete_request(self):
        request = rpc.DeleteRangeRequest(key=self.key(), prev_kv=self.maybe(0.4))
        if self.maybe(0.3):
            request.range_end = self.range_end(request.key)
        return request

    def compare(self):
        r = self.random
        compare = rpc.Compare(result=r.choice((0, 1, 2, 3)), key=self.key(0.02))
        target = r.choice(("version", "create_revision", "mod_revision", "value", "lease"))
        compare.target = {"version": 0, "create_revision": 1, "mod_revision": 2, "value": 3, "lease": 4}[target]
        if target == "value":
            compare.value = self.value()
        elif target == "lease":
            compare.lease = r.choice((0, *LEASES))
        elif target == "version":
            compare.version = r.choice((0, 1, 1, 2, 3, -1))
        else:
            setattr(compare, target, r.choice((0, self.any_revision())))
        if self.maybe(0.2):
            compare.range_end = self.range_end(compare.key)
        if self.maybe(0.02):
            compare.ClearField("target_union")
        return compare

    def put_in_txn(self):
        request = self.put_request()
        if not self.old_reads_in_txns:
            # etcd 3.4 ends when such a put in a nested transaction finds no key.
            request.ignore_value = request.ignore_lease = False
        return request

    def operation(self, depth):
        pick = self.random.random()
        if pick < 0.3:
            request = self.range_request()
            if not self.old_reads_in_txns:
                request.revision = 0
            return rpc.RequestOp(request_range=request)
        if pick < 0.65:
            return rpc.RequestOp(request_put=self.put_in_txn())
        if pick < 0.85:
            return rpc.RequestOp(request_delete_range=self.delete_request())
        if pick < 0.98 and depth > 0:
            return rpc.RequestOp(request_txn=self.txn_request(depth - 1))
        if pick < 0.985:
            return rpc.RequestOp()
        return rpc.RequestOp(request_put=self.put_in_txn())

    def txn_request(self, depth=2):
        r = self.random
        request = rpc.TxnRequest()
        for _ in range(r.choice((0, 0, 1, 1, 2))):
            request.compare.append(self.compare())
        for operations in (request.success, request.failure):
            for _ in range(r.choice((0, 1, 1, 2, 3))):
                operations.append(self.operation(depth))
        return request

    def many_operations(self):
        """Around the limit of 128 operations."""
        r = self.random
        request = rpc.TxnRequest()
        for i in range(r.choice((127, 128, 129))):
            request.success.append(rpc.RequestOp(request_put=rpc.PutRequest(key=b"n%03d" % i, value=b"x")))
        return request

    # Steps

    def step(self):
        pick = self.random.random()
        if pick < 0.24:
            return Call("KV", "Range", self.range_request())
        if pick < 0.50:
            return Call("KV", "Put", self.put_request())
        if pick < 0.60:
            return Call("KV", "DeleteRange", self.delete_request())
        if pick < 0.74:
            return Call("KV", "Txn", self.many_operations() if self.maybe(0.02) else self.txn_request())
        if pick < 0.82:
            return self.lease_step()
        if pick < 0.84:
            return self.compact_step()
        if pick < 0.92 and self.watches:
            return self.watch_step()
        if pick < 0.95:
            return self.maintenance_step()
        if pick < 0.97:
            return self.cluster_step()
        if pick < 0.985:
            return self.lock_step()
        return self.odd_step()

    def lease_step(self):
        pick = self.random.random()
        if pick < 0.45:
            ttl = self.random.choice(TTL_LONG)
            if self.maybe(0.1):
                ttl = self.random.choice((9_000_000_000, 9_000_000_001, INT64_MAX))
            return Call("Lease", "LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl, ID=self.lease_id(0.03)))
        if pick < 0.55:
            return Call("Lease", "LeaseRevoke", rpc.LeaseRevokeRequest(ID=self.lease_id()))
        if pick < 0.75:
            return Call("Lease", "LeaseTimeToLive",
                        rpc.LeaseTimeToLiveRequest(ID=self.lease_id(), keys=self.maybe(0.7)))
        if pick < 0.85:
            return Call("Lease", "LeaseLeases", rpc.LeaseLeasesRequest())
        if pick < 0.95:
            return Action("keep_alive", (self.lease_id(),))
        return Action("short_lease", (self.random.choice((0, -1, 1, INT64_MIN)),))

    def compact_step(self):
        request = rpc.CompactionRequest(revision=self.any_revision(0.15), physical=self.maybe(0.6))
        if self.compacted < request.revision <= self.revision:
            self.compacted = request.revision
        return Call("KV", "Compact", request)

    def watch_step(self):
        r = self.random
        pick = r.random()
        if pick < 0.55 and self.watches_open < 12:
            create = rpc.WatchCreateRequest(key=self.key(), prev_kv=self.maybe(0.4), fragment=self.maybe(0.2))
            create.range_end = self.range_end(create.key)
            if self.maybe(0.4):
                # Below zero 3.4.23 does otherwise than its successors.
                create.start_revision = max(1, self.any_revision(0.2))
            if self.maybe(0.2):
                create.filters.extend(r.choice(([0], [1], [0, 1])))
            if self.maybe(0.2):
                create.watch_id = r.choice((0, 3, 7, 1_000_000))
            self.watches_open += 1
            return Action("watch_create", (create,))
        if pick < 0.75:
            self.watches_open = max(0, self.watches_open - 1)
            return Action("watch_cancel", (r.randrange(14),))
        return Action("watch_compare")

    def maintenance_step(self):
        r = self.random
        pick = r.random()
        if pick < 0.45:
            return Call("Maintenance", "HashKV", rpc.HashKVRequest(revision=self.any_revision()))
        if pick < 0.6:
            return Action("alarm", (r.choice((0, 0, 1, 2)), r.choice((0, 1, 2))))
        if pick < 0.7:
            return Call("Maintenance", "Defragment", rpc.DefragmentRequest())
        if pick < 0.8:
            return Action("snapshot")
        if pick < 0.9:
            return Action("status")
        return Call("Maintenance", "MoveLeader", rpc.MoveLeaderRequest(targetID=r.choice((0, 1, 2**64 - 1))))

    def cluster_step(self):
        r = self.random
        pick = r.random()
        if pick < 0.3:
            return Action("member_list")
        if pick < 0.5:
            return Call("Cluster", "MemberAdd", rpc.MemberAddRequest(
                peerURLs=r.choice(([], ["x"], ["127.0.0.1:1"], ["ftp://a:1"], ["http://a"]))))
        if pick < 0.7:
            return Call("Cluster", "MemberRemove", rpc.MemberRemoveRequest(ID=r.choice((0, 5))))
        if pick < 0.85:
            return Call("Cluster", "MemberUpdate", rpc.MemberUpdateRequest(
                ID=r.choice((0, 5)), peerURLs=r.choice((["http://127.0.0.1:1"], ["x"]))))
        return Call("Cluster", "MemberPromote", rpc.MemberPromoteRequest(ID=r.choice((0, 5))))

    def lock_step(self):
        r = self.random
        pick = r.random()
        name = r.choice((b"lock", b"l2", b""))
        if pick < 0.3:
            return Action("lock", (name, self.lease_id(0)))
        if pick < 0.4:
            return Call("Lock", "Unlock", lock.UnlockRequest(key=r.choice((b"lock/65", b"none", b""))))
        if pick < 0.75:
            return Action("campaign", (name, self.lease_id(0), self.value()))
        return Action("leader", (name,))

    def odd_step(self):
        r = self.random
        pick = r.random()
        if pick < 0.3 and self.big:
            # Around what a proposal may hold, and what the transport takes.
            size = r.choice((1_572_800, 1_572_864, 1_573_000, 2_097_100, 2_097_153, 3_000_000))
            return Call("KV", "Put", rpc.PutRequest(key=b"big", value=b"x" * size))
        if pick < 0.6:
            return Action("raw", (r.choice(("/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn",
                                           "/etcdserverpb.Lease/LeaseTimeToLive")),
                                  bytes(r.randrange(256) for _ in range(r.choice((1, 2, 5, 30))))))
        if pick < 0.75:
            return Action("raw", (r.choice(("/etcdserverpb.KV/Nosuch", "/nosuch.Service/X")), b""))
        if pick < 0.9:
            # A field that nobody knows, after a sound request.
            known = rpc.PutRequest(key=self.key(0), value=b"u").SerializeToString()
            return Action("raw", ("/etcdserverpb.KV/Put", known + b"\xf8\x07\x01"))
        return Call("Auth", "AuthDisable", rpc_auth_disable())


def rpc_auth_disable():
    return rpc.AuthDisableRequest()
