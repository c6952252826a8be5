#!/usr/bin/python3
"""Clusters whose members speak TLS with each other: ours, and Debian's etcd and ours mixed, with mutual TLS on both ports.

QUORATE_TEST_SEED replays the load's choices.
"""

import os
import pathlib
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places
import tls_probe
from api import rpc
from certificates import Authority, Credentials, self_signed
from cluster import Cluster
from tls_probe import OTHER_SUITE, SUITE, curl

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
MIXES = (("etcd", "quorate", "quorate"), ("etcd", "etcd", "quorate"))
KINDS = ("etcd", "quorate")
# Members listen on addresses of their own, and all call from the first of the machine's.
ADDRESSES = tuple(f"127.0.0.{number}" for number in (1, *range(11, 17)))


class TlsClusterCase(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED} (QUORATE_TEST_SEED={SEED})", flush=True)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tls-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.ca = Authority(self.directory)
        self.client = self.ca.issue("client", common_name="client", names=(), usage="clientAuth")
        self.trusted = self.ca.credentials(self.client)

    def needs(self, flag):
        """etcd 3.4.23 lacks it; a newer one, and ours, have it."""
        if tls_probe.etcd_in_our_role():
            self.skipTest(f"etcd 3.4.23 has no {flag}")

    def cluster(self, kinds=("quorate",) * 3, flags=(), client_tls=True, **options):
        """Mutual TLS on both ports. Each member has its own certificate for the peer port, in files of its own that the
        test may change (one.peer_certificate)."""
        shared = ["--peer-client-cert-auth", "--peer-trusted-ca-file", str(self.ca.cert)]
        if client_tls:
            shared += ["--client-cert-auth", "--trusted-ca-file", str(self.ca.cert)]
            shared += self.ca.issue("server", names=("localhost", *ADDRESSES)).flags()
        made = Cluster(kinds, flags=[*shared, *map(str, flags)], peer_scheme="https",
                       credentials=self.trusted if client_tls else None, **options)
        for one in made.members:
            self.equip(one)
        return made

    def equip(self, one, common_name="peer"):
        issued = self.ca.issue(f"peer-{one.name}", common_name=common_name, names=(one.address, ADDRESSES[0]))
        one.peer_certificate = issued.copy(self.directory / f"peer-{one.name}-{id(one)}")
        one.extra_flags += one.peer_certificate.flags("peer-")

    def check(self, cluster, load):
        load.finish()
        print(load.summary(), flush=True)
        cluster.agree()
        self.assertEqual([], load.check([one.endpoint for one in cluster.running], may_time_out=True)[:10],
                         f"seed {SEED}\n{cluster.logs(800)}")


class MixedTlsTest(TlsClusterCase):
    def test_each_leads_and_goes(self):
        """Under load: led by each kind, moved across, the leader killed."""
        for mix in MIXES:
            with self.subTest(mix=mix), self.cluster(mix) as cluster:
                cluster.start()
                with cluster.load(SEED, timeout=4) as load:
                    for kind in KINDS:
                        leader = cluster.lead_by(kind)
                        leader.kill()
                        cluster.leader()
                        leader.start()
                        cluster.agree()
                    self.check(cluster, load)
                health = cluster.ctl("endpoint", "health", "--cluster")
                self.assertEqual((health.stdout + health.stderr).count("is healthy"), 3)
                self.assertEqual(cluster.ctl("member", "list").stdout.count("https://"), 6)

    def test_snapshots_both_ways(self):
        """A member that is too far behind gets the store over TLS from the other kind. etcd keeps 5000 entries at least."""
        kept = {"etcd": 5300, "quorate": 5300 if tls_probe.etcd_in_our_role() else 300}
        with self.cluster(MIXES[0], flags=("--snapshot-count", "50"),
                          quorate_flags=() if tls_probe.etcd_in_our_role() else
                          ("--snapshot-catchup-entries", "20")) as cluster:
            cluster.start()
            for leading, behind in (KINDS[::-1], KINDS):
                leader = cluster.lead_by(leading)
                slow = next(one for one in cluster.followers() if one.kind == behind)
                slow.kill()
                leader.fill(kept[leading], size=100, prefix=f"{leading}/")
                before = slow.log().count('"applied snapshot"')
                slow.start()
                cluster.agree()
                self.assertGreater(slow.log().count('"applied snapshot"'), before, "it was caught up by log")
                cluster.move_leader(slow)
                slow.put(f"led by {behind}", "x")

    def test_rolling_swap(self):
        """All members to the other program and back, under load."""
        with self.cluster(("etcd",) * 3) as cluster:
            cluster.start()
            with cluster.load(SEED, timeout=4) as load:
                for kind in KINDS[::-1]:
                    for one in cluster.members:
                        cluster.swap(one, kind)
                        cluster.leader()
                        cluster.agree()
                self.check(cluster, load)

    def test_members_join(self):
        for leading, other in (KINDS, KINDS[::-1]):
            with self.subTest(leading=leading), self.cluster((leading,)) as cluster:
                cluster.start()
                cluster.members[0].fill(100)
                for learner in (False, True):
                    one = cluster.announce(other, learner=learner)
                    self.equip(one)
                    one.spawn()
                    cluster.wait(lambda one=one: one.answers() and one.status().leader != 0, f"{one.name} joins")
                cluster.promote(cluster.members[2], through=cluster.members[0])
                cluster.members[2].wait_healthy()
                cluster.agree()
                cluster.lead_by(other)
                cluster.members[0].put("k", "v")
                cluster.agree()


