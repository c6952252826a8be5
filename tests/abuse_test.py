#!/usr/bin/python3
"""Clients that mean harm: what they make the server hold is bounded, and other clients are served all the while.

The attacker speaks HTTP/2 by hand (lib/attacker.py). Figures of memory are printed; what is asserted is a bound with room.
On etcd the same attacks run, but nothing is asserted of its memory and its other clients: it has no such bounds.
"""

import gzip
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import attacker as h2
from abuse import ETCD_IN_OUR_ROLE, HOST, MEGABYTE, AbuseCase, resident
from api import rpc
from attacker import frame, grpc_headers, message, settings, window_update


class AbuseTest(AbuseCase):
    # Connections

    def test_idle_connections(self):
        self.under(lambda: [self.attacker() for _ in range(1500)], megabytes=60)

    def test_connections_without_a_word(self):
        """On the client port and on the peer port."""
        held = []
        self.addCleanup(lambda: [one.close() for one in held])

        def attack():
            for port in (self.ours.client_port, self.ours.peer_port):
                held.extend(socket.create_connection((HOST, port)) for _ in range(500))
        self.under(attack, megabytes=30)

    def test_slow_loris(self):
        """Requests that never come to their end, a byte at a time."""
        held = []
        self.addCleanup(lambda: [one.close() for one in held])

        def attack():
            for port in (self.ours.client_port, self.ours.peer_port):
                for start in (b"GET /health HTTP/1.1\r\nHost: x\r\nA: ", b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\n"
                              b"Content-Length: 1000000\r\n\r\n", h2.PREFACE[:20], h2.PREFACE + settings() + b"\0\0\x10\1"):
                    for _ in range(100):
                        one = socket.create_connection((HOST, port))
                        one.sendall(start)
                        held.append(one)
            for _ in range(5):
                for one in held:
                    try:
                        one.send(b"x")
                    except OSError:
                        pass  # Closed: that is one answer to it.
        self.under(attack, megabytes=40)

    # Frames

    def test_floods(self):
        floods = {
            "SETTINGS": settings(),
            "PRIORITY": frame(h2.PRIORITY, 0, 3, b"\0\0\0\1\1"),
            "WINDOW_UPDATE": window_update(0, 1),
        }
        for name, flood in floods.items():
            with self.subTest(name):
                def attack(flood=flood):
                    one = self.attacker()
                    for _ in range(200):
                        if not one.send(flood * 1000):
                            break
                        one.drain()
                    self.assert_told_off(one, b"")  # SETTINGS may meet another limit first.
                self.under(attack, megabytes=20)

    def test_unknown_frames(self):
        """They are skipped, as they must be, and cost no more than their bytes."""
        def attack():
            one = self.attacker()
            for _ in range(50):
                self.assertTrue(one.send(frame(77, 0, 0) * 1000))
        self.under(attack, megabytes=20)

    def test_empty_data(self):
        def attack():
            one = self.attacker()
            one.send(one.request(h2.WATCH, end=False))
            one.send(frame(h2.DATA, 0, 1) * 50_000)
            self.assert_told_off(one)
        self.under(attack, megabytes=20)

    def test_pings(self):
        def attack():
            one = self.attacker()
            one.send(frame(h2.PING, 0, 0, b"12345678") * 1000)
            self.assert_told_off(one, b"too_many_pings")
        self.under(attack, megabytes=20)

    def test_settings_over_many_streams(self):
        """Each frame may change the window of each stream."""
        def attack():
            one = self.attacker()
            for _ in range(20):
                one.send(b"".join(one.request(h2.WATCH, end=False) for _ in range(1000)))
            one.send((settings((h2.INITIAL_WINDOW_SIZE, 70_000)) + settings((h2.INITIAL_WINDOW_SIZE, 60_000))) * 5000)
            self.assert_told_off(one)
        self.under(attack, megabytes=60)

    def test_continuation(self):
        """CVE-2024-27316 and its kin: a header block without an end."""
        def attack():
            one = self.attacker()
            one.send(frame(h2.HEADERS, 0, 1, grpc_headers(h2.RANGE)))
            for _ in range(100):
                if not one.send(frame(h2.CONTINUATION, 0, 1, h2.literal(b"x", b"y" * 10_000)) * 10):
                    break
            if not ETCD_IN_OUR_ROLE:
                self.assertTrue(one.closed())
        self.under(attack, megabytes=20)

    def test_CVE_2023_44487_rapid_reset(self):
        """Requests that are cancelled at once: 10,000, and 1,000 per second more, are let pass."""
        body = message(rpc.RangeRequest(key=b"a").SerializeToString())

        def attack():
            one = self.attacker()
            began = time.monotonic()
            for _ in range(100):
                out = b"".join(one.request(h2.RANGE, body) + frame(h2.RST_STREAM, 0, one.newest, b"\0\0\0\x08")
                               for _ in range(500))
                if not one.send(out):
                    break
                one.drain()
            if ETCD_IN_OUR_ROLE:
                return
            if self.has_read_all(one):
                # No attack: so slow was the machine. A second more, since the server counts whole ones.
                self.assertGreater(time.monotonic() - began + 1, (100 * 500 - 10_000) / 1_000)
            else:
                self.assertTrue(one.closed())
        self.under(attack, megabytes=40)

    def has_read_all(self, one):
        """Whether the server reads all that was sent; else it has closed, or takes nothing any more."""
        one.send(frame(h2.PING, 0, 0, b"received"))
        deadline = time.monotonic() + 120
        while not one.broken and time.monotonic() < deadline:
            if any(kind == h2.PING for kind, *_ in one.frames()):
                return True
            one.drain(5)
        return False

    # Headers and messages

    def test_header_bomb(self):
        """A byte that stands for a header of 4 KB, again and again (HPACK)."""
        def attack():
            one = self.attacker()
            one.send(one.request(h2.RANGE, end=False,
                                 block=grpc_headers(h2.RANGE) + h2.literal(b"x", b"v" * 4000, remember=True)))
            for _ in range(20):
                bomb = grpc_headers(h2.RANGE) + h2.indexed(62) * 200
                if not one.send(b"".join(one.request(h2.RANGE, end=False, block=bomb) for _ in range(100))):
                    break
                one.drain()
        self.under(attack, megabytes=100)

    def test_bombs_of_other_fields(self):
        """The same with fields that are no metadata, on requests that are not gRPC and wait for their bodies."""
        def attack():
            for name in (b":method", b"grpc-encoding", b"grpc-timeout"):
                one = self.attacker()
                plain = h2.literal(b":scheme", b"http") + h2.literal(b":path", b"/x") + h2.literal(b":authority", b"x")
                field = h2.literal(name, b"V" * 4000, remember=True)
                method = b"" if name == b":method" else h2.literal(b":method", b"POST")
                one.send(one.request("", end=False, block=method + field + plain))
                for _ in range(20):
                    if not one.send(b"".join(one.request("", end=False, block=method + h2.indexed(62) + plain)
                                             for _ in range(500))):
                        break
                    one.drain()
        self.under(attack, megabytes=60)

    def test_open_streams(self):
        def attack():
            for _ in range(3):
                one = self.attacker()
                for _ in range(60):
                    if not one.send(b"".join(one.request(h2.RANGE, end=False) for _ in range(1000))):
                        break
                    one.drain()
        self.under(attack, megabytes=250)

    def test_decompression_bombs(self):
        """2 KB that become 2 MB, on a unary call and on a stream."""
        bomb = message(gzip.compress(bytes(2_000_000)), compressed=True)

        def attack():
            for path in (h2.PUT, h2.WATCH):
                one = self.attacker()
                for _ in range(5):
                    one.send(b"".join(one.request(path, bomb, extra=[(b"grpc-encoding", b"gzip")]) for _ in range(100)))
                    one.drain()
        self.under(attack, megabytes=40)

    def test_messages_that_never_end(self):
        part = b"\0" + (1_000_000).to_bytes(4, "big") + b"x" * 200_000

        def attack():
            for _ in range(8):
                one = self.attacker()
                one.agree()
                for _ in range(300):
                    number = one.stream()
                    out = frame(h2.HEADERS, h2.END_HEADERS, number, grpc_headers(h2.PUT))
                    out += b"".join(frame(h2.DATA, 0, number, part[i:i + 16_000]) for i in range(0, len(part), 16_000))
                    if not one.send(out):
                        break
                    one.drain()
        self.under(attack, megabytes=550)  # The limit, and what allocations round up to.

    # Answers

    def test_answers_that_are_not_read(self):
        """Large ranges, many at once on many connections, of clients that read nothing."""
        with api.Api(self.ours.endpoint) as service:
            for i in range(10):
                service.KV.Put(rpc.PutRequest(key=b"big/%d" % i, value=os.urandom(1_000_000)))
        body = message(rpc.RangeRequest(key=b"big/", range_end=b"big0").SerializeToString())
        wide = settings((h2.INITIAL_WINDOW_SIZE, 0x7fffffff)) + window_update(0, 0x7fffffff - 65535)

        def attack():
            for windows in (wide, b""):  # What is not read waits for the socket, or for the windows.
                for _ in range(30):
                    one = self.attacker(receive_buffer=4096)
                    one.send(windows + b"".join(one.request(h2.RANGE, body) for _ in range(20)))
        self.under(attack, megabytes=900)

    def test_long_transactions(self):
        """Transactions that read much: what their answers took is given back when they were read."""
        with self.ours.api() as service:
            for i in range(10):
                service.KV.Put(rpc.PutRequest(key=b"big/%d" % i, value=os.urandom(1_000_000)))
            read = rpc.RequestOp(request_range=rpc.RangeRequest(key=b"big/", range_end=b"big0"))
            self.under(lambda: self.assertEqual(
                len(service.KV.Txn(rpc.TxnRequest(success=[read] * 15), timeout=60).responses), 15), megabytes=80)

    def test_refused_watches_that_are_not_read(self):
        """Each request is answered with a refusal of ten times its size."""
        for line in ("user add root:secret", "user grant-role root root"):
            self.ours.ctl(*line.split())
        with self.ours.api() as service:
            service.Auth.AuthEnable(rpc.AuthEnableRequest())
            token = service.Auth.Authenticate(rpc.AuthenticateRequest(name="root", password="secret")).token
            create = message(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"a")).SerializeToString())
            before = resident(self.ours.process.pid)
            one = self.attacker()
            one.agree()
            one.send(settings((h2.INITIAL_WINDOW_SIZE, 0)))
            numbers = [one.stream() for _ in range(30)]
            one.send(b"".join(frame(h2.HEADERS, h2.END_HEADERS, n, grpc_headers(h2.WATCH)) for n in numbers))
            for _ in range(40):
                if not one.send(b"".join(frame(h2.DATA, 0, n, create * 800) for n in numbers)):
                    break
                one.drain()
                one.received = b""
                one.send(window_update(0, 1))
            for i in range(10):
                service.KV.Put(rpc.PutRequest(key=b"bystander", value=b"%d" % i), metadata=(("token", token),), timeout=30)
            grown = resident(self.ours.process.pid) - before
            print(f"test_refused_watches_that_are_not_read: {grown / MEGABYTE:.1f} MB more", flush=True)
            self.assert_grown(grown, 150)

    def test_health_watches(self):
        """One request is all that a health watch takes."""
        if ETCD_IN_OUR_ROLE:
            self.skipTest("etcd 3.4.23 has no health watch")
        ask = message(b"")

        def attack():
            one = self.attacker()
            one.agree()
            number = one.stream()
            one.send(frame(h2.HEADERS, h2.END_HEADERS, number, grpc_headers("/grpc.health.v1.Health/Watch")))
            for _ in range(100):
                if not one.send(frame(h2.DATA, 0, number, ask * 3000)):
                    break
                one.drain()
            answers = sum(1 for kind, _, stream, _ in one.frames() if kind == h2.DATA and stream == number)
            self.assertEqual(answers, 1)
        self.under(attack, megabytes=30)

    def upload(self, one, path, bodies):
        """A stream with these bodies, none of which is read about; False when the server takes no more."""
        number = one.stream()
        out = frame(h2.HEADERS, h2.END_HEADERS, number, grpc_headers(path))
        for body in bodies:
            out += b"".join(frame(h2.DATA, 0, number, body[i:i + 16_000]) for i in range(0, len(body), 16_000))
        sent = one.send(out)
        one.drain()
        return sent

    def test_health_watches_with_long_names(self):
        """The name is not kept, however long it is."""
        if ETCD_IN_OUR_ROLE:
            self.skipTest("etcd 3.4.23 has no health watch")
        ask = message(b"\x0a" + h2.varint(1_000_000) + b"n" * 1_000_000)

        def attack():
            one = self.attacker()
            one.agree()
            for _ in range(200):
                self.assertTrue(self.upload(one, "/grpc.health.v1.Health/Watch", [ask]))
        self.under(attack, megabytes=40)

    def watch(self, key, **options):
        return message(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key, **options)).SerializeToString())

    def test_watches_of_long_keys(self):
        """A key is kept for as long as it is watched: beyond its connection's share a watch is refused, and an honest
        client with ten thousand watches has none refused."""
        with self.ours.api() as service:
            ordinary = [rpc.WatchRequest(create_request=rpc.WatchCreateRequest(
                key=b"/registry/pods/namespace-%d/a-pod-of-ordinary-length" % i)) for i in range(10_000)]
            answers = service.Watch.Watch(iter(ordinary))

            def attack():
                for connection in range(3):
                    one = self.attacker()
                    one.agree()
                    for i in range(60):
                        creates = [self.watch(b"%d/%d/%d/" % (connection, i, k) + b"k" * 1_000_000) for k in range(2)]
                        if not self.upload(one, h2.WATCH, creates):
                            break
                    one.drain(1)
                    if not ETCD_IN_OUR_ROLE:
                        self.assertTrue(b"too many bytes of keys" in one.received)
            self.under(attack, megabytes=270)
            for _ in ordinary:
                answer = next(answers)
                self.assertTrue(answer.created and not answer.canceled, answer.cancel_reason)
            answers.cancel()

    def test_streams_and_locks_with_long_names(self):
        """Elections that are observed and locks that are waited for: their names count like the keys of watches."""
        name = b"n" * 700_000
        observe = message(b"\x0a" + h2.varint(len(name)) + name)

        def attack():
            for path in ("/v3electionpb.Election/Observe", "/v3lockpb.Lock/Lock"):
                one = self.attacker()
                one.agree()
                for _ in range(200):
                    if not self.upload(one, path, [observe]):
                        break
                one.drain(1)
                ended = sum(1 for kind, flags, _, _ in one.frames() if kind == h2.HEADERS and flags & h2.END_STREAM)
                if not ETCD_IN_OUR_ROLE:
                    self.assertGreater(ended, 150)
        self.under(attack, megabytes=150)

    def test_many_watches(self):
        create = message(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"a")).SerializeToString())

        def attack():
            one = self.attacker()
            number = one.stream()
            one.send(frame(h2.HEADERS, h2.END_HEADERS, number, grpc_headers(h2.WATCH)))
            for _ in range(100):
                if not one.send(frame(h2.DATA, 0, number, create * 500)):
                    break
                one.drain()
                one.received = b""
                one.send(window_update(0, 60_000) + window_update(number, 60_000))
        self.under(attack, megabytes=60)

    def test_GHSA_4993_m7g5_r9hh_logins(self):
        """Every check of a password costs tens of milliseconds: they are done beside the rest, so many wait at most."""
        if ETCD_IN_OUR_ROLE:
            self.skipTest("etcd 3.4.23 checks them in everybody's way: no write comes through within 30 s")
        for line in ("user add root:secret", "user grant-role root root", "role add r", "user add bystander:pw",
                     "role grant-permission r readwrite bystander", "user grant-role bystander r", "auth enable"):
            self.ours.ctl(*line.split())
        body = message(rpc.AuthenticateRequest(name="root", password="wrong").SerializeToString())
        with self.ours.api() as service:
            token = service.Auth.Authenticate(rpc.AuthenticateRequest(name="bystander", password="pw")).token
            metadata = (("token", token),)
            one = self.attacker(source="127.0.0.2")
            for _ in range(20):
                one.send(b"".join(one.request(h2.AUTHENTICATE, body) for _ in range(200)))
                one.drain()
            # Hosts take turns, so nobody is kept out by the guesses of another.
            self.assertTrue(service.Auth.Authenticate(rpc.AuthenticateRequest(name="root", password="secret"), timeout=60).token)
            before = resident(self.ours.process.pid)
            for i in range(50):
                service.KV.Put(rpc.PutRequest(key=b"bystander", value=b"%d" % i), metadata=metadata, timeout=30)
            self.assertEqual(service.KV.Range(rpc.RangeRequest(key=b"bystander"), metadata=metadata).kvs[0].value, b"49")
            self.assert_grown(resident(self.ours.process.pid) - before, 40)

    def test_large_events_that_are_read(self):
        """A stream that was sent something large does not keep the room for it."""
        with self.ours.api() as service:
            revision = service.KV.Put(rpc.PutRequest(key=b"large", value=os.urandom(MEGABYTE))).header.revision
        create = self.watch(b"large", start_revision=revision)

        def attack():
            one = self.attacker()
            one.agree()
            one.send(settings((h2.INITIAL_WINDOW_SIZE, 0x7fffffff)) + window_update(0, 0x7fffffff - 65535))
            for _ in range(150):
                one.received = b""
                self.assertTrue(self.upload(one, h2.WATCH, [create]))
                while len(one.received) < MEGABYTE and not one.broken:
                    one.drain(1)
            self.assertFalse(one.broken)
        self.under(attack, megabytes=50)

    def test_logins_that_wait_with_long_names(self):
        """So many wait, but not with all that they say."""
        if ETCD_IN_OUR_ROLE:
            self.skipTest("etcd 3.4.23 checks them in everybody's way")
        for line in ("user add root:secret", "user grant-role root root", "auth enable"):
            self.ours.ctl(*line.split())
        before = resident(self.ours.process.pid)
        with self.ours.api() as service:
            one = self.attacker(source="127.0.0.2")
            one.agree()
            for name, password in (("n" * 1_000_000, "wrong"), ("root", "p" * 1_000_000)):
                body = message(rpc.AuthenticateRequest(name=name, password=password).SerializeToString())
                for _ in range(100):
                    self.assertTrue(self.upload(one, h2.AUTHENTICATE, [body]))
            token = service.Auth.Authenticate(rpc.AuthenticateRequest(name="root", password="secret"), timeout=60).token
            service.KV.Put(rpc.PutRequest(key=b"k", value=b"v"), metadata=(("token", token),), timeout=60)
        grown = resident(self.ours.process.pid) - before
        print(f"test_logins_that_wait_with_long_names: {grown / MEGABYTE:.1f} MB more", flush=True)
        self.assert_grown(grown, 60)

    def test_logins_with_long_names(self):
        """A name may be as long as a request; the log says who it was, and not a thousand times a second."""
        if ETCD_IN_OUR_ROLE:
            self.skipTest("etcd logs the whole name")
        for line in ("user add root:secret", "user grant-role root root", "auth enable"):
            self.ours.ctl(*line.split())
        before = self.ours.log_path.stat().st_size
        with self.ours.api() as service:
            for _ in range(10):
                request = rpc.AuthenticateRequest(name="\x01" * 1_000_000, password="wrong")
                with self.assertRaises(grpc.RpcError):
                    service.Auth.Authenticate(request, timeout=30)
        grown = self.ours.log_path.stat().st_size - before
        self.assertTrue("(1000000 bytes)" in self.ours.log())
        self.assertLess(grown, MEGABYTE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
