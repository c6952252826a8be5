#!/usr/bin/python3
"""CVE-2021-28235: no password stays in the memory of a running server (a core dump is a copy of it), through whichever
door it came, and however: whole or in pieces, in clear text or by TLS, right or wrong."""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import attacker
import certificates
import grpc
import member
import places
import tls_probe
import users
import websocket
from api import rpc

JSON_LOGIN = "/v3/auth/authenticate"


def memory_of(pid, wanted):
    """Which of the byte strings are in the memory of the process."""
    pattern = re.compile(b"|".join(re.escape(secret) for secret in sorted(wanted, key=len, reverse=True)))
    overlap = max(map(len, wanted))
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            begin, end, mode, path = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+\s*(.*)", line).groups()
            if "r" not in mode or path.startswith("[v"):
                continue
            at, end, tail = int(begin, 16), int(end, 16), b""
            while at < end:
                try:
                    memory.seek(at)
                    chunk = memory.read(min(1 << 20, end - at))
                except OSError:
                    break
                if not chunk:
                    break
                found.update(pattern.findall(tail + chunk))
                at, tail = at + len(chunk), chunk[-overlap:]
    return found


def credentials(name, password):
    return base64.b64encode(f"{name}:{password}".encode()).decode()


class Secrets:
    """A long and a short password for each way to say one. None of them is met by chance."""

    def __init__(self):
        self.of = {}

    def of_way(self, way):
        words = base64.b32encode(os.urandom(20)).decode()
        return self.of.setdefault(way, (f"{words}-of-{way}", words[:9]))

    def traces(self):
        """What must not be found, and whose it is."""
        out = {}
        for way, passwords in self.of.items():
            for password, length in zip(passwords, ("long", "short")):
                escaped = "".join(f"\\u{ord(c):04x}" for c in password)
                # Of the credentials' base64 what no other name or password shares.
                for trace in (password, escaped, credentials("root", password)[8:]):
                    out[trace.encode()] = f"{way}, {length}"
        return out


