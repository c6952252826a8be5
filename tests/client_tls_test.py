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
import users
from client_test import Probe, run


class SecureTest(unittest.TestCase):
    """TLS, at the servers that have it."""

    def setUp(self):
        directory = pathlib.Path(tempfile.mkdtemp(dir=places.scratch()))
        self.addCleanup(shutil.rmtree, directory)
        self.directory = directory
        self.ca = certificates.Authority(directory)
        self.server = self.ca.issue("server")
        self.client = self.ca.issue("client")
        self.other = certificates.Authority(directory, "other")
        self.foreign = self.other.issue("foreign")

    def start(self, make, ca=None, certificate=None):
        certificate = certificate or self.server
        server = make(flags=["--client-cert-auth", "--trusted-ca-file", str(ca or self.ca.cert), *certificate.flags()])
        self.addCleanup(server.remove)
        server.credentials = self.ca.credentials(self.client)
        server.spawn()
        return server, server.url

    def own(self):
        return ["--cacert", self.ca.cert, "--cert", self.client.cert, "--key", self.client.key]

    def probe(self, url, *flags, **options):
        return run("client_probe", *flags, url, "put", "k", "v", **options)

    def test_with_etcd(self):
        self.check(member.etcd)

    def test_with_ours(self):
        self.check(member.quorate)

    def check(self, make):
        server, url = self.start(make)
        ours = self.own()
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
        # Authentication is not on, and a user is welcome.
        self.assertRegex(self.example(url, "u", "p").stdout, r"^written at revision \d+\n$")

    def example(self, url, user, password):
        return run("example_secure", url, self.ca.cert, self.client.cert, self.client.key, user, password)

    def test_with_users(self):
        for make in (member.etcd, member.quorate):
            with self.subTest(make=make.__name__):
                self.check_users(make)

    def check_users(self, make):
        server, url = self.start(make)
        server.wait_healthy()
        with server.api() as service:
            users.add(service, "u", "p", [(users.READWRITE, b"secret/", b"secret0")])
            users.add(service, "v", "p", [(users.READWRITE, b"else", b"")])
            users.enable(service)
        self.assertRegex(self.example(url, "u", "p").stdout, r"^written at revision \d+\n$")
        denied = self.example(url, "v", "p").stdout
        self.assertEqual(denied, "surely not written: PERMISSION_DENIED: etcdserver: permission denied\n")
        wrong = self.example(url, "u", "no")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("authentication failed, invalid user ID or password", wrong.stderr)
        # A certificate is no user; this one names none, or as etcd has it, the user "".
        nobody = self.probe(url, *self.own()).stdout
        self.assertRegex(nobody, "etcdserver: (user name is empty|permission denied)\n$")
        with Probe(*self.own(), "--user", "u:p", "--timeout-ms", 60000, url, "obey") as probe:
            self.assertEqual(probe.ask("put secret/a 1"), "ok")
            # It forgets its tokens.
            server.stop()
            server.start_with_alarm()
            self.assertEqual(probe.ask("get secret/a"), "1")
            self.assertEqual(probe.ask("put secret/a 2"), "ok")

    def test_certificates_that_change(self):
        for make in (member.etcd, member.quorate):
            with self.subTest(make=make.__name__):
                self.check_change(make)

    def check_change(self, make):
        """All is issued anew by another authority, which is the only one that each side trusts afterwards."""
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        servers, clients = (one.copy(directory / name) for one, name in ((self.server, "s"), (self.client, "c")))
        ca = directory / "ca.pem"
        shutil.copy(self.ca.cert, ca)
        server, url = self.start(make, ca, servers)
        flags = ["--cacert", ca, "--cert", clients.cert, "--key", clients.key, "--timeout-ms", 60000]
        with Probe(*flags, url, "obey") as probe:
            self.assertEqual(probe.ask("put k 1"), "ok")
            server.stop()
            servers.become(self.other.issue("new-server"))
            clients.become(self.foreign)
            shutil.copy(self.other.cert, directory / "new.pem")
            os.replace(directory / "new.pem", ca)
            server.spawn()
            self.assertEqual(probe.ask("put k 2"), "ok")


if __name__ == "__main__":
    unittest.main(verbosity=2)
