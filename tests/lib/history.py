"""What clients did and saw, and whether a linearizable store with honest watches could have shown them that.

Every write names its revision, so the order of writes is given: the events of all revisions, read at the end, are the
truth. Each operation is checked against it, in time linear in the history (and a logarithm for the reads).
"""

import bisect
import collections
import dataclasses
import typing

# Operations. "pair" puts key and key + "/twin" in one transaction; "cas" puts if the key is still at `compared`.
PUT, DELETE, PAIR, CAS, READ, STALE_READ = "put", "delete", "pair", "cas", "read", "stale read"
WRITES = (PUT, DELETE, PAIR, CAS)
TWIN = b"/twin"


@dataclasses.dataclass(slots=True)
class Operation:
    kind: str
    client: str
    key: bytes
    invoked: float
    value: bytes = b""  # What a write wrote; unique in a history.
    compared: int = 0  # Of CAS: the mod revision that the key had to have; 0: absent.
    returned: float = 0.0
    # None: no answer, so it may have happened, or still may. False: a CAS that did not match, a delete of nothing.
    done: typing.Optional[bool] = None
    revision: int = 0  # Of the answer's header.
    seen: typing.Optional[tuple] = None  # Of reads: (value, mod revision), or None when the key was not there.
    endpoint: str = ""

    def __str__(self):
        return (f"{self.kind} {self.key.decode()} by {self.client} at {self.endpoint} [{self.invoked:.3f}, "
                f"{self.returned:.3f}] value {self.value[:24]!r} compared {self.compared} done {self.done} "
                f"revision {self.revision} seen {self.seen}")


@dataclasses.dataclass(slots=True, frozen=True)
class Event:
    revision: int
    key: bytes
    value: typing.Optional[bytes]  # None: deleted.


@dataclasses.dataclass(slots=True)
class WatchRecord:
    """One watcher's stream from `start` on, over all its reconnections."""

    name: str
    start: int
    events: list = dataclasses.field(default_factory=list)  # Event, in the order of arrival.
    batches: list = dataclasses.field(default_factory=list)  # (time, first index into events, header revision).
    progress: list = dataclasses.field(default_factory=list)  # (number of events before it, revision).


class Truth:
    """The events of a store from revision 2 on, in order; of each key its states."""

    def __init__(self, events):
        self.events = events
        self.by_revision = collections.defaultdict(list)
        self.by_value = collections.defaultdict(list)
        self.of_key = collections.defaultdict(lambda: ([], []))
        for event in events:
            self.by_revision[event.revision].append(event)
            if event.value is not None:
                self.by_value[event.value].append(event)
            revisions, values = self.of_key[event.key]
            revisions.append(event.revision)
            values.append(event.value)
        self.last = events[-1].revision if events else 1

    def at(self, key, revision):
        """(value, mod revision) of the key as of this revision, None when it was not there."""
        revisions, values = self.of_key[key]
        i = bisect.bisect_right(revisions, revision) - 1
        return None if i < 0 or values[i] is None else (values[i], revisions[i])


class _Floor:
    """The highest revision that anyone had been shown before a moment."""

    def __init__(self, observations):
        self.times, self.revisions = [], []
        top = 0
        for time, revision in sorted(observations):
            if revision > top:
                top = revision
                self.times.append(time)
                self.revisions.append(top)

    def before(self, time):
        i = bisect.bisect_left(self.times, time) - 1
        return self.revisions[i] if i >= 0 else 0


def check(operations, truth, watches=(), prefix=b""):
    """The list of what is wrong, empty when nothing is. `prefix`: keys that only these operations wrote."""
    problems = []
    observations = [(op.returned, op.revision) for op in operations if op.done is not None]
    observations += [(time, watch.events[first].revision) for watch in watches for time, first, _ in watch.batches]
    floor = _Floor(observations)
    for op in operations:
        problem = _check_read(op, truth, floor) if op.kind in (READ, STALE_READ) else _check_write(op, truth, floor)
        if problem:
            problems.append(f"{problem}: {op}")
    problems += _check_origin(operations, truth, prefix)
    for watch in watches:
        problems += _check_watch(watch, truth)
    return problems


