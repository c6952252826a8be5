"""Several members on loopback addresses of their own (127.0.0.11 and up), each etcd or ours, perhaps behind a fault proxy.

    with Cluster(("quorate", "quorate", "etcd"), proxied=True) as cluster:
        cluster.start()
        cluster.leader().kill()
        cluster.proxy.cut("m1", "m2")
        cluster.agree()

Where QUORATE_BIN says etcd, "quorate" runs etcd: that is how the tests of clusters are tested themselves.
"""

import collections
import json
import os
import random
import re
import signal
import subprocess
import time

import grpc

import api
import member
import places
from api import rpc
from fault_proxy import FaultProxy
from load import Load
from ports import free_port

KINDS = {"etcd": places.etcd, "quorate": places.quorate}
_FIRST_ADDRESS = 11
_chance = random.Random(os.urandom(8))
_FORGIVEN_ETCD = ("raft proposal dropped", "context deadline exceeded", "raft: stopped", "No status received",
                  "Received RST_STREAM with error code 0", "Stream removed")


class ClusterError(AssertionError):
    """What a cluster did not do in time; the members' last log lines are in it."""


class ClusterMember(member.Member):
    """A member of a cluster. `kind` may be changed while it is stopped: the other program goes on in its directory."""

    def __init__(self, cluster, number, kind):
        self.address = "127.0.0.1" if cluster.one_address else f"127.0.0.{_FIRST_ADDRESS + number - 1}"
        super().__init__(KINDS[kind](), name=f"m{number}", client_port=free_port(self.address),
                         peer_port=free_port(self.address))
        self.cluster = cluster
        self.kind = kind
        self.was_etcd_until = 0.0
        self.id = None
        self.advertised_port = self.peer_port
        self.initial_cluster = ""
        self.initial_state = "new"
        self.extra_flags = []  # This member's own, whatever its kind.
        self.paused = False
        self._log_from = 0
        self.credentials = cluster.credentials
        self.peer_scheme = cluster.peer_scheme
        if cluster.proxy:
            self.advertised_port = free_port(self.address)
            cluster.proxy.listen(self.name, self.address, self.advertised_port, self.peer_port)

    @property
    def endpoint(self):
        return f"{self.address}:{self.client_port}"

    @property
    def peer_url(self):
        """As the others know it: the proxy's, where there is one."""
        return f"{self.peer_scheme}://{self.address}:{self.advertised_port}"

    @property
    def is_etcd(self):
        return os.path.basename(self.binary) == "etcd"

    @property
    def running(self):
        return self.process is not None

    def arguments(self):
        arguments = [
            "--name", self.name, "--data-dir", str(self.data_dir),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", f"{self.peer_scheme}://{self.address}:{self.peer_port}",
            "--initial-advertise-peer-urls", self.peer_url,
            "--initial-cluster", self.initial_cluster, "--initial-cluster-state", self.initial_state,
            "--initial-cluster-token", self.cluster.token,
        ]
        if self.is_etcd:
            arguments += ["--logger", "zap", "--log-outputs", "stderr", *self.cluster.etcd_flags]
        else:
            arguments += self.cluster.quorate_flags
        return arguments + self.cluster.flags + self.extra_flags

    def spawn(self):
        self.binary = KINDS[self.kind]()
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        super().spawn()
        self.paused = False
        if self.cluster.proxy:
            self.cluster.proxy.process(self.name, self.process.pid)
        return self

    def recent_log(self):
        """What it printed since it was started last."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def restart(self):
        self.stop()
        return self.start()

    def status(self, timeout=10):
        with self.api() as service:
            return service.Maintenance.Status(rpc.StatusRequest(), timeout=timeout)

    def healthy(self):
        if not super().healthy():
            return False
        try:
            self.id = self.status().header.member_id
        except grpc.RpcError:
            return False
        return True

    def put(self, key, value, timeout=30, metadata=None, **fields):
        """The answer's revision."""
        with self.api() as service:
            request = rpc.PutRequest(key=_bytes(key), value=_bytes(value), **fields)
            return service.KV.Put(request, timeout=timeout, metadata=metadata).header.revision

    def get(self, key, serializable=False, timeout=30, metadata=None):
        """The value, None when the key is not there."""
        with self.api() as service:
            request = rpc.RangeRequest(key=_bytes(key), serializable=serializable)
            kvs = service.KV.Range(request, timeout=timeout, metadata=metadata).kvs
            return kvs[0].value.decode() if kvs else None

    def log_in(self, user, password):
        """Metadata for requests in that name."""
        with self.api() as service:
            answer = service.Auth.Authenticate(rpc.AuthenticateRequest(name=user, password=password))
            return (("token", answer.token),)

    def fill(self, count, size=20, prefix="fill/", metadata=None):
        """So many Puts, many at once; the highest revision. One that an election has cost is sent again."""
        with self.api() as service:
            call = service.channel.unary_unary("/etcdserverpb.KV/Put")

            def sent(request):
                return request, call.future(request, timeout=60, metadata=metadata)

            def answered(request, under_way):
                try:
                    return _revision(under_way.result())
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                return self.cluster.wait(lambda: _revision(sent(request)[1].result()), f"{self.name} takes a put again")
            under_way, revision = collections.deque(), 0
            for i in range(count):
                if len(under_way) >= 200:
                    revision = max(revision, answered(*under_way.popleft()))
                request = rpc.PutRequest(key=b"%s%06d" % (prefix.encode(), i), value=b"v" * size)
                under_way.append(sent(request.SerializeToString()))
            return max([revision, *(answered(*one) for one in under_way)])


