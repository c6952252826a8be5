#!/usr/bin/python3
"""One server behind TLS: whom it lets in on each port, and how stock clients get along with it."""

import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
import tls_probe
from certificates import Authority, Credentials, self_signed
from tls_probe import OTHER_SUITE, SUITE, curl

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))


class TlsCase(unittest.TestCase):
    """An authority that all trust, another one, and servers on demand."""

    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="tls-", dir=places.scratch()))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.ca = Authority(cls.directory)
        cls.other_ca = Authority(cls.directory, "stranger")
        cls.certificate = cls.ca.issue("server")
        cls.client = cls.ca.issue("client", common_name="client", names=(), usage="clientAuth")

    def needs(self, flag):
        """etcd 3.4.23 lacks it; a newer one, and ours, have it."""
        if tls_probe.etcd_in_our_role():
            self.skipTest(f"etcd 3.4.23 has no {flag}")

    def server(self, *flags, certificate=None, client=None, start=True, **options):
        """One with this certificate on its client port; `client` is who the test itself is."""
        one = member.quorate(flags=[*(certificate or self.certificate).flags(), *map(str, flags)], **options)
        self.addCleanup(one.remove)
        one.credentials = self.ca.credentials(client)
        return one.start() if start else one

    def mutual(self, *flags, **options):
        return self.server("--client-cert-auth", "--trusted-ca-file", self.ca.cert, *flags, client=self.client, **options)

    def assert_served(self, one, credentials):
        for version in ("--http1.1", "--http2"):
            answer = curl(one.url + "/version", credentials, version)
            self.assertEqual((answer.exit, answer.status, answer.version), (0, 200, version.removeprefix("--http")),
                             answer.error)
        self.assertEqual(tls_probe.put(one.endpoint, credentials), "OK")

    def assert_refused(self, one, credentials, who=""):
        for version in ("--http1.1", "--http2"):
            answer = curl(one.url + "/version", credentials, version)
            self.assertEqual(answer.status, 0, f"{who} was answered: {answer}")
            self.assertNotIn(answer.exit, (0, 7, 28), f"{who}: {answer}")  # Neither served, nor down, nor silent.
        self.assertEqual(tls_probe.put(one.endpoint, credentials), "UNAVAILABLE", who)


