#!/usr/bin/python3
"""JSON web tokens (--auth-token jwt,...): each method, keys that don't fit, and clusters in which etcd takes ours and we
take etcd's."""

import base64
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import places
import users
from api import rpc
from cluster import Cluster
from users import DENIED, INVALID_TOKEN, OK, OLD_REVISION, READ, outcome

ETCD_IN_OUR_ROLE = os.environ.get("QUORATE_BIN") == "etcd"
CHEAP_PASSWORDS = ("--bcrypt-cost", "4")
VERIFY_ONLY = ("UNKNOWN", "auth: token signing attempted with verify-only key")

_KEYS = {
    "RSA": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ES256": ("ecparam", "-name", "prime256v1", "-genkey", "-noout"),
    "ES384": ("ecparam", "-name", "secp384r1", "-genkey", "-noout"),
    "ES512": ("ecparam", "-name", "secp521r1", "-genkey", "-noout"),
    "EdDSA": ("genpkey", "-algorithm", "ED25519"),
}


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, input=stdin).stdout


METHODS = tuple(f"{family}{bits}" for family in ("RS", "PS", "ES", "HS") for bits in (256, 384, 512))
if not ETCD_IN_OUR_ROLE:
    METHODS += ("EdDSA",)  # Since 3.5.


class Keys:
    """The key files for a method: a pair, or one shared secret (HS...). Of a directory's keys for RSA all methods have the
    same, unless `name` tells them apart."""

    def __init__(self, directory, method, name=""):
        self.method = method
        kind = "RSA" if method[:2] in ("RS", "PS") else method
        self.private = os.path.join(directory, f"{kind}{name}.key")
        self.public = None
        if method.startswith("HS"):
            with open(self.private, "wb") as file:
                file.write(os.urandom(48))
            return
        self.public = os.path.join(directory, f"{kind}{name}.pub")
        if os.path.exists(self.public):
            return
        openssl(*_KEYS[kind], "-out", self.private)
        openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def option(self, *names, ttl=None):
        parts = {"pub-key": self.public, "priv-key": self.private, "sign-method": self.method, "ttl": ttl}
        names = names or ("pub-key", "priv-key", "sign-method", "ttl")
        return ",".join(["jwt"] + [f"{name}={parts[name]}" for name in names if parts[name]])

    def token(self, claims, method=None):
        """A token of these claims, made without any etcd; `method` is another one for the same key."""
        method = method or self.method
        text = f"{encoded(json.dumps({'alg': method, 'typ': 'JWT'}))}.{encoded(json.dumps(claims))}"
        return f"{text}.{encoded(self._signature(text.encode(), method))}"

    def _signature(self, text, method):
        digest = f"sha{method[2:]}"
        if method.startswith("HS"):
            with open(self.private, "rb") as file:
                return hmac.new(file.read(), text, digest).digest()
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(self.private)) as file:
            file.write(text)
            file.flush()
            if method == "EdDSA":
                return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", file.name)
            padding = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest") if method.startswith("PS") else ()
            signature = openssl("dgst", f"-{digest}", "-sign", self.private, *padding, file.name)
        if not method.startswith("ES"):
            return signature
        # Two numbers in ASN.1; a token has them side by side, each as long as the curve's.
        numbers = [int(line.rpartition(":")[2], 16) for line in openssl("asn1parse", "-inform", "DER", stdin=signature).decode().splitlines()
                   if "INTEGER" in line]
        length = {"ES256": 32, "ES384": 48, "ES512": 66}[method]
        return b"".join(number.to_bytes(length, "big") for number in numbers)


