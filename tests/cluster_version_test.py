#!/usr/bin/python3
"""The cluster's version: decided by the leader, raised when asked and only then, gone back from as in etcd 3.6."""

import json
import os
import sys
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
from api import quorate, rpc
from cluster import Cluster

Downgrade = rpc.DowngradeRequest


class VersionTest(unittest.TestCase):
    def refused(self, call):
        """(code, text) of the error that the call must end in."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        return api.code_and_text(caught.exception)

    @staticmethod
    def versions(member):
        with urllib.request.urlopen(f"{member.url}/version", timeout=30) as answer:
            return json.load(answer)

    def at(self, cluster, version):
        cluster.wait(lambda: all(self.versions(m)["etcdcluster"] == version for m in cluster.running),
                     f"all are at {version}")

    @staticmethod
    def raise_version(member, version, dry_run=False):
        with member.api() as service:
            request = quorate.RaiseVersionRequest(version=version, dry_run=dry_run)
            return service.Quorate.RaiseVersion(request, timeout=90).cluster_version

    @staticmethod
    def downgrade(member, action, version=""):
        with member.api() as service:
            return service.Maintenance.Downgrade(Downgrade(action=action, version=version)).version

    def test_up_and_down(self):
        with Cluster() as cluster:
            cluster.start()
            self.at(cluster, "3.4.0")
            follower = cluster.followers()[0]
            invalid = ("INVALID_ARGUMENT", "etcdserver: invalid downgrade target version")
            self.assertEqual(self.refused(lambda: self.downgrade(follower, Downgrade.VALIDATE, "3.3")), invalid)
            self.assertEqual(self.refused(lambda: self.downgrade(follower, Downgrade.ENABLE, "soon")),
                             ("INVALID_ARGUMENT", "etcdserver: wrong downgrade target version format"))
            self.assertEqual(self.downgrade(follower, Downgrade.CANCEL), "3.4")
            with follower.api() as service:
                told = service.Quorate.Version(quorate.VersionRequest())
            self.assertEqual((told.cluster_version, told.newest_cluster_version), ("3.4", "3.7"))
            self.assertEqual(sorted(m.name for m in told.members), cluster.names)
            self.assertTrue(all(m.reachable and m.newest_cluster_version == "3.7" for m in told.members))

            self.assertEqual(self.raise_version(follower, "3.5", dry_run=True), "3.4")
            code, text = self.refused(lambda: self.raise_version(follower, "3.6"))
            self.assertEqual(code, "FAILED_PRECONDITION")
            self.assertIn("the next is 3.5", text)
            for version, reported in (("3.5", "3.5.33"), ("3.6", "3.6.14"), ("3.7", "3.7.1")):
                self.assertEqual(self.raise_version(follower, version), version)
                self.at(cluster, version + ".0")
                cluster.members[0].put("at", version)
                self.assertEqual(follower.status().version, reported)
            follower.restart()
            cluster.wait(lambda: follower.status().storageVersion == "3.7.0", "the store is as new")
            with follower.api() as service:
                self.assertEqual({m.version for m in service.Maintenance.Snapshot(rpc.SnapshotRequest())}, {"3.7.0"})
            self.assertEqual(self.versions(follower), {"etcdserver": "3.7.1", "etcdcluster": "3.7.0", "storage": "3.7.0"})

            self.assertEqual(self.refused(lambda: self.downgrade(follower, Downgrade.ENABLE, "3.5")), invalid)
            self.assertEqual(self.downgrade(follower, Downgrade.VALIDATE, "3.6"), "3.7")
            self.downgrade(follower, Downgrade.ENABLE, "3.6.0")
            self.at(cluster, "3.6.0")
            cluster.wait(lambda: not any(m.status().downgradeInfo.enabled for m in cluster.running),
                         "the downgrade has ended")
            cluster.wait(lambda: follower.status().storageVersion == "3.6.0", "the store is as old")
            follower.restart()
            cluster.agree()

    def test_an_etcd_keeps_it_down(self):
        with Cluster(("quorate", "quorate", "etcd")) as cluster:
            cluster.start()
            self.at(cluster, "3.4.0")
            ours = next(m for m in cluster.running if not m.is_etcd)
            code, text = self.refused(lambda: self.raise_version(ours, "3.5"))
            self.assertEqual(code, "FAILED_PRECONDITION")
            self.assertIn("runs etcd 3.4.23", text)
            theirs = next(m for m in cluster.running if m.is_etcd)
            theirs.stop()
            # Another leader may have to be found first.
            cluster.wait(lambda: "can't be reached" in self.refused(lambda: self.raise_version(ours, "3.5", dry_run=True))[1],
                         "it is told that one can't be reached")

    def test_begins_where_it_is_told_to(self):
        with Cluster(flags=["--new-cluster-version", "3.6"]) as cluster:
            cluster.start()
            self.at(cluster, "3.6.0")
            cluster.members[0].put("a", "b")
            cluster.agree()


if __name__ == "__main__":
    unittest.main(verbosity=2)
