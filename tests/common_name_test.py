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

import member
import places
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
