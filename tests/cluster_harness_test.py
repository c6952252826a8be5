#!/usr/bin/python3
"""What the tests of clusters stand on, tested: the checker of histories passes a sound one and finds each kind of lie put
into it; the fault proxy carries, cuts, stalls, delays and freezes what it is told to; etcd's errors are forgiven to etcd."""

import contextlib
import copy
import os
import socket
import sys
import threading
import time
import unittest

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from cluster import Cluster
from fault_proxy import FaultProxy
from history import CAS, DELETE, PAIR, PUT, READ, STALE_READ, Event, Operation, Truth, WatchRecord, check
from ports import free_port

K, OTHER = b"h/k", b"h/other"


def sound():
    """One client after the other, times as they went: (operations, events, watch)."""
    operations = [
        Operation(PUT, "a", K, 1, b"v2", returned=2, done=True, revision=2),
        Operation(READ, "b", K, 3, returned=4, done=True, revision=2, seen=(b"v2", 2)),
        Operation(CAS, "a", K, 5, b"v3", compared=2, returned=6, done=True, revision=3),
        Operation(CAS, "b", K, 7, b"lost", compared=2, returned=8, done=False, revision=3),
        Operation(PAIR, "a", OTHER, 9, b"v4", returned=10, done=True, revision=4),
        Operation(PUT, "b", OTHER, 11, b"v5", done=None),
        Operation(DELETE, "a", K, 13, returned=14, done=True, revision=6),
        Operation(READ, "b", K, 15, returned=16, done=True, revision=6, seen=None),
        Operation(STALE_READ, "b", K, 17, returned=18, done=True, revision=4, seen=(b"v3", 3)),
        Operation(DELETE, "a", K, 19, returned=20, done=False, revision=6),
    ]
    events = [Event(2, K, b"v2"), Event(3, K, b"v3"), Event(4, OTHER, b"v4"), Event(4, OTHER + b"/twin", b"v4"),
              Event(5, OTHER, b"v5"), Event(6, K, None)]
    watch = WatchRecord("w", 2, list(events), [(2.5, 0, 2), (10.5, 1, 4), (14.5, 4, 6)], [(2, 3)])
    return operations, events, watch


class HistoryTest(unittest.TestCase):
    def problems(self, lie=None):
        operations, events, watch = copy.deepcopy(sound())
        if lie:
            lie(operations, events, watch)
        return check(operations, Truth(events), [watch], b"h/")

    def test_sound_history_passes(self):
        self.assertEqual(self.problems(), [])

    def test_lies_are_found(self):
        def set_fields(number, **fields):
            def lie(operations, *_):
                for name, value in fields.items():
                    setattr(operations[number], name, value)
            return lie

        def drop_event(operations, events, watch):
            del operations
            events.pop(1)
            watch.events[:] = events
            watch.batches, watch.progress = [], []

        cases = {
            "stale read": set_fields(7, revision=5, seen=(b"v3", 3)),
            "stale after a watcher saw more": set_fields(1, invoked=2.6, returned=2.7, revision=1, seen=None),
            "read of a value that was not there": set_fields(1, seen=(b"v3", 3)),
            "read from the future": set_fields(7, revision=7),
            "serializable read of another state": set_fields(8, seen=(b"v2", 2)),
            "acknowledged write missing": drop_event,
            "write at another revision": set_fields(0, revision=3),
            "revision handed out before": set_fields(6, revision=5),
            "cas matched wrongly": set_fields(2, compared=1),
            "cas failed wrongly": set_fields(3, compared=3),
            "deleted nothing, but it was there": set_fields(6, done=False, revision=5),
            "uncertain write applied twice": lambda o, e, w: (e.append(Event(7, OTHER, b"v5")), w.events.append(e[-1])),
            "uncertain write applied before it was sent": set_fields(5, invoked=14.7),
            "event that nobody wrote": lambda o, e, w: (e.append(Event(7, K, b"?")), w.events.append(e[-1])),
            "delete that nobody sent": lambda o, e, w: (e.append(Event(7, OTHER, None)), w.events.append(e[-1])),
            "watch lost an event": lambda o, e, w: w.events.pop(2),
            "watch repeated an event": lambda o, e, w: w.events.insert(2, w.events[1]),
            "watch out of order": lambda o, e, w: w.events.reverse(),
            "watch split a revision": lambda o, e, w: w.batches.insert(2, (10.6, 3, 4)),
            "progress before its event": lambda o, e, w: w.progress.append((3, 6)),
        }
        for name, lie in cases.items():
            with self.subTest(name):
                self.assertNotEqual(self.problems(lie), [])


