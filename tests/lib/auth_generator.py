"""Random requests about users, roles and permissions, and requests of those users.

A step is who asks what, and through which door: `caller` is a user's name (his last token is sent, whichever door gave
it), None (no token) or WRONG. It never looks at answers, so one seed gives one sequence whatever the servers do. Left out
is what etcd 3.4.23 decides otherwise than its successors since their advisories: docs/security.md.
"""

import dataclasses
import random

import json_door
from api import auth, rpc

WRONG = "a wrong token"
USERS = ("root", "u0", "u1", "u2")
ROLES = ("root", "r0", "r1", "r2")
PASSWORDS = ("p0", "p1", "")
# Held by keys of the store from the start.
LEASES = (901, 902)
READ, WRITE, READWRITE = auth.Permission.READ, auth.Permission.WRITE, auth.Permission.READWRITE


@dataclasses.dataclass
class JsonForm:
    """How a request is written for the JSON gateway."""
    path: str
    body: str
    token_header: str


@dataclasses.dataclass
class AuthStep:
    caller: object
    service: str
    method: str
    request: object
    json: JsonForm = None  # None: over gRPC.

    def __str__(self):
        door = f"{self.json.path} {self.json.body}" if self.json else "gRPC"
        return f"{self.service}.{self.method} as {self.caller} {{\n{self.request}}} by {door}"