def _bytes(text):
    return text.encode() if isinstance(text, str) else text


def _revision(answer):
    return rpc.PutResponse.FromString(answer).header.revision


class Cluster:
    """`flags` go to every member, `etcd_flags` and `quorate_flags` to the programs that know them. `one_address` puts all
    members on 127.0.0.1, for clients that know no other. With `credentials` (of the test's own calls) the client ports
    speak TLS."""

    def __init__(self, kinds=("quorate",) * 3, proxied=False, flags=(), etcd_flags=(), quorate_flags=(),
                 one_address=False, credentials=None, peer_scheme="http"):
        self.one_address = one_address
        self.credentials = credentials
        self.peer_scheme = peer_scheme
        self.proxy = FaultProxy() if proxied else None
        self.flags = list(flags)
        self.etcd_flags = list(etcd_flags)
        self.quorate_flags = list(quorate_flags)
        self.token = f"token-{_chance.randrange(1 << 30)}"
        self.members = []
        self._next = 1
        for kind in kinds:
            self._new_member(kind)
        names = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
        for one in self.members:
            one.initial_cluster = names

    def _new_member(self, kind):
        one = ClusterMember(self, self._next, kind)
        self._next += 1
        self.members.append(one)
        return one

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and os.environ.get("QUORATE_KEEP"):
            for one in self.members:
                print(f"{one.name} ({one.kind}): {one.root}")
                one.kill()
            self.members = []
        for one in self.members:
            if one.running and one.paused:
                one.resume()
            one.remove()
        if self.proxy:
            self.proxy.close()

    # All of them

    def start(self):
        for one in self.members:
            if not one.running:
                one.spawn()
        for one in self.members:
            one.wait_healthy()
        return self

    def stop(self):
        """SIGTERM to all, one after the other; returns the exit statuses."""
        return [one.stop() for one in self.running]

    def kill(self):
        for one in self.members:
            one.kill()

    @property
    def running(self):
        return [one for one in self.members if one.running and not one.paused]

    @property
    def names(self):
        return [one.name for one in self.members]

    @property
    def endpoints(self):
        return [one.endpoint for one in self.members]

    def by_id(self, number):
        return next((one for one in self.members if one.id == number), None)

    def logs(self, characters=1500):
        return "\n".join(f"--- {one.name} ({one.kind}), end of its log ---\n{one.log()[-characters:]}"
                         for one in self.members)

    def wait(self, condition, what, seconds=60):
        """Polls until condition() is true, and returns that; calls that fail count as false."""
        deadline = time.monotonic() + seconds
        error = None
        while time.monotonic() < deadline:
            try:
                if result := condition():
                    return result
            except (grpc.RpcError, OSError) as caught:
                error = caught
            time.sleep(0.03)
        raise ClusterError(f"not within {seconds} s: {what}" + (f" (last: {error})" if error else "") +
                           f"\n{self.logs()}")

    def load(self, seed, **options):
        """Clients of all members."""
        return Load(self.endpoints, seed, forgives=self.forgives, credentials=self.credentials, **options)

    def forgives(self, endpoint, invoked, error):
        """etcd 3.4 has two errors that tell nobody to retry though one should, and when it stops it ends calls with a
        third, or (with TLS) without a status. From ours no such thing is forgiven."""
        one = next(m for m in self.members if m.endpoint == endpoint)
        return (one.is_etcd or invoked < one.was_etcd_until) and error.details() in _FORGIVEN_ETCD

    # Leadership

    def leader(self, among=None, seconds=60):
        """The leader that all of these (default: all that run) agree on, once they do."""
        def agreed():
            voters = [one for one in among or self.running]
            states = [one.status() for one in voters]
            leaders = {state.leader for state in states}
            terms = {state.raftTerm for state in states}
            if len(leaders) != 1 or len(terms) != 1 or 0 in leaders:
                return None
            for one, state in zip(voters, states):
                one.id = state.header.member_id
            return next((one for one in voters if one.id in leaders), None)
        return self.wait(agreed, "one leader", seconds)

    def followers(self):
        leader = self.leader()
        return [one for one in self.running if one is not leader]

    def move_leader(self, to):
        """Makes this member the leader by the RPC that etcdctl move-leader uses."""
        def moved():
            leader = self.leader()
            if leader is to:
                return True
            with leader.api() as service:
                service.Maintenance.MoveLeader(rpc.MoveLeaderRequest(targetID=to.id), timeout=30)
            return False
        self.wait(moved, f"{to.name} ({to.kind}) leads")

    def lead_by(self, kind):
        """A member of this kind leads afterwards; returns it."""
        leader = self.leader()
        if leader.kind != kind:
            leader = next(one for one in self.running if one.kind == kind)
            self.move_leader(leader)
        return leader

    # Members

    def member_list(self, through=None):
        with (through or self.running[0]).api() as service:
            return list(service.Cluster.MemberList(rpc.MemberListRequest()).members)

    def wait_noticed(self, gone, by):
        """Until a member knows that another one's connections are gone, which decides what changes it allows."""
        pattern = re.compile(rf'(?m)^etcd_network_active_peers{{.*Remote="{gone.id:x}".*}} 0$')
        self.wait(lambda: pattern.search(by.http("/metrics")[1]), f"{by.name} notices that {gone.name} is gone")

    def wait_compacted(self, one, revision):
        """Until it has done this compaction: what it held is free only then. Both programs use the same words."""
        pattern = re.compile(rf'"finished scheduled compaction".*"compact-revision":{revision}\b')
        self.wait(lambda: pattern.search(one.log()), f"{one.name} has compacted revision {revision}")

    def announce(self, kind, learner=False, through=None):
        """MemberAdd; returns the new member, not started yet."""
        one = self._new_member(kind)
        through = through or self.leader(among=[m for m in self.running if m is not one])

        def added():
            # Refused for a while after the start and after another change: the cluster wants to see all connected.
            with through.api() as service:
                return service.Cluster.MemberAdd(rpc.MemberAddRequest(peerURLs=[one.peer_url], isLearner=learner))
        try:
            answer = self.wait(added, f"{one.name} is added")
        except ClusterError:
            self.members.remove(one)
            one.remove()
            raise
        one.id = answer.member.ID
        names = {m.peer_url: m.name for m in self.members}
        one.initial_cluster = ",".join(f"{names[url]}={url}" for m in answer.members for url in m.peerURLs)
        one.initial_state = "existing"
        return one

    def add(self, kind, learner=False, through=None):
        one = self.announce(kind, learner, through)
        one.spawn()
        self.wait(lambda: one.answers() and one.status().leader != 0, f"{one.name} joins")
        if not learner:
            one.wait_healthy()
        return one

    def dismiss(self, one, through=None):
        """MemberRemove; the member's process is the caller's to look at."""
        through = through or next(m for m in self.running if m is not one)
        number = one.id

        def removed():
            with through.api() as service:
                try:
                    return service.Cluster.MemberRemove(rpc.MemberRemoveRequest(ID=number))
                except grpc.RpcError as error:
                    # An earlier try whose answer was lost, as with the leader that is removed.
                    if error.code() != grpc.StatusCode.NOT_FOUND:
                        raise
                    return True
        self.wait(removed, f"{one.name} is removed")

    def promote(self, one, through=None):
        def promoted():
            with (through or self.leader()).api() as service:
                return service.Cluster.MemberPromote(rpc.MemberPromoteRequest(ID=one.id))
        self.wait(promoted, f"{one.name} is promoted")

    def swap(self, one, kind):
        """The other program in the same directory."""
        status = one.stop()
        if one.is_etcd:
            one.was_etcd_until = time.monotonic()
        one.kind = kind
        one.start()
        return status

    # What they hold

    def agree(self, among=None, metadata=None, seconds=60):
        """Waits until all (default: that run) have applied the newest revision and the same compaction, then compares
        their HashKV there. Returns the revision."""
        members = among or self.running

        def newest():
            with members[0].api() as service:
                return service.KV.Range(rpc.RangeRequest(key=b"x"), metadata=metadata).header.revision

        def applied(one):
            with one.api() as service:
                request = rpc.RangeRequest(key=b"x", serializable=True)
                return service.KV.Range(request, metadata=metadata, timeout=10).header.revision >= top

        def hashed(one):
            with one.api() as service:
                return api.hash_kv(service, top, metadata=metadata)
        top = self.wait(newest, f"{members[0].name} tells its revision", seconds)
        for one in members:
            self.wait(lambda one=one: applied(one), f"{one.name} has revision {top}", seconds)
        deadline = time.monotonic() + seconds
        while True:
            hashes = {f"{one.name} ({one.kind})": self.wait(lambda one=one: hashed(one), f"{one.name} hashes", seconds)
                      for one in members}
            # A compaction has no revision of its own: who has not come to it yet hashes what the others have dropped.
            if len({compacted for _, compacted in hashes.values()}) == 1 or time.monotonic() > deadline:
                break
            time.sleep(0.03)
        if len({hash for hash, _ in hashes.values()}) != 1:
            raise ClusterError(f"HashKV at revision {top} (hash, compact revision) differ: {hashes}\n{self.logs()}")
        return top

    def ctl(self, *arguments, endpoints=None, check=True, timeout=90, stdin=None):
        """etcdctl, at all members unless endpoints are named."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        environment["ETCDCTL_API"] = "3"
        command = [places.etcdctl(), *member.PATIENT, "--endpoints", ",".join(endpoints or [m.endpoint for m in self.running]),
                   *(self.credentials.etcdctl() if self.credentials else [])]
        result = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False,
                                env=environment, timeout=timeout, input=stdin)
        if check and result.returncode != 0:
            raise ClusterError(f"etcdctl {arguments} ended with {result.returncode}: {result.stderr}\n{self.logs()}")
        return result

    def ctl_json(self, *arguments, **options):
        return json.loads(self.ctl(*arguments, "-w", "json", **options).stdout)
