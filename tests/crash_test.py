#!/usr/bin/python3
"""SIGKILL at random moments under concurrent load: every acknowledged write is there afterwards, at its revision.

Ten rounds in the suite; `./crash_test.py --rounds 300` soaks. QUORATE_TEST_SEED replays the moments and the load
(not the interleaving). Each writer owns its keys and knows of each the last acknowledged state and, when an answer was
lost with the server, the one that may or may not have been applied. A watcher follows from the first revision.
"""

import argparse
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
import places
import state
from api import rpc

ROUNDS = 10
WRITERS = 6
KEYS = 12
SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
ABSENT = (None, 0)


class Writer:
    """Writes its own keys until it is told to stop or the server goes away."""

    def __init__(self, number, seed):
        self.number = number
        self.random = random.Random(seed)
        self.acknowledged = {}  # key -> (value, mod revision) or ABSENT
        self.uncertain = {}  # key -> value or None: sent, and no answer came
        self.history = []  # (revision, key, value or None), as acknowledged
        self.revision = 0
        self.problems = []
        self.count = 0

    def run(self, endpoint, stop):
        with api.Api(endpoint) as service:
            while not stop.is_set():
                try:
                    self.one(service)
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                            grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED):
                        self.problems.append(f"writer {self.number}: {api.code_and_text(error)}")
                    return

    def one(self, service):
        key = b"%d/%d" % (self.number, self.random.randrange(KEYS))
        pick = self.random.random()
        self.count += 1
        value = None if pick < 0.15 else b"%d" % self.count + b"." * self.random.choice((0, 10, 2000, 60_000))
        self.uncertain[key] = value
        if value is None:
            answer = service.KV.DeleteRange(rpc.DeleteRangeRequest(key=key))
            changed = answer.deleted > 0
        elif pick < 0.3:
            answer = service.KV.Txn(rpc.TxnRequest(success=[
                rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value)),
                rpc.RequestOp(request_put=rpc.PutRequest(key=key + b"/twin", value=value))]))
            changed = True
        else:
            answer = service.KV.Put(rpc.PutRequest(key=key, value=value))
            changed = True
        revision = answer.header.revision
        if changed and revision <= self.revision:
            self.problems.append(f"writer {self.number}: revision {revision} after {self.revision}")
        self.revision = max(self.revision, revision)
        self.acknowledged[key] = (value, revision) if value is not None else ABSENT
        if changed:
            self.history.append((revision, key, value))
        del self.uncertain[key]

    def verify(self, service):
        """After a restart: what is there is what was acknowledged, or what was under way."""
        for key in {**self.acknowledged, **self.uncertain}:
            kvs = service.KV.Range(rpc.RangeRequest(key=key)).kvs
            found = (kvs[0].value, kvs[0].mod_revision) if kvs else ABSENT
            if found == self.acknowledged.get(key, ABSENT):
                continue
            if key in self.uncertain and found[0] == self.uncertain[key]:
                self.acknowledged[key] = found
                if found[1]:
                    self.history.append((found[1], key, found[0]))
                continue
            self.problems.append(f"{key}: found {_short(found)}, acknowledged {_short(self.acknowledged.get(key))}, "
                                 f"under way {_short((self.uncertain.get(key), 0))}")
        self.uncertain.clear()


def _short(pair):
    return None if pair is None else (pair[0] and pair[0][:20], pair[1])


def replay(service, until):
    """All events from the first revision on, by a watch: (revision, key) -> value, None for a delete."""
    seen = {}
    request = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=1))
    waiting = threading.Event()

    def requests():
        yield request
        waiting.wait(120)

    stream = service.Watch.Watch(requests(), timeout=120)
    last = 1
    for response in stream:
        for event in response.events:
            revision = event.kv.mod_revision
            assert revision >= last, f"revision {revision} after {last}"
            assert (revision, event.kv.key) not in seen, f"{event.kv.key} twice at {revision}"
            assert revision <= last + 1, f"no event between {last} and {revision}"
            last = revision
            seen[(revision, event.kv.key)] = event.kv.value if event.type == event.PUT else None
        if last >= until:
            break
    waiting.set()
    stream.cancel()
    return seen


class CrashTest(unittest.TestCase):
    def test_kill_under_load(self):
        print(f"seed {SEED}, {ROUNDS} rounds (QUORATE_TEST_SEED={SEED})", flush=True)
        chance = random.Random(SEED)
        writers = [Writer(i, SEED * 100 + i) for i in range(WRITERS)]
        flags = ("--snapshot-count", "500")
        with member.Member(places.quorate(), flags=flags) as server:
            server.start()
            for number in range(ROUNDS):
                self.one_round(server, writers, chance)
                problems = [p for w in writers for p in w.problems]
                self.assertEqual(problems, [], f"seed {SEED}, round {number}")
            self.check_history(server, writers)
            expected = self.capture(server)
            server.kill()
            server.binary = places.etcd()
            server.start()
            self.assertEqual("", state.differences(expected, self.capture(server)), f"seed {SEED}: etcd, afterwards")

    def one_round(self, server, writers, chance):
        stop = threading.Event()
        threads = [threading.Thread(target=w.run, args=(server.endpoint, stop), daemon=True) for w in writers]
        for thread in threads:
            thread.start()
        time.sleep(chance.choice((0.0, 0.05, 0.2, 0.5, 1.0)) * chance.random())
        server.kill()
        stop.set()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive(), "a writer hangs")
        if chance.random() < 0.3:
            # And again, in the middle of its recovery.
            server.spawn()
            time.sleep(chance.random() * 0.3)
            server.kill()
        server.start()
        with api.Api(server.endpoint) as service:
            top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
            self.assertGreaterEqual(top, max(w.revision for w in writers))
            for writer in writers:
                writer.verify(service)

    def check_history(self, server, writers):
        """Every acknowledged change is in the history that a watch replays, at its revision."""
        with api.Api(server.endpoint) as service:
            top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
            if top < 2:
                return
            seen = replay(service, top)
        total = 0
        for writer in writers:
            for revision, key, value in writer.history:
                self.assertIn((revision, key), seen, f"seed {SEED}")
                self.assertEqual(seen[(revision, key)], value, f"seed {SEED}: {key} at {revision}")
                total += 1
        print(f"{total} acknowledged changes, {top} revisions", flush=True)
        self.assertGreater(total, 0)

    def capture(self, server):
        with api.Api(server.endpoint) as service:
            return state.capture(service, hashes=50)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options, rest = parser.parse_known_args()
    ROUNDS = options.rounds
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
