#!/usr/bin/python3
"""Web pages of other sites: what --cors tells their browsers, and what --host-whitelist keeps from them, beside etcd."""

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
from certificates import Authority
from tls_probe import curl

A, B, OTHER = "http://a.example:1", "https://b.example:2", "http://c.example"
# What browsers may send of the first, and must not get for the first; and a page that has no origin.
NEARLY_A = (f"{A},{B}", "http://a.example", "https://a.example:1", "http://a.example:10", "HTTP://A.EXAMPLE:1", "http://a.example:1/")
ORIGINS = (None, A, B, OTHER, "null", "*", "")
EVERYBODY = object()
# The flag's value, and who may read then. (Origins without a port are refused by either program: settings_test.)
SETTINGS = {"by_default": (None, EVERYBODY), "for_everybody": ("*", EVERYBODY), "for_one": (A, {A}),
            "for_several": (f"{A},{B}", {A, B}), "for_none_of_these": ("http://nobody.example:80", set())}
CORS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers")
RANGE = json.dumps({"key": "aw=="})
# What a browser asks before it sends JSON.
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, authorization"}


def ask(server, method, path, headers=None, body=None):
    """(status, the headers that a browser obeys, body)"""
    with contextlib.closing(http.client.HTTPConnection(server.endpoint, timeout=60)) as connection:
        connection.request(method, path, body=body, headers={k: v for k, v in (headers or {}).items() if v is not None})
        answer = connection.getresponse()
        return answer.status, obeyed(answer.getheaders()), answer.read().decode()


def obeyed(headers):
    """Access-Control-* and Vary, sorted: twice what is there twice."""
    return sorted((k.lower(), v) for k, v in headers if k.lower().startswith("access-control") or k.lower() == "vary")


class CorsCase(unittest.TestCase):
    def both(self, *flags, credentials=None, ready=member.Member.healthy):
        """etcd and ours with the same flags, once they are `ready`."""
        servers = [make(flags=flags) for make in (member.etcd, member.quorate)]
        for one in servers:
            self.addCleanup(one.remove)
            one.credentials = credentials
            one.healthy = lambda one=one: ready(one)
            one.spawn()
        for one in servers:
            one.wait_healthy()
        return servers

    def assert_allowed(self, headers, allowed, origin):
        """What any browser makes of it: `allowed` are the origins that may read the answer."""
        names = [name for name, _ in headers if name.startswith("access-control")]
        if allowed is EVERYBODY:
            self.assertEqual(dict(headers)["access-control-allow-origin"], "*")
        elif origin in allowed:
            self.assertEqual(dict(headers)["access-control-allow-origin"], origin)
        else:
            self.assertEqual(names, [])
            return
        self.assertEqual(sorted(names), sorted(CORS))


