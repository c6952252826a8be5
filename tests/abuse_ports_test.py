#!/usr/bin/python3
"""Attacks on the other doors: TLS, the metrics port, a Unix socket, the JSON gateway and its WebSockets.

As in abuse_test.py: what the server holds is bounded, and an honest client is served all the while.
"""

import os
import pathlib
import shutil
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import attacker as h2
import member
import places
from abuse import ETCD_IN_OUR_ROLE, HOST, AbuseCase
from api import rpc
from attacker import frame, settings
from certificates import Authority
from tls_probe import curl

REQUEST_WITHOUT_END = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nA: "


class RawCase(AbuseCase):
    """With sockets that say anything."""

    def setUp(self):
        super().setUp()
        self.raw = []
        self.addCleanup(lambda: [one.close() for one in self.raw])

    def connect(self, address, data=b""):
        one = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.raw.append(one)
        one.settimeout(30)
        one.connect(address)
        self.tell(one, data)
        return one

    @staticmethod
    def tell(one, data):
        """False: the server has closed, or reads no further."""
        try:
            one.sendall(data)
            return True
        except OSError:
            return False

    def ended(self, one, seconds=60):
        """Whether the server ends the connection."""
        one.settimeout(seconds)
        try:
            while one.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def unread_metrics(self, **options):
        """/metrics is over 100 KB and needs no token; who asks for it over HTTP/2 withholds his windows."""
        one = self.attacker(**options)
        one.send(settings((h2.INITIAL_WINDOW_SIZE, 0)))
        block = b"".join(h2.literal(*field) for field in ((b":method", b"GET"), (b":scheme", b"http"),
                                                          (b":path", b"/metrics"), (b":authority", b"127.0.0.1")))
        for _ in range(20):
            if not one.send(b"".join(one.request("", block=block) for _ in range(100))):
                break
            one.drain()
            one.received = b""


class ClearPortTest(RawCase):
    def test_plain_answers_over_http2_that_are_not_read(self):
        self.under(lambda: [self.unread_metrics() for _ in range(3)], megabytes=400)


