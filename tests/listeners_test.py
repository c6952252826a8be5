#!/usr/bin/python3
"""The doors besides the one client URL: metrics URLs, HTTP-only URLs, Unix sockets, and certificates made by the server."""

import http.client
import os
import pathlib
import shutil
import socket
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
import tls_probe
from api import rpc
from certificates import Authority, Certificate, Credentials
from tls_probe import curl, get_unix


class ListenersCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="doors-", dir=places.scratch()))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.ca = Authority(cls.directory)
        cls.certificate = cls.ca.issue("server")
        cls.client = cls.ca.issue("client", common_name="client", names=(), usage="clientAuth")
        cls.trusted = cls.ca.credentials(cls.client)

    def needs(self, flag):
        if tls_probe.etcd_in_our_role():
            self.skipTest(f"etcd 3.4.23 has no {flag}")

    def server(self, *flags, tls=False, make=member.quorate, **options):
        """With tls, its client port wants certificates."""
        if tls:
            flags = (*self.certificate.flags(), "--client-cert-auth", "--trusted-ca-file", self.ca.cert, *flags)
        one = make(flags=list(map(str, flags)), **options)
        self.addCleanup(one.remove)
        one.credentials = self.trusted if tls else None
        return one


class MetricsUrlsTest(ListenersCase):
    def test_only_metrics_and_health(self):
        port, secure_port = member.free_port(), member.free_port()
        one = self.server("--listen-metrics-urls", f"http://127.0.0.1:{port},https://127.0.0.1:{secure_port}", tls=True)
        one.start()
        for url, credentials in ((f"http://127.0.0.1:{port}", None), (f"https://127.0.0.1:{secure_port}", self.trusted)):
            with self.subTest(url):
                metrics = curl(url + "/metrics", credentials)
                self.assertEqual(metrics.status, 200)
                self.assertIn("\netcd_server_has_leader 1\n", metrics.body)
                health = curl(url + "/health", credentials)
                self.assertEqual(health.status, 200)
                self.assertIn('"health":"true"', health.body)
                for path in ("/version", "/v2/members", "/v3/kv/range", "/nosuch"):
                    self.assertEqual(curl(url + path, credentials).status, 404, path)
        self.assertNotEqual(tls_probe.put(f"127.0.0.1:{port}", None), "OK")
        self.assertNotEqual(tls_probe.put(f"127.0.0.1:{secure_port}", self.trusted), "OK")
        refused = curl(f"https://127.0.0.1:{secure_port}/metrics", self.ca.credentials())
        self.assertEqual(refused.status, 0, refused)
        # The client port goes on to serve both.
        self.assertEqual(curl(one.url + "/metrics", self.trusted).status, 200)
        self.assertEqual(curl(one.url + "/version", self.trusted).status, 200)

    def test_an_https_url_without_certificates(self):
        one = self.server("--listen-metrics-urls", f"https://127.0.0.1:{member.free_port()}")
        with self.assertRaises(member.StartError) as refused:
            one.start()
        self.assertNotIn(refused.exception.code, (0, None))


class HttpUrlsTest(ListenersCase):
    """--listen-client-http-urls: gRPC on one port, all other HTTP on the other."""

    def check(self, tls):
        port = member.free_port()
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        crl = self.directory / f"crl-{tls}"
        self.ca.write_crl(crl)
        one = self.server("--listen-client-http-urls", url, *(("--client-crl-file", crl) if tls else ()), tls=tls)
        one.spawn()
        # Its own way to be asked for its health is on the other port.
        one.healthy = lambda: curl(url + "/health", one.credentials).status == 200
        one.wait_healthy()
        self.assertEqual(one.ctl("put", "k", "v").stdout, "OK\n")
        self.assertEqual(curl(url + "/version", one.credentials, "--http1.1").status, 200)
        self.assertEqual(curl(url + "/metrics", one.credentials, "--http1.1").status, 200)
        self.assertNotEqual(tls_probe.put(f"127.0.0.1:{port}", one.credentials), "OK")
        self.assertNotEqual(curl(one.url + "/version", one.credentials, "--http1.1").status, 200)
        if tls:
            victim = self.ca.issue("victim", names=(), usage="clientAuth")
            self.assertEqual(tls_probe.put(one.endpoint, self.ca.credentials(victim)), "OK")
            self.ca.revoke(victim)
            self.ca.write_crl(crl)
            # On the port that is for gRPC alone, too.
            self.assertEqual(tls_probe.put(one.endpoint, self.ca.credentials(victim)), "UNAVAILABLE")
            self.assertEqual(curl(url + "/version", self.ca.credentials(victim)).status, 0)

    def test_in_clear_text(self):
        self.needs("--listen-client-http-urls")
        self.check(tls=False)

    def test_with_tls(self):
        self.needs("--listen-client-http-urls")
        self.check(tls=True)

    def test_one_url_for_both(self):
        self.needs("--listen-client-http-urls")
        port = member.free_port()
        one = self.server("--listen-client-http-urls", f"http://127.0.0.1:{port}", client_port=port)
        with self.assertRaises(member.StartError) as refused:
            one.start()
        self.assertIn("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url "
                      f"http://127.0.0.1:{port}", refused.exception.log)


