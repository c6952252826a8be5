#!/usr/bin/python3
"""Each TLS port of one server: the client port, the HTTP-only port, the metrics port, the peer port, and Unix sockets. Whom it
lets in, which versions and suites it takes, files that change, and what it tells who speaks no TLS."""

import json
import os
import pathlib
import shutil
import ssl
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
import tls_probe
from certificates import Authority, self_signed
from tls_probe import OTHER_SUITE, SUITE, curl

ELSEWHERE = ("192.0.2.1",)  # Addresses for documentation: nobody's.
ALLOWED = "allowed.example.com"
SERVER_NAMES = ("127.0.0.1", "localhost", ALLOWED)
SERVED_NOTHING = (0, 7, 28)  # curl's exits that are no refusal: served, not listening, silent.


def replace(path, text):
    """At once, as a rotating operator does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


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
        # Files of the server's own, which a test may change.
        cls.certificate = cls.ca.issue("server", names=SERVER_NAMES).copy(cls.directory / "used")
        cls.trust = cls.directory / "used/ca.pem"
        shutil.copy(cls.ca.cert, cls.trust)
        cls.good = cls.ca.credentials(cls.ca.issue("good", common_name="good", names=("127.0.0.1", ALLOWED)))
        cls.start()

    @classmethod
    def start(cls):
        flags = [*cls.certificate.flags(), *cls.certificate.flags("peer-"), "--client-cert-auth", "--peer-client-cert-auth",
                 "--trusted-ca-file", cls.trust, "--peer-trusted-ca-file", cls.trust, "--client-crl-file", cls.crl,
                 "--peer-crl-file", cls.crl, *cls.flags]
        metrics, http = member.free_port(), member.free_port()
        flags += ["--listen-metrics-urls", f"https://127.0.0.1:{metrics}"]
        cls.one = one = member.quorate(flags=list(map(str, flags)))
        cls.addClassCleanup(one.remove)
        one.credentials = cls.good
        one.peer_scheme = "https"
        one.flags += ["--listen-client-urls", f"{one.url},unixs://grpc:1"]
        sockets = {"client": one.endpoint, "metrics": f"127.0.0.1:{metrics}", "peer": f"127.0.0.1:{one.peer_port}",
                   "unixs": str(one.root / "grpc:1")}
        if tls_probe.etcd_in_our_role():  # 3.4.23 has no port for HTTP alone.
            speak_http = tuple(sockets)
        else:
            one.flags += ["--listen-client-http-urls", f"https://127.0.0.1:{http},unixs://http:1"]
            sockets |= {"http": f"127.0.0.1:{http}", "http unixs": str(one.root / "http:1")}
            speak_http = ("http", "http unixs", "metrics", "peer")
        cls.sockets = sockets
        cls.urls = {port: f"https://{'localhost' if cls.is_unix(port) else sockets[port]}"
                          f"{'/metrics' if port == 'metrics' else '/version'}" for port in speak_http}
        cls.grpc = {"gRPC": one.endpoint, "gRPC unixs": f"unix:{sockets['unixs']}"}
        cls.ports = (*cls.urls, *cls.grpc)
        one.healthy = cls.serves
        cls.equip(one)
        one.start()

    @classmethod
    def equip(cls, one):
        """The last word on the server before its start."""

    @classmethod
    def serves(cls):
        """At each port: they are not opened all at once."""
        healthy = curl(cls.urls["metrics"].replace("/metrics", "/health"), cls.good)
        return (healthy.status == 200 and all(cls.ask(port, cls.good).status == 200 for port in cls.urls) and
                all(tls_probe.put(target, cls.good) == "OK" for target in cls.grpc.values()))

    @classmethod
    def is_unix(cls, port):
        return cls.sockets[port].startswith("/")

    def tearDown(self):
        """Whoever was refused: the good one is served at each port."""
        self.assert_served(self.good, *self.ports)

    def needs(self, flag):
        if tls_probe.etcd_in_our_role():
            self.skipTest(f"etcd 3.4.23 has no {flag}")

    @classmethod
    def ask(cls, port, credentials, *flags, url=None):
        """An HTTP request at that port, by curl."""
        way = ("--unix-socket", cls.sockets[port]) if cls.is_unix(port) else ()
        return curl(url or cls.urls[port], credentials, "--http1.1", *way, *flags)

    def assert_served(self, credentials, *ports):
        for port in ports:
            with self.subTest(port=port, served=True):
                if port in self.grpc:
                    self.assertEqual(tls_probe.put(self.grpc[port], credentials), "OK")
                else:
                    answer = self.ask(port, credentials)
                    self.assertEqual((answer.exit, answer.status), (0, 200), answer.error)

    def assert_refused(self, credentials, *ports):
        for port in ports:
            with self.subTest(port=port, served=False):
                if port in self.grpc:
                    self.assertEqual(tls_probe.put(self.grpc[port], credentials), "UNAVAILABLE")
                else:
                    answer = self.ask(port, credentials)
                    self.assertEqual(answer.status, 0, answer)
                    self.assertNotIn(answer.exit, SERVED_NOTHING, answer)

    def handshake(self, port, *flags):
        """(whether it was completed, what openssl printed); as the good one."""
        shown = ("-CAfile", self.ca.cert, "-cert", self.good.certificate.cert, "-key", self.good.certificate.key)
        return tls_probe.openssl(self.sockets[port], *shown, *flags)


class CertificatesTest(PortsCase):
    def everywhere(self, certificate):
        self.assert_refused(self.ca.credentials(certificate), *self.ports)

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
        self.assert_served(self.ca.credentials(victim), *self.ports)
        self.ca.revoke(victim)
        self.ca.write_crl(self.crl)
        self.everywhere(victim)

    def test_a_server_of_another_authority(self):
        """Who trusts another one finds the server out, at each port."""
        stranger = self.other_ca.credentials(self.good.certificate)
        self.assert_refused(stranger, *self.ports)

    def test_a_server_of_another_name(self):
        for port, url in self.urls.items():
            with self.subTest(port):
                address = url.split("/")[2]
                host, _, number = address.partition(":")
                way = () if self.is_unix(port) else ("--connect-to", f"elsewhere.example.com:{number}:{address}")
                answer = self.ask(port, self.good, *way, url=url.replace(host, "elsewhere.example.com"))
                self.assertEqual((answer.exit, answer.status), (60, 0), answer)

    def test_clear_text(self):
        for port, address in self.sockets.items():
            for more in ((), ("--data", "{}"), ("--http1.0",)):
                with self.subTest(port, more=more):
                    where = "localhost" if self.is_unix(port) else address
                    answer = self.ask(port, None, *more, url=f"http://{where}/version")
                    if tls_probe.etcd_in_our_role():
                        self.assertEqual(answer.status, 0, answer)  # 3.4 closes without a word.
                    else:
                        self.assertEqual((answer.exit, answer.status, answer.body.strip()),
                                         (0, 400, "Client sent an HTTP request to an HTTPS server."), answer)
        for target in self.grpc.values():
            self.assertEqual(tls_probe.put(target, None), "UNAVAILABLE")

    def test_addresses_of_callers(self):
        """Peers and who reads metrics come from where their certificates say; clients from anywhere."""
        checked = ("metrics", "peer")
        others = [port for port in self.ports if port not in checked]
        for names, fine in ((ELSEWHERE, False), (("127.0.0.1",), True), (("localhost",), True),
                            ((*ELSEWHERE, "127.0.0.1"), True), ((), True)):
            with self.subTest(names):
                who = self.ca.credentials(self.ca.issue("caller", names=names))
                (self.assert_served if fine else self.assert_refused)(who, *checked)
                self.assert_served(who, *others)


class AllowedNamesTest(PortsCase):
    """--client-cert-allowed-hostname and --peer-cert-allowed-hostname."""

    flags = ("--client-cert-allowed-hostname", ALLOWED, "--peer-cert-allowed-hostname", ALLOWED)

    def test_other_names(self):
        for names in (("127.0.0.1",), ("localhost",), ()):
            with self.subTest(names):
                # As a common name it does not count.
                certificate = self.ca.issue("other", common_name=ALLOWED, names=names)
                self.assert_refused(self.ca.credentials(certificate), *self.ports)


class AllowedCommonNameTest(PortsCase):
    """--peer-cert-allowed-cn is about peers alone."""

    flags = ("--peer-cert-allowed-cn", "good")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.ca.credentials(cls.ca.issue("other", common_name="other"))

    def test_another_common_name(self):
        self.assert_refused(self.other, "peer")
        self.assert_served(self.other, *[port for port in self.ports if port != "peer"])


class NamesFromFileCase(PortsCase):
    """A configuration file and no flags: only there --client-cert-allowed-cn has its like."""

    sections = {}  # More for its client-transport-security and peer-transport-security.

    @classmethod
    def setUpClass(cls):
        if tls_probe.etcd_in_our_role():
            raise unittest.SkipTest("etcd 3.4.23 reads no allowed names from a file")
        super().setUpClass()

    @classmethod
    def equip(cls, one):
        arguments, settings = one.arguments(), {}
        sections = {"client-transport-security": dict(cls.sections["client"]), "peer-transport-security": dict(cls.sections["peer"])}
        for at, flag in enumerate(arguments):
            if not flag.startswith("--") or flag.endswith("crl-file"):
                continue
            name, value = flag[2:], arguments[at + 1] if not arguments[at + 1].startswith("--") else True
            peer = name.startswith("peer-")
            # The last of two counts, as among flags.
            if name.removeprefix("peer-") in ("cert-file", "key-file", "trusted-ca-file", "client-cert-auth"):
                sections["peer-transport-security" if peer else "client-transport-security"][name.removeprefix("peer-")] = value
            else:
                settings[name] = value
        config = cls.directory / "config.yml"
        config.write_text(json.dumps(settings | sections))  # Which is YAML.
        one.arguments = lambda: ["--config-file", str(config)]

    def setUp(self):
        issue = lambda common_name, *names: self.ca.credentials(self.ca.issue("caller", common_name, ("127.0.0.1", *names)))
        self.by_common_name, self.by_host, self.by_neither = issue("good"), issue("other", ALLOWED), issue("other")


class CommonNamesFromFileTest(NamesFromFileCase):
    sections = {"client": {"allowed-cn": "good"}, "peer": {"allowed-hostname": ["nobody.example.com", ALLOWED]}}

    def test_who_is_let_in(self):
        of_clients = [port for port in self.ports if port != "peer"]
        self.assert_served(self.by_common_name, *of_clients)
        self.assert_refused(self.by_common_name, "peer")
        self.assert_served(self.by_host, "peer")
        self.assert_refused(self.by_host, *of_clients)
        self.assert_refused(self.by_neither, *self.ports)


class HostNamesFromFileTest(NamesFromFileCase):
    sections = {"client": {"allowed-hostname": ALLOWED}, "peer": {"allowed-cn": ["nobody", "good"]}}

    def test_who_is_let_in(self):
        of_clients = [port for port in self.ports if port != "peer"]
        self.assert_served(self.by_host, *of_clients)
        self.assert_refused(self.by_host, "peer")
        self.assert_served(self.by_common_name, "peer")
        self.assert_refused(self.by_common_name, *of_clients)
        self.assert_refused(self.by_neither, *self.ports)


class SeveralCommonNamesFromFileTest(NamesFromFileCase):
    sections = {"client": {"allowed-cn": ["nobody", "good"]}, "peer": {}}

    def test_who_is_let_in(self):
        self.assert_served(self.by_common_name, *self.ports)
        self.assert_refused(self.by_host, *[port for port in self.ports if port != "peer"])
        self.assert_served(self.by_host, "peer")


class SuitesTest(PortsCase):
    flags = ("--cipher-suites", f"{SUITE[0]},TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")

    def test_each_port(self):
        for port in self.sockets:
            with self.subTest(port):
                done, text = self.handshake(port, "-tls1_2", "-cipher", f"{OTHER_SUITE[1]}:{SUITE[1]}")
                self.assertTrue(done, text)
                self.assertIn(f"Cipher is {SUITE[1]}", text)
                done, text = self.handshake(port, "-tls1_2", "-cipher", OTHER_SUITE[1])
                self.assertFalse(done, text)
                self.assertIn("alert handshake failure", text)
                self.assertTrue(self.handshake(port, "-tls1_3")[0], "those of TLS 1.3 are not chosen by this flag")


class VersionsCase(PortsCase):
    @classmethod
    def setUpClass(cls):
        if tls_probe.etcd_in_our_role():
            raise unittest.SkipTest("etcd 3.4.23 has no --tls-min-version")
        super().setUpClass()

    def check(self, served, refused):
        for port in self.sockets:
            with self.subTest(port):
                done, text = self.handshake(port, served)
                self.assertTrue(done, text)
                done, text = self.handshake(port, refused)
                self.assertFalse(done, text)
                self.assertIn("alert protocol version", text)


class MinimumVersionTest(VersionsCase):
    flags = ("--tls-min-version", "TLS1.3")

    def test_each_port(self):
        self.check("-tls1_3", "-tls1_2")


class MaximumVersionTest(VersionsCase):
    flags = ("--tls-max-version", "TLS1.2")

    def test_each_port(self):
        self.check("-tls1_2", "-tls1_3")


class ChangedFilesTest(PortsCase):
    """No restart: the next connection to each port is judged by the files as they are."""

    def assert_shown(self, certificate):
        for port in self.sockets:
            with self.subTest(port):
                _, text = self.handshake(port)
                self.assertEqual(tls_probe.certificate_in(text), ssl.PEM_cert_to_DER_cert(certificate.cert.read_text()))

    def test_certificates(self):
        first = self.certificate.copy(self.directory / "first")
        self.addCleanup(self.certificate.become, first)
        self.assert_shown(first)
        for _ in range(2):
            fresh = self.ca.issue("fresh", names=SERVER_NAMES)
            self.certificate.become(fresh)
            self.assert_shown(fresh)
            self.assert_served(self.good, *self.ports)
        if not tls_probe.etcd_in_our_role():  # It serves nobody then.
            replace(self.certificate.cert, "broken\n")
            self.assert_shown(fresh)
            self.assert_served(self.good, *self.ports)
        self.certificate.become(first)
        self.assert_shown(first)

    def test_authorities(self):
        """etcd reads them only once."""
        self.needs("authorities that change while it runs")
        whole, other = self.ca.cert.read_text(), self.other_ca.cert.read_text()
        self.addCleanup(replace, self.trust, whole)
        foreign = self.ca.credentials(self.other_ca.issue("foreign", names=("127.0.0.1",)))
        self.assert_refused(foreign, *self.ports)
        replace(self.trust, other)
        self.assert_served(foreign, *self.ports)
        self.assert_refused(self.good, *self.ports)
        replace(self.trust, whole + other)
        self.assert_served(foreign, *self.ports)
        self.assert_served(self.good, *self.ports)
        replace(self.trust, other)
        self.assert_refused(self.good, *self.ports)
        # What can't be used changes nothing, and opens nothing.
        for spoil in (lambda: replace(self.trust, ""), lambda: replace(self.trust, whole[:200]), self.trust.unlink):
            spoil()
            self.assert_served(foreign, *self.ports)
            self.assert_refused(self.good, *self.ports)
            self.assert_refused(self.ca.credentials(), *self.ports)
        self.assertIn("TLS files have changed and can't be used", self.one.log())
        replace(self.trust, whole)
        self.assert_served(self.good, *self.ports)
        self.assert_refused(foreign, *self.ports)


if __name__ == "__main__":
    unittest.main(verbosity=2)
