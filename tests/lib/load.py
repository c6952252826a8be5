"""Clients with several endpoints under whatever happens to the cluster: what they do is recorded for history.check.

They move on as the stock clients do: a call that fails Unavailable, or gets no answer in time, sends the client to its
next endpoint; a read is sent again there, a write is left as uncertain (and the next one has a new value). Watchers ask
for a leader (hasleader) and go on from the revision after their last event.
"""

import collections
import itertools
import random
import re
import threading
import time

import grpc

import api
import history
from api import rpc
from history import CAS, DELETE, PAIR, PUT, READ, STALE_READ, TWIN, Event, Operation, WatchRecord

PREFIX = b"h/"
END = PREFIX + b"~end"
_REQUIRE_LEADER = (("hasleader", "true"),)
# What a client takes as a reason to try another endpoint.
RETRIABLE = (grpc.StatusCode.UNAVAILABLE,)


class Client:
    """A channel to each endpoint; calls go to one until it fails."""

    def __init__(self, endpoints, first=0, timeout=10, metadata=None, credentials=None):
        self._services = [api.Api(endpoint, credentials) for endpoint in endpoints]
        self._endpoints = list(endpoints)
        self._at = first % len(endpoints)
        self.timeout = timeout
        self.metadata = metadata

    @property
    def endpoint(self):
        return self._endpoints[self._at]

    @property
    def service(self):
        return self._services[self._at]

    def next(self):
        self._at = (self._at + 1) % len(self._services)

    def close(self):
        for service in self._services:
            service.close()


