#!/usr/bin/python3
"""v3 discovery (--discovery-token): members that find each other through an etcd cluster, Debian's and ours."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
from cluster import Cluster

REGISTRY = "/_etcd/registry"


class DiscoveryTest(unittest.TestCase):

    def service(self, make=member.etcd):
        service = make(name="service")
        self.addCleanup(service.remove)
        return service.start()

    def cluster(self, service, token="t1", count=3, flags=(), url=None):
        """Members that know nothing of each other; not started."""
        cluster = Cluster(("quorate",) * count)
        self.addCleanup(cluster.__exit__, None)
        for one in cluster.members:
            self.by_discovery(one, url or service.url, token, flags)
        return cluster

    def by_discovery(self, one, url, token, flags=()):
        given = one.arguments()
        at = given.index("--initial-cluster")
        del given[at:at + 2]
        one.arguments = lambda: [*given, "--discovery-token", token, "--discovery-endpoints", url, *flags]

    def messages(self, one):
        lines = []
        for line in one.log().splitlines():
            try:
                lines.append(json.loads(line)["msg"])
            except (ValueError, KeyError):
                pass
        return lines

    def refused(self, one):
        one.spawn()
        self.assertEqual(1, one.wait_exit())
        self.assertFalse((one.data_dir / "member").exists(), "a refused start has left a log")
        return one.log()

    def test_members_find_each_other_and_a_fourth_is_refused(self):
        for make in (member.etcd, member.quorate):
            with self.subTest(service=make.__name__):
                service = self.service(make)
                service.ctl("put", f"{REGISTRY}/t1/_config/size", "3")
                cluster = self.cluster(service, count=4)
                fourth = cluster.members.pop()
                self.addCleanup(fourth.remove)
                # One after the other, so that the first two have to wait.
                cluster.members[0].spawn()
                cluster.wait(lambda: "waiting for peers from discovery service" in self.messages(cluster.members[0]),
                             "the first waits")
                cluster.start()
                cluster.leader().put("a", "b")
                cluster.agree()
                cluster.wait(lambda: {m.name for m in cluster.members} == {m.name for m in cluster.member_list()},
                             "all members are known")
                keys = service.ctl("get", "--prefix", "--keys-only", f"{REGISTRY}/t1/members/").stdout.split()
                self.assertEqual({f"{REGISTRY}/t1/members/{m.id:x}" for m in cluster.members}, set(keys))
                self.assertIn("discovery: cluster is full", self.refused(fourth))
                # Once there is a log nobody is asked any more.
                service.kill()
                cluster.members[0].restart()
                self.assertIn("discovery token is ignored since cluster already initialized; valid logs are found",
                              self.messages(cluster.members[0]))
                cluster.agree()
                cluster.__exit__(None)

    def test_tokens_without_a_size(self):
        service = self.service()
        service.ctl("put", f"{REGISTRY}/bad/_config/size", "many")
        cluster = self.cluster(service, "wrong", count=1)
        self.assertIn("discovery: size key not found", self.refused(cluster.members[0]))
        cluster = self.cluster(service, "bad", count=1)
        self.assertIn("discovery: size key is bad", self.refused(cluster.members[0]))
        self.assertEqual("", service.ctl("get", "--prefix", "--keys-only", f"{REGISTRY}/wrong/").stdout)

    def test_a_service_that_comes_late(self):
        service = self.service()
        service.ctl("put", f"{REGISTRY}/t1/_config/size", "1")
        service.stop()
        cluster = self.cluster(service, count=1, flags=("--discovery-dial-timeout", "200ms"))
        one = cluster.members[0]
        one.spawn()
        cluster.wait(lambda: "retry connecting to discovery service" in self.messages(one), "it says that it tries again")
        self.assertIn('"backoff":"2s"', one.log())
        service.start()
        one.wait_healthy()
        one.put("a", "b")

    def test_a_stop_while_it_waits(self):
        service = self.service()
        service.ctl("put", f"{REGISTRY}/t1/_config/size", "2")
        cluster = self.cluster(service, count=1)
        one = cluster.members[0]
        one.spawn()
        cluster.wait(lambda: "waiting for peers from discovery service" in self.messages(one), "it waits")
        self.assertEqual(-signal.SIGTERM, one.stop())
        # It has kept its place.
        other = Cluster(("quorate",))
        self.addCleanup(other.__exit__, None)
        self.by_discovery(other.members[0], service.url, "t1")
        other.members[0].name = "other"
        one.spawn()
        given = other.members[0].arguments()
        given[given.index("--name") + 1] = "other"
        other.members[0].arguments = lambda: given
        other.members[0].spawn()
        one.wait_healthy()
        other.members[0].wait_healthy()
        cluster.wait(lambda: {"m1", "other"} == {m.name for m in cluster.member_list()}, "both members are known")

    def test_a_user_of_the_service(self):
        service = self.service()
        service.ctl("put", f"{REGISTRY}/t1/_config/size", "1")
        for command in (("user", "add", "root:pw"), ("role", "add", "root"), ("user", "grant-role", "root", "root"),
                        ("auth", "enable")):
            service.ctl(*command, check=False)
        cluster = self.cluster(service, count=1, flags=("--discovery-user", "root:wrong"))
        self.assertIn("authentication failed", self.refused(cluster.members[0]))
        cluster = self.cluster(service, count=1, flags=("--discovery-user", "root", "--discovery-password", "pw"))
        cluster.start()

    def test_tls(self):
        root = self.service().root
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=service", "-days", "2", "-addext",
                        "subjectAltName=IP:127.0.0.1"], cwd=root, check=True, capture_output=True)
        service = member.etcd(name="secure")
        self.addCleanup(service.remove)
        plain = service.arguments()
        service.arguments = lambda: [
            *(argument.replace("http://127.0.0.1:%d" % service.client_port, f"https://{service.endpoint}")
              for argument in plain),
            "--cert-file", f"{root}/cert.pem", "--key-file", f"{root}/key.pem",
            "--trusted-ca-file", f"{root}/cert.pem", "--client-cert-auth"]
        service.spawn()
        identity = ("--cacert", f"{root}/cert.pem", "--cert", f"{root}/cert.pem", "--key", f"{root}/key.pem")

        def put(token):
            return service.ctl(*identity, "put", f"{REGISTRY}/{token}/_config/size", "1", check=False).returncode == 0
        own = ("--discovery-cert", f"{root}/cert.pem", "--discovery-key", f"{root}/key.pem")
        cluster = self.cluster(service, "t1", 1, ("--discovery-cacert", f"{root}/cert.pem", *own),
                               f"https://{service.endpoint}")
        cluster.wait(lambda: put("t1") and put("t2"), "the service serves")
        cluster.start()
        # The certificate is of an authority that nobody knows: refused, unless somebody asks for it all the same.
        flags = (*own, "--discovery-insecure-transport=false", "--discovery-dial-timeout", "500ms")
        cluster = self.cluster(service, "t2", 1, flags, service.endpoint)
        one = cluster.members[0]
        one.spawn()
        cluster.wait(lambda: "retry connecting to discovery service" in self.messages(one), "it does not connect")
        one.kill()
        cluster = self.cluster(service, "t2", 1, (*flags, "--discovery-insecure-skip-tls-verify"), service.endpoint)
        cluster.start()
        cluster = self.cluster(service, "t3", 1, ("--discovery-cacert", "/nonexistent"))
        self.assertIn("can't read /nonexistent", self.refused(cluster.members[0]))

    def test_joining_needs_the_members(self):
        service = self.service()
        cluster = self.cluster(service, count=1)
        given = cluster.members[0].arguments()
        given[given.index("--initial-cluster-state") + 1] = "existing"
        cluster.members[0].arguments = lambda: given
        self.assertIn("a discovery token makes new clusters only", self.refused(cluster.members[0]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
