"""What two servers' answers have in common: answers without what must differ, and watch streams as event lists."""

import queue
import threading

import grpc
from google.protobuf import text_format

from api import rpc
from generator import SENTINEL

# Fields that 3.4 doesn't know; it leaves them out, we fill them.
_NEWER = {
    "etcdserverpb.HashKVResponse": ("hash_revision",),
    "etcdserverpb.StatusResponse": ("storageVersion", "dbSizeQuota", "downgradeInfo"),
    "etcdserverpb.SnapshotResponse": ("version",),
    "etcdserverpb.AlarmResponse": ("header",),
}
# What Go returns in the order of a map.
_SETS = {
    "etcdserverpb.LeaseTimeToLiveResponse": "keys",
    "etcdserverpb.LeaseLeasesResponse": "leases",
}


def normalize(message, member_id, request=None):
    """The message as text, without IDs, terms, newer fields and meaningless order."""
    copy = type(message)()
    copy.CopyFrom(message)
    _strip(copy, member_id)
    if isinstance(request, rpc.RangeRequest):
        _settle_ties(request, copy)
    elif isinstance(request, rpc.TxnRequest):
        _settle_ties_in_txn(request, copy)
    return text_format.MessageToString(copy, as_utf8=False)


def _strip(message, member_id):
    name = message.DESCRIPTOR.full_name
    if name == "etcdserverpb.ResponseHeader":
        message.cluster_id = message.member_id = message.raft_term = 0
    for field in _NEWER.get(name, ()):
        message.ClearField(field)
    if name == "etcdserverpb.LeaseTimeToLiveResponse" and message.TTL > 60:
        message.TTL = message.grantedTTL  # A second more or less has passed.
    if name == "etcdserverpb.AlarmMember" and message.memberID == member_id:
        message.memberID = 1
    if name in _SETS:
        items = getattr(message, _SETS[name])
        ordered = sorted(items, key=lambda item: item if isinstance(item, bytes) else item.ID)
        copies = [item if isinstance(item, bytes) else type(item).FromString(item.SerializeToString())
                  for item in ordered]
        del items[:]
        items.extend(copies)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.label == field.LABEL_REPEATED else [value]:
            _strip(part, member_id)


_SORT_FIELDS = {1: "version", 2: "create_revision", 3: "mod_revision", 4: "value"}


def _settle_ties(request, response):
    """Go's sort is not stable: keys that are equal in what they are sorted by come in any order, and a limit may cut
    among them. So without a limit ties are put in the order of their keys; with one only what was sorted by stays."""
    field = _SORT_FIELDS.get(request.sort_target)
    if field is None:
        return
    kvs = [type(kv).FromString(kv.SerializeToString()) for kv in response.kvs]
    del response.kvs[:]
    blank = field == "value" and request.keys_only
    if request.limit > 0:
        kvs = [] if blank else [type(kv)(**{field: getattr(kv, field)}) for kv in kvs]
    elif blank:
        kvs.sort(key=lambda kv: kv.key)
    else:
        places_of = {}
        for place, kv in enumerate(kvs):
            places_of.setdefault(getattr(kv, field), place)
        kvs.sort(key=lambda kv: (places_of[getattr(kv, field)], kv.key))
    response.kvs.extend(kvs)


def _settle_ties_in_txn(request, response):
    operations = request.success if response.succeeded else request.failure
    for operation, answer in zip(operations, response.responses):
        if operation.HasField("request_range"):
            _settle_ties(operation.request_range, answer.response_range)
        elif operation.HasField("request_txn"):
            _settle_ties_in_txn(operation.request_txn, answer.response_txn)


class Watch:
    """One watch of a stream: what was asked for, and the events that came, as (revision, key, type, event)."""

    def __init__(self, request, response):
        self.request = request
        self.id = response.watch_id
        self.first = request.start_revision if request.start_revision > 0 else response.header.revision + 1
        self.after_all_past = request.start_revision <= 0
        self.until = None  # The revision of its cancel.
        self.events = []
        self.compacted = 0
        self.fragment = False

    def wants(self, event):
        key, end = self.request.key or b"\0", self.request.range_end
        if not end:
            inside = event.kv.key == key
        else:
            inside = event.kv.key >= key and (end == b"\0" or event.kv.key < end)
        return inside and int(event.type) not in self.request.filters

    def problems(self, truth):
        """What is wrong with the events, given all events of the store in order."""
        expected = [e for e in truth if self.first <= e.kv.mod_revision <= (self.until or 2**63) and self.wants(e)]
        if self.compacted:
            expected = expected[:len(self.events)]
        name = f"watch {self.id} ({text_format.MessageToString(self.request, as_one_line=True)})"
        if [_identity(e) for e in self.events] != [_identity(e) for e in expected]:
            came, due = {_identity(e) for e in self.events}, {_identity(e) for e in expected}
            return [f"{name}: lost {sorted(due - came)[:5]}, unasked {sorted(came - due)[:5]}, "
                    f"{len(self.events)} of {len(expected)} events"]
        return [f"{name}: previous value of {_identity(e)}" for e, t in zip(self.events, expected)
                if not self._previous_is_right(e, t)]

    def _previous_is_right(self, event, true_event):
        if not self.request.prev_kv:
            return not event.HasField("prev_kv")
        if event.HasField("prev_kv"):
            return event.prev_kv == true_event.prev_kv
        # A watch of the past finds no previous value any more once that was compacted.
        return not true_event.HasField("prev_kv") or not self.after_all_past


