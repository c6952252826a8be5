#!/usr/bin/python3
"""The program from the outside: flags, environment, file, exit statuses, logs, signals, readiness."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
import places
from api import rpc

ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"


def run(binary, *arguments, environment=None, cwd="/tmp"):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd,
                          env={**clean, **(environment or {})}, stdin=subprocess.DEVNULL)


class SettingsTest(unittest.TestCase):
    def test_flag_errors_are_those_of_etcd(self):
        for arguments in (["--nosuch"], ["---x"], ["--heartbeat-interval"], ["--heartbeat-interval", "x"],
                          ["-heartbeat-interval=x"], ["--pre-vote=x"], ["--listen-client-urls", "x"],
                          ["--listen-client-urls", "127.0.0.1:1"], ["--listen-client-urls", "http://a:b"],
                          ["--max-wals", "99999999999999999999"], ["--initial-cluster-state", "x"],
                          ["--grpc-keepalive-min-time", "5"], ["--max-concurrent-streams", "x"],
                          ["--cors="], ["--cors=http://no.port"], ["--cors=http://a.example:1,*"], ["--cors=null"],
                          ["--cors=http://a.example:1/"], ["--cors=x"]):
            with self.subTest(arguments):
                etcd, ours = (run(binary, *arguments) for binary in (places.etcd(), places.quorate()))
                self.assertEqual((etcd.returncode, etcd.stderr.splitlines()[0]),
                                 (ours.returncode, ours.stderr.splitlines()[0]))

    def test_refusals_end_with_one(self):
        for arguments, text in ((["stray"], "is not a valid flag"),
                                (["--heartbeat-interval", "0"], "--heartbeat-interval must be >0 (set to 0ms)"),
                                (["--election-timeout", "100"], "should be at least as 5 times as"),
                                (["--listen-client-urls", "http://127.0.0.1:1"], "--advertise-client-urls is required"),
                                (["--listen-peer-urls", "http://example.com:1"], "expected IP in URL for binding"),
                                (["--auto-compaction-mode", "x"], "unknown auto-compaction-mode"),
                                (["--config-file", "/nonexistent"], "no such file or directory")):
            for binary in (places.etcd(), places.quorate()):
                with self.subTest(f"{binary} {arguments}"):
                    result = run(binary, *arguments)
                    self.assertEqual(result.returncode, 1)
                    self.assertIn(text, result.stdout + result.stderr.replace('\\"', '"'))

    def test_environment_conflict_is_fatal(self):
        for binary in (places.etcd(), places.quorate()):
            result = run(binary, "--name", "a", environment={"ETCD_NAME": "b"})
            self.assertEqual(result.returncode, 1)
            self.assertIn("conflicting environment variable", result.stderr)

    def test_help_and_version(self):
        for binary in (places.etcd(), places.quorate()):
            help_text = run(binary, "--help")
            self.assertEqual(help_text.returncode, 0)
            self.assertIn("--listen-client-urls", help_text.stdout)
            version = run(binary, "--version")
            self.assertEqual(version.returncode, 0)
            self.assertRegex(version.stdout, r"(?m)^etcd Version: 3\.\d+\.\d+$")

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd has them")
    def test_what_comes_later_is_refused(self):
        with member.quorate() as server:
            for flags in (["--enable-distributed-tracing"], ["--io-threads", "2"]):
                result = run(server.binary, "--data-dir", str(server.data_dir), "--name", "m", *flags)
                self.assertEqual(result.returncode, 1, flags)
                self.assertIn("later release", result.stderr)
            self.assertFalse(server.data_dir.exists(), "a refused start has left a directory")

    def test_config_file(self):
        with member.quorate() as server:
            peer = f"http://127.0.0.1:{server.peer_port}"
            config = server.root / "config.yml"
            config.write_text(f"name: from-file\ndata-dir: {server.data_dir}\nlisten-client-urls: {server.url}\n"
                              f"advertise-client-urls: {server.url}\nlisten-peer-urls: {peer}\n"
                              f"initial-advertise-peer-urls: {peer}\ninitial-cluster: from-file={peer}\n"
                              "logger: zap\nsnapshot-count: 100\nwatch-progress-notify-interval: 5000000000\n")
            server.arguments = lambda: ["--config-file", str(config), "--name", "ignored"]
            server.start()
            self.assertIn("from-file", server.ctl("member", "list").stdout)

    def test_ports_that_are_none(self):
        """Refused, and not taken modulo 65536; without a number any free one serves."""
        for flag in ("--listen-client-urls", "--listen-peer-urls", "--listen-metrics-urls"):
            for port in ("65536", "99999", "99999999999999999999"):
                with member.quorate() as server, self.subTest(f"{flag} {port}"):
                    with self.assertRaises(member.StartError) as refused:
                        server.flags = [flag, f"http://127.0.0.1:{port}"]
                        server.start()
                    self.assertEqual(refused.exception.code, 1)
                    self.assertIn(f"address {port}: invalid port", refused.exception.log)
                    # The member was open by then, and its threads at work.
                    self.assertNotIn("AddressSanitizer", refused.exception.log)
        with member.quorate(flags=["--listen-metrics-urls", "http://127.0.0.1:"]) as server:
            server.start()

    def test_environment_starts_it(self):
        with member.quorate() as server:
            peer = f"http://127.0.0.1:{server.peer_port}"
            settings = {"ETCD_NAME": "env", "ETCD_DATA_DIR": str(server.data_dir), "ETCD_LOGGER": "zap",
                        "ETCD_LISTEN_CLIENT_URLS": server.url, "ETCD_ADVERTISE_CLIENT_URLS": server.url,
                        "ETCD_LISTEN_PEER_URLS": peer, "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
                        "ETCD_INITIAL_CLUSTER": f"env={peer}"}
            server.arguments = lambda: []
            server.environment = settings
            server.start()
            self.assertIn("env", server.ctl("member", "list").stdout)

    def test_logs_are_json_with_the_messages_that_scripts_wait_for(self):
        with member.quorate() as server:
            server.start()
            deadline = time.monotonic() + 60
            while not ETCD_IN_BOTH_ROLES and "ready to serve" not in server.log() and time.monotonic() < deadline:
                time.sleep(0.02)
            server.stop()
            lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
            self.assertGreater(len(lines), 5)
            for line in lines:
                self.assertLessEqual({"level", "ts", "caller", "msg"}, line.keys())
                self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}([+-]\d{4}|Z)$")
                self.assertRegex(line["caller"], r"^[\w.-]+/[\w.-]+:\d+$")
            if not ETCD_IN_BOTH_ROLES:  # 3.4 says so in its older log format only.
                self.assertTrue(any("ready to serve client requests" in line["msg"] for line in lines))
                self.assertEqual(len(lines), len(server.log().splitlines()), "all of the log is JSON")

    def test_ends_by_the_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            for make in (member.etcd, member.quorate):
                with make() as server:
                    server.start()
                    server.signal(number)
                    self.assertEqual(server.wait_exit(), -number, server.binary)

    def test_tells_systemd(self):
        with member.quorate() as server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            address = str(server.root / "n")
            if len(address) > 100:
                address = f"/tmp/quorate-notify-{os.getpid()}"
                self.addCleanup(os.unlink, address)
            told.bind(address)
            told.settimeout(60)
            server.environment = {"NOTIFY_SOCKET": address}
            server.start()
            self.assertIn(b"READY=1", told.recv(1000))

    def test_data_dir_and_mode(self):
        with member.quorate() as server:
            server.start()
            self.assertEqual(server.data_dir.stat().st_mode & 0o777, 0o700)
            names = sorted(str(p.relative_to(server.data_dir)) for p in server.data_dir.rglob("*"))
            for needed in ("member/snap/db", "member/wal/0000000000000000-0000000000000000.wal"):
                self.assertIn(needed, names)

    def test_hashing_a_password_holds_up_nobody(self):
        """Another write is through long before; were the password hashed where it is applied, it would always come after. A
        disk that takes as long for a write as that may spoil a round."""
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd 3.4 hashes where it applies")
        with member.quorate(flags=["--bcrypt-cost", "13"]) as server:
            server.start()
            with api.Api(server.endpoint) as service:
                add = service.channel.unary_unary("/etcdserverpb.Auth/UserAdd", request_serializer=lambda m: m.SerializeToString(),
                                                  response_deserializer=lambda data: data)

                def writes_come_first(*names):
                    users = [add.future(rpc.AuthUserAddRequest(name=name, password=password), timeout=60)
                             for name, password in zip(names, ("one", "two"))]
                    service.KV.Put(rpc.PutRequest(key=b"a", value=b"b"))
                    service.KV.Put(rpc.PutRequest(key=b"a", value=b"c"))
                    done = [user.done() for user in users]
                    for user in users:
                        user.result()
                    return done == [False, False]
                first = writes_come_first("u", "v")
                self.assertTrue(first or any(writes_come_first(f"u{n}", f"v{n}") for n in range(10)))
                service.Auth.UserChangePassword(rpc.AuthUserChangePasswordRequest(name="u", password="three"))
                service.Auth.UserAdd(rpc.AuthUserAddRequest(name="root", options={"no_password": True}))
                service.Auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
                service.Auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
                service.Auth.AuthEnable(rpc.AuthEnableRequest())
                self.assertTrue(service.Auth.Authenticate(rpc.AuthenticateRequest(name="u", password="three")).token)
                self.assertTrue(service.Auth.Authenticate(rpc.AuthenticateRequest(name="v", password="two")).token)
                with self.assertRaises(grpc.RpcError):
                    service.Auth.Authenticate(rpc.AuthenticateRequest(name="u", password="one"))

    def test_wal_dir(self):
        with member.quorate() as server:
            server.flags = ["--wal-dir", str(server.root / "log-elsewhere")]
            server.start()
            server.ctl("put", "a", "b")
            server.stop()
            self.assertTrue((server.root / "log-elsewhere/0000000000000000-0000000000000000.wal").exists())
            server.binary = places.etcd()
            server.start()
            self.assertEqual(server.ctl("get", "a").stdout, "a\nb\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
