#!/usr/bin/python3
"""Watches under load and at their limits, the same demands on etcd and on our server."""

import os
import queue
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
from api import rpc


ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"


class Stream:
    """One watch stream, driven by hand."""

    def __init__(self, service):
        self.requests = queue.Queue()
        self.responses = service.Watch.Watch(iter(self.requests.get, None), timeout=300)

    def create(self, **fields):
        self.requests.put(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(**fields)))
        return self.read()

    def cancel(self, watch_id):
        self.requests.put(rpc.WatchRequest(cancel_request=rpc.WatchCancelRequest(watch_id=watch_id)))

    def progress(self):
        self.requests.put(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))

    def read(self):
        return next(self.responses)

    def close(self):
        self.requests.put(None)
        self.responses.cancel()


class WatchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = []
        for make in (member.etcd, member.quorate):
            server = make(flags=["--experimental-watch-progress-notify-interval", "1s"])
            cls.addClassCleanup(server.remove)
            cls.servers.append(server.start())

    def services(self):
        for server in self.servers:
            with api.Api(server.endpoint) as service:
                with self.subTest(server.binary):
                    yield service

    def test_created_and_canceled(self):
        for service in self.services():
            stream = Stream(service)
            first = stream.create(key=b"a")
            self.assertEqual((first.created, first.watch_id, first.canceled), (True, 0, False))
            second = stream.create(key=b"b", watch_id=9)
            self.assertEqual((second.created, second.watch_id), (True, 9))
            again = stream.create(key=b"b", watch_id=9)
            self.assertEqual((again.created, again.canceled, again.watch_id, again.cancel_reason),
                             (True, True, -1, "mvcc: duplicate watch ID provided on the WatchStream"))
            empty = stream.create(key=b"b", range_end=b"a")
            self.assertEqual((empty.created, empty.canceled, empty.watch_id, empty.cancel_reason),
                             (True, True, -1, "mvcc: watcher range is empty"))
            stream.cancel(9)
            gone = stream.read()
            self.assertEqual((gone.created, gone.canceled, gone.watch_id), (False, True, 9))
            stream.close()

    def test_compacted(self):
        for service in self.services():
            for i in range(5):
                service.KV.Put(rpc.PutRequest(key=b"c", value=b"%d" % i))
            top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
            service.KV.Compact(rpc.CompactionRequest(revision=top))
            stream = Stream(service)
            self.assertTrue(stream.create(key=b"c", start_revision=1).created)
            canceled = stream.read()
            self.assertEqual((canceled.canceled, canceled.compact_revision, len(canceled.events),
                              canceled.header.revision), (True, top, 0, 0))
            stream.close()

    def test_fragments(self):
        """One transaction whose events, with their previous values, are more than a message may hold: split only for
        who asked for it."""
        for service in self.services():
            whole, split = Stream(service), Stream(service)
            whole.create(key=b"f", range_end=b"g", prev_kv=True)
            split.create(key=b"f", range_end=b"g", prev_kv=True, fragment=True)
            value = b"x" * 11_000
            keys = [b"f%03d" % i for i in range(120)]
            for _ in range(2):
                service.KV.Txn(rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=k, value=value))
                                                       for k in keys]))
            events = []
            while len(events) < 240:  # Of one transaction or of both at once, never of a part.
                response = whole.read()
                self.assertFalse(response.fragment)
                self.assertIn(len(response.events), (120, 240))
                events += response.events
            late = Stream(service)
            top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
            late.create(key=b"f", range_end=b"g", prev_kv=True, fragment=True, start_revision=top - 1)
            for stream in (split, late):
                events, fragments = [], 0
                while len(events) < 240:
                    response = stream.read()
                    self.assertLess(response.ByteSize(), 2_200_000)
                    events += response.events
                    fragments += response.fragment
                self.assertFalse(response.fragment)
                self.assertEqual([e.kv.key for e in events], keys * 2)
                self.assertGreater(fragments, 0)
            for stream in (whole, split, late):
                stream.close()

    def test_progress(self):
        for service in self.services():
            stream = Stream(service)
            stream.create(key=b"quiet", progress_notify=True)
            revision = service.KV.Put(rpc.PutRequest(key=b"other")).header.revision
            notified = stream.read()  # By the interval; perhaps once more before the put.
            while not notified.events and notified.header.revision < revision:
                notified = stream.read()
            self.assertEqual(len(notified.events), 0)
            stream.close()
            stream = Stream(service)
            stream.create(key=b"quiet")
            stream.progress()
            asked = stream.read()
            self.assertEqual((asked.watch_id, len(asked.events)), (-1, 0))
            self.assertGreaterEqual(asked.header.revision, revision)
            stream.close()

    def test_many_watches_on_one_stream(self):
        for service in self.services():
            stream = Stream(service)
            for i in range(1000):
                self.assertEqual(stream.create(key=b"one").watch_id, i)
            service.KV.Put(rpc.PutRequest(key=b"one", value=b"event"))
            seen = set()
            while len(seen) < 1000:
                response = stream.read()
                self.assertEqual(len(response.events), 1)
                self.assertNotIn(response.watch_id, seen)
                seen.add(response.watch_id)
            stream.close()

    def test_nothing_lost_under_load(self):
        """Eight writers; watchers from the past, from now, and one that never reads: each sees every event once."""
        for service in self.services():
            start = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision + 1
            lazy = Stream(service)
            lazy.create(key=b"load/", range_end=b"load0", start_revision=start)
            per_writer, writers = 150, 8
            results, threads = {}, []

            def follow(name, first):
                stream = Stream(service)
                stream.create(key=b"load/", range_end=b"load0", start_revision=first)
                events = []
                while len(events) < per_writer * writers:
                    events += [(e.kv.mod_revision, e.kv.key, e.kv.value) for e in stream.read().events]
                results[name] = events
                stream.close()

            def write(number):
                for i in range(per_writer):
                    service.KV.Put(rpc.PutRequest(key=b"load/%d" % number, value=b"%d" % i))

            for name in range(4):
                threads.append(threading.Thread(target=follow, args=(name, start), daemon=True))
            threads += [threading.Thread(target=write, args=(n,), daemon=True) for n in range(writers)]
            for thread in threads:
                thread.start()
            for thread in threads[4:]:
                thread.join(120)
            threads.append(threading.Thread(target=follow, args=("late", start), daemon=True))
            threads[-1].start()
            for thread in threads:
                thread.join(120)
            self.assertEqual(len(results), 5)
            revisions = [revision for revision, _, _ in results["late"]]
            self.assertEqual(revisions, list(range(start, start + per_writer * writers)))
            for events in results.values():
                self.assertEqual(events, results["late"])
            lazy.close()

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd keeps as many as memory holds")
    def test_long_keys_have_a_bound(self):
        """64 MB of keys are watched by one connection; what ends makes room: by a cancel, and by a compaction."""
        long = b"k" * 1_000_000
        with api.Api(self.servers[1].endpoint) as service, api.Api(self.servers[1].endpoint) as other:
            service.KV.Put(rpc.PutRequest(key=b"old", value=b"v"))
            revision = service.KV.Put(rpc.PutRequest(key=b"old", value=b"v")).header.revision
            stream = Stream(service)
            kept = [stream.create(key=b"%d" % i + long) for i in range(60)]
            self.assertFalse(any(answer.canceled for answer in kept))
            for i in range(20):
                last = stream.create(key=b"more %d" % i + long)
                if last.canceled:
                    break
            self.assertEqual((last.created, last.canceled, last.watch_id), (True, True, -1))
            self.assertIn("too many bytes of keys and names are kept", last.cancel_reason)
            stream.cancel(kept[0].watch_id)
            self.assertTrue(stream.read().canceled)
            self.assertFalse(stream.create(key=b"again" + long).canceled)
            self.assertTrue(stream.create(key=b"once more" + long).canceled)
            self.assertFalse(Stream(other).create(key=b"other" + long).canceled)
            # Ended by a compaction.
            stream.cancel(kept[1].watch_id)
            self.assertTrue(stream.read().canceled)
            service.KV.Compact(rpc.CompactionRequest(revision=revision))
            stream.create(key=b"late" + long, start_revision=1)
            self.assertEqual(stream.read().compact_revision, revision)
            self.assertFalse(stream.create(key=b"instead" + long).canceled)
            self.assertTrue(stream.create(key=b"too much" + long).canceled)
            stream.close()

    def test_lease_expiry_is_an_event(self):
        for service in self.services():
            lease = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=5)).ID
            stream = Stream(service)
            stream.create(key=b"mortal", prev_kv=True)
            service.KV.Put(rpc.PutRequest(key=b"mortal", value=b"v", lease=lease))
            self.assertEqual(stream.read().events[0].kv.lease, lease)
            event = stream.read().events[0]
            self.assertEqual((event.type, event.kv.key, event.prev_kv.value), (event.DELETE, b"mortal", b"v"))
            stream.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
