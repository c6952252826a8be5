#!/usr/bin/python3
"""The C++ client library over TLS: certificates of every kind, at etcd and at ours."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import certificates
import member
import places
from client_test import run


class SecureTest(unittest.TestCase):
    """TLS, at the servers that have it."""

    def setUp(self):
        directory = pathlib.Path(tempfile.mkdtemp(dir=places.scratch()))
        self.addCleanup(shutil.rmtree, directory)
        self.ca = certificates.Authority(directory)
        self.server = self.ca.issue("server")
        self.client = self.ca.issue("client")
        self.other = certificates.Authority(directory, "other")
        self.foreign = self.other.issue("foreign")

    def start(self, make):
        server = make(flags=["--client-cert-auth", "--trusted-ca-file", str(self.ca.cert), *self.server.flags()])
        self.addCleanup(server.remove)
        url = f"https://{server.endpoint}"
        # A later flag replaces an earlier one.
        server.flags += ["--listen-client-urls", url, "--advertise-client-urls", url]
        server.spawn()
        return server, url

    def probe(self, url, *flags, **options):
        return run("client_probe", *flags, url, "put", "k", "v", **options)

    def test_with_etcd(self):
        self.check(member.etcd)

    def test_with_ours(self):
        self.check(member.quorate)

    def check(self, make):
        server, url = self.start(make)
        ours = ["--cacert", self.ca.cert, "--cert", self.client.cert, "--key", self.client.key]
        # The first call waits for the server to start.
        self.assertEqual(self.probe(url, "--timeout-ms", 50_000, *ours).stdout, "ok\n", server.log())
        localhost = url.replace("127.0.0.1", "localhost")
        self.assertEqual(self.probe(localhost, *ours).stdout, "ok\n")
        self.assertEqual(self.probe(url.removeprefix("https://"), *ours).stdout, "ok\n")
        self.assertEqual(self.probe(url, "--insecure-skip-verify", *ours[2:]).stdout, "ok\n")
        self.assertEqual(self.probe(url, "--server-name", "localhost", *ours).stdout, "ok\n")
        foreign = ["--cert", self.foreign.cert, "--key", self.foreign.key]
        refused = {
            "another authority": (url, ["--cacert", self.other.cert, *ours[2:]]),
            "no certificate of ours": (url, ours[:2]),
            "a foreign certificate": (url, [*ours[:2], *foreign]),
            "another name": (url, ["--server-name", "elsewhere", *ours]),
            "clear text": (url.replace("https", "http"), []),
        }
        for name, (target, flags) in refused.items():
            with self.subTest(refused=name):
                result = self.probe(target, "--timeout-ms", 1500, *flags)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stdout, "^DEADLINE_EXCEEDED: context deadline exceeded|^UNAVAILABLE")
        mixed = self.probe(url, *ours[:4], "--key", self.foreign.key)
        self.assertIn(f"the key in {self.foreign.key} is not that of the certificate", mixed.stdout)
        self.check_example(url)

    def check_example(self, url):
        secure = run("example_secure", url, self.ca.cert, self.client.cert, self.client.key, "u", "p")
        self.assertRegex(secure.stdout, r"^written at revision \d+\n$", secure.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