class PeerCertificateTest(TlsClusterCase):
    """Whom the peer port lets in."""

    def stranger(self, cluster, certificate, cut_off=True):
        """A follower comes back with this certificate: the others refuse it, serve on, and take it again with its own.
        `cut_off`: they do not call it either."""
        one = cluster.followers()[0]
        others = [other for other in cluster.running if other is not one]
        own = self.ca.issue("own", common_name="peer", names=(one.address, ADDRESSES[0]))
        marks = [len(other.log()) for other in others]
        one.stop()
        one.peer_certificate.become(certificate)
        one.spawn()
        cluster.wait(lambda: all("rejected connection" in other.log()[mark:] for other, mark in zip(others, marks)),
                     "both others refuse it")
        revision = others[0].put("meanwhile", one.name)
        if cut_off:
            self.assertFalse(one.healthy())
        one.kill()
        one.peer_certificate.become(own)
        one.start()
        self.assertGreaterEqual(cluster.agree(), revision)

    def test_strangers(self):
        with self.cluster(client_tls=False) as cluster:
            cluster.start()
            names = {"names": ADDRESSES, "common_name": "peer"}
            for who, certificate in (
                    ("expired", self.ca.issue_expired("expired", **names)),
                    ("self-signed", self_signed(self.directory, "self-signed", "peer", ADDRESSES)),
                    ("another authority's", Authority(self.directory, "stranger").issue("foreign", **names)),
                    ("of another address", self.ca.issue("elsewhere", common_name="peer", names=("192.0.2.1",))),
                    ("of another host", self.ca.issue("elsewhere", common_name="peer", names=("nosuch.invalid",)))):
                with self.subTest(who):
                    self.stranger(cluster, certificate)

    def test_a_revoked_member(self):
        crl = self.directory / "crl"
        self.ca.write_crl(crl)
        with self.cluster(client_tls=False, flags=("--peer-crl-file", crl)) as cluster:
            cluster.start()
            revoked = self.ca.issue("revoked", common_name="peer", names=ADDRESSES)
            self.ca.revoke(revoked)
            self.ca.write_crl(crl)
            # Lists are asked about callers only, so the others still call the revoked one.
            self.stranger(cluster, revoked, cut_off=False)
            self.assertTrue(any("revoked" in one.log() for one in cluster.members))

    def test_allowed_common_name(self):
        with self.cluster(client_tls=False, flags=("--peer-cert-allowed-cn", "peer")) as cluster:
            cluster.start()
            self.stranger(cluster, self.ca.issue("other-cn", common_name="no peer", names=ADDRESSES))

    def test_allowed_hostname(self):
        with self.cluster(client_tls=False, flags=("--peer-cert-allowed-hostname", ADDRESSES[0])) as cluster:
            cluster.start()
            # Its own address is in it, the one that is asked for is not; no names at all do not help either.
            self.stranger(cluster, self.ca.issue("nameless", common_name=ADDRESSES[0], names=()))

    def test_several_allowed_names(self):
        self.needs("lists of allowed names")
        with self.cluster(client_tls=False, flags=("--peer-cert-allowed-cn", "a,peer")) as cluster:
            cluster.start()
            self.stranger(cluster, self.ca.issue("other-cn", common_name="b", names=ADDRESSES))

    def test_clients_at_the_peer_port(self):
        """What monitoring may ask there it gets with a certificate of a peer; without one nothing."""
        with self.cluster(("quorate",), flags=("--peer-cert-allowed-cn", "peer")) as cluster:
            cluster.start()
            one = cluster.members[0]
            url = f"https://{one.address}:{one.peer_port}"
            peer = self.ca.credentials(one.peer_certificate)
            for path in ("/version", "/members"):
                answer = curl(url + path, peer, "--http1.1")
                self.assertEqual((answer.exit, answer.status), (0, 200), answer)
                for who in (self.ca.credentials(), self.trusted, Credentials()):
                    answer = curl(url + path, who, "--http1.1")
                    self.assertEqual(answer.status, 0, answer)
            self.assertNotEqual(curl(f"http://{one.address}:{one.peer_port}/version").status, 200)
            self.assertEqual(cluster.ctl("put", "k", "v").stdout, "OK\n")

    def test_a_certificate_for_each_direction(self):
        """Some authorities give out either servers' or clients' certificates."""
        self.needs("--peer-client-cert-file")
        with self.cluster(client_tls=False) as cluster:
            for one in cluster.members:
                names = (one.address, ADDRESSES[0])
                server = self.ca.issue("as-server", names=names, usage="serverAuth")
                client = self.ca.issue("as-client", names=names, usage="clientAuth")
                one.extra_flags += [*server.flags("peer-"), "--peer-client-cert-file", str(client.cert),
                                    "--peer-client-key-file", str(client.key)]
            cluster.start()
            for one in cluster.members:
                cluster.move_leader(one)
                one.put("led by", one.name)
            cluster.agree()

    def test_addresses_of_callers_may_be_let_off(self):
        self.needs("--peer-skip-client-san-verification")
        with self.cluster(client_tls=False, flags=("--peer-skip-client-san-verification",)) as cluster:
            for one in cluster.members:  # Of each one's own address only; all call from another.
                one.peer_certificate.become(self.ca.issue("strict", names=(one.address,)))
            cluster.start()
            cluster.leader().put("k", "v")
            cluster.agree()


