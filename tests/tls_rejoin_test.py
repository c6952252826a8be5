#!/usr/bin/python3
"""The way back of a member whose disk was set back (R5 of the runbook) in a cluster with TLS on both ports."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import places
from certificates import Authority
from cluster import Cluster

# Short elections, so that what waits for several of them fits into a test.
FLAGS = ("--heartbeat-interval", "50", "--election-timeout", "500", "--lost-log-action", "rejoin")
ADDRESSES = tuple(f"127.0.0.{number}" for number in (1, *range(11, 17)))


class TlsRejoinTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tls-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def rejoin(self, flags, peer_scheme="https", **options):
        """A wiped member is removed, added and promoted through the client port of the others."""
        with Cluster(("quorate",) * 3, flags=(*FLAGS, *flags), peer_scheme=peer_scheme, **options) as cluster:
            for one in cluster.members:
                one.extra_flags += ["--run-dir", str(one.root / "run")]
            cluster.start()
            cluster.leader().fill(20)
            cluster.agree()
            victim = cluster.followers()[0]
            old = victim.id
            victim.kill()
            shutil.rmtree(victim.data_dir)
            victim.spawn()
            cluster.wait(lambda: "rejoined the cluster" in victim.log(), f"{victim.name} rejoins", 60)
            victim.wait_healthy()  # Its client port opens only when it has caught up.
            self.assertNotEqual(old, victim.id)
            cluster.agree()
            cluster.move_leader(victim)
            victim.put("back", "again")

    def test_with_certificates_of_clients(self):
        """The others ask for a certificate: it shows the one that is for its own calls."""
        authority = Authority(self.directory)
        server = authority.issue("server", names=("localhost", *ADDRESSES), usage="serverAuth")
        own = authority.issue("own-calls", common_name="own", names=(), usage="clientAuth")
        peer = authority.issue("peer", names=ADDRESSES)
        self.rejoin((*server.flags(), "--client-cert-auth", "--trusted-ca-file", str(authority.cert),
                     "--client-cert-file", str(own.cert), "--client-key-file", str(own.key), *peer.flags("peer-"),
                     "--peer-client-cert-auth", "--peer-trusted-ca-file", str(authority.cert)),
                    credentials=authority.credentials(own))


if __name__ == "__main__":
    unittest.main(verbosity=2)