class ServerCertificateTest(TlsCase):
    """TLS without client certificates."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours = member.quorate(flags=cls.certificate.flags())
        cls.addClassCleanup(cls.ours.remove)
        cls.ours.credentials = cls.ca.credentials()
        cls.ours.start()

    def tearDown(self):
        self.assertEqual(tls_probe.put(self.ours.endpoint, self.ours.credentials), "OK", self.ours.log()[-2000:])

    def test_etcdctl(self):
        self.assertEqual(self.ours.ctl("put", "k", "v").stdout, "OK\n")
        self.assertEqual(self.ours.ctl("get", "k").stdout, "k\nv\n")
        health = self.ours.ctl("endpoint", "health")
        self.assertIn("is healthy", health.stdout + health.stderr)
        self.assertIn(self.ours.url, self.ours.ctl("member", "list").stdout)
        self.ours.credentials = Credentials()  # As with --insecure-skip-tls-verify.
        try:
            self.assertEqual(self.ours.ctl("get", "k").stdout, "k\nv\n")
        finally:
            self.ours.credentials = self.ca.credentials()

    def test_curl(self):
        self.assert_served(self.ours, self.ours.credentials)
        self.assertIn('"health":"true"', curl(self.ours.url + "/health", self.ours.credentials).body)
        self.assertIn("etcd_server_has_leader 1", curl(self.ours.url + "/metrics", self.ours.credentials).body)
        self.assertEqual(curl(self.ours.url + "/nosuch", self.ours.credentials).status, 404)

    def test_alpn_chooses_the_protocol(self):
        # Nothing chosen means HTTP/1.1, too.
        for offered, chosen in ((("h2",), ["h2"]), (("http/1.1",), ["http/1.1", None]), (("h2", "http/1.1"), ["h2"]),
                                (("http/1.1", "h2"), ["h2"]), ((), [None])):
            with self.subTest(offered):
                self.assertIn(tls_probe.handshake(self.ours.endpoint, self.ours.credentials, offered)[1], chosen)
        self.assertEqual(curl(self.ours.url + "/version", self.ours.credentials, "--no-alpn").status, 200)

    def test_clients_find_out_a_stranger(self):
        """Who trusts another authority, or asks for another name, does not talk to it."""
        self.assert_refused(self.ours, self.other_ca.credentials(), "a server of another authority")
        elsewhere = self.server(certificate=self.ca.issue("elsewhere", names=("example.com",)), start=False)
        elsewhere.credentials = Credentials()
        elsewhere.start()
        self.assert_refused(elsewhere, self.ca.credentials(), "a server of another name")
        answer = curl(f"https://example.com:{elsewhere.client_port}/version", self.ca.credentials(), "--resolve",
                      f"example.com:{elsewhere.client_port}:127.0.0.1")
        self.assertEqual((answer.exit, answer.status), (0, 200), answer.error)

    def test_plain_requests_are_refused(self):
        answer = curl(f"http://{self.ours.endpoint}/version")
        self.assertNotEqual(answer.status, 200, answer)
        self.assertEqual(tls_probe.put(self.ours.endpoint, None), "UNAVAILABLE")
        if tls_probe.etcd_in_our_role():
            return  # etcd 3.4 closes without a word.
        self.assertEqual((answer.exit, answer.status), (0, 400), answer)
        self.assertEqual(answer.body.strip(), "Client sent an HTTP request to an HTTPS server.")

    def test_versions_by_default(self):
        """TLS 1.2 and 1.3; nothing older."""
        endpoint, ca = self.ours.endpoint, ("-CAfile", self.ca.cert, "-verify_return_error")
        self.assertTrue(tls_probe.openssl(endpoint, "-tls1_2", *ca)[0])
        self.assertTrue(tls_probe.openssl(endpoint, "-tls1_3", *ca)[0])
        for old in ("-tls1_1", "-tls1"):
            done, text = tls_probe.openssl(endpoint, old, "-cipher", "DEFAULT@SECLEVEL=0", *ca)
            self.assertFalse(done)
            self.assertIn("alert protocol version", text)

    def test_GHSA_5x4g_q5rc_36jp_weak_suites_by_default(self):
        """Without encryption, without authentication, or with ciphers that nobody should use: not even if that is all that
        the client has."""
        for suites in ("eNULL", "aNULL", "CAMELLIA", "ARIA", "PSK", "SEED:IDEA:RC4:3DES:DES"):
            with self.subTest(suites):
                done, text = tls_probe.openssl(self.ours.endpoint, "-tls1_2", "-cipher", f"{suites}:@SECLEVEL=0")
                self.assertFalse(done, text)
                self.assertRegex(text, "handshake failure|no cipher match|no ciphers available")
        self.assertTrue(tls_probe.openssl(self.ours.endpoint, "-tls1_2", "-cipher", f"{SUITE[1]}:eNULL:@SECLEVEL=0")[0])

    def test_no_renegotiation_no_compression(self):
        text = tls_probe.openssl(self.ours.endpoint, "-tls1_2", "-CAfile", self.ca.cert)[1]
        self.assertIn("Compression: NONE", text)
        self.assertIn("Secure Renegotiation IS supported", text)


class VersionsAndSuitesTest(TlsCase):
    def test_minimum_and_maximum_version(self):
        self.needs("--tls-min-version")
        for flags, served, refused in ((("--tls-min-version", "TLS1.3"), "1.3", "1.2"),
                                       (("--tls-max-version", "TLS1.2"), "1.2", "1.3")):
            with self.subTest(flags):
                one = self.server(*flags)
                dash = lambda version: f"-tls{version.replace('.', '_')}"
                self.assertTrue(tls_probe.openssl(one.endpoint, dash(served))[0])
                done, text = tls_probe.openssl(one.endpoint, dash(refused))
                self.assertFalse(done)
                self.assertIn("alert protocol version", text)
                self.assert_served(one, self.ca.credentials())

    def test_version_settings_that_make_no_sense(self):
        self.needs("--tls-min-version")
        for flags, text in ((("--tls-min-version", "TLS1.0"), "TLS1.0"), (("--tls-max-version", "x"), '"x"'),
                            (("--tls-min-version", "TLS1.3", "--tls-max-version", "TLS1.2"), "TLS1.2"),
                            (("--tls-min-version", "TLS1.3", "--cipher-suites", SUITE[0]), "TLS1.3")):
            with self.subTest(flags), self.assertRaises(member.StartError) as refused:
                self.server(*flags)
            self.assertNotEqual(refused.exception.code, 0)
            self.assertIn(text, refused.exception.log.replace('\\"', '"'))

    def test_cipher_suites(self):
        one = self.server("--cipher-suites", f"{SUITE[0]},TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
        done, text = tls_probe.openssl(one.endpoint, "-tls1_2", "-cipher", f"{SUITE[1]}:{OTHER_SUITE[1]}")
        self.assertTrue(done, text)
        self.assertIn(SUITE[1], text)
        self.assertFalse(tls_probe.openssl(one.endpoint, "-tls1_2", "-cipher", OTHER_SUITE[1])[0])
        self.assertTrue(tls_probe.openssl(one.endpoint, "-tls1_3")[0], "the suites of 1.3 are not chosen by this flag")
        self.assert_served(one, self.ca.credentials())

    def test_unknown_cipher_suite(self):
        with self.assertRaises(member.StartError) as refused:
            self.server("--cipher-suites", "TLS_NO_SUCH_SUITE")
        self.assertNotEqual(refused.exception.code, 0)
        self.assertIn('unexpected TLS cipher suite "TLS_NO_SUCH_SUITE"', refused.exception.log.replace('\\"', '"'))


class ClientCertificateTest(TlsCase):
    """Mutual TLS: who is let in."""

    def strangers(self):
        names = {"names": (), "usage": "clientAuth"}
        return {
            "nobody": None,
            "an expired one": self.ca.issue_expired("expired", **names),
            "one of tomorrow": self.ca.issue_for_tomorrow("tomorrow", **names),
            "a self-signed one": self_signed(self.directory, "self-signed", common_name="client"),
            "another authority's": self.other_ca.issue("foreign", common_name="client", **names),
            "a server's, not a client's": self.ca.issue("server-only", names=(), usage="serverAuth"),
        }

    def test_who_is_let_in(self):
        one = self.mutual()
        self.assert_served(one, self.ca.credentials(self.client))
        self.assert_served(one, self.ca.credentials(self.certificate))
        for who, certificate in self.strangers().items():
            self.assert_refused(one, self.ca.credentials(certificate), who)
        self.assertEqual(one.ctl("put", "k", "v").stdout, "OK\n")
        self.assertIn("rejected connection", one.log())
        self.assert_served(one, self.ca.credentials(self.client))

    def test_python_etcd3(self):
        """Every step of a program on that library has the same outcome as in clear text on etcd."""
        plain = member.etcd()
        self.addCleanup(plain.remove)
        plain.start()
        one = self.mutual()
        self.assertEqual(tls_probe.python_etcd3(plain),
                         tls_probe.python_etcd3(one, self.ca.cert, self.client.cert, self.client.key))

    def test_a_trusted_authority_alone_asks_for_certificates(self):
        one = self.server("--trusted-ca-file", self.ca.cert, client=self.client)
        self.assert_served(one, self.ca.credentials(self.client))
        self.assert_refused(one, self.ca.credentials(), "nobody")

    def test_names_of_a_client_need_not_be_its_address(self):
        """On the client port; on the peer port they must: see tls_cluster_test."""
        one = self.mutual()
        elsewhere = self.ca.issue("elsewhere", names=("192.0.2.1", "nosuch.example.com"), usage="clientAuth")
        self.assert_served(one, self.ca.credentials(elsewhere))

    def test_revoked_while_it_runs(self):
        names = {"names": (), "usage": "clientAuth"}
        for der in (False, True):
            with self.subTest(der=der):
                victim, crl = self.ca.issue("victim", **names), self.directory / f"crl-{der}"
                self.ca.write_crl(crl, der)
                one = self.mutual("--client-crl-file", crl)
                self.assert_served(one, self.ca.credentials(victim))
                self.ca.revoke(victim)
                self.ca.write_crl(crl, der)
                self.assert_refused(one, self.ca.credentials(victim), "a revoked one")
                self.assert_served(one, self.ca.credentials(self.client))
                # Without a list that can be read nobody is let in, as in etcd.
                for spoil in (crl.unlink, lambda: crl.write_text("no list\n")):
                    spoil()
                    self.assert_refused(one, self.ca.credentials(victim), "a revoked one, without a list")
                    self.assert_refused(one, self.ca.credentials(self.client), "anybody, without a list")
                self.ca.write_crl(crl, der)
                self.assert_served(one, self.ca.credentials(self.client))

    def test_config_file_however_it_is_written(self):
        """Authentication that etcd reads from a file is not lost: by a merge key, in another case, given twice."""
        trust = f"trusted-ca-file: {self.ca.cert}"
        own = f"cert-file: {self.certificate.cert}\n  key-file: {self.certificate.key}"
        for way, text in {
            "a merge key": f"both: &both\n  client-cert-auth: true\n  {trust}\n"
                           f"client-transport-security:\n  <<: *both\n  {own}\n",
            "another case": f"client-transport-security:\n  {own}\n  Client-Cert-Auth: true\n  Trusted-CA-File: "
                            f"{self.ca.cert}\n",
            "the last of two": f"client-transport-security:\n  {own}\n  client-cert-auth: false\n"
                               f"  trusted-ca-file: ''\n  client-cert-auth: true\n  {trust}\n",
        }.items():
            with self.subTest(way):
                one = self.server(client=self.client, start=False)
                settings = dict(zip(*[iter(one.arguments()[:12])] * 2))
                config = self.directory / "config.yml"
                config.write_text("logger: zap\n" + text + "".join(f"{k[2:]}: {v}\n" for k, v in settings.items()))
                one.arguments = lambda config=config: ["--config-file", str(config)]
                one.start()
                self.assert_served(one, one.credentials)
                self.assert_refused(one, self.ca.credentials(), f"nobody, with {way}")
                one.stop()

    def test_allowed_hostname(self):
        allowed = self.ca.issue("allowed", names=("client.example.com",), usage="clientAuth")
        one = self.server("--client-cert-auth", "--trusted-ca-file", self.ca.cert, "--client-cert-allowed-hostname",
                          "client.example.com", client=allowed,
                          certificate=self.ca.issue("server", names=("127.0.0.1", "localhost", "client.example.com")))
        self.assert_served(one, self.ca.credentials(allowed))
        wildcard = self.ca.issue("wildcard", names=("*.example.com",), usage="clientAuth")
        self.assert_served(one, self.ca.credentials(wildcard))
        self.assert_refused(one, self.ca.credentials(self.client), "a client without names")
        # A common name is no host name.
        pretender = self.ca.issue("pretender", common_name="client.example.com", names=("a.example.org",),
                                  usage="clientAuth")
        self.assert_refused(one, self.ca.credentials(pretender), "a client with the name as common name only")

    def test_an_empty_list_of_names_restricts_nobody(self):
        """As in 3.4: `--peer-cert-allowed-cn=$CN` without a CN."""
        one = self.mutual("--client-cert-allowed-hostname", "")
        self.assert_served(one, self.ca.credentials(self.client))
        self.assert_refused(one, self.ca.credentials(), "nobody")

    def test_several_allowed_hostnames(self):
        self.needs("lists in --client-cert-allowed-hostname")
        one_of = self.ca.issue("one-of", names=("b.example.com",), usage="clientAuth")
        one = self.server("--client-cert-auth", "--trusted-ca-file", self.ca.cert, "--client-cert-allowed-hostname",
                          "a.example.com,b.example.com", client=one_of)
        self.assert_served(one, self.ca.credentials(one_of))
        self.assert_refused(one, self.ca.credentials(self.client), "a client without names")


class RotationTest(TlsCase):
    def test_certificates_change_under_load(self):
        """New connections see the new certificate at once, those that are there notice nothing."""
        from load import Load
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)
        used = self.certificate.copy(self.directory / "rotated")
        others = [self.ca.issue(f"next-{i}") for i in range(3)]
        one = self.mutual(certificate=used)
        self.assertEqual(tls_probe.serial(one.endpoint, one.credentials), self.certificate.serial)
        with Load([one.endpoint], SEED, credentials=one.credentials, timeout=60) as load:
            for fresh in others:
                used.become(fresh)
                self.assertEqual(tls_probe.serial(one.endpoint, one.credentials), fresh.serial)
                self.assert_served(one, one.credentials)
            used.cert.write_text("broken\n")
            try:
                tls_probe.handshake(one.endpoint, one.credentials)
            except OSError:
                pass  # Refused, or served with what was there before: both will do.
            used.become(self.certificate)
            self.assertEqual(tls_probe.serial(one.endpoint, one.credentials), self.certificate.serial)
            load.finish()
            self.assertEqual(load.errors, {})
            self.assertEqual(load.check([one.endpoint]), [])
        print(load.summary(), flush=True)

    def test_many_connections_while_certificates_change(self):
        """A pair is never mixed up: each handshake ends, or is refused while the files don't fit each other."""
        used = self.certificate.copy(self.directory / "busy")
        pair = [self.certificate, self.ca.issue("second")]
        one = self.server(certificate=used)
        seen, stop = set(), threading.Event()

        def connect():
            while not stop.is_set():
                try:
                    seen.add(tls_probe.handshake(one.endpoint, one.credentials)[0])
                except OSError:
                    pass
        threads = [threading.Thread(target=connect) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(1, 40):
            used.become(pair[i % 2])
            self.assertEqual(tls_probe.serial(one.endpoint, one.credentials), pair[i % 2].serial)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertLessEqual(len(seen), 2)
        self.assert_served(one, one.credentials)


class StartTest(TlsCase):
    """Settings that can't work end the program with what is wrong."""

    def assert_refuses_to_start(self, text, *flags, certificate=None):
        one = self.server(*flags, certificate=certificate, start=False)
        with self.assertRaises(member.StartError) as refused:
            one.start()
        self.assertNotIn(refused.exception.code, (0, None))
        self.assertIn(text, refused.exception.log)

    def test_https_without_a_certificate(self):
        one = member.quorate()
        self.addCleanup(one.remove)
        one.credentials = Credentials()
        with self.assertRaises(member.StartError) as refused:
            one.start()
        self.assertNotIn(refused.exception.code, (0, None))
        self.assertIn("TLS key/cert (--cert-file, --key-file) must be provided for client url "
                      f"{one.url} with HTTPS scheme", refused.exception.log)

    def test_an_empty_argument_is_refused(self):
        """What follows it would be lost: here that clients must have certificates."""
        self.assert_refuses_to_start("is not a valid flag", "", "--client-cert-auth", "--trusted-ca-file", self.ca.cert)

    def test_files_that_are_not_there_or_not_that(self):
        missing = str(self.directory / "missing")
        self.assert_refuses_to_start(missing, "--cert-file", missing)
        self.assert_refuses_to_start(missing, "--key-file", missing)
        self.assert_refuses_to_start(missing, "--trusted-ca-file", missing)
        self.assert_refuses_to_start("private key", "--key-file", self.client.key)

    def test_without_the_revocation_list(self):
        """It may be written later: until then nobody who shows a certificate is let in."""
        crl = self.directory / "later.crl"
        one = self.mutual("--client-crl-file", crl, start=False).spawn()
        deadline = time.monotonic() + member.START_SECONDS
        while curl(one.url + "/version", one.credentials).exit == 7:  # Not listening yet.
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assert_refused(one, one.credentials, "a client, while there is no list")
        self.assertIn(str(crl), one.log())
        self.ca.write_crl(crl, False)
        one.wait_healthy()
        self.assert_served(one, one.credentials)
        crl.unlink()
        asks_for_none = self.server("--client-crl-file", crl)
        self.assert_served(asks_for_none, asks_for_none.credentials)

    def test_an_authority_beside_a_damaged_one(self):
        bundle = self.directory / "bundle.pem"
        whole = self.ca.cert.read_text()
        bundle.write_text(whole + self.other_ca.cert.read_text()[:200])
        one = self.server("--client-cert-auth", "--trusted-ca-file", bundle, client=self.client)
        self.assert_served(one, one.credentials)
        self.assert_refused(one, self.ca.credentials(self.other_ca.issue("foreign-2")), "another authority's")

    def test_plain_url_with_certificates_stays_plain(self):
        one = self.server(start=False)
        one.credentials = None
        one.start()
        self.assertEqual(one.http("/version")[0], 200)
        self.assertRegex(one.log(), "scheme is (HTTP|http or unix) while key and cert files are present; "
                                    "ignoring key and cert files")


if __name__ == "__main__":
    unittest.main(verbosity=2)
