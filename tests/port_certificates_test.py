#!/usr/bin/python3
"""Bad certificates at each port of one server: the client port, the HTTP-only port, the metrics port, the peer port."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
import tls_probe
from certificates import Authority, self_signed
from tls_probe import curl

ELSEWHERE = ("192.0.2.1",)  # Addresses for documentation: nobody's.
ALLOWED = "allowed.example.com"
SERVED_NOTHING = (0, 7, 28)  # curl's exits that are no refusal: served, not listening, silent.


class PortsCase(unittest.TestCase):
    """A server with TLS at each of its ports; `flags` are more for it."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="ports-", dir=places.scratch()))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.ca = Authority(cls.directory)
        cls.other_ca = Authority(cls.directory, "stranger")
        cls.crl = cls.directory / "crl"
        cls.ca.write_crl(cls.crl)
        cls.certificate = cls.ca.issue("server", names=("127.0.0.1", "localhost", ALLOWED))
        cls.good = cls.ca.credentials(cls.ca.issue("good", common_name="good", names=("127.0.0.1", ALLOWED)))
        cls.start()

    @classmethod
    def start(cls):
        flags = [*cls.certificate.flags(), *cls.certificate.flags("peer-"), "--client-cert-auth", "--peer-client-cert-auth",
                 "--trusted-ca-file", cls.ca.cert, "--peer-trusted-ca-file", cls.ca.cert, "--client-crl-file", cls.crl,
                 "--peer-crl-file", cls.crl, *cls.flags]
        metrics, http = member.free_port(), member.free_port()
        flags += ["--listen-metrics-urls", f"https://127.0.0.1:{metrics}"]
        cls.one = one = member.quorate(flags=list(map(str, flags)))
        cls.addClassCleanup(one.remove)
        one.credentials = cls.good
        one.peer_scheme = "https"
        cls.urls = {"metrics": f"https://127.0.0.1:{metrics}/metrics", "peer": f"https://127.0.0.1:{one.peer_port}/version"}
        if tls_probe.etcd_in_our_role():  # 3.4.23 has no port for HTTP alone.
            cls.urls["client"] = f"{one.url}/version"
        else:
            one.flags += ["--listen-client-http-urls", f"https://127.0.0.1:{http}"]
            cls.urls["http"] = f"https://127.0.0.1:{http}/version"
        one.healthy = lambda: curl(cls.urls["metrics"].replace("/metrics", "/health"), cls.good).status == 200
        one.start()

    def tearDown(self):
        """Whoever was refused: the good one is served at each port."""
        self.assert_served(self.good, *self.urls, "gRPC")

    def assert_served(self, credentials, *ports):
        for port in ports:
            with self.subTest(port=port, served=True):
                if port == "gRPC":
                    self.assertEqual(tls_probe.put(self.one.endpoint, credentials), "OK")
                else:
                    answer = curl(self.urls[port], credentials, "--http1.1")
                    self.assertEqual((answer.exit, answer.status), (0, 200), answer.error)

    def assert_refused(self, credentials, *ports):
        for port in ports:
            with self.subTest(port=port, served=False):
                if port == "gRPC":
                    self.assertEqual(tls_probe.put(self.one.endpoint, credentials), "UNAVAILABLE")
                else:
                    answer = curl(self.urls[port], credentials, "--http1.1")
                    self.assertEqual(answer.status, 0, answer)
                    self.assertNotIn(answer.exit, SERVED_NOTHING, answer)


class CertificatesTest(PortsCase):
    def everywhere(self, certificate):
        self.assert_refused(self.ca.credentials(certificate), *self.urls, "gRPC")

    def test_no_certificate(self):
        self.everywhere(None)

    def test_expired(self):
        self.everywhere(self.ca.issue_expired("expired"))

    def test_not_valid_yet(self):
        self.everywhere(self.ca.issue_for_tomorrow("tomorrow"))

    def test_self_signed(self):
        self.everywhere(self_signed(self.directory, "self-signed", common_name="good"))

    def test_TOB_ETCD_017_another_authority(self):
        self.everywhere(self.other_ca.issue("foreign", common_name="good"))

    def test_for_servers_only(self):
        self.everywhere(self.ca.issue("server-only", usage="serverAuth"))

    def test_GHSA_3wh4_j44w_pg92_revoked(self):
        """With a port of its own for HTTP the list was not asked on the gRPC port."""
        victim = self.ca.issue("victim")
        self.assert_served(self.ca.credentials(victim), *self.urls, "gRPC")
        self.ca.revoke(victim)
        self.ca.write_crl(self.crl)
        self.everywhere(victim)

    def test_a_server_of_another_authority(self):
        """Who trusts another one finds the server out, at each port."""
        stranger = self.other_ca.credentials(self.good.certificate)
        self.assert_refused(stranger, *self.urls, "gRPC")

    def test_a_server_of_another_name(self):
        for port, url in self.urls.items():
            with self.subTest(port):
                address = url.split("/")[2]
                other = url.replace("127.0.0.1", "elsewhere.example.com")
                answer = curl(other, self.good, "--connect-to", f"elsewhere.example.com:{address.rpartition(':')[2]}:{address}")
                self.assertEqual((answer.exit, answer.status), (60, 0), answer)

    def test_clear_text(self):
        for port, url in self.urls.items():
            with self.subTest(port):
                self.assertNotEqual(curl(url.replace("https:", "http:")).status, 200)
        self.assertEqual(tls_probe.put(self.one.endpoint, None), "UNAVAILABLE")

    def test_addresses_of_callers(self):
        """Peers and who reads metrics come from where their certificates say; clients from anywhere."""
        checked = ("metrics", "peer")
        others = [port for port in self.urls if port not in checked]
        for names, fine in ((ELSEWHERE, False), (("127.0.0.1",), True), (("localhost",), True),
                            ((*ELSEWHERE, "127.0.0.1"), True), ((), True)):
            with self.subTest(names):
                who = self.ca.credentials(self.ca.issue("caller", names=names))
                (self.assert_served if fine else self.assert_refused)(who, *checked)
                self.assert_served(who, *others, "gRPC")


class AllowedNamesTest(PortsCase):
    """--client-cert-allowed-hostname and --peer-cert-allowed-hostname."""

    flags = ("--client-cert-allowed-hostname", ALLOWED, "--peer-cert-allowed-hostname", ALLOWED)

    def test_other_names(self):
        for names in (("127.0.0.1",), ("localhost",), ()):
            with self.subTest(names):
                # As a common name it does not count.
                certificate = self.ca.issue("other", common_name=ALLOWED, names=names)
                self.assert_refused(self.ca.credentials(certificate), *self.urls, "gRPC")


class AllowedCommonNameTest(PortsCase):
    """--peer-cert-allowed-cn is about peers alone."""

    flags = ("--peer-cert-allowed-cn", "good")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.ca.credentials(cls.ca.issue("other", common_name="other"))

    def test_another_common_name(self):
        self.assert_refused(self.other, "peer")
        self.assert_served(self.other, *[port for port in self.urls if port != "peer"], "gRPC")


if __name__ == "__main__":
    unittest.main(verbosity=2)