class AuthGenerator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def by_some_door(self, step):
        """The step over gRPC or JSON."""
        r = self.random
        if r.random() < 0.5:
            return step
        path = r.choice(json_door.VERSIONS) + r.choice(json_door.PATHS[f"{step.service}.{step.method}"])
        body = json_door.spelled(step.request, camel_case=r.random() < 0.2, defaults=r.random() < 0.2)
        header = "Authorization" if r.random() < 0.7 else r.choice(json_door.TOKEN_HEADERS)
        return dataclasses.replace(step, json=JsonForm(path, body, header))

    def setup(self):
        """What the random steps stand on: root, and some users with permissions."""
        yield from map(self.by_some_door, self._setup())

    def _setup(self):
        for number in LEASES:
            yield AuthStep(None, "Lease", "LeaseGrant", rpc.LeaseGrantRequest(ID=number, TTL=50_000))
        for number, key in enumerate((b"a", b"b", b"ab", b"c", b"cc", b"d")):
            yield AuthStep(None, "KV", "Put", rpc.PutRequest(key=key, value=b"0", lease=(0, *LEASES)[number % 3]))
        yield AuthStep(None, "Auth", "AuthEnable", rpc.AuthEnableRequest())  # No root yet.
        yield AuthStep(None, "Auth", "UserAdd", rpc.AuthUserAddRequest(name="root", password="p0"))
        yield AuthStep(None, "Auth", "AuthEnable", rpc.AuthEnableRequest())  # Without its role.
        yield AuthStep(None, "Auth", "UserGrantRole", rpc.AuthUserGrantRoleRequest(user="root", role="root"))
        for number in range(3):
            yield AuthStep(None, "Auth", "UserAdd", rpc.AuthUserAddRequest(name=f"u{number}", password="p0"))
            yield AuthStep(None, "Auth", "RoleAdd", rpc.AuthRoleAddRequest(name=f"r{number}"))
            yield AuthStep(None, "Auth", "UserGrantRole",
                           rpc.AuthUserGrantRoleRequest(user=f"u{number}", role=f"r{number}"))
            for _ in range(3):
                yield AuthStep(None, "Auth", "RoleGrantPermission", self.grant(f"r{number}"))
        yield AuthStep(None, "Auth", "AuthEnable", rpc.AuthEnableRequest())
        for name in USERS:
            yield AuthStep(None, "Auth", "Authenticate", rpc.AuthenticateRequest(name=name, password="p0"))
        yield AuthStep("root", "Auth", "UserDelete", rpc.AuthUserDeleteRequest(name="root"))  # While it is needed.

    # Pieces

    def key(self):
        return bytes(self.random.choice(b"abcd") for _ in range(self.random.choice((1, 1, 2))))

    def key_range(self):
        """Never empty, nor upside down: 3.4.23 grants and checks such ranges otherwise."""
        key = self.key()
        pick = self.random.random()
        if pick < 0.5:
            return key, b""
        if pick < 0.6:
            return key, b"\0"
        return key, key[:-1] + bytes([key[-1] + self.random.choice((1, 2))])

    def grant(self, role):
        key, end = self.key_range()
        return rpc.AuthRoleGrantPermissionRequest(name=role, perm=auth.Permission(
            permType=self.random.choice((READ, WRITE, READWRITE)), key=key, range_end=end))

    def name(self, names):
        return self.random.choice(names) if self.random.random() < 0.93 else self.random.choice(("", "nobody", "ü"))

    def caller(self):
        return self.random.choice(("u0", "u0", "u1", "u1", "u2", "u2", "root", "root", None, WRONG))

    # Steps

    def step(self):
        return self.by_some_door(self._step())

    def _step(self):
        pick = self.random.random()
        if pick < 0.45:
            return self.key_step()
        if pick < 0.60:
            return self.login_step()
        if pick < 0.66:
            return self.restoring_step()
        return self.auth_step()

    def restoring_step(self):
        """Back to a state in which much is allowed, and not everything to everybody."""
        request, method = self.random.choice((
            (self.grant(self.random.choice(ROLES[1:])), "RoleGrantPermission"),
            (self.grant(self.random.choice(ROLES[1:])), "RoleGrantPermission"),
            (rpc.AuthUserAddRequest(name="root", password="p0"), "UserAdd"),
            (rpc.AuthRoleAddRequest(name="root"), "RoleAdd"),
            (rpc.AuthUserGrantRoleRequest(user="root", role="root"), "UserGrantRole"),
            (rpc.AuthEnableRequest(), "AuthEnable")))
        return AuthStep("root", "Auth", method, request)

    def login_step(self):
        r = self.random
        name = self.name(USERS)
        return AuthStep(None, "Auth", "Authenticate",
                        rpc.AuthenticateRequest(name=name, password=r.choice(("p0", "p0", "p0", "p1", ""))))

    def key_step(self):
        r = self.random
        pick = r.random()
        key, end = self.key_range()
        if pick < 0.35:
            return AuthStep(self.caller(), "KV", "Range", rpc.RangeRequest(
                key=key, range_end=end, serializable=r.random() < 0.3, count_only=r.random() < 0.1))
        if pick < 0.6:
            return AuthStep(self.caller(), "KV", "Put", rpc.PutRequest(
                key=key, value=bytes([r.choice(b"012")]), prev_kv=r.random() < 0.3,
                lease=r.choice((0, 0, 0, *LEASES))))
        if pick < 0.7:
            return AuthStep(self.caller(), "KV", "DeleteRange",
                            rpc.DeleteRangeRequest(key=key, range_end=end, prev_kv=r.random() < 0.3))
        if pick < 0.75:
            return AuthStep(r.choice(USERS), "Lease", "LeaseRevoke", rpc.LeaseRevokeRequest(ID=r.choice(LEASES)))
        if pick < 0.78:
            return AuthStep("root", "Lease", "LeaseGrant", rpc.LeaseGrantRequest(ID=r.choice(LEASES), TTL=50_000))
        return AuthStep(self.caller(), "KV", "Txn", self.txn())

    def txn(self):
        r = self.random
        txn = rpc.TxnRequest()
        for _ in range(r.choice((0, 1, 1, 2))):
            key, end = self.key_range()
            txn.compare.add(target=rpc.Compare.VERSION, result=rpc.Compare.GREATER, key=key, range_end=end, version=0)
        used = set()
        for branch in (txn.success, txn.failure):
            for _ in range(r.choice((0, 1, 1, 2))):
                key, end = self.key_range()
                pick = r.random()
                if pick < 0.5:
                    branch.add().request_range.CopyFrom(rpc.RangeRequest(key=key, range_end=end))
                elif pick < 0.8 and key not in used:
                    used.add(key)
                    branch.add().request_put.CopyFrom(rpc.PutRequest(key=key, value=b"t"))
                elif not used:
                    branch.add().request_delete_range.CopyFrom(
                        rpc.DeleteRangeRequest(key=key, range_end=end, prev_kv=r.random() < 0.3))
        return txn

    def auth_step(self):
        r = self.random
        user, role = self.name(USERS), self.name(ROLES)
        key, end = self.key_range()
        caller = "root" if r.random() < 0.75 else self.caller()
        # A root without a password never logs in again: all that follows would be refused.
        passwords = PASSWORDS[:2] if user == "root" else PASSWORDS
        steps = (
            (4, "UserAdd", lambda: rpc.AuthUserAddRequest(name=user, password=r.choice(passwords))),
            (1, "UserAdd", lambda: rpc.AuthUserAddRequest(name=user if user != "root" else "u0", options={"no_password": True})),
            (2, "UserDelete", lambda: rpc.AuthUserDeleteRequest(name=user)),
            (4, "UserGet", lambda: rpc.AuthUserGetRequest(name=user)),
            (1, "UserList", rpc.AuthUserListRequest),
            (2, "UserChangePassword", lambda: rpc.AuthUserChangePasswordRequest(name=user, password=r.choice(passwords))),
            (6, "UserGrantRole", lambda: rpc.AuthUserGrantRoleRequest(user=user, role=role)),
            (2, "UserRevokeRole", lambda: rpc.AuthUserRevokeRoleRequest(name=user, role=role)),
            (4, "RoleAdd", lambda: rpc.AuthRoleAddRequest(name=role)),
            (1, "RoleDelete", lambda: rpc.AuthRoleDeleteRequest(role=role)),
            (4, "RoleGet", lambda: rpc.AuthRoleGetRequest(role=role)),
            (1, "RoleList", rpc.AuthRoleListRequest),
            (6, "RoleGrantPermission", lambda: self.grant(role)),
            (4, "RoleRevokePermission",
             lambda: rpc.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=end)),
            (1, "AuthEnable", rpc.AuthEnableRequest),
            (0.3, "AuthDisable", rpc.AuthDisableRequest),
        )
        method, make = r.choices([(m, f) for _, m, f in steps], [w for w, _, _ in steps])[0]
        return AuthStep(caller, "Auth", method, make())