class Called:
    """A listener on the peer port of a member that isn't there; `outcomes` are those of the handshakes: (version, suite), or
    why there was none."""

    def __init__(self, certificate, limit):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.cert, certificate.key)
        limit(context)
        self.outcomes = []
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", member.free_port()))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # Shut down.
            with connection:
                connection.settimeout(60)
                try:
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        self.outcomes.append((secured.version(), secured.cipher()[0]))
                except ssl.SSLEOFError:
                    pass  # It hung up without a word, as the last caller does.
                except ssl.SSLError as error:
                    self.outcomes.append(error.reason)
                except OSError:
                    pass

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


class OutgoingTest(TlsClusterCase):
    """What a member offers to those that it calls."""

    def outcome(self, limit, *flags):
        """Of its first call to a peer whose TLS is limited so."""
        certificate = self.ca.issue("peer")
        peer = Called(certificate, limit)
        self.addCleanup(peer.close)
        one = member.quorate(flags=[*certificate.flags("peer-"), "--peer-trusted-ca-file", str(self.ca.cert), *flags])
        self.addCleanup(one.remove)
        one.peer_scheme = "https"
        one.flags += ["--initial-cluster", f"m=https://127.0.0.1:{one.peer_port},other={peer.url}"]
        one.spawn()
        deadline = time.monotonic() + member.START_SECONDS
        while not peer.outcomes:
            self.assertLess(time.monotonic(), deadline, one.log()[-2000:])
            time.sleep(0.02)
        one.kill()
        return peer.outcomes[0]

    @staticmethod
    def only(version, suites=None):
        def limit(context):
            context.minimum_version = context.maximum_version = version
            if suites:
                context.set_ciphers(suites)
        return limit

    def test_cipher_suites(self):
        flags = ("--cipher-suites", f"{SUITE[0]},TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
        of_1_2 = ssl.TLSVersion.TLSv1_2
        self.assertEqual(self.outcome(self.only(of_1_2, f"{OTHER_SUITE[1]}:{SUITE[1]}"), *flags), ("TLSv1.2", SUITE[1]))
        self.assertEqual(self.outcome(self.only(of_1_2, OTHER_SUITE[1]), *flags), "NO_SHARED_CIPHER")
        self.assertEqual(self.outcome(self.only(of_1_2, OTHER_SUITE[1])), ("TLSv1.2", OTHER_SUITE[1]), "without the flag")

    def test_versions(self):
        self.needs("--tls-min-version")
        of_1_2, of_1_3 = self.only(ssl.TLSVersion.TLSv1_2), self.only(ssl.TLSVersion.TLSv1_3)
        for flags, served, version, refused in ((("--tls-min-version", "TLS1.3"), of_1_3, "TLSv1.3", of_1_2),
                                                (("--tls-max-version", "TLS1.2"), of_1_2, "TLSv1.2", of_1_3)):
            with self.subTest(flags):
                self.assertEqual(self.outcome(served, *flags)[0], version)
                self.assertEqual(self.outcome(refused, *flags), "UNSUPPORTED_PROTOCOL")


class LifeOfClusterTest(TlsClusterCase):
    def test_peer_auto_tls(self):
        """Certificates that nobody signed, for peers that do not check them: against listeners only."""
        for kinds in (("quorate",) * 3, MIXES[0]):
            with self.subTest(kinds=kinds), Cluster(kinds, flags=("--peer-auto-tls",), peer_scheme="https") as cluster:
                cluster.start()
                for one in cluster.members:
                    cluster.move_leader(one)
                    one.put("led by", one.name)
                cluster.agree()

    def test_peer_certificates_change_under_load(self):
        """No restart: what new connections show and are shown is the new certificate, since the old ones are revoked."""
        crl = self.directory / "crl"
        self.ca.write_crl(crl)
        with self.cluster(proxied=True, flags=("--peer-crl-file", crl)) as cluster:
            cluster.start()
            with cluster.load(SEED, timeout=4) as load:
                for one in cluster.members:
                    self.ca.revoke(one.peer_certificate)
                    fresh = self.ca.issue("fresh", common_name="peer", names=(one.address, ADDRESSES[0]))
                    one.peer_certificate.become(fresh)
                    shown = tls_probe.serial(f"{one.address}:{one.peer_port}", self.ca.credentials(one.peer_certificate))
                    self.assertEqual(shown, fresh.serial)
                self.ca.write_crl(crl)
                for a in cluster.names:
                    for b in cluster.names:
                        if a < b:
                            cluster.proxy.reset(a, b)
                cluster.leader()
                for one in cluster.members:
                    cluster.move_leader(one)
                self.check(cluster, load)
            for one in cluster.members:
                self.assertNotIn("revoked", one.log())

    def test_from_clear_text_to_tls(self):
        """First all get certificates, then one after the other announces https and listens so. Never without a quorum."""
        with Cluster() as cluster:
            cluster.start()
            for one in cluster.members:
                self.equip(one)
                one.extra_flags += ["--peer-client-cert-auth", "--peer-trusted-ca-file", str(self.ca.cert)]
                one.restart()
                self.assertIn("scheme is HTTP while key and cert files are present", one.recent_log())
                cluster.leader().put(f"clear/{one.name}", "x")
            for one in cluster.members:
                cluster.leader()
                one.peer_scheme = "https"
                cluster.ctl("member", "update", f"{one.id:x}", f"--peer-urls={one.peer_url}")
                one.restart()
                cluster.leader().put(f"secure/{one.name}", "x")
                cluster.agree()
            with cluster.members[0].api() as service:
                urls = [url for m in service.Cluster.MemberList(rpc.MemberListRequest()).members for url in m.peerURLs]
            self.assertEqual(sorted(urls), sorted(one.peer_url for one in cluster.members))
            self.assertTrue(all(url.startswith("https://") for url in urls))


if __name__ == "__main__":
    unittest.main(verbosity=2)