class OriginsTest(CorsCase):
    def check(self, value, allowed):
        etcd, ours = self.both("--enable-v2", *(() if value is None else (f"--cors={value}",)))
        asked = [("GET", "/version", None, origin) for origin in NEARLY_A]
        asked += [(*request, origin) for origin in ORIGINS for request in (
            ("GET", "/version", None), ("DELETE", "/version", None), ("GET", "/health", None), ("GET", "/nosuch", None),
            ("GET", "/v2/machines", None), ("POST", "/v3/kv/range", RANGE), ("POST", "/v3/kv/range", "no JSON"))]
        for method, path, body, origin in asked:
            with self.subTest(f"{method} {path}", origin=origin):
                theirs, answer = (ask(server, method, path, {"Origin": origin}, body) for server in (etcd, ours))
                self.assertEqual(theirs[:2], answer[:2])
                self.assert_allowed(answer[1], allowed, origin)
        for origin, path, more in itertools.product((*ORIGINS, *NEARLY_A), ("/v3/kv/put", "/nosuch"), ({}, PREFLIGHT)):
            with self.subTest(f"OPTIONS {path}", origin=origin, preflight=bool(more)):
                theirs, answer = (ask(server, "OPTIONS", path, {"Origin": origin, **more}) for server in (etcd, ours))
                self.assertEqual(theirs, answer)
                self.assertEqual((answer[0], answer[2]), (200, ""))
                self.assert_allowed(answer[1], allowed, origin)
                if allowed is EVERYBODY or origin in allowed:
                    self.assertIn("POST", dict(answer[1])["access-control-allow-methods"])
                    self.assertIn("authorization", dict(answer[1])["access-control-allow-headers"])

    def test_over_tls(self):
        """The same over HTTP/1.1 and HTTP/2, where no list of hosts holds: a certificate names the host."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="cors-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        ca = Authority(directory)
        certificate = ca.issue("server")
        servers = self.both(*certificate.flags(), f"--cors={A}", "--host-whitelist=127.0.0.1", credentials=ca.credentials())
        for version, origin, method, host in itertools.product(("--http1.1", "--http2"), (None, A, B), ("GET", "OPTIONS"),
                                                               ("127.0.0.1", "evil.example")):
            with self.subTest(version, origin=origin, method=method, host=host):
                answers = []
                for one in servers:
                    flags = ["--request", method, "--include", "--header", f"Host: {host}"]
                    answer = curl(one.url + "/version", one.credentials, version, *flags,
                                  *(("--header", f"Origin: {origin}") if origin else ()))
                    self.assertEqual((answer.exit, answer.version), (0, version.removeprefix("--http")), answer)
                    head = answer.body.partition("\n\n")[0].splitlines()[1:]
                    answers.append((answer.status, obeyed(tuple(line.split(": ", 1)) for line in head if ": " in line)))
                self.assertEqual(answers[0], answers[1])
                self.assertEqual(answers[1][0], 200)
                self.assert_allowed(answers[1][1], {A}, origin)


def _add(name, setting):
    setattr(OriginsTest, f"test_{name}", lambda self: self.check(*setting))


for _name, _setting in SETTINGS.items():
    _add(_name, _setting)


class HostsTest(CorsCase):
    """--host-whitelist, alone and with --cors."""

    HOSTS = ("127.0.0.1", "127.0.0.1:2379", "good.example", "good.example:80", "GOOD.example", "good.example.", "evil.example",
             "evil.example:2379", "good.example.evil.example", "127.0.0.1.evil.example", "[::1]", "[::1]:2379", "localhost")

    def check(self, servers, served, cors):
        for host, origin, (method, path, body) in itertools.product(self.HOSTS, (None, A, OTHER), (
                ("GET", "/version", None), ("OPTIONS", "/v3/kv/put", None), ("POST", "/v3/kv/range", RANGE))):
            with self.subTest(f"{method} {path}", host=host, origin=origin):
                answers = [ask(server, method, path, {"Host": host, "Origin": origin}, body) for server in servers]
                name = host if host.startswith("[") else host.partition(":")[0]
                if served is EVERYBODY or name in served:
                    self.assertEqual([answer[:2] for answer in answers], [(200, answers[-1][1])] * len(servers))
                    self.assert_allowed(answers[-1][1], {cors} if cors else EVERYBODY, origin)
                else:
                    self.assertEqual([answer[:2] for answer in answers], [(421, [])] * len(servers))
                    for answer in answers:
                        self.assertIn("--host-whitelist", answer[2])
                        self.assertNotIn("etcdserver", answer[2])

    def test_a_list(self):
        for cors in (None, A):
            with self.subTest(cors=cors):
                self.check(self.both("--host-whitelist=127.0.0.1,good.example", *((f"--cors={cors}",) if cors else ())),
                           {"127.0.0.1", "good.example"}, cors)

    def test_all_hosts(self):
        self.check(self.both("--host-whitelist=*", f"--cors={A}"), EVERYBODY, A)

    def test_an_empty_list_is_nobody(self):
        """Of either program, whatever its --help says: a variable that is missing in the flag opens nothing."""
        self.check(self.both("--host-whitelist=", f"--cors={A}", ready=member.Member.answers), set(), A)


if __name__ == "__main__":
    unittest.main(verbosity=2)