def _identity(event):
    return (event.kv.mod_revision, event.kv.key, int(event.type), event.kv.SerializeToString())


class Watcher:
    """One watch stream with many watches, read by a thread of its own.

    Its first watch follows every key from now on; with the events of the past it says what each other watch must have
    seen. So each server is judged by its own history, and that history is what is compared between the two.
    """

    def __init__(self, service, past=()):
        self._service = service
        self._past = list(past)
        self._requests = queue.Queue()
        self._changed = threading.Condition()
        self._asked = queue.Queue()  # create requests that have no answer yet
        self._answers = queue.Queue()  # created and canceled responses, in order
        self._open = {}  # watch ID -> Watch
        self._all = []
        self._order = []  # IDs of the generator's watches, oldest first
        self._ended = None
        self.broken = []
        self.catching_up = False
        self._stream = service.Watch.Watch(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.create(rpc.WatchCreateRequest(key=b"\0", range_end=b"\0", prev_kv=True))
        self._truth = self._all[0]
        del self._order[:]

    def close(self):
        self._requests.put(None)
        self._stream.cancel()
        self._thread.join(10)

    # Requests; each waits for its answer

    def create(self, request):
        self._asked.put(request)
        self._requests.put(rpc.WatchRequest(create_request=request))
        answer = self._answers.get(timeout=60)
        if answer.canceled:
            return ("refused", answer.watch_id, answer.cancel_reason)
        self._order.append(answer.watch_id)
        if request.start_revision > 0:
            self.catching_up = True
        return ("created", answer.watch_id, answer.header.revision)

    def cancel(self, ordinal):
        """Cancels the watch that was created as number `ordinal`, or an ID that doesn't exist."""
        if ordinal >= len(self._order):
            self._requests.put(rpc.WatchRequest(cancel_request=rpc.WatchCancelRequest(watch_id=4242 + ordinal)))
            return ("no answer",)
        watch_id = self._order.pop(ordinal)
        with self._changed:
            gone = self._open[watch_id].compacted
        self._requests.put(rpc.WatchRequest(cancel_request=rpc.WatchCancelRequest(watch_id=watch_id)))
        if gone:
            return ("already canceled", watch_id)
        answer = self._answers.get(timeout=60)
        return ("canceled", answer.watch_id, answer.canceled, answer.cancel_reason, answer.compact_revision)

    def sentinel(self):
        """Puts a key and waits until its event has come: synced watches have delivered all before it."""
        revision = self._service.KV.Put(rpc.PutRequest(key=SENTINEL)).header.revision
        with self._changed:
            reached = self._changed.wait_for(lambda: self._ended or (
                self._truth.events and self._truth.events[-1].kv.mod_revision >= revision), timeout=60)
            assert reached and not self._ended, f"the watch stream stalled or ended: {self._ended}"

    def history(self):
        """All events of the store, and which watches ended by a compaction: equal on both servers."""
        with self._changed:
            return ([text_format.MessageToString(e, as_one_line=True) for e in self._truth.events],
                    [(w.id, w.compacted) for w in self._all if w.compacted])

    def problems(self):
        with self._changed:
            return self.broken + [p for watch in self._all[1:] for p in watch.problems(self.all_events())]

    def all_events(self):
        """Of the store, in order, those before this stream included."""
        return self._past + self._truth.events

    def forgive(self):
        """Forgets what was found wrong, and every watch that has shown it."""
        with self._changed:
            self.broken.clear()
            self._all = [w for w in self._all if w is self._truth or not w.problems(self.all_events())]

    # The reading thread

    def _read(self):
        try:
            for response in self._stream:
                with self._changed:
                    self._take(response)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            with self._changed:
                self._ended = error.details() or "ended"
                self._changed.notify_all()

    def _take(self, response):
        if response.created:
            request = self._asked.get_nowait()
            if not response.canceled:
                watch = Watch(request, response)
                self._open[watch.id] = watch
                self._all.append(watch)
            self._answers.put(response)
            return
        watch = self._open.get(response.watch_id)
        if watch is None:
            self.broken.append(f"a response for watch {response.watch_id}, which was not created")
            return
        if response.canceled and response.compact_revision:
            watch.compacted = response.compact_revision
            return
        if response.canceled:
            watch.until = self._truth.events[-1].kv.mod_revision if self._truth.events else 1
            self._answers.put(response)
            return
        if response.events and watch.events and not watch.fragment:
            if response.events[0].kv.mod_revision <= watch.events[-1].kv.mod_revision:
                self.broken.append(f"watch {watch.id}: revision {response.events[0].kv.mod_revision} in two responses")
        watch.fragment = response.fragment
        watch.events += response.events
