#!/usr/bin/python3
"""JSON streams whose body stays open: what a client says is worked when it has come, as etcd does it over HTTP/2."""

import contextlib
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import attacker as h2
import member
import places
from attacker import Attacker, frame
from certificates import Authority
from json_door import b64

ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"
# What may take so long on a busy machine has not come at all.
PATIENCE = 60


class OpenBody:
    """A request by curl whose body is written line by line, and whose answer is read line by line."""

    def __init__(self, server, path, version):
        self.process = subprocess.Popen(
            # "." reads its input without waiting for it.
            ["curl", "-sN", version, "--cacert", str(server.credentials.ca), "-X", "POST", "-H", "Expect:", "-T", ".",
             server.url + path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def say(self, *requests):
        self.process.stdin.write(b"\n".join(json.dumps(request).encode() for request in requests) + b"\n")
        self.process.stdin.flush()

    def answer(self):
        """The next line's result; None at the answer's end."""
        line = self.lines.get(timeout=PATIENCE)
        return None if line is None else json.loads(line)["result"]

    def close(self):
        """The body ends."""
        self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


class OpenBodyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="open-", dir=places.scratch()))
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        ca = Authority(directory)
        certificate = ca.issue("server")
        cls.cases = []
        for make in (member.etcd, member.quorate):
            server = make(flags=certificate.flags())
            cls.addClassCleanup(server.remove)
            server.credentials = ca.credentials()
            server.start()
            cls.cases.append((server, "--http2"))
        if not ETCD_IN_BOTH_ROLES:  # etcd's answers wait for the body's end over HTTP/1.1.
            cls.cases.append((server, "--http1.1"))

    def each(self):
        for server, version in self.cases:
            with self.subTest(f"{server.binary} {version}"):
                yield server, version

    def ask(self, server, path, body):
        answer = subprocess.run(["curl", "-s", "--cacert", str(server.credentials.ca), server.url + path, "-d", json.dumps(body)],
                                capture_output=True, check=True, timeout=PATIENCE)
        return json.loads(answer.stdout)

    def test_watch(self):
        for server, version in self.each():
            with OpenBody(server, "/v3/watch", version) as body:
                body.say({"create_request": {"key": b64("w"), "watch_id": 7}})
                self.assertTrue(body.answer()["created"])
                for i in range(3):
                    self.ask(server, "/v3/kv/put", {"key": b64("w"), "value": b64(str(i))})
                    event = body.answer()
                    self.assertEqual((event["watch_id"], event["events"][0]["kv"]["value"]), ("7", b64(str(i))))
                body.say({"create_request": {"key": b64("x"), "watch_id": 8}}, {"cancel_request": {"watch_id": 7}})
                self.assertEqual(body.answer()["watch_id"], "8")
                answer = body.answer()
                self.assertEqual((answer["watch_id"], answer["canceled"]), ("7", True))
                self.ask(server, "/v3/kv/put", {"key": b64("w")})
                self.ask(server, "/v3/kv/put", {"key": b64("x")})
                self.assertEqual(body.answer()["watch_id"], "8")

    def test_keep_alive(self):
        for server, version in self.each():
            lease = self.ask(server, "/v3/lease/grant", {"TTL": 100})["ID"]
            with OpenBody(server, "/v3/lease/keepalive", version) as body:
                for _ in range(3):
                    body.say({"ID": lease})
                    answer = body.answer()
                    self.assertEqual((answer["ID"], answer["TTL"]), (lease, "100"))
                body.say({"ID": "4711"})
                self.assertNotIn("TTL", body.answer())
                body.close()
                self.assertIsNone(body.answer())
                self.assertEqual(body.process.wait(PATIENCE), 0)

    def begun(self, attacker, server, method, path, host=None):
        """Begins a request whose body stays open; returns its stream."""
        stream = attacker.stream()
        head = [(b":method", method.encode()), (b":scheme", b"http"), (b":path", path.encode()),
                (b":authority", (host or server.endpoint).encode())]
        attacker.send(frame(h2.HEADERS, h2.END_HEADERS, stream, b"".join(h2.literal(*pair) for pair in head)) +
                      frame(h2.DATA, 0, stream, b'{"create_request":'))
        return stream

    def answer_to(self, attacker, stream):
        """The text of an answer that is whole, whatever becomes of the body."""
        deadline = time.monotonic() + PATIENCE
        while True:
            frames = [(kind, flags, payload) for kind, flags, number, payload in attacker.frames() if number == stream]
            if any(kind in (h2.HEADERS, h2.DATA) and flags & h2.END_STREAM for kind, flags, _ in frames):
                return b"".join(payload for kind, _, payload in frames if kind == h2.DATA).decode()
            self.assertLess(time.monotonic(), deadline, frames)
            attacker.drain(1)

    REFUSALS = (("POST", "/v3/nosuch", "Not Found\n"), ("POST", "/nosuch", "404 page not found\n"),
                ("PUT", "/v3/watch", "Method Not Allowed\n"), ("DELETE", "/v3/kv/put", "Method Not Allowed\n"),
                ("POST", "/version", "Method Not Allowed\n"))

    def test_what_the_head_refuses_is_answered_at_the_head(self):
        for server, version in self.each():
            if version != "--http2":
                continue
            with Attacker("127.0.0.1", server.client_port, server.credentials.ssl_context()) as attacker:
                for method, path, text in self.REFUSALS:
                    stream = self.begun(attacker, server, method, path)
                    self.assertEqual(self.answer_to(attacker, stream), text, (method, path))

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "curl takes etcd's reset for a failure when it comes with the answer")
    def test_curl_reads_a_refusal_in_the_middle_of_its_body(self):
        server = self.cases[-1][0]
        for method, path, text in self.REFUSALS:
            with subprocess.Popen(["curl", "-sN", "--http2", "--cacert", str(server.credentials.ca), "-X", method, "-H", "Expect:",
                                   "-T", ".", server.url + path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) as curl:
                curl.stdin.write(b'{"create_request":')
                curl.stdin.flush()
                self.assertEqual(curl.wait(PATIENCE), 0, (method, path))
                self.assertEqual(curl.stdout.read().decode(), text)

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd speaks HTTP/2 over TLS alone")
    def test_a_host_that_is_not_allowed(self):
        server = member.quorate(flags=["--host-whitelist", "localhost,127.0.0.1"])
        self.addCleanup(server.remove)
        server.start()
        with Attacker("127.0.0.1", server.client_port) as attacker:
            for path in ("/v3/watch", "/v3/kv/put", "/version"):
                stream = self.begun(attacker, server, "POST", path, host="evil.example")
                self.assertIn("the Host header was unrecognized", self.answer_to(attacker, stream))
            # What comes behind the answer, more than any window, is not kept, and gives the connection's window back.
            for _ in range(400):
                self.assertTrue(attacker.send(frame(h2.DATA, 0, stream, bytes(16000))))
            stream = self.begun(attacker, server, "POST", "/v3/nosuch")
            self.assertEqual(self.answer_to(attacker, stream), "Not Found\n")

    def metric(self, server, name):
        text = subprocess.run(["curl", "-s", "--cacert", str(server.credentials.ca), server.url + "/metrics"],
                              capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        return float(re.search(rf"^{name} (\S+)", text, re.M).group(1))

    def wait_for(self, server, name, value):
        deadline = time.monotonic() + PATIENCE
        while self.metric(server, name) > value:
            self.assertLess(time.monotonic(), deadline, name)
            time.sleep(0.05)

    def test_a_client_that_goes_takes_its_watch_along(self):
        for server, version in self.each():
            with OpenBody(server, "/v3/watch", version) as body:
                body.say({"create_request": {"key": b64("gone")}})
                self.assertTrue(body.answer()["created"])
                self.assertGreater(self.metric(server, "etcd_debugging_mvcc_watcher_total"), 0)
            self.wait_for(server, "etcd_debugging_mvcc_watcher_total", 0)

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "metrics of Quorate alone")
    def test_what_is_held_is_told(self):
        server = self.cases[-1][0]
        held, streams = "quorate_client_request_bytes_held", "quorate_client_streams"
        # A look at the metrics counts, too.
        held_before, streams_before = self.metric(server, held), self.metric(server, streams)
        with contextlib.ExitStack() as bodies:
            for _ in range(5):
                body = bodies.enter_context(OpenBody(server, "/v3/watch", "--http2"))
                body.say({"create_request": {"key": b64("w")}})
                self.assertTrue(body.answer()["created"])
            self.assertGreaterEqual(self.metric(server, streams), streams_before + 5)
            self.assertGreaterEqual(self.metric(server, held), held_before + 5 * 4096)
            self.assertGreaterEqual(self.metric(server, "quorate_client_connections"), 5)
            self.assertGreaterEqual(self.metric(server, "quorate_client_answer_bytes_held"), 0)
        self.wait_for(server, held, held_before)
        self.wait_for(server, streams, streams_before)


if __name__ == "__main__":
    unittest.main()