def _check_read(op, truth, floor):
    if op.done is None:
        return None
    if op.revision > truth.last:
        return f"answered from revision {op.revision}, the last one is {truth.last}"
    if op.kind == READ and op.revision < floor.before(op.invoked):
        return f"stale: revision {floor.before(op.invoked)} had been shown before it began"
    expected = truth.at(op.key, op.revision)
    if op.seen != expected:
        return f"at its revision the key was {expected}"
    return None


def _check_write(op, truth, floor):
    before = floor.before(op.invoked)
    if op.done is None:
        # A put whose answer was lost may have been applied, once, after it was sent. Deletes carry no mark.
        found = [e for e in truth.by_value[op.value] if e.key == op.key] if op.value else []
        if len(found) > 1:
            return f"applied {len(found)} times, at {[e.revision for e in found]}"
        return f"applied at {found[0].revision}, before it was sent" if found and found[0].revision <= before else None
    if op.revision < before:
        return f"revision {before} had been shown before it began"
    if not op.done:
        found = truth.at(op.key, op.revision)
        if op.kind == DELETE and found:
            return f"deleted nothing, but the key was {found}"
        if op.kind == CAS and (found[1] if found else 0) == op.compared:
            return "did not match, though the key was at the compared revision"
        return None
    if op.revision == before:
        return f"revision {before} had been shown before it began"
    value = None if op.kind == DELETE else op.value
    expected = [Event(op.revision, op.key, value)]
    if op.kind == PAIR:
        expected.append(Event(op.revision, op.key + TWIN, value))
    if sorted(truth.by_revision[op.revision], key=lambda e: e.key) != expected:
        return f"acknowledged, but its revision holds {truth.by_revision[op.revision]}"
    if op.kind == CAS:
        found = truth.at(op.key, op.revision - 1)
        if (found[1] if found else 0) != op.compared:
            return f"matched, but the key was {found}"
    return None


def _check_origin(operations, truth, prefix):
    """Every event comes from an operation; as many deletes without an answer as operations without an answer."""
    problems = []
    values = {op.value for op in operations if op.kind in WRITES and op.value}
    deletes = {op.revision for op in operations if op.kind == DELETE and op.done}
    spare = collections.Counter(op.key for op in operations if op.kind == DELETE and op.done is None)
    for event in truth.events:
        if not event.key.startswith(prefix):
            continue
        if event.value is not None and event.value not in values:
            problems.append(f"nobody wrote {event}")
        if event.value is None and event.revision not in deletes:
            spare[event.key] -= 1
            if spare[event.key] < 0:
                problems.append(f"nobody deleted at {event}")
    return problems


def _check_watch(watch, truth):
    """Ordered, unique, complete, atomic; progress never ahead of the events."""
    expected = [event for event in truth.events if event.revision >= watch.start]
    problems = []
    if watch.events != expected:
        i = next((i for i, pair in enumerate(zip(watch.events, expected)) if pair[0] != pair[1]),
                 min(len(watch.events), len(expected)))
        problems.append(f"watch {watch.name} from {watch.start}: {len(watch.events)} events of {len(expected)}; number "
                        f"{i}: got {watch.events[i:i + 2]}, expected {expected[i:i + 2]}")
    for (_, first, _), (_, following, _) in zip(watch.batches, watch.batches[1:]):
        if watch.events[following].revision == watch.events[following - 1].revision:
            problems.append(f"watch {watch.name}: the events of revision {watch.events[following].revision} came in two "
                            f"responses")
            break
        del first
    for count, revision in watch.progress:
        if count < len(watch.events) and watch.events[count].revision <= revision:
            problems.append(f"watch {watch.name}: progress {revision} came before the event at "
                            f"{watch.events[count].revision}")
    return problems