class OneAddressForBothTest(ListenersCase):
    """An address that is named with http:// and with https://: the client's first byte tells what it speaks."""

    def test_clear_text_and_tls(self):
        for order in (("http", "https"), ("https", "http")):
            one = self.server(tls=True)
            one.flags += ["--listen-client-urls", ",".join(f"{scheme}://{one.endpoint}" for scheme in order)]
            one.start()
            self.assertEqual(curl(f"https://{one.endpoint}/version", self.trusted).status, 200)
            self.assertEqual(curl(f"http://{one.endpoint}/version").status, 200)
            self.assertEqual(tls_probe.put(one.endpoint, self.trusted, "over TLS"), "OK")
            self.assertEqual(tls_probe.put(one.endpoint, None, "in clear text"), "OK")
            # Whoever speaks TLS has to show a certificate.
            self.assertEqual(tls_probe.put(one.endpoint, self.ca.credentials()), "UNAVAILABLE")
            # Somebody who says nothing is in nobody's way.
            with socket.create_connection((one.endpoint.rsplit(":", 1)[0], one.client_port)):
                self.assertEqual(tls_probe.put(one.endpoint, None, "meanwhile"), "OK")
            one.stop()


class ContentTypeTest(ListenersCase):
    """The subtype of a gRPC call's content comes back in the answer, whatever it is: as from grpc-go, which writes it
    otherwise in clear text than with TLS."""

    def answered(self, one, sent, request):
        """(content type, gRPC status) of a Put, by curl."""
        body = self.directory / "request"
        message = request.SerializeToString()
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        head = self.directory / "head"
        answer = curl(one.url + "/etcdserverpb.KV/Put", one.credentials,
                      "--http2" if one.credentials else "--http2-prior-knowledge", "--header", f"Content-Type: {sent}", "--header",
                      "TE: trailers", "--data-binary", f"@{body}", "--dump-header", head, "--output", self.directory / "answer")
        self.assertEqual(answer.exit, 0, answer)
        fields = dict(line.split(": ", 1) for line in head.read_text().splitlines() if ": " in line)
        return fields["content-type"], fields["grpc-status"]

    def test_beside_etcd(self):
        for tls in (False, True):
            etcd, ours = self.server(tls=tls, make=member.etcd).start(), self.server(tls=tls).start()
            for sent in ("application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc+PROTO",
                         "application/grpc;foo", "application/grpc; charset=utf-8", "application/grpc+", "application/grpc;"):
                for request, status in ((rpc.PutRequest(key=b"k"), "0"), (rpc.PutRequest(), "3")):
                    with self.subTest(tls=tls, sent=sent, status=status):
                        answered = self.answered(ours, sent, request)
                        self.assertEqual(answered, self.answered(etcd, sent, request))
                        self.assertEqual(answered[1], status)
            etcd.stop()
            ours.stop()


