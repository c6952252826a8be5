#!/usr/bin/python3
"""The same random requests to etcd and to our server, in lockstep: every answer, error, watch event and hash is equal.

QUORATE_TEST_SEED replays a run, QUORATE_TEST_STEPS sets its length. QUORATE_BIN=etcd runs etcd against itself.
What may differ: member and cluster IDs, raft terms, fields that etcd 3.4 doesn't have, how many responses a stream of
events is cut into, and the order of what etcd itself returns in the random order of a Go map.
"""

import json
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import json_door
import member
from api import election, lock, rpc
from auth_generator import USERS, WRONG, AuthGenerator, AuthStep
from differ import Watcher, normalize
from generator import Action, Generator

STEPS = int(os.environ.get("QUORATE_TEST_STEPS", "1500"))
SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))


class Side:
    """One of the two servers with its channel and watch stream."""

    def __init__(self, name, process):
        self.name = name
        self.process = process
        self.past = []  # All events of the store before the last restart.
        self.connect()

    def connect(self):
        self.process.start()
        self.api = api.Api(self.process.endpoint)
        self.member_id = self.api.Cluster.MemberList(rpc.MemberListRequest()).members[0].ID
        self.watcher = Watcher(self.api, self.past)

    def disconnect(self):
        self.past = self.watcher.all_events()
        self.watcher.close()
        self.api.close()
        self.process.stop()

    def catches_up(self):
        """Whether the server has watches that have not seen all of the past that they asked for."""
        page = self.process.http("/metrics")[1]
        return float(re.search(r"(?m)^etcd_debugging_mvcc_slow_watcher_total (\S+)$", page).group(1)) > 0

    def call(self, step):
        method = getattr(getattr(self.api, step.service), step.method)
        return self.outcome(lambda: method(step.request), step.request)

    def outcome(self, call, request=None):
        """A comparable form of an answer or an error."""
        try:
            return ("ok", normalize(call(), self.member_id, request))
        except grpc.RpcError as error:
            return ("error", *api.code_and_text(error))

    # The actions of the generator

    def act(self, step):
        return getattr(self, "do_" + step.name)(*step.arguments)

    def do_keep_alive(self, lease_id):
        def call():
            stream = self.api.Lease.LeaseKeepAlive(iter([rpc.LeaseKeepAliveRequest(ID=lease_id)]), timeout=60)
            return next(iter(stream))
        return self.outcome(call)

    def do_short_lease(self, ttl):
        """A lease of the shortest life, with an ID of the server's choice, revoked at once."""
        def call():
            asked = time.monotonic()
            granted = self.api.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=ttl))
            try:
                self.api.Lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=granted.ID))
            except grpc.RpcError:
                if time.monotonic() < asked + granted.TTL:
                    raise  # Else it has ended by itself, on a machine that was busy meanwhile.
            assert granted.ID > 0, granted
            granted.ID = 0
            return granted
        return self.outcome(call)

    def do_watch_create(self, request):
        # The revision in the answer is not compared: it says from where on the watch is judged, by its own server's history.
        return ("ok", self.watcher.create(request)[:2])

    def do_watch_cancel(self, ordinal):
        return ("ok", self.watcher.cancel(ordinal))

    def do_alarm(self, action, kind):
        answer = self.outcome(lambda: self.api.Maintenance.Alarm(
            rpc.AlarmRequest(action=action, memberID=self.member_id, alarm=kind)))
        if action == 1:
            probe = self.outcome(lambda: self.api.KV.Put(rpc.PutRequest(key=b"alarmed", value=b"x")))
            read = self.outcome(lambda: self.api.KV.Range(rpc.RangeRequest(key=b"alarmed")))
            disarm = self.outcome(lambda: self.api.Maintenance.Alarm(
                rpc.AlarmRequest(action=2, memberID=self.member_id, alarm=kind)))
            return (answer, probe, read, disarm)
        return answer

    def do_snapshot(self):
        import hashlib
        digest, size, tail, remaining = hashlib.sha256(), 0, b"", None
        for part in self.api.Maintenance.Snapshot(rpc.SnapshotRequest(), timeout=60):
            digest.update(tail)
            tail = part.blob
            size += len(part.blob)
            remaining = part.remaining_bytes
        return ("ok", tail == digest.digest(), size % 512, remaining)

    def do_status(self):
        answer = self.api.Maintenance.Status(rpc.StatusRequest())
        # The two sizes are read one after the other: the file may grow in between.
        again = self.api.Maintenance.Status(rpc.StatusRequest())
        return ("ok", list(answer.errors), answer.isLearner, answer.leader == self.member_id,
                answer.dbSize > 0, 0 < answer.dbSizeInUse <= again.dbSize)

    def do_member_list(self):
        members = self.api.Cluster.MemberList(rpc.MemberListRequest()).members
        return ("ok", [(m.name, len(m.peerURLs), len(m.clientURLs), m.isLearner) for m in members])

    def do_lock(self, name, lease):
        def call():
            taken = self.api.Lock.Lock(lock.LockRequest(name=name, lease=lease), timeout=60)
            self.api.Lock.Unlock(lock.UnlockRequest(key=taken.key))
            return taken
        return self.outcome(call)

    def do_campaign(self, name, lease, value):
        def call():
            won = self.api.Election.Campaign(election.CampaignRequest(name=name, lease=lease, value=value), timeout=60)
            observed = next(iter(self.api.Election.Observe(election.LeaderRequest(name=name), timeout=60)))
            assert observed.kv.value == value, observed
            self.api.Election.Proclaim(election.ProclaimRequest(leader=won.leader, value=b"second"))
            seen = self.api.Election.Leader(election.LeaderRequest(name=name))
            self.api.Election.Resign(election.ResignRequest(leader=won.leader))
            return seen
        return self.outcome(call)

    def do_leader(self, name):
        return (self.outcome(lambda: self.api.Election.Leader(election.LeaderRequest(name=name))),
                self.outcome(lambda: self.api.Election.Proclaim(election.ProclaimRequest(value=b"x"))),
                self.outcome(lambda: self.api.Election.Resign(election.ResignRequest())))

    def do_raw(self, path, payload):
        def call():
            self.api.raw(path, payload)
            return True
        try:
            return ("ok", call())
        except grpc.RpcError as error:
            # Which byte was wrong is told in each library's own words.
            code, text = api.code_and_text(error)
            return ("error", code, text if code == "UNIMPLEMENTED" else "")