class Load:
    """Start it, do things to the cluster, finish() it, and check()."""

    def __init__(self, endpoints, seed, writers=4, readers=3, watchers=3, keys=12, timeout=10, pause=0.002,
                 metadata=None, leases=0, forgives=lambda endpoint, invoked, error: False, credentials=None):
        """`forgives` says which errors of calls invoked then count as retriable though their code does not say so."""
        self._credentials = credentials
        self._endpoints = list(endpoints)
        self._forgives = forgives
        self._seed = seed
        self._keys = keys
        self._pause = pause
        self._timeout = timeout
        self._metadata = metadata
        self._stop = threading.Event()
        self._target = None  # The revision that ends the watches.
        self.operations = []
        self.watches = []
        self.errors = collections.Counter()  # (code, text) -> how often.
        self.timeouts = 0
        self.fatal = []  # What no client may see at all.
        self.lease_losses = []
        self.acknowledged = []  # Times of the writes' answers, in order of each writer.
        self._threads = []
        self._clients = []
        jobs = [(f"w{i}", self._write) for i in range(writers)] + [(f"r{i}", self._read) for i in range(readers)]
        jobs += [(f"l{i}", self._keep_lease) for i in range(leases)]
        for number, (name, job) in enumerate(jobs):
            client = self._client(number)
            chance = random.Random(f"{seed}/{name}")
            self._threads.append(threading.Thread(target=self._guard, args=(job, name, client, chance), daemon=True))
        self._watch_threads = []
        for i in range(watchers):
            record = WatchRecord(f"watch{i}", 2)
            self.watches.append(record)
            self._watch_threads.append(threading.Thread(target=self._guard, args=(self._watch, record, self._client(i)),
                                                        daemon=True))

    def _client(self, number):
        client = Client(self._endpoints, number, self._timeout, self._metadata, self._credentials)
        self._clients.append(client)
        return client

    def _guard(self, job, *arguments):
        try:
            job(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.fatal.append(f"{arguments[0]}: {error!r}")

    def __enter__(self):
        for thread in self._threads + self._watch_threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._target = self._target or 0
        for thread in self._threads + self._watch_threads:
            thread.join(self._timeout + 10)
        for client in self._clients:
            client.close()

    # What the clients do

    def _failed(self, client, invoked, error):
        code, text = error.code(), error.details() or ""
        self.errors[code.name, re.sub(r"ipv4:\S+ ", "", text).split(": ", 1)[-1][:80]] += 1
        if not self._forgives(client.endpoint, invoked, error):
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                self.timeouts += 1
            elif code not in RETRIABLE:
                self.fatal.append(f"{client.endpoint}: {code.name}: {text}")
        client.next()
        time.sleep(0.02)

    def _key(self, chance):
        return PREFIX + b"%d" % chance.randrange(self._keys)

    def _write(self, name, client, chance):
        for number in itertools.count():
            if self._stop.wait(self._pause):
                return
            kind = chance.choices((PUT, DELETE, PAIR, CAS), (6, 1, 1, 2))[0]
            key = self._key(chance)
            value = b"" if kind == DELETE else f"{name}-{number}".encode() + b"." * chance.choice((0, 0, 100, 4000))
            op = Operation(kind, name, key, time.monotonic(), value, endpoint=client.endpoint)
            if kind == CAS:
                known = next((o for o in reversed(self.operations[-50:]) if o.key == key and o.done), None)
                op.compared = known.revision if known and known.kind in (PUT, PAIR, CAS) else 0
            try:
                answer = self._send(client, op)
            except grpc.RpcError as error:
                self.operations.append(op)
                self._failed(client, op.invoked, error)
                continue
            op.returned = time.monotonic()
            op.revision = answer.header.revision
            op.done = answer.deleted > 0 if kind == DELETE else answer.succeeded if kind in (CAS, PAIR) else True
            self.operations.append(op)
            self.acknowledged.append(op.returned)

    @staticmethod
    def _send(client, op):
        kv, options = client.service.KV, {"timeout": client.timeout, "metadata": client.metadata}
        put = rpc.PutRequest(key=op.key, value=op.value)
        if op.kind == PUT:
            return kv.Put(put, **options)
        if op.kind == DELETE:
            return kv.DeleteRange(rpc.DeleteRangeRequest(key=op.key), **options)
        txn = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put)])
        if op.kind == PAIR:
            txn.success.add(request_put=rpc.PutRequest(key=op.key + TWIN, value=op.value))
        else:
            txn.compare.add(key=op.key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=op.compared)
        return kv.Txn(txn, **options)

    def _read(self, name, client, chance):
        while not self._stop.wait(self._pause):
            kind = STALE_READ if chance.random() < 0.2 else READ
            op = Operation(kind, name, self._key(chance), time.monotonic(), endpoint=client.endpoint)
            try:
                answer = client.service.KV.Range(rpc.RangeRequest(key=op.key, serializable=kind == STALE_READ),
                                                 timeout=client.timeout, metadata=client.metadata)
            except grpc.RpcError as error:
                self._failed(client, op.invoked, error)
                continue
            op.returned = time.monotonic()
            op.done = True
            op.revision = answer.header.revision
            op.seen = (answer.kvs[0].value, answer.kvs[0].mod_revision) if answer.kvs else None
            self.operations.append(op)
            if chance.random() < 0.02:
                client.next()

    def _keep_lease(self, name, client, chance):
        """A lease that must live as long as it is renewed. Its life counts from the last answered renewal."""
        del chance
        seconds, granted = 5, None
        while granted is None and not self._stop.is_set():
            asked = time.monotonic()
            try:
                granted = client.service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=seconds), timeout=client.timeout,
                                                          metadata=client.metadata)
            except grpc.RpcError as error:
                self._failed(client, asked, error)
        renewed = time.monotonic()
        while granted is not None and not self._stop.wait(seconds / 5):
            asked = time.monotonic()
            try:
                stream = client.service.Lease.LeaseKeepAlive(iter([rpc.LeaseKeepAliveRequest(ID=granted.ID)]),
                                                             timeout=client.timeout, metadata=client.metadata)
                answer = next(iter(stream))
            except StopIteration:
                client.next()
                continue
            except grpc.RpcError as error:
                self._failed(client, asked, error)
                continue
            if answer.TTL <= 0:
                if time.monotonic() < renewed + granted.TTL:
                    self.lease_losses.append(f"{name}: lost {asked - renewed:.2f} s after a renewal, before "
                                             f"{granted.TTL} s were over")
                return
            renewed = asked

    def _watch(self, record, client):
        while self._target is None or (record.events[-1].revision if record.events else 1) < self._target:
            start = record.events[-1].revision + 1 if record.events else record.start
            done, opened = threading.Event(), time.monotonic()

            def requests(start=start, done=done):
                yield rpc.WatchRequest(create_request=rpc.WatchCreateRequest(
                    key=b"\0", range_end=b"\0", start_revision=start, progress_notify=True))
                done.wait()
            stream = client.service.Watch.Watch(requests(), metadata=_REQUIRE_LEADER + tuple(client.metadata or ()))
            stopper = threading.Thread(target=self._cut_silent_stream, args=(stream, record, done), daemon=True)
            stopper.start()
            try:
                self._follow(stream, record)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.CANCELLED:
                    self._failed(client, opened, error)
                else:
                    client.next()
            else:
                client.next()
            finally:
                done.set()
                stream.cancel()
                stopper.join()

    def _cut_silent_stream(self, stream, record, done):
        """A client's keep-alive: a stream that shows nothing for 5 s, though the load writes, is given up."""
        count, since = len(record.events), time.monotonic()
        while not done.wait(0.1):
            if len(record.events) != count:
                count, since = len(record.events), time.monotonic()
            if time.monotonic() > since + 5 or self._target == 0:
                stream.cancel()
                return

    def _follow(self, stream, record):
        for response in stream:
            if response.canceled:
                self.fatal.append(f"{record.name}: canceled: {response.cancel_reason}")
                self._target = 0
                return
            if not response.events and not response.created:
                record.progress.append((len(record.events), response.header.revision))
            if response.events:
                record.batches.append((time.monotonic(), len(record.events), response.header.revision))
                for event in response.events:
                    record.events.append(Event(event.kv.mod_revision, event.kv.key,
                                               event.kv.value if event.type == event.PUT else None))
            if self._target is not None and record.events and record.events[-1].revision >= self._target:
                return

    # The end

    def finish(self, seconds=60):
        """Ends the clients, writes the last revision, waits until every watcher has seen it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timeout + 10)
            if thread.is_alive():
                self.fatal.append("a client hangs")
        client = self._client(0)
        deadline = time.monotonic() + seconds
        for number in itertools.count():
            op = Operation(PUT, "end", END, time.monotonic(), b"end-%d" % number, endpoint=client.endpoint)
            self.operations.append(op)
            try:
                op.revision = self._send(client, op).header.revision
            except grpc.RpcError:
                client.next()
                if time.monotonic() > deadline:
                    raise
                continue
            op.done, op.returned = True, time.monotonic()
            self._target = op.revision
            break
        for thread, record in zip(self._watch_threads, self.watches):
            thread.join(max(0.1, deadline - time.monotonic()))
            if thread.is_alive():
                self.fatal.append(f"{record.name}: still at revision "
                                  f"{record.events[-1].revision if record.events else 1} of {self._target}")
        return self._target

    def truth(self, endpoint, until=None):
        """All events that this member holds, by a watch of the past."""
        until = until or self._target
        record, done = [], threading.Event()

        def requests():
            yield rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=1))
            done.wait(60)
        with api.Api(endpoint, self._credentials) as service:
            stream = service.Watch.Watch(requests(), timeout=60, metadata=self._metadata)
            for response in stream:
                record += [Event(e.kv.mod_revision, e.kv.key, e.kv.value if e.type == e.PUT else None)
                           for e in response.events]
                if record and record[-1].revision >= until:
                    break
            done.set()
            stream.cancel()
        return [event for event in record if event.revision <= until]

    def check(self, endpoints, may_time_out=False):
        """After finish(): the problems. All these members must hold the same events."""
        problems = list(self.fatal) + self.lease_losses
        if self.timeouts and not may_time_out:
            problems.append(f"{self.timeouts} calls had no answer after {self._timeout} s")
        events = self.truth(endpoints[0])
        for endpoint in endpoints[1:]:
            if self.truth(endpoint) != events:
                problems.append(f"{endpoint} and {endpoints[0]} hold other events")
        return problems + history.check(self.operations, history.Truth(events), self.watches, PREFIX)

    def longest_gap(self, begin, end):
        """The longest time between two acknowledged writes in this span, in seconds."""
        times = [begin] + sorted(t for t in self.acknowledged if begin <= t <= end) + [end]
        return max(b - a for a, b in zip(times, times[1:]))

    def summary(self):
        done = collections.Counter(op.kind for op in self.operations if op.done is not None)
        unknown = sum(op.done is None for op in self.operations)
        events = sum(len(watch.events) for watch in self.watches)
        text = ", ".join(f"{count} {kind}s" for kind, count in sorted(done.items()))
        failed = "; ".join(f"{count} x {code} {text}" for (code, text), count in self.errors.most_common(6))
        return f"{text}, {unknown} without an answer, {events} events watched; errors: {failed or 'none'}"