class TlsPortTest(RawCase):
    def make(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="abuse-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        ca = Authority(directory)
        one = member.quorate(flags=ca.issue("server").flags())
        one.credentials = ca.credentials()
        return one

    def tls_attacker(self):
        return self.attacker(context=self.ours.credentials.ssl_context())

    def test_GHSA_6vch_q96h_7gc3_handshakes_that_never_begin(self):
        """And those that begin and never end: both are closed after the time that a handshake has."""
        address = (HOST, self.ours.client_port)

        def attack():
            for _ in range(200):
                self.connect(address)
                self.connect(address, b"\x16\x03\x01\x02\x00\x01")
        self.under(attack, megabytes=40)
        for one in self.raw if not ETCD_IN_OUR_ROLE else ():
            self.assertTrue(self.ended(one))

    def test_idle_connections(self):
        self.under(lambda: [self.tls_attacker() for _ in range(200)], megabytes=60)

    def test_floods(self):
        def attack():
            one = self.tls_attacker()
            for _ in range(200):
                if not one.send(frame(h2.PRIORITY, 0, 3, b"\0\0\0\1\1") * 1000):
                    break
                one.drain()
            self.assert_told_off(one)
        self.under(attack, megabytes=20)

    def test_header_bomb(self):
        def attack():
            one = self.tls_attacker()
            one.send(one.request(h2.RANGE, end=False, block=h2.grpc_headers(h2.RANGE) +
                                 h2.literal(b"x", b"v" * 4000, remember=True)))
            bomb = h2.grpc_headers(h2.RANGE) + h2.indexed(62) * 200
            for _ in range(20):
                if not one.send(b"".join(one.request(h2.RANGE, end=False, block=bomb) for _ in range(100))):
                    break
                one.drain()
        self.under(attack, megabytes=120)

    def test_plain_answers_that_are_not_read(self):
        self.under(lambda: [self.unread_metrics(context=self.ours.credentials.ssl_context()) for _ in range(2)],
                   megabytes=300)

    def test_records_that_are_none(self):
        """Instead of a handshake: the connection is over."""
        def attack():
            for data in (b"\x17\x03\x03\xff\xff" + b"x" * 70_000, b"\x18\x03\x03\0\x03\1\xff\xff", b"GET / HTTP/1.1\r\n\r\n"):
                one = self.connect((HOST, self.ours.client_port), data)
                self.assertTrue(self.ended(one))
        self.under(attack, megabytes=20)


@unittest.skipIf(ETCD_IN_OUR_ROLE, "etcd 3.4 has no --listen-client-http-urls")
class EveryTlsPortTest(RawCase):
    """Requests that never end, on all four ports, after a handshake."""

    def make(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="abuse-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        ca = Authority(directory)
        self.http_port, self.metrics_port = member.free_port(), member.free_port()
        certificate = ca.issue("server")
        one = member.quorate(flags=[
            *certificate.flags(), *certificate.flags("peer-"), "--peer-trusted-ca-file", str(ca.cert),
            "--listen-client-http-urls", f"https://{HOST}:{self.http_port}",
            "--listen-metrics-urls", f"https://{HOST}:{self.metrics_port}"])
        one.credentials = ca.credentials()
        one.peer_scheme = "https"
        # Its own way to be asked is on the other port.
        one.healthy = lambda: curl(f"https://{HOST}:{self.http_port}/health", one.credentials).status == 200
        return one

    def test_slow_requests_and_none(self):
        context = self.ours.credentials.ssl_context()

        def attack():
            for port in (self.ours.client_port, self.http_port, self.metrics_port, self.ours.peer_port):
                for start in (b"", REQUEST_WITHOUT_END, b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"):
                    for _ in range(25):
                        plain = socket.create_connection((HOST, port), timeout=30)
                        self.raw.append(context.wrap_socket(plain, server_hostname=HOST))
                        self.tell(self.raw[-1], start)
        self.under(attack, megabytes=60)


@unittest.skipIf(ETCD_IN_OUR_ROLE, "etcd 3.4 has no --listen-client-http-urls")
class HttpPortTest(RawCase):
    def make(self):
        self.http_port = member.free_port()
        one = member.quorate(flags=["--listen-client-http-urls", f"http://{HOST}:{self.http_port}"])
        one.healthy = lambda: curl(f"http://{HOST}:{self.http_port}/health").status == 200
        return one

    def test_slow_requests_and_none(self):
        def attack():
            for start in (b"", REQUEST_WITHOUT_END, h2.PREFACE[:20], h2.PREFACE + settings()):
                for _ in range(200):
                    self.connect((HOST, self.http_port), start)
        self.under(attack, megabytes=40)

    def test_bodies_of_many_requests(self):
        """What is kept of them counts where they came by."""
        body = b"{}" * 1_900_000

        def attack():
            for _ in range(300):
                self.connect((HOST, self.http_port), b"POST /v3/watch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.under(attack, megabytes=600)


class MetricsPortTest(RawCase):
    def make(self):
        self.metrics_port = member.free_port()
        return member.quorate(flags=["--listen-metrics-urls", f"http://{HOST}:{self.metrics_port}"])

    def test_slow_requests_and_none(self):
        def attack():
            for start in (b"", REQUEST_WITHOUT_END, h2.PREFACE[:20], h2.PREFACE + settings()):
                for _ in range(200):
                    self.connect((HOST, self.metrics_port), start)
            for one in self.raw:
                self.tell(one, b"x")
        self.under(attack, megabytes=40)

    def test_answers_that_are_not_read(self):
        self.under(lambda: [self.unread_metrics(port=self.metrics_port) for _ in range(3)], megabytes=400)

    def test_bodies(self):
        """It takes none, however large."""
        block = b"".join(h2.literal(*field) for field in ((b":method", b"POST"), (b":scheme", b"http"),
                                                          (b":path", b"/metrics"), (b":authority", b"127.0.0.1")))
        part = b"x" * 16_000

        def attack():
            for _ in range(60):
                one = self.connect((HOST, self.metrics_port),
                                   b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000000\r\n\r\n")
                self.tell(one, b"x" * 3_900_000)
                one = self.connect((HOST, self.metrics_port),
                                   b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.tell(one, (b"%x\r\n" % len(part) + part + b"\r\n") * 200)
            one = self.attacker(port=self.metrics_port)
            one.agree()
            for _ in range(60):
                number = one.stream()
                if not one.send(frame(h2.HEADERS, h2.END_HEADERS, number, block) + frame(h2.DATA, 0, number, part) * 60):
                    break
                one.drain()
        self.under(attack, megabytes=60)


class UnixSocketTest(RawCase):
    def make(self):
        directory = tempfile.mkdtemp(prefix="unix-", dir=places.scratch())
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.path = os.path.join(directory, "client")
        one = member.quorate()
        arguments = one.arguments()
        urls = arguments[arguments.index("--listen-client-urls") + 1]
        one.flags += ["--listen-client-urls", f"{urls},unix://{self.path}"]
        return one

    def test_slow_requests_and_none(self):
        def attack():
            for start in (b"", REQUEST_WITHOUT_END, h2.PREFACE + settings()):
                for _ in range(200):
                    self.connect(self.path, start)
        self.under(attack, megabytes=40)

    def test_floods(self):
        def attack():
            one = self.connect(self.path, h2.PREFACE + settings())
            for _ in range(200):
                if not self.tell(one, frame(h2.PRIORITY, 0, 3, b"\0\0\0\1\1") * 1000):
                    break
            if not ETCD_IN_OUR_ROLE:
                self.assertTrue(self.ended(one))
        self.under(attack, megabytes=20)


class JsonTest(RawCase):
    """The JSON gateway, which needs no token to be asked."""

    def test_bodies_of_many_requests(self):
        """Hundreds of thousands of requests in one body, on several connections that read nothing."""
        body = b'{"create_request":{}}' * 190_000

        def attack():
            for _ in range(4):
                one = self.connect((HOST, self.ours.client_port), b"POST /v3/watch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   b"Content-Length: %d\r\n\r\n" % len(body))
                one.settimeout(2)
                self.tell(one, body)  # It reads no further than it has answered.
        self.under(attack, megabytes=200)

    def test_ranges_that_are_not_read(self):
        """Of a large key, on one HTTP/2 connection whose client withholds its windows."""
        with self.ours.api() as service:
            service.KV.Put(rpc.PutRequest(key=b"large", value=b"v" * (1 << 20)))
        body = b'{"key":"bGFyZ2U="}'
        block = b"".join(h2.literal(*field) for field in ((b":method", b"POST"), (b":scheme", b"http"),
                                                          (b":path", b"/v3/kv/range"), (b":authority", b"127.0.0.1")))

        def attack():
            one = self.attacker()
            one.send(settings((h2.INITIAL_WINDOW_SIZE, 0)))
            for _ in range(30):
                if not one.send(b"".join(one.request("", body, block=block) for _ in range(100))):
                    break
                one.drain()
                one.received = b""
        self.under(attack, megabytes=300)

    def test_watches_that_are_not_read(self):
        """Hundreds of them on one HTTP/2 connection, and events of a megabyte."""
        body = b'{"create_request":{"key":"bGFyZ2U="}}'
        block = b"".join(h2.literal(*field) for field in ((b":method", b"POST"), (b":scheme", b"http"),
                                                          (b":path", b"/v3/watch"), (b":authority", b"127.0.0.1")))

        def attack():
            one = self.attacker()
            one.agree()
            one.send(settings((h2.INITIAL_WINDOW_SIZE, 0)))
            for _ in range(5):
                one.send(b"".join(one.request("", body, block=block) for _ in range(100)))
            with self.ours.api() as service:
                for _ in range(3):
                    service.KV.Put(rpc.PutRequest(key=b"large", value=b"v" * (1 << 20)))
        self.under(attack, megabytes=300)

    def test_open_bodies(self):
        """JSON streams that never say what they want."""
        block = b"".join(h2.literal(*field) for field in ((b":method", b"POST"), (b":scheme", b"http"),
                                                          (b":path", b"/v3/watch"), (b":authority", b"127.0.0.1")))

        def attack():
            for _ in range(2):
                one = self.attacker()
                one.agree()
                for _ in range(40):
                    if not one.send(b"".join(one.request("", b'{"create', end=False, block=block) for _ in range(1000))):
                        break
                    one.drain()
        self.under(attack, megabytes=300)

    def web_socket(self):
        one = self.connect((HOST, self.ours.client_port),
                           b"GET /v3/watch HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        self.assertIn(b"101 Switching", one.recv(4096))
        return one

    def test_pieces_of_web_socket_messages(self):
        """Messages in pieces of one byte that never end."""
        def attack():
            for _ in range(4):
                one = self.web_socket()
                self.tell(one, b"\x01\x81\0\0\0\0[" + b"\x00\x81\0\0\0\0 " * 300_000)
        self.under(attack, megabytes=30)

    def test_web_socket_pings_that_are_not_read(self):
        ping = (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 1000

        def attack():
            one = self.web_socket()
            one.settimeout(2)
            for _ in range(300):
                if not self.tell(one, ping):
                    break  # It reads no further.
        self.under(attack, megabytes=60)

    def test_web_sockets_without_a_word(self):
        self.under(lambda: [self.web_socket() for _ in range(300)], megabytes=40)


if __name__ == "__main__":
    unittest.main(verbosity=2)