def hashes_compacted_revision(step, etcd, quorate):
    """At exactly the compacted revision 3.4.34 and later answer, as we do; 3.4.23 calls it compacted."""
    return (step.method == "HashKV" and etcd[0] == "error" and etcd[2].endswith("has been compacted")
            and quorate[0] == "ok" and f"compact_revision: {step.request.revision}\n" in quorate[1])


class Differential(unittest.TestCase):
    def setUp(self):
        self.sides = []
        for name, process in (("etcd", member.etcd()), ("quorate", member.quorate())):
            self.addCleanup(process.remove)
            self.sides.append(Side(name, process))
        self.history = []
        self.excused = []

    def test_random_requests(self):
        print(f"seed {SEED}, {STEPS} steps (QUORATE_TEST_SEED={SEED} QUORATE_TEST_STEPS={STEPS})", flush=True)
        generator = Generator(SEED)
        restart_at = STEPS * 2 // 3
        for number in range(STEPS):
            step = generator.step()
            self.history.append(f"#{number} {step}")
            if isinstance(step, Action):
                self.take_action(step)
            else:
                if step.method == "Compact":
                    self.settle_watches()
                answers = [side.call(step) for side in self.sides]
                if not hashes_compacted_revision(step, *answers):
                    self.check(*answers)
            generator.revision = self.sides[0].api.KV.Range(
                rpc.RangeRequest(key=b"revision", serializable=True)).header.revision
            if number == restart_at:
                self.restart()
                generator.watches_open = 0
        self.compare_stores()
        self.restart()
        if self.excused:
            print(f"excused in etcd: {self.excused}", flush=True)

    def take_action(self, step):
        if step.name == "watch_compare":
            self.settle_watches()
            return
        if step.name == "watch_cancel":
            self.settle_watches()
        self.check(*[side.act(step) for side in self.sides])

    def check(self, left, right):
        if left != right:
            tail = "\n".join(self.history[-5:])
            self.fail(f"seed {SEED}: after\n{tail}\n--- {self.sides[0].name}\n{left}\n--- {self.sides[1].name}\n{right}")

    def settle_watches(self):
        """Waits until both streams have delivered everything; then each watch has seen just what it asked for."""
        for side in self.sides:
            side.watcher.sentinel()
        # A watch that began in the past catches up by a timer of the server: a compaction before that would end it.
        for side in self.sides:
            deadline = time.monotonic() + 60
            while side.watcher.catching_up and side.catches_up() and time.monotonic() < deadline:
                time.sleep(0.02)
            deadline = time.monotonic() + 60
            while side.watcher.problems() and time.monotonic() < deadline:
                time.sleep(0.02)
            problems = side.watcher.problems()
            if problems and os.path.basename(side.process.binary) == "etcd":
                # 3.4.23 loses events around compactions and sends old ones to watches of the future; later ones don't.
                self.excused.append(problems)
                side.watcher.forgive()
            elif problems:
                asked = "\n".join(line for line in self.history if "watch_" in line or "Compact" in line)
                self.fail(f"seed {SEED}: {side.name}: {problems}\n{asked}")
            side.watcher.catching_up = False
        deadline = time.monotonic() + 60
        while True:
            # Watches that begin before a compaction are told so by that timer, too.
            left, right = (side.watcher.history() for side in self.sides)
            if left == right or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if left != right:
            self.check(*[[e for e in one[0] if e not in other[0]] + [len(one[0]), one[1]]
                         for one, other in ((left, right), (right, left))])

    def compare_stores(self):
        self.settle_watches()
        left, right = (side.api for side in self.sides)
        self.check(api.hash_kv(left), api.hash_kv(right))
        self.check(api.every_key(left), api.every_key(right))
        first = max(1, api.hash_kv(left)[1] + 1)  # The compacted revision itself has no hash any more.
        top = left.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
        for revision in range(first, top + 1, max(1, (top - first) // 20)):
            self.check(api.hash_kv(left, revision), api.hash_kv(right, revision))
        self.check(*[normalize(side.api.Lease.LeaseLeases(rpc.LeaseLeasesRequest()), 0) for side in self.sides])

    def restart(self):
        """A clean stop and start of both; nothing may be lost. Watches end with the servers."""
        self.settle_watches()
        for side in self.sides:
            side.disconnect()
        for side in self.sides:
            side.connect()
        self.compare_stores()


class UserSide(Side):
    """A server whose requests are made by users, with the tokens that it gave them."""

    enabled = False

    def connect(self):
        self.tokens = {WRONG: "abcdefghijklmnop.3"}
        self.process.start_with_alarm()  # With authentication on it doesn't call itself healthy.
        self.api = api.Api(self.process.endpoint)
        self.door = json_door.Door(self.process)
        self.member_id = None

    def disconnect(self):
        self.api.close()
        self.process.stop()

    def may_ask(self, step):
        return not self.enabled or step.caller in self.tokens

    def call(self, step):
        # 3.4.23 looks at tokens also while authentication is off.
        token = self.tokens.get(step.caller) if self.enabled else None
        return self.call_json(step, token) if step.json else self.call_grpc(step, token)

    def call_grpc(self, step, token):
        method = getattr(getattr(self.api, step.service), step.method)

        def send():
            answer = method(step.request, metadata=[("token", token)] if token else None)
            if step.method == "Authenticate":
                answer.token = self.take_token(step, answer.token)
            self.take_change(step)
            return answer
        return self.outcome(send)

    def call_json(self, step, token):
        """Status, type and bytes of the answer, but for what must differ; with the text of an error last."""
        status, kind, text = self.door.ask(step.json.path, step.json.body,
                                           headers={step.json.token_header: token} if token else None)
        answer = json.loads(text)
        if status == 200:
            self.take_change(step)
            if "token" in answer:
                text = text.replace(answer["token"], self.take_token(step, answer["token"]))
        return ("ok" if status == 200 else "error", status, kind, json_door.without_identity(text), answer.get("error", ""))

    def take_change(self, step):
        self.enabled = step.method == "AuthEnable" or (self.enabled and step.method != "AuthDisable")

    def take_token(self, step, token):
        """Remembers it; what two tokens have in common."""
        self.tokens[step.request.name] = token
        return str(len(token.split(".")[0]))


# What the random walk must have met.
REFUSALS = ("permission denied", "user name is empty", "invalid auth token", "user name not found", "role name not found",
            "role is not granted to the user", "user name already exists", "permission is not granted to the role",
            "authentication failed, invalid user ID or password", "invalid auth management", "root user does not exist")
REFUSALS_BY_EACH_DOOR = REFUSALS[:5]


class UserDifferential(unittest.TestCase):
    """Random changes of users, roles and permissions, and requests of those users, each over gRPC or JSON: same answers,
    same denials."""

    def setUp(self):
        self.sides = []
        for name, process in (("etcd", member.etcd()), ("quorate", member.quorate())):
            self.addCleanup(process.remove)
            process.flags += ["--bcrypt-cost", "4"]
            self.sides.append(UserSide(name, process))
        self.history = []

    def test_random_users(self):
        print(f"seed {SEED}, {STEPS} steps of users (QUORATE_TEST_SEED={SEED} QUORATE_TEST_STEPS={STEPS})", flush=True)
        generator = AuthGenerator(SEED)
        self.refusals = set()
        for step in generator.setup():
            self.take(step)
        for number in range(STEPS):
            self.take(generator.step())
            if number == STEPS * 2 // 3:
                self.restart()
        for text in REFUSALS:
            doors = {door for door, refusal in self.refusals if text in refusal}
            self.assertTrue(doors, text)
            if text in REFUSALS_BY_EACH_DOOR:
                self.assertEqual(doors, {"gRPC", "JSON"}, text)
        self.compare()

    def take(self, step):
        if step.service == "Lease" and not all(side.may_ask(step) for side in self.sides):
            return "ok"  # 3.4.23 grants and revokes leases for nobody, too.
        self.history.append(str(step))
        left, right = [side.call(step) for side in self.sides]
        if left != right:
            tail = "\n".join(self.history[-5:])
            self.fail(f"seed {SEED}: after\n{tail}\n--- etcd\n{left}\n--- quorate\n{right}")
        if left[0] == "error":
            self.refusals.add(("JSON" if step.json else "gRPC", left[-1]))
        return left[0]

    def restart(self):
        for side in self.sides:
            side.disconnect()
            side.connect()

    def compare(self):
        """All users and roles, and the whole store, once nobody is asked for a token any more."""
        for name in USERS:
            for password in ("p0", "p1", ""):
                self.take(AuthStep(None, "Auth", "Authenticate", rpc.AuthenticateRequest(name=name, password=password)))
        self.assertEqual(self.take(AuthStep("root", "Auth", "AuthDisable", rpc.AuthDisableRequest())), "ok")
        for method, field in (("User", "name"), ("Role", "role")):
            self.take(AuthStep(None, "Auth", f"{method}List", getattr(rpc, f"Auth{method}ListRequest")()))
            for name in (*USERS, "r0", "r1", "r2"):
                self.take(AuthStep(None, "Auth", f"{method}Get", getattr(rpc, f"Auth{method}GetRequest")(**{field: name})))
        self.assertEqual(*[api.hash_kv(side.api) for side in self.sides])


if __name__ == "__main__":
    unittest.main(verbosity=2)
