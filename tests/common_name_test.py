#!/usr/bin/python3
"""Who has a client certificate and no token is the user whose name the certificate's common name is."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import auth_test
import member
import places
import tls_probe
import users
from api import rpc
from certificates import Authority
from tls_probe import curl


class CommonNameTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="names-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.ca = Authority(self.directory)
        self.one = member.quorate(flags=[*self.ca.issue("server").flags(), "--client-cert-auth", "--trusted-ca-file",
                                         str(self.ca.cert)])
        self.addCleanup(self.one.remove)
        self.one.credentials = self.called("somebody")
        self.one.start()

    def called(self, name):
        """The credentials of a client with that common name."""
        return self.ca.credentials(self.ca.issue(name, common_name=name, names=(), usage="clientAuth"))

    def test_the_common_name_is_the_user(self):
        one = self.one
        for line in ("user add root:secret", "user grant-role root root", "role add r", "put k v", "put other v",
                     "role grant-permission r readwrite k", "user add alice --no-password", "user grant-role alice r",
                     "auth enable"):
            one.ctl(*line.split())
        one.credentials = self.called("root")
        self.assertIn("alice", one.ctl("user", "list").stdout)
        one.credentials = self.called("alice")
        self.assertEqual(one.ctl("get", "k").stdout, "k\nv\n")
        self.assertIn("permission denied", one.ctl("get", "other", check=False).stderr)
        self.assertIn("permission denied", one.ctl("user", "list", check=False).stderr)
        # A token goes before the certificate.
        self.assertEqual(one.ctl("--user", "root:secret", "get", "other").stdout, "other\nv\n")
        one.credentials = self.called("nobody")
        self.assertNotEqual(one.ctl("get", "k", check=False).returncode, 0)
        self.assertEqual(one.ctl("--user", "root:secret", "auth", "disable").stdout, "Authentication Disabled\n")
        self.assertEqual(one.ctl("get", "k").stdout, "k\nv\n")

    def test_the_json_gateway_has_no_name(self):
        """A request over HTTP that is no gRPC never acts as the user that a certificate names (CVE-2018-16886)."""
        for line in ("user add root:secret", "user grant-role root root", "put k v", "auth enable"):
            self.one.ctl(*line.split())
        answer = curl(self.one.url + "/v3/kv/range", self.called("root"), "--data", '{"key": "aw=="}')
        self.assertNotEqual(answer.status, 200, answer)
        self.assertNotIn("dg==", answer.body)

    def test_GHSA_h6xx_pmxh_3wgp_calls_that_came_through_a_gateway(self):
        """A gRPC call that says so is nobody's without a token, whatever certificate its connection has."""
        for line in ("user add root:secret", "user grant-role root root", "put k v", "auth enable"):
            self.one.ctl(*line.split())
        self.one.credentials = self.called("root")
        read = rpc.RangeRequest(key=b"k")
        with self.one.api() as service:
            self.assertEqual(service.KV.Range(read, timeout=30).kvs[0].value, b"v")
            gateway = (("grpcgateway-accept", "application/json"),)
            token = service.Auth.Authenticate(rpc.AuthenticateRequest(name="root", password="secret")).token
            # What a gateway tells of its client's headers is no token.
            for more in ((), (("grpcgateway-authorization", token),), (("grpcgateway-token", token),)):
                with self.subTest(more), self.assertRaises(grpc.RpcError) as refused:
                    service.KV.Range(read, metadata=(*gateway, *more), timeout=30)
                self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
                self.assertEqual(refused.exception.details(), "etcdserver: user name is empty")
            for name in ("token", "authorization"):
                answer = service.KV.Range(read, metadata=(*gateway, (name, token)), timeout=30)
                self.assertEqual(answer.kvs[0].value, b"v")

    def prepared(self, make):
        """With the users and keys that the table of auth_test speaks of; its clients' certificate has no common name."""
        nameless = self.ca.issue(f"nameless-{make.__name__}", common_name="", names=("nameless.example",), usage="clientAuth")
        one = make(flags=self.one.flags)
        self.addCleanup(one.remove)
        one.credentials = self.ca.credentials(nameless)
        service = one.start().api()
        self.addCleanup(service.close)
        for number in (auth_test.LEASE_OF_SECRET, auth_test.LEASE_FREE):
            service.Lease.LeaseGrant(rpc.LeaseGrantRequest(ID=number, TTL=5000))
        for key in (b"r1", b"w1", b"both/a"):
            service.KV.Put(rpc.PutRequest(key=key, value=b"1"))
        for key in (b"secret", b"held"):
            service.KV.Put(rpc.PutRequest(key=key, value=b"1", lease=auth_test.LEASE_OF_SECRET))
        users.add(service, "alice", "pw", auth_test.PERMISSIONS)
        users.add(service, "other", "pw", ())
        users.enable(service)
        return one, service

    @staticmethod
    def told(service, call):
        """The outcome; errors that come by another code from etcd's inner layers by their own."""
        code, text = users.outcome(lambda: call(service))
        text = text.replace("auth: ", "etcdserver: ")
        return next((known for known in users.OF_PERMISSION if known[1] == text), (code, text))

    @unittest.skipIf(tls_probe.etcd_in_our_role(), "3.4.23 asks for less")
    def test_a_certificate_without_a_common_name(self):
        """Its holder is somebody, of no name: he may call what any user may, and is denied what takes a permission. Where etcd
        asks for one, it says the same; where 3.4 asks for none, ours does of everybody."""
        (etcd, at_etcd), (ours, at_ours) = self.prepared(member.etcd), self.prepared(member.quorate)
        calls = [*auth_test.key_calls(), *auth_test.lease_calls(), *auth_test.cluster_calls(), *auth_test.auth_calls(),
                 *auth_test.lock_calls()]
        for name, who, call in calls:
            with self.subTest(name):
                theirs, got = self.told(at_etcd, call), self.told(at_ours, call)
                if who in (auth_test.USER, auth_test.OPEN):
                    self.assertEqual(got, theirs)
                    self.assertNotIn(got, users.OF_PERMISSION)
                    continue
                self.assertIn(got, (users.DENIED, users.EMPTY))
                if theirs in users.OF_PERMISSION:
                    self.assertEqual(got, theirs)
        for name, who, call in auth_test.own_calls():
            with self.subTest(name):
                denied = self.told(at_ours, call) in (users.DENIED, users.EMPTY)
                self.assertEqual(denied, who in (auth_test.ALICE, auth_test.ROOT))
        watched = []
        for service in (at_etcd, at_ours):
            watch = users.Watching(service, b"r1")
            watched.append((watch.created.canceled, watch.created.cancel_reason))
            watch.close()
        self.assertEqual(watched[1], watched[0])
        self.assertTrue(watched[1][0])
        # A token says who he is; one that is no good is not made up for by the certificate.
        for service in (at_etcd, at_ours):
            token = service.Auth.Authenticate(rpc.AuthenticateRequest(name="alice", password="pw")).token
            for metadata, answer in (((("token", token),), users.OK), ((("token", "abcdefghijklmnop.1"),), users.INVALID_TOKEN),
                                     ((("grpcgateway-accept", "application/json"),), users.EMPTY)):
                read = lambda s, m=metadata: s.KV.Range(rpc.RangeRequest(key=b"r1"), metadata=m)
                self.assertEqual(self.told(service, read), answer)
        # The JSON gateway refuses those whom their certificates name, and serves him as one who has said nothing.
        for one in (etcd, ours):
            answer = curl(one.url + "/v3/kv/range", one.credentials, "--data", '{"key": "cjE="}')
            self.assertEqual(answer.status, 400)
            self.assertIn("user name is empty", answer.body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