def encoded(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(token, number):
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class TokenTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=places.scratch())
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def server(self, option, start=True):
        server = member.quorate(flags=["--auth-token", option, *CHEAP_PASSWORDS])
        self.addCleanup(server.remove)
        if start:
            server.start()
        return server

    def service(self, server, token=None):
        service = api.Api(server.endpoint, metadata=(("token", token),) if token else None)
        self.addCleanup(service.close)
        return service

    @staticmethod
    def set_up(service):
        users.add(service, "alice", "pw", ((READ, b"r", b"s"),))
        users.enable(service)

    def test_every_method(self):
        for method in METHODS:
            with self.subTest(method=method):
                keys, others = Keys(self.directory, method), Keys(self.directory, method, "-other")
                server = self.server(keys.option(ttl="10m"))
                service = self.service(server)
                self.set_up(service)
                revision = part(service.login("root", "rootpw"), 1)["revision"]
                token = service.login("alice", "pw")
                self.assertEqual(part(token, 0), {"alg": method, "typ": "JWT"})
                claims = part(token, 1)
                self.assertEqual(sorted(claims), ["exp", "revision", "username"])
                self.assertEqual((claims["username"], claims["revision"]), ("alice", revision))
                read = lambda key=b"r1", metadata=None: outcome(
                    lambda: service.KV.Range(rpc.RangeRequest(key=key), metadata=metadata))
                self.assertEqual(read(), OK)
                bearer = token if ETCD_IN_OUR_ROLE else "Bearer " + token
                self.assertEqual(read(metadata=(("authorization", bearer),)), OK)
                self.assertEqual(read(b"secret"), DENIED)
                self.assertEqual(outcome(lambda: service.KV.Put(rpc.PutRequest(key=b"r1"))), DENIED)
                spoilt = token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]
                self.assertEqual(read(metadata=(("token", spoilt),)), INVALID_TOKEN)
                self.check_made(service, keys, others, claims)
                # They live through a restart, for who has only the public key now, too, and end with the next change of users.
                server.stop()
                if keys.public:
                    server.flags += ["--auth-token", keys.option("pub-key", "sign-method")]
                server.start_with_alarm()
                service = self.service(server, token)
                self.assertEqual(outcome(lambda s=service: s.KV.Range(rpc.RangeRequest(key=b"r1"))), OK)
                self.assertEqual(self.read(service, others.token(claims)), INVALID_TOKEN)
                root = self.service(server, keys.token(claims | {"username": "root"}))
                root.Auth.RoleAdd(rpc.AuthRoleAddRequest(name="y"))
                self.assertEqual(outcome(lambda s=service: s.KV.Range(rpc.RangeRequest(key=b"r1"))), OLD_REVISION)
                server.remove()

    @staticmethod
    def read(service, token, key=b"r1"):
        return outcome(lambda: service.KV.Range(rpc.RangeRequest(key=key), metadata=(("token", token),)))

    def check_made(self, service, keys, others, claims):
        """Tokens made elsewhere: by who has the key as good as the server's own, by anybody else nothing."""
        read = lambda token, key=b"r1": self.read(service, token, key)
        token = keys.token(claims)
        self.assertEqual((read(token), read(token, b"secret")), (OK, DENIED))
        root = keys.token(claims | {"username": "root"})
        self.assertEqual(outcome(lambda: service.KV.Put(rpc.PutRequest(key=b"secret"), metadata=(("token", root),))), OK)
        self.assertEqual(read(keys.token({name: claims[name] for name in ("username", "revision")})), OK, "it has no end")
        self.assertEqual(read(keys.token(claims | {"revision": claims["revision"] - 1})), OLD_REVISION)
        head, body, signature = token.split(".")
        of_root, unsigned = encoded(json.dumps(claims | {"username": "root"})), encoded('{"alg":"none","typ":"JWT"}')
        bad = {"signed by another": others.token(claims), "expired": keys.token(claims | {"exp": int(time.time()) - 10}),
               "not yet good": keys.token(claims | {"nbf": int(time.time()) + 3600}),
               "other claims": f"{head}.{of_root}.{signature}", "no signature": f"{head}.{body}.", "none": f"{unsigned}.{body}.",
               "none, with a signature": f"{unsigned}.{body}.{signature}"}
        if keys.method[:2] in ("RS", "PS", "HS"):  # Their keys fit other methods, too.
            for other in METHODS:
                if other != keys.method and (other[:2] == keys.method[:2] or {other[:2], keys.method[:2]} == {"RS", "PS"}):
                    bad[f"by {other}"] = keys.token(claims, other)
        if keys.public:  # What everybody knows is no secret.
            with open(keys.public, "rb") as file:
                known = file.read()
            for bits in (256, 512):
                text = f"{encoded(json.dumps({'alg': f'HS{bits}', 'typ': 'JWT'}))}.{body}"
                bad[f"the public key as secret of HS{bits}"] = f"{text}.{encoded(hmac.new(known, text.encode(), f'sha{bits}').digest())}"
        for what, one in bad.items():
            with self.subTest(what):
                self.assertEqual(read(one), INVALID_TOKEN)

    def test_a_token_expires(self):
        keys = Keys(self.directory, "ES256")
        server = self.server(keys.option(ttl="-1s"))
        service = self.service(server)
        self.set_up(service)
        service.login("alice", "pw")
        self.assertEqual(outcome(lambda: service.KV.Range(rpc.RangeRequest(key=b"r1"))), INVALID_TOKEN)

    def test_verify_only(self):
        keys = Keys(self.directory, "RS256")
        server = self.server(keys.option())
        service = self.service(server)
        self.set_up(service)
        token = service.login("alice", "pw")
        server.stop()
        server.flags = ["--auth-token", keys.option("pub-key", "sign-method")]
        server.start_with_alarm()
        service = self.service(server, token)
        self.assertEqual(outcome(lambda: service.KV.Range(rpc.RangeRequest(key=b"r1"))), OK)
        self.assertEqual(outcome(lambda: service.login("alice", "pw")), VERIFY_ONLY)

    def test_no_tokens_at_all(self):
        service = self.service(self.server(""))
        self.set_up(service)
        self.assertEqual(outcome(lambda: service.login("alice", "pw")), users.WRONG_PASSWORD)

    def test_options_that_make_no_sense(self):
        rsa, ec = Keys(self.directory, "RS256"), Keys(self.directory, "ES256")
        missing = os.path.join(self.directory, "missing")
        for option, text in (
                ("jwt", "invalid auth signature method"),
                ("jwt,sign-method=RS256", "missing key data"),
                ("jwt,sign-method=none,priv-key=" + rsa.private, "none"),
                (f"jwt,sign-method=RS256,pub-key={ec.public}", "pub-key=.*another type"),
                (f"jwt,sign-method=RS256,pub-key={Keys(self.directory, 'PS256', '-other').public},priv-key={rsa.private}", "don't match"),
                (f"jwt,sign-method=RS256,priv-key={missing}", "missing"),
                (f"jwt,sign-method=RS256,priv-key={rsa.private},ttl=soon", "ttl="),
                ("jwt,sign-method", "is not name=value"),
                ("jwt,ttl=1s,ttl=2s", "given twice"),
                ("nonsense", 'unknown token type')):
            if ETCD_IN_OUR_ROLE and text == "don't match":
                continue  # It looks only at exponents, which are all alike.
            with self.subTest(option=option):
                server = self.server(option, start=False)
                server.spawn()
                self.assertNotEqual(server.wait_exit(), 0)
                if not ETCD_IN_OUR_ROLE:
                    self.assertRegex(server.log(), "--auth-token: .*auth: invalid auth options.*" + text)
                    self.assertFalse(server.data_dir.exists(), "nothing was written")
                self.assertNotIn("BEGIN", server.log())

    def test_simple_tokens_outlive_their_leader(self):
        with Cluster() as cluster:
            cluster.start()
            first = cluster.leader()
            with first.api() as service:
                self.set_up(service)
                metadata = (("token", service.login("root", "rootpw")),)
                reader = (("token", service.login("alice", "pw")),)
            first.kill()
            for one in (one for one in cluster.members if one is not first):
                cluster.wait(lambda o=one: o.put("r1", o.name, metadata=metadata), "another leads")
                self.assertEqual(one.get("r1", metadata=reader), one.name)
                self.assertEqual(outcome(lambda o=one: o.put("r1", "x", metadata=reader)), DENIED)

    @staticmethod
    def asks_who_one_is(one):
        with one.api() as service:
            return outcome(lambda: service.KV.Range(rpc.RangeRequest(key=b"r1", serializable=True))) == users.EMPTY

    def test_in_mixed_clusters(self):
        """The same keys everywhere: whoever signed, everybody takes it."""
        for method in ("RS256", "PS384", "ES512"):
            keys = Keys(self.directory, method)
            with self.subTest(method=method), Cluster(("quorate", "etcd", "quorate")) as cluster:
                cluster.flags += ["--auth-token", keys.option()]
                cluster.start()
                with cluster.members[0].api() as service:
                    self.set_up(service)
                for one in cluster.members:  # Before it knows of users it would pass on what it is asked as nobody's.
                    cluster.wait(lambda o=one: self.asks_who_one_is(o), f"{one.name} asks who one is")
                for issuer in cluster.members[:2]:
                    with issuer.api() as service:
                        tokens = {name: service.login(name, word) for name, word in (("root", "rootpw"), ("alice", "pw"))}
                    for one in cluster.members:
                        root, alice = ((("token", tokens[name]),) for name in ("root", "alice"))
                        one.put("secret", f"{issuer.kind} for {one.kind}", metadata=root)
                        with one.api() as service:
                            read = lambda key, s=service, m=alice: outcome(
                                lambda: s.KV.Range(rpc.RangeRequest(key=key), metadata=m))
                            self.assertEqual((read(b"r1"), read(b"secret")), (OK, DENIED))


if __name__ == "__main__":
    unittest.main(verbosity=2)