class Doors:
    """All ways to say a password to a server. Every one logs in, or says why that is refused, and hangs up."""

    def __init__(self, endpoint, ca=None):
        self.endpoint = endpoint
        self.ca = certificates.Credentials(ca) if ca else None
        self.url = f"{'https' if ca else 'http'}://{endpoint}"
        host, port = endpoint.rsplit(":", 1)
        self.host, self.port = host, int(port)

    def api(self):
        return api.Api(self.endpoint, self.ca)

    def connect(self):
        plain = socket.create_connection((self.host, self.port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.ca.ssl_context().wrap_socket(plain, server_hostname=self.host) if self.ca else plain

    @staticmethod
    def login(password):
        return rpc.AuthenticateRequest(name="root", password=password)

    @staticmethod
    def body(password, **more):
        return json.dumps({"name": "root", "password": password, **more})

    def grpc(self, password):
        with self.api() as service:
            users.outcome(lambda: service.Auth.Authenticate(self.login(password)))

    def grpc_compressed(self, password):
        channel = (grpc.secure_channel(self.endpoint, self.ca.grpc(), compression=grpc.Compression.Gzip) if self.ca else
                   grpc.insecure_channel(self.endpoint, compression=grpc.Compression.Gzip))
        with channel:
            call = channel.unary_unary(attacker.AUTHENTICATE, request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=rpc.AuthenticateResponse.FromString)
            users.outcome(lambda: call(self.login(password), timeout=60))

    def grpc_pieces(self, password):
        with attacker.Attacker(self.host, self.port, self.ca.ssl_context() if self.ca else None) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.agree()
            client.send(client.request(attacker.AUTHENTICATE, end=False))
            said = attacker.message(self.login(password).SerializeToString())
            for at in range(0, len(said), 5):
                client.send(attacker.frame(attacker.DATA, 0, client.newest, said[at:at + 5]))
            client.send(attacker.frame(attacker.DATA, attacker.END_STREAM, client.newest))
            while not client.broken and not any(kind == attacker.HEADERS for kind, *_ in client.frames()):
                client.drain(5)

    def grpc_unfinished(self, password):
        """A message whose end never comes."""
        with attacker.Attacker(self.host, self.port, self.ca.ssl_context() if self.ca else None) as client:
            client.agree()
            said = attacker.message(self.login(password).SerializeToString())
            client.send(client.request(attacker.AUTHENTICATE, said[:-1], end=False))
            client.send(attacker.frame(attacker.PING, 0, 0, b"received"))
            while not client.broken and not any(kind == attacker.PING for kind, *_ in client.frames()):
                client.drain(5)

    def ask(self, path, body, **headers):
        """HTTP/1.1, the head and the body at once or nearly so."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.sock = self.connect()
        with contextlib.closing(connection):
            connection.request("POST", path, body, headers)
            return connection.getresponse().read()

    def json(self, password):
        self.ask(JSON_LOGIN, self.body(password))

    def json_escaped(self, password):
        escaped = "".join(f"\\u{ord(c):04x}" for c in password)
        self.ask(JSON_LOGIN, f'{{"name":"root","password":"{escaped}"}}')

    def json_twice(self, password):
        self.ask(JSON_LOGIN, f'{{"password":"{password}","name":"root","password":"{password}x"}}')

    def json_broken(self, password):
        self.ask(JSON_LOGIN, self.body(password) + '{"')
        self.ask(JSON_LOGIN, self.body(password)[:-1] + ',"name":1}')
        self.ask(JSON_LOGIN, self.body(password)[:-1])
        self.ask("/v3/auth/no-such-thing", self.body(password))

    def json_pieces(self, password):
        """In chunks, each sent by itself."""
        body = self.body(password).encode()
        with contextlib.closing(self.connect()) as connection:
            connection.sendall(f"POST {JSON_LOGIN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                               "Connection: close\r\n\r\n".encode())
            for at in range(0, len(body), 7):
                piece = body[at:at + 7]
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
            while connection.recv(1 << 16):
                pass

    def json_after_much(self, password):
        """The body outgrows what it was kept in before."""
        self.ask(JSON_LOGIN, json.dumps({"name": "root", "password": password, "more": "x" * 300_000}))

    def json_unfinished(self, password):
        with contextlib.closing(self.connect()) as connection:
            connection.sendall(f"POST {JSON_LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
                               .encode())
            connection.recv(100)
            connection.sendall(self.body(password).encode())

    def curl(self, path, *flags):
        version = "--http2" if self.ca else "--http2-prior-knowledge"
        return tls_probe.curl(self.url + path, self.ca, version, *flags)

    def json_http2(self, password):
        assert self.curl(JSON_LOGIN, "--data", self.body(password)).version == "2"

    def json_web_socket(self, password):
        options = {"ca_certs": str(self.ca.ca)} if self.ca else {}
        with contextlib.closing(websocket.create_connection(self.url.replace("http", "ws", 1) + JSON_LOGIN, timeout=60,
                                                            sslopt=options)) as connection:
            connection.send(self.body(password))
            connection.recv()

    def json_new_user(self, password):
        """Refused: without a token."""
        self.ask("/v3/auth/user/add", json.dumps({"name": "somebody", "password": password}))

    def basic(self, password):
        """For a member that there is not."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.sock = self.connect()
        with contextlib.closing(connection):
            connection.request("DELETE", "/v2/members/1", headers={"Authorization": f"Basic {credentials('root', password)}"})
            assert connection.getresponse().status in (401, 404)

    def basic_http2(self, password):
        asked = self.curl("/v2/members/1", "--user", f"root:{password}", "--request", "DELETE")
        assert asked.version == "2" and asked.status in (401, 404), asked


WAYS = [name for name, value in vars(Doors).items()
        if callable(value) and name.split("_")[0] in ("grpc", "json", "basic")]


@unittest.skipIf(tls_probe.etcd_in_our_role(), "the original doesn't promise it")
@unittest.skipIf(places.sanitized(), "a sanitizer's shadow of the memory has terabytes to search")
class MemoryTest(unittest.TestCase):
    def setUp(self):
        server = member.quorate(flags=["--log-level", "debug", "--new-cluster-version", "3.5", "--bcrypt-cost", "4"])
        self.secrets = Secrets()
        self.prepare(server)
        self.addCleanup(server.remove)
        server.start()
        self.server = server
        self.doors = self.open_doors()

    def prepare(self, server):
        pass

    def open_doors(self):
        return Doors(self.server.endpoint)

    def assert_nothing_is_left(self):
        traces = self.secrets.traces()
        deadline = time.monotonic() + 60
        while True:
            found = memory_of(self.server.process.pid, [b"member/snap/db", *traces])
            self.assertIn(b"member/snap/db", found, "the search finds things")
            left = sorted({traces[trace] for trace in found if trace in traces})
            # Who has just hung up may not have been noticed yet.
            if not left or time.monotonic() > deadline:
                break
        self.assertEqual(left, [])

    def test_CVE_2021_28235_what_is_refused(self):
        with self.doors.api() as service:
            users.enable(service, self.secrets.of_way("root")[0])
        for way in WAYS:
            for password in self.secrets.of_way(way):
                getattr(self.doors, way)(password)
        self.assert_nothing_is_left()

    def test_CVE_2021_28235_what_is_right(self):
        """Each password is the user's for a time, which is told through JSON and gRPC in turn."""
        with self.doors.api() as service:
            users.enable(service, password := self.secrets.of_way("root")[0])
            for way in WAYS:
                for fresh in self.secrets.of_way(way):
                    service.metadata = ()
                    token = service.login("root", password)
                    service.metadata = (("token", token),)
                    if way.startswith("grpc"):
                        service.Auth.UserChangePassword(rpc.AuthUserChangePasswordRequest(name="root", password=fresh))
                    else:
                        answer = self.doors.ask("/v3/auth/user/changepw", self.doors.body(fresh), Authorization=token)
                        self.assertNotIn(b"error", answer)
                    password = fresh
                    getattr(self.doors, way)(password)
        self.assert_nothing_is_left()


class MemoryOfTlsTest(MemoryTest):
    def prepare(self, server):
        directory = server.data_dir.parent / "tls"
        authority = certificates.Authority(directory, "ca")
        server.flags += authority.issue("server").flags()
        self.ca = authority.cert
        server.credentials = certificates.Credentials(self.ca)

    def open_doors(self):
        return Doors(self.server.endpoint, self.ca)


if __name__ == "__main__":
    unittest.main(verbosity=2)
