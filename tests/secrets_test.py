#!/usr/bin/python3
"""What must not be found where it doesn't belong: passwords and tokens in logs and in the write-ahead log; and files that
others may not read. For the memory of a running server see secrets_memory_test.py."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import users
from api import rpc
from users import outcome

ETCD_IN_OUR_ROLE = os.environ.get("QUORATE_BIN") == "etcd"
# Not to be met by chance.
SECRETS = {name: f"{name}-Kq7hT0vXwZ-9fB3" for name in ("root", "added", "changed", "wrong", "refused")}


class SecretsTest(unittest.TestCase):
    def use_passwords(self, *flags):
        """A server on which each of the secrets was used in its way; tokens are returned with it."""
        server = member.quorate(flags=["--log-level", "debug", *flags])
        self.addCleanup(server.remove)
        server.start()
        service = api.Api(server.endpoint)
        self.addCleanup(service.close)
        users.add(service, "alice", SECRETS["added"], ())
        users.enable(service, SECRETS["root"])
        tokens = [service.login("root", SECRETS["root"])]
        root = service.metadata
        service.Auth.UserChangePassword(rpc.AuthUserChangePasswordRequest(name="alice", password=SECRETS["changed"]))
        for name in ("alice", "nobody"):
            self.assertEqual(outcome(lambda n=name: service.login(n, SECRETS["wrong"])), users.WRONG_PASSWORD)
        tokens.append(service.login("alice", SECRETS["changed"]))
        self.assertEqual(outcome(lambda: service.Auth.UserAdd(
            rpc.AuthUserAddRequest(name="eve", password=SECRETS["refused"]))), users.DENIED)
        outcome(lambda: service.KV.Range(rpc.RangeRequest(key=b"k"), metadata=(("token", tokens[0] + "9"),)))
        service.metadata = root
        service.KV.Put(rpc.PutRequest(key=b"k", value=b"v"))
        return server, tokens

    @staticmethod
    def written(server, *names):
        """All bytes of the data directory, but those of the files that have one of these in their path."""
        return b"".join(path.read_bytes() for path in server.data_dir.rglob("*")
                        if path.is_file() and not any(name in str(path) for name in names))

    def assert_not_in(self, secrets, where, what):
        self.assertEqual([secret for secret in secrets if secret in where], [], what)

    def test_logs(self):
        server, tokens = self.use_passwords()
        self.assert_not_in([*SECRETS.values(), *tokens], server.log(), "log at level debug")

    @unittest.skipIf(ETCD_IN_OUR_ROLE, "3.4 logs passwords")
    def test_GHSA_528j_9r78_wffx_no_password_is_written(self):
        """In a cluster at version 3.5 or higher."""
        server, _ = self.use_passwords("--new-cluster-version", "3.5")
        server.stop()
        self.assert_not_in([s.encode() for s in SECRETS.values()], self.written(server), "data directory")

    def test_in_clusters_of_3_4_only_what_3_4_needs(self):
        """etcd 3.4 hashes when it applies, so passwords of new users are in the log itself, and nowhere else."""
        server, _ = self.use_passwords()
        server.stop()
        log = b"".join(path.read_bytes() for path in (server.data_dir / "member/wal").iterdir())
        self.assertIn(SECRETS["added"].encode(), log)
        self.assert_not_in([SECRETS["wrong"].encode()], log, "what was only tried")
        if not ETCD_IN_OUR_ROLE:
            self.assert_not_in([SECRETS["refused"].encode()], log, "what was refused")
        self.assert_not_in([s.encode() for s in SECRETS.values()], self.written(server, "/wal/"), "database and the rest")

    def test_files_are_the_owners_only(self):
        mask = os.umask(0)
        try:
            server, _ = self.use_passwords()
            server.stop()
            server.start_with_alarm()
        finally:
            os.umask(mask)
        with api.Api(server.endpoint) as service:
            service.login("root", SECRETS["root"])
            service.Maintenance.Defragment(rpc.DefragmentRequest())
        server.stop()
        for path in (server.data_dir, *server.data_dir.rglob("*")):
            mode = path.stat().st_mode & 0o777
            self.assertEqual(oct(mode), oct(0o700 if path.is_dir() else 0o600), path)

    def test_a_wide_directory_is_told_of(self):
        """As with the original it is used as it is."""
        with member.quorate() as server:
            server.data_dir.mkdir(mode=0o755)
            server.data_dir.chmod(0o755)
            server.start()
            self.assertIn("drwxr-xr-x", server.log())
            self.assertEqual(server.data_dir.stat().st_mode & 0o777, 0o755)


if __name__ == "__main__":
    unittest.main(verbosity=2)