class ProxyTest(unittest.TestCase):
    """This process dials as "a" the echo that stands behind the proxy as "b"."""

    def setUp(self):
        echo = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(echo.close)
        threading.Thread(target=self.serve, args=(echo,), daemon=True).start()
        self.port = free_port()
        self.proxy = FaultProxy(identify_seconds=60)
        self.addCleanup(self.proxy.close)
        self.proxy.listen("b", "127.0.0.1", self.port, echo.getsockname()[1])
        self.proxy.process("a", os.getpid())

    @staticmethod
    def serve(echo):
        def answer(connection):
            with connection, contextlib.suppress(ConnectionResetError):
                while data := connection.recv(1000):
                    connection.sendall(data)
        while True:
            try:
                connection, _ = echo.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def dial(self):
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        self.addCleanup(connection.close)
        return connection

    def exchange(self, connection, timeout=60.0):
        """What comes back of "hello": nothing when it takes too long, None when the connection is gone."""
        connection.settimeout(timeout)
        try:
            connection.sendall(b"hello")
            return connection.recv(100) or None
        except socket.timeout:
            return b""
        except OSError:
            return None

    def test_it_carries_and_knows_who_dialled(self):
        connection = self.dial()
        self.assertEqual(self.exchange(connection), b"hello")
        self.assertEqual(self.proxy.connections(), [("a", "b", 10)])
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(10), b"")

    def test_cut(self):
        old = self.dial()
        self.assertEqual(self.exchange(old), b"hello")
        self.proxy.cut("b", "a")
        self.assertIsNone(self.exchange(old))
        self.assertIsNone(self.exchange(self.dial()))
        self.proxy.heal()
        self.assertEqual(self.exchange(self.dial()), b"hello")

    def test_stall_is_for_one_direction(self):
        for source, sink in (("a", "b"), ("b", "a")):
            connection = self.dial()
            self.assertEqual(self.exchange(connection), b"hello")
            self.proxy.stall(source, sink)
            self.assertEqual(self.exchange(connection, 0.3), b"")
            self.proxy.heal()
            connection.settimeout(60)
            self.assertEqual(connection.recv(100), b"hello")

    def test_freeze_spares_new_connections(self):
        old = self.dial()
        self.assertEqual(self.exchange(old), b"hello")
        self.proxy.freeze("a", "b")
        self.assertEqual(self.exchange(old, 0.3), b"")
        self.assertEqual(self.exchange(self.dial()), b"hello")
        self.proxy.heal()
        self.assertIsNone(self.exchange(old))

    def test_delay(self):
        connection = self.dial()
        self.assertEqual(self.exchange(connection), b"hello")
        self.proxy.delay("a", "b", 0.2)
        began = time.monotonic()
        self.assertEqual(self.exchange(connection), b"hello")
        self.assertGreaterEqual(time.monotonic() - began, 0.2)


class ForgivenTest(unittest.TestCase):
    """What Load takes for a reason to go on, though its code says otherwise."""

    class Stopped(grpc.RpcError):
        def details(self):
            return "raft: stopped"

    def test_only_etcd_is_forgiven_and_for_what_it_was_asked(self):
        with Cluster(("etcd", "quorate")) as cluster:
            etcd, ours = cluster.members
            now = time.monotonic()
            self.assertTrue(cluster.forgives(etcd.endpoint, now, self.Stopped()))
            self.assertFalse(cluster.forgives(ours.endpoint, now, self.Stopped()))
            # Asked of etcd, heard of after the other program took its place.
            ours.was_etcd_until = now
            self.assertTrue(cluster.forgives(ours.endpoint, now - 1, self.Stopped()))
            self.assertFalse(cluster.forgives(ours.endpoint, now + 1, self.Stopped()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