class UnixSocketsTest(ListenersCase):
    """etcd 3.4 wants the form host:port, which then is a file's name; newer ones, and ours, take a path, too."""

    def with_socket(self, scheme, tls, named="socket:1"):
        one = self.server(tls=tls)
        one.flags += ["--listen-client-urls", f"{one.url},{scheme}://{named}"]
        one.start()
        return one, str(one.root / named)

    def test_clear_text(self):
        one, path = self.with_socket("unix", tls=False)
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        self.assertEqual(get_unix(path, "/version")[0], 200)
        self.assertIn('"health":"true"', get_unix(path, "/health")[1])
        self.assertEqual(tls_probe.put(f"unix:{path}", None, "from the socket"), "OK")
        self.assertEqual(one.ctl("get", "from the socket").stdout, "from the socket\nx\n")
        self.assertEqual(one.ctl("--endpoints", "unix://socket:1", "put", "k", "v").stdout, "OK\n")
        # A socket file that a killed server left behind is in nobody's way.
        one.kill()
        self.assertTrue(os.path.exists(path))
        if tls_probe.etcd_in_our_role():
            os.unlink(path)  # It fails to bind.
        one.start()
        self.assertEqual(get_unix(path, "/version")[0], 200)
        one.stop()
        self.assertFalse(os.path.exists(path))

    def test_a_path(self):
        self.needs("unix URLs with a path")
        path = str(self.directory / "by-path.sock")
        self.with_socket("unix", tls=False, named=path)
        self.assertEqual(get_unix(path, "/version")[0], 200)
        self.assertEqual(tls_probe.put(f"unix:{path}", None), "OK")

    def test_with_tls(self):
        _, path = self.with_socket("unixs", tls=True)
        self.assertEqual(get_unix(path, "/version", self.trusted)[0], 200)
        with self.assertRaises(OSError):
            get_unix(path, "/version", self.ca.credentials())
        try:
            in_clear_text = get_unix(path, "/version")[0]
        except (OSError, http.client.HTTPException):
            in_clear_text = None  # Closed without a word.
        self.assertNotEqual(in_clear_text, 200)


class AutoTlsTest(ListenersCase):
    """--auto-tls and --peer-auto-tls: certificates that the server makes for itself below its data directory."""

    def server_with(self, *flags, binary=None, **options):
        one = member.Member(binary or places.quorate(), flags=list(flags), **options)
        self.addCleanup(one.remove)
        one.credentials = Credentials()
        return one

    def fixture(self, one, kind):
        directory = one.data_dir / "fixtures" / kind
        return Certificate(directory / "cert.pem", directory / "key.pem")

    def test_client_port(self):
        one = self.server_with("--auto-tls")
        one.start()
        made = self.fixture(one, "client")
        self.assertEqual(stat.S_IMODE(made.key.stat().st_mode), 0o600)
        self.assertEqual(tls_probe.serial(one.endpoint, Credentials()), made.serial)
        self.assertEqual(curl(one.url + "/version", Credentials(), "--http2").version, "2")
        self.assertEqual(one.ctl("put", "k", "v").stdout, "OK\n")
        # Whoever is given the certificate can check it: it names the address.
        self.assertEqual(tls_probe.put(one.endpoint, Credentials(made.cert)), "OK")
        self.assertEqual(curl(one.url + "/version", Credentials(made.cert)).status, 200)
        one.stop()
        one.start()
        self.assertEqual(tls_probe.serial(one.endpoint, Credentials()), made.serial, "it is made once")

    def test_peer_port(self):
        one = self.server_with("--peer-auto-tls")
        one.credentials = None
        one.peer_scheme = "https"
        one.start()
        made = self.fixture(one, "peer")
        self.assertEqual(tls_probe.serial(f"127.0.0.1:{one.peer_port}", Credentials()), made.serial)
        self.assertEqual(curl(f"https://127.0.0.1:{one.peer_port}/version", Credentials(), "--http1.1").status, 200)
        self.assertEqual(stat.S_IMODE(made.key.stat().st_mode), 0o600)

    def test_given_certificates_go_first(self):
        one = self.server_with("--auto-tls", *self.certificate.flags())
        one.start()
        self.assertIn("ignoring client auto TLS since certs given", one.log())
        self.assertEqual(tls_probe.serial(one.endpoint, Credentials()), self.certificate.serial)

    def test_the_other_program_goes_on_with_them(self):
        for first, second in ((places.etcd(), places.quorate()), (places.quorate(), places.etcd())):
            with self.subTest(first=first):
                before = self.server_with("--auto-tls", binary=first)
                before.start()
                before.ctl("put", "k", "v")
                shown = tls_probe.serial(before.endpoint, Credentials())
                before.stop()
                after = self.server_with("--auto-tls", binary=second, data_dir=before.data_dir,
                                         client_port=before.client_port, peer_port=before.peer_port)
                after.start()
                self.assertEqual(tls_probe.serial(after.endpoint, Credentials()), shown)
                self.assertEqual(after.ctl("get", "k").stdout, "k\nv\n")

    def test_years_of_validity(self):
        self.needs("--self-signed-cert-validity")
        one = self.server_with("--auto-tls", "--self-signed-cert-validity", "3")
        one.start()
        self.assertTrue(self.fixture(one, "client").lives_for(days=3 * 365 - 2))
        self.assertFalse(self.fixture(one, "client").lives_for(days=3 * 365 + 2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
