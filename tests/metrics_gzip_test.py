#!/usr/bin/python3
"""GET /metrics for clients that take gzip, as Prometheus does: on every port that has it, over HTTP/1.1 and HTTP/2, as from
etcd."""

import gzip
import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
import tls_probe
from certificates import Authority

SAMPLE = b"\netcd_server_has_leader 1\n"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def plain(body, coding):
    """The body as text, however it was coded; the coding must be what the headers say."""
    return gzip.decompress(body) if coding == "gzip" else body


class MetricsGzipTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gzip-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def started(self, make, *flags, credentials=None, health=None):
        """health: the URL that says how it is, where that is not the client port's."""
        one = make(flags=list(map(str, flags)))
        self.addCleanup(one.remove)
        one.credentials = credentials
        if health:
            one.healthy = lambda: tls_probe.curl(health).status == 200
        return one.start()

    @staticmethod
    def ask(connection, method="GET", accept=(), path="/metrics"):
        """(status, content type, coding, vary, the text)"""
        connection.putrequest(method, path, skip_accept_encoding=True)
        for value in accept:
            connection.putheader("Accept-Encoding", value)
        connection.endheaders()
        answer = connection.getresponse()
        coding = answer.getheader("Content-Encoding")
        body = answer.read()
        return answer.status, answer.getheader("Content-Type"), coding, answer.getheader("Vary"), body and plain(body, coding)

    def test_who_gets_gzip(self):
        servers = [self.started(make) for make in (member.etcd, member.quorate)]
        for method in ("GET", "POST", "HEAD"):
            for accept in ((), ("",), ("gzip",), ("deflate, gzip",), ("deflate,gzip;q=0.5",), ("gzip;q=0.001, identity",),
                           ("br", "gzip"), ("gzip", "br"), ("identity",), ("*",), ("GZIP",), ("gzip ;q=1",), ("x-gzip",)):
                with self.subTest(method=method, accept=accept):
                    answers = []
                    for server in servers:
                        connection = http.client.HTTPConnection(server.endpoint, timeout=60)
                        answers.append(self.ask(connection, method, accept))
                        connection.close()
                    etcd, ours = answers
                    self.assertEqual(ours[:4], etcd[:4])
                    self.assertEqual(ours[:2], (200, TEXT))
                    self.assertEqual(SAMPLE in ours[4], method != "HEAD")

    def test_nothing_else_is_coded(self):
        for server in [self.started(make) for make in (member.etcd, member.quorate)]:
            for path in ("/version", "/health", "/debug/vars", "/nosuch"):
                connection = http.client.HTTPConnection(server.endpoint, timeout=60)
                self.assertIsNone(self.ask(connection, accept=("gzip",), path=path)[2], path)
                connection.close()

    def test_many_on_one_connection(self):
        """Coded and not, one after another; what is sent ahead waits for its turn."""
        server = self.started(member.quorate)
        connection = http.client.HTTPConnection(server.endpoint, timeout=60)
        for i in range(20):
            answer = self.ask(connection, accept=("gzip",) if i % 3 else ())
            self.assertEqual(answer[2], "gzip" if i % 3 else None)
            self.assertIn(SAMPLE, answer[4])
        head = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"
        connection.sock.sendall((head + b"\r\n") * 5 + head + b"Connection: close\r\n\r\n")
        # One reader for all: one for each would take a part of the next answer with it.
        with connection.sock.makefile("rb") as reader:
            for _ in range(6):
                self.assertEqual(reader.readline().split(b" ", 2)[1], b"200")
                headers = http.client.parse_headers(reader)
                self.assertEqual(headers["Content-Encoding"], "gzip")
                self.assertIn(SAMPLE, gzip.decompress(reader.read(int(headers["Content-Length"]))))
            self.assertEqual(reader.read(), b"")
        connection.close()

    def fetch(self, url, credentials, *flags):
        """(HTTP's version, content type, coding, body as it came), by curl."""
        out = self.directory / "body"
        told = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", "60", "--noproxy", "*", *(credentials.curl() if credentials else ()),
             *flags, "--header", "Accept-Encoding: gzip", "--dump-header", "-", "--output", out, url],
            capture_output=True, text=True, check=True).stdout
        lines = told.splitlines()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return lines[0].split()[0], headers.get("content-type"), headers.get("content-encoding"), out.read_bytes()

    def test_every_port_and_version(self):
        ca = Authority(self.directory)
        trusted = ca.credentials(ca.issue("client", names=(), usage="clientAuth"))
        flags = [*ca.issue("server").flags(), "--client-cert-auth", "--trusted-ca-file", ca.cert]
        for make in (member.etcd, member.quorate):
            clear, secure, moved = member.free_port(), member.free_port(), member.free_port()
            more = ["--listen-metrics-urls", f"http://127.0.0.1:{clear},https://127.0.0.1:{secure}"]
            ours = make is member.quorate and not tls_probe.etcd_in_our_role()
            if ours:
                more += ["--listen-client-http-urls", f"https://127.0.0.1:{moved}"]
            server = self.started(make, *flags, *more, credentials=trusted, health=f"http://127.0.0.1:{clear}/health")
            doors = [(f"http://127.0.0.1:{clear}", None), (f"https://127.0.0.1:{secure}", trusted)]
            doors.append((f"https://127.0.0.1:{moved}", trusted) if ours else (server.url, trusted))
            for url, credentials in doors:
                versions = {"HTTP/1.1": "--http1.1", "HTTP/2": "--http2" if credentials else "--http2-prior-knowledge"}
                if not (ours or credentials):
                    del versions["HTTP/2"]  # etcd has it with TLS only.
                for version, flag in versions.items():
                    with self.subTest(server=server.binary, url=url, version=version):
                        came, kind, coding, body = self.fetch(url + "/metrics", credentials, flag)
                        self.assertEqual((came, kind, coding), (version, TEXT, "gzip"))
                        self.assertIn(SAMPLE, gzip.decompress(body))
        # Several at once on one connection of HTTP/2.
        answers = self.directory / "answers"
        subprocess.run(["curl", "--silent", "--show-error", "--max-time", "60", "--noproxy", "*", *trusted.curl(), "--http2",
                        "--parallel", "--parallel-max", "10", "--header", "Accept-Encoding: gzip", "--output", f"{answers}.#1",
                        f"{doors[-1][0]}/metrics?[1-30]"], check=True, capture_output=True)
        for i in range(1, 31):
            self.assertIn(SAMPLE, gzip.decompress(pathlib.Path(f"{answers}.{i}").read_bytes()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
