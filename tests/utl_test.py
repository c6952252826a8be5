#!/usr/bin/python3
"""quorateutl beside Debian's etcdctl, on the files of either server: what `snapshot status` and `hashkv` print, both
directions of `snapshot restore`, damaged files, a killed restore, and the tools that etcd does not have."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
import places
import state
import wal
from api import rpc

# In restored clusters the members keep their name, and get new IDs.
NOT_KEPT = ("cluster", "members")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          timeout=120, **options)


def utl(*arguments, **options):
    return run(places.quorateutl(), *arguments, **options)


def etcdctl(*arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL")}
    return run(places.etcdctl(), *arguments, env=environment | {"ETCDCTL_API": "3"})


class UtlTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="utl-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def start(self, binary, directory=None, name="m1", **options):
        server = member.Member(binary, data_dir=directory, name=name, **options)
        self.addCleanup(server.remove)
        return server.start()

    def fill(self, service):
        """A store with history: keys changed and deleted, a lease, a compaction."""
        lease = service.Lease.LeaseGrant(rpc.LeaseGrantRequest(TTL=86400, ID=0x1234)).ID
        for i in range(60):
            service.KV.Put(rpc.PutRequest(key=b"k/%d" % (i % 20), value=b"v%d" % i, lease=lease if i % 7 == 0 else 0))
        service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"k/3", range_end=b"k/5"))
        service.KV.Compact(rpc.CompactionRequest(revision=40, physical=True))
        service.KV.Put(rpc.PutRequest(key=b"after", value=b"compaction"))

    def snapshot_of(self, binary):
        """A filled member's snapshot file, and what a client saw of its store."""
        server = self.start(binary)
        with api.Api(server.endpoint) as service:
            self.fill(service)
            seen = state.capture(service)
        path = self.root / f"{os.path.basename(binary)}.db"
        saved = etcdctl("--endpoints", server.endpoint, "snapshot", "save", path)
        self.assertEqual(saved.returncode, 0, saved.stderr)
        server.stop()
        return path, seen

    def member_flags(self, directory, name="m1"):
        """A member of a cluster of its own, not started, and the flags that restore into its directory."""
        server = member.Member(places.etcd(), data_dir=directory, name=name)
        self.addCleanup(server.remove)
        peer = f"http://127.0.0.1:{server.peer_port}"
        return server, ["--data-dir", directory, "--name", name, "--initial-cluster", f"{name}={peer}",
                        "--initial-advertise-peer-urls", peer]

    def kept(self, capture):
        return {name: value for name, value in capture.items() if name not in NOT_KEPT}

    def expect_serves(self, server, binary, seen):
        server.binary = binary
        server.start()
        with api.Api(server.endpoint) as service:
            now = state.capture(service)
            self.assertEqual("", state.differences(self.kept(seen), self.kept(now)))
            service.KV.Put(rpc.PutRequest(key=b"new", value=b"x"))
            members = service.Cluster.MemberList(rpc.MemberListRequest()).members
            self.assertEqual([m.name for m in members], [server.name])
            service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"new"))
        server.stop()


class StatusTest(UtlTest):
    def expect_equal_status(self, path):
        for form in ("simple", "json", "fields", "table", "protobuf", "nonsense"):
            with self.subTest(f"{path.name} -w {form}"):
                theirs = etcdctl("snapshot", "status", path, "-w", form)
                ours = utl("snapshot", "status", path, "-w", form)
                self.assertEqual(ours.returncode, theirs.returncode, ours.stderr)
                if theirs.returncode == 0:
                    self.assertEqual(ours.stdout, theirs.stdout)
                else:
                    self.assertTrue(ours.stderr.startswith(theirs.stderr.strip()), ours.stderr)

    @unittest.skipIf(places.shared_data() is None, "etcd's own data (../shared/data) is not here")
    def test_golden(self):
        path = state.unpack("single-snapshot", self.root) / "single-snapshot.db"
        self.expect_equal_status(path)
        shown = json.loads(utl("snapshot", "status", path, "-w", "json").stdout)
        self.assertEqual(shown, state.manifest("single-snapshot")["snapshot_status"])
        for name, database in (("single", "s1.etcd"), ("alarm", "a1.etcd"), ("killed", "t1.etcd")):
            self.expect_equal_status(state.unpack(name, self.root) / database / "member/snap/db")

    @unittest.skipIf(places.shared_data() is None, "etcd's own data (../shared/data) is not here")
    def test_hashkv_is_that_of_the_servers(self):
        expected = state.manifest("single")["expected"]["hashkv"]
        path = state.unpack("single", self.root) / "s1.etcd/member/snap/db"
        for revision, answer in expected.items():
            hashed = utl("hashkv", path, "--rev", revision, "-w", "json")
            self.assertEqual(json.loads(hashed.stdout), {"hash": answer[0]["HashKV"]["hash"],
                                                         "hashRevision": int(revision),
                                                         "compactRevision": answer[0]["HashKV"]["compact_revision"]})
        newest = max(int(revision) for revision in expected)
        simple = utl("hashkv", path)
        self.assertEqual(simple.stdout, f"{expected[str(newest)][0]['HashKV']['hash']}, {newest}, 230\n")
        self.assertEqual(utl("hashkv", path, "-w", "fields").stdout.splitlines()[1], f'"Hash revision" : {newest}')
        future = utl("hashkv", path, "--rev", 99999)
        self.assertEqual((future.returncode, future.stderr.strip()),
                         (1, "Error: mvcc: required revision is a future revision"))

    def test_both_servers_snapshots(self):
        for binary in (places.quorate(), places.etcd()):
            path, _ = self.snapshot_of(binary)
            self.expect_equal_status(path)

    def test_bad_files(self):
        (self.root / "text").write_text("no database\n" * 100)
        (self.root / "empty").write_text("")
        for path, says in (("text", "is not a db file of etcd"), ("empty", "is empty"), ("nothing", "No such file")):
            for command in (("snapshot", "status"), ("hashkv",)):
                failed = utl(*command, self.root / path)
                self.assertEqual((failed.returncode, failed.stdout), (1, ""))
                self.assertIn(says, failed.stderr)
                self.assertEqual(failed.stderr.count("\n"), 1, failed.stderr)
        self.assertEqual(utl("snapshot", "status").returncode, 128)
        self.assertIn("exactly one argument", utl("snapshot", "status").stderr)


class RestoreTest(UtlTest):
    def test_each_tool_restores_the_others_snapshots(self):
        for saved_by in (places.quorate(), places.etcd()):
            path, seen = self.snapshot_of(saved_by)
            for restored_by in (utl, etcdctl):
                for served_by in (places.quorate(), places.etcd()):
                    with self.subTest(f"saved by {saved_by}, restored by {restored_by.__name__}, served by {served_by}"):
                        directory = self.root / "restored"
                        server, flags = self.member_flags(directory)
                        restored = restored_by("snapshot", "restore", path, *flags)
                        self.assertEqual((restored.returncode, restored.stdout), (0, ""), restored.stderr)
                        self.expect_serves(server, served_by, seen)
                        shutil.rmtree(directory)

    def test_same_ids_and_log_as_etcdctl(self):
        path, _ = self.snapshot_of(places.quorate())
        _, flags = self.member_flags(self.root / "ours")
        self.assertEqual(utl("snapshot", "restore", path, *flags).returncode, 0)
        flags[1] = self.root / "theirs"
        self.assertEqual(etcdctl("snapshot", "restore", path, *flags).returncode, 0)
        dumps = []
        for directory in ("ours", "theirs"):
            dumped = utl("dump", "wal", "--data-dir", self.root / directory)
            self.assertEqual(dumped.returncode, 0, dumped.stderr)
            # Checksums and offsets differ, because 3.4 does not write who votes into the mark of the snapshot.
            dumps.append([line.split(None, 1)[1].split(" voters=")[0] for line in dumped.stdout.splitlines()
                          if "checksum" not in line and not line.endswith(":")])
        self.assertEqual(dumps[0], dumps[1])
        for directory in ("ours", "theirs"):
            self.assertEqual(utl("check", "member", "--data-dir", self.root / directory).returncode, 0)

    def test_a_cluster_of_three_with_logs_apart(self):
        path, seen = self.snapshot_of(places.etcd())
        binaries = {"a": places.quorate(), "b": places.etcd(), "c": places.quorate()}
        servers = [member.Member(binary, data_dir=self.root / name, name=name) for name, binary in binaries.items()]
        initial = ",".join(f"{s.name}=http://127.0.0.1:{s.peer_port}" for s in servers)
        for server in servers:
            self.addCleanup(server.remove)
            wal = self.root / f"wal-{server.name}"
            restored = utl("snapshot", "restore", path, "--data-dir", server.data_dir, "--wal-dir", wal, "--name",
                           server.name, "--initial-cluster", initial, "--initial-cluster-token", "tok",
                           "--initial-advertise-peer-urls", f"http://127.0.0.1:{server.peer_port}")
            self.assertEqual(restored.returncode, 0, restored.stderr)
            self.assertEqual(sorted(os.listdir(server.data_dir / "member")), ["snap"])
            verified = utl("verify", "--data-dir", server.data_dir, "--wal-dir", wal, "--exact-index")
            self.assertEqual(verified.returncode, 0, verified.stderr)
            server.flags += ["--wal-dir", str(wal), "--initial-cluster", initial, "--initial-cluster-token", "tok"]
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_healthy()
            with api.Api(server.endpoint) as service:
                self.assertEqual("", state.differences(self.kept(seen), self.kept(state.capture(service))))
                names = {m.name for m in service.Cluster.MemberList(rpc.MemberListRequest()).members}
                self.assertEqual(names, {"a", "b", "c"})

    def test_bumped_revision(self):
        path, seen = self.snapshot_of(places.etcd())
        bump = 1_000_000
        refused = utl("snapshot", "restore", path, "--data-dir", self.root / "x", "--bump-revision", bump)
        self.assertEqual(refused.returncode, 128)
        self.assertIn("--mark-compacted required if --revision-bump > 0", refused.stderr)
        for binary in (places.quorate(), places.etcd()):
            with self.subTest(binary):
                directory = self.root / os.path.basename(binary)
                server, flags = self.member_flags(directory)
                restored = utl("snapshot", "restore", path, *flags, "--bump-revision", bump, "--mark-compacted")
                self.assertEqual(restored.returncode, 0, restored.stderr)
                hashed = json.loads(utl("hashkv", directory / "member/snap/db", "-w", "json").stdout)
                self.assertEqual(hashed["hashRevision"], seen["revision"] + bump)
                server.binary = binary
                server.start()
                with api.Api(server.endpoint) as service:
                    self.check_bumped(service, seen["revision"], seen["revision"] + bump, seen)
                    self.assertEqual(api.hash_kv(service, seen["revision"] + bump + 1)[1], seen["revision"] + bump)
                server.stop()

    def check_bumped(self, service, old, new, seen):
        # A watch from the time of the snapshot is told that it missed something.
        watch = service.Watch.Watch(iter([rpc.WatchRequest(create_request=rpc.WatchCreateRequest(
            key=b"k", range_end=b"l", start_revision=old - 1))]))
        answers = []
        for answer in watch:
            answers.append(answer)
            if answer.canceled:
                break
        self.assertEqual(answers[-1].compact_revision, new)
        watch.cancel()
        with self.assertRaises(grpc.RpcError) as compacted:
            service.KV.Range(rpc.RangeRequest(key=b"k/1", revision=old))
        self.assertIn("required revision has been compacted", compacted.exception.details())
        answer = service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0"))
        self.assertEqual(answer.header.revision, new)
        self.assertEqual([kv.SerializeToString() for kv in answer.kvs], seen["keys"])
        put = service.KV.Put(rpc.PutRequest(key=b"next", value=b"x"))
        self.assertEqual(put.header.revision, new + 1)

    def test_refusals_leave_everything_alone(self):
        path, _ = self.snapshot_of(places.quorate())
        _, flags = self.member_flags(self.root / "there")
        self.assertEqual(utl("snapshot", "restore", path, *flags).returncode, 0)
        before = state.checksums(self.root)
        refused = utl("snapshot", "restore", path, *flags)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("not empty or could not be read", refused.stderr)

        damaged = self.root / "damaged.db"
        good = path.read_bytes()
        cases = {
            "missing hash": (good[:-32], "Error: snapshot missing hash but --skip-hash-check=false"),
            "cut off": (good[: len(good) // 2], "Error: snapshot missing hash but --skip-hash-check=false"),
            "foreign": (b"x" * 5000, "Error: snapshot missing hash but --skip-hash-check=false"),
            "changed": (good[:5000] + bytes([good[5000] ^ 0xff]) + good[5001:], "Error: expected sha256 ["),
        }
        _, flags = self.member_flags(self.root / "new")
        for name, (content, says) in cases.items():
            with self.subTest(name):
                damaged.write_bytes(content)
                failed = utl("snapshot", "restore", damaged, *flags)
                theirs = etcdctl("snapshot", "restore", damaged, "--data-dir", self.root / "theirs")
                self.assertEqual(failed.returncode, theirs.returncode)
                ours = failed.stderr.splitlines()[-1]
                self.assertTrue(ours.startswith(says), failed.stderr)
                self.assertTrue(ours.startswith(theirs.stderr.splitlines()[-1]), (ours, theirs.stderr))
                self.assertFalse((self.root / "new").exists())
                shutil.rmtree(self.root / "theirs", ignore_errors=True)
        damaged.unlink()
        self.assertEqual(state.checksums(self.root), before)
        wrong_name = utl("snapshot", "restore", path, "--data-dir", self.root / "new", "--name", "zz")
        self.assertIn('couldn\'t find local name "zz" in the initial cluster configuration', wrong_name.stderr)

    def test_a_killed_restore_leaves_nothing_to_start_from(self):
        if run("strace", "-o", "/dev/null", "true").returncode != 0:
            self.skipTest("strace may not trace here")
        path, seen = self.snapshot_of(places.quorate())
        directory = self.root / "killed"
        server, flags = self.member_flags(directory)
        # Stopped by the kernel at the nth change of a name or sync of a file, each in turn, until one is not reached.
        killed = 0
        for stop in range(1, 200):
            ended = self.run_and_kill_at(stop, "snapshot", "restore", path, *flags)
            if ended == 0:
                break
            killed += 1
            self.assertFalse((directory / "member").exists() and not self.is_whole(directory),
                             f"killed at {stop}: {list(directory.rglob('*'))}")
            if (directory / "member").exists():
                shutil.rmtree(directory)
        self.assertGreater(killed, 10)
        self.expect_serves(server, places.etcd(), seen)

    def is_whole(self, directory):
        return utl("verify", "--data-dir", directory, "--exact-index").returncode == 0

    def run_and_kill_at(self, stop, *arguments):
        """Runs the tool under strace, which kills it at its `stop`th system call that makes something durable or visible."""
        calls = "fdatasync,fsync,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir"
        ended = run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                    f"inject={calls}:signal=SIGKILL:when={stop}", places.quorateutl(), *arguments,
                    # LeakSanitizer can't look at a process that is traced, and ends it with an error.
                    env=os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
        self.assertIn(ended.returncode, (0, -signal.SIGKILL), ended.stderr)
        return ended.returncode


class MemberFilesTest(UtlTest):
    def stopped_member(self, binary):
        server = self.start(binary)
        with api.Api(server.endpoint) as service:
            self.fill(service)
            service.Auth.UserAdd(rpc.AuthUserAddRequest(name="u", password="swordfish"))
            service.KV.Put(rpc.PutRequest(key=b"/registry/secrets/ns/s", value=b"swordfish"))
            seen = state.capture(service)
        server.stop()
        return server, seen

    def test_defrag(self):
        for binary in (places.quorate(), places.etcd()):
            with self.subTest(binary):
                server = self.start(binary)
                with api.Api(server.endpoint) as service:
                    for i in range(200):
                        service.KV.Put(rpc.PutRequest(key=b"big", value=os.urandom(10000)))
                    top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
                    service.KV.Compact(rpc.CompactionRequest(revision=top, physical=True))
                    service.KV.Put(rpc.PutRequest(key=b"small"))
                    seen = state.capture(service)
                busy = utl("defrag", "--data-dir", server.data_dir, "--timeout", "100ms")
                self.assertEqual(busy.returncode, 1)
                self.assertIn("locked by another process", busy.stderr)
                server.stop()
                database = server.data_dir / "member/snap/db"
                before = database.stat().st_size
                done = utl("defrag", "--data-dir", server.data_dir)
                self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
                self.assertLess(database.stat().st_size, before / 4)
                server.binary = places.etcd() if binary != places.etcd() else places.quorate()
                server.start()
                with api.Api(server.endpoint) as service:
                    self.assertEqual("", state.differences(seen, state.capture(service)))
                server.stop()
        missing = utl("defrag", "--data-dir", self.root / "nothing")
        self.assertEqual(missing.returncode, 1)
        self.assertIn(f"Failed to defragment etcd data[{self.root / 'nothing'}]", missing.stderr)

    def test_check_and_verify(self):
        for binary in (places.quorate(), places.etcd()):
            server, _ = self.stopped_member(binary)
            for command in (("check", "member"), ("verify",), ("check", "v2store")):
                checked = utl(*command, "--data-dir", server.data_dir)
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
            segment = sorted((server.data_dir / "member/wal").glob("*.wal"))[-1]
            database = server.data_dir / "member/snap/db"
            for path, offset, command in ((segment, wal.offset_in_an_entry(segment, 4), ("check", "wal", segment.parent)),
                                          (database, self.used_page(database), ("check", "db", database))):
                with self.subTest(f"{binary}: {path.name}"):
                    with open(path, "r+b") as file:
                        file.seek(offset)
                        old = file.read(4)
                        file.seek(offset)
                        file.write(bytes(b ^ 0xff for b in old))
                    for found in (utl(*command), utl("check", "member", "--data-dir", server.data_dir)):
                        self.assertEqual(found.returncode, 1, found.stdout)
                        self.assertRegex(found.stdout, f"damage: .*{path.name}.* at (offset|byte) [0-9]+")
                    shown = json.loads(utl(*command, "-w", "json").stdout)
                    self.assertFalse(shown["sound"])
                    with open(path, "r+b") as file:
                        file.seek(offset)
                        file.write(old)
            self.assertEqual(utl("check", "member", "--data-dir", server.data_dir).returncode, 0)

    def test_a_killed_member_is_sound(self):
        """However far the commit index in its log lies behind."""
        for binary in (places.quorate(), places.etcd()):
            server = self.start(binary)
            with api.Api(server.endpoint) as service:
                self.fill(service)
            server.kill()
            for command in (("check", "member"), ("verify",)):
                checked = utl(*command, "--data-dir", server.data_dir)
                self.assertEqual(checked.returncode, 0, binary + checked.stdout + checked.stderr)

    def used_page(self, database):
        """The offset of the root page's header, as the newer meta names it: flags and count are there."""
        content = database.read_bytes()
        metas = [content[at + 16:at + 80] for at in (0, 4096)]
        newest = max(metas, key=lambda meta: int.from_bytes(meta[48:56], "little"))
        return int.from_bytes(newest[16:24], "little") * 4096 + 8

    @unittest.skipIf(places.shared_data() is None, "etcd's own data (../shared/data) is not here")
    def test_check_of_torn_logs(self):
        variants = state.manifest("torn-wal-variants")["variants"]
        directory = state.unpack("torn-wal-variants", self.root)
        for name, told in variants.items():
            with self.subTest(name):
                checked = utl("check", "wal", directory / f"{name}.etcd/member/wal")
                self.assertEqual(checked.returncode, 0 if told["etcd"] == "starts" else 1, checked.stdout)
                torn = name.startswith("torn")
                self.assertEqual("note: " in checked.stdout, torn, checked.stdout)
                self.assertEqual("damage: " in checked.stdout, told["etcd"] != "starts", checked.stdout)

    def test_dump(self):
        for binary in (places.quorate(), places.etcd()):
            with self.subTest(binary):
                server, seen = self.stopped_member(binary)
                log = utl("dump", "wal", "--data-dir", server.data_dir)
                self.assertEqual(log.returncode, 0, log.stderr)
                for text in ("conf-change add-node ", 'put key="k/1" value="v1"', "delete_range key=\"k/3\"",
                             "lease_grant TTL=86400 ID=1234", "compaction revision=40 physical=true",
                             'auth_user_add name="u" password=<hidden>', 'put key="/registry/secrets/ns/s" value=<hidden>',
                             "v2 PUT /0/version", "metadata member="):
                    self.assertIn(text, log.stdout)
                self.assertNotIn("swordfish", log.stdout)
                shown = utl("dump", "wal", server.data_dir / "member/wal", "--entries-only", "--show-secrets")
                self.assertIn('value="swordfish"', shown.stdout)
                self.assertIn('password=<hidden>', shown.stdout)
                database = server.data_dir / "member/snap/db"
                self.assertRegex(utl("dump", "db", database).stdout, r"(?m)^key  rows=\d+ bytes=\d+$")
                newest = utl("dump", "db", database, "key", "--newest-first", "--limit", 1)
                self.assertIn(f"rev={seen['revision']}/0 put key=\"/registry/secrets/ns/s\"", newest.stdout)
                self.assertEqual(len(newest.stdout.splitlines()), 1)
                users = utl("dump", "db", database, "authUsers")
                self.assertEqual(users.stdout, 'user "u" password=<hidden>\n')
                self.assertEqual(utl("dump", "db", database, "nope").returncode, 1)

    def test_migrate(self):
        server = self.start(places.quorate())
        with api.Api(server.endpoint) as service:
            service.KV.Put(rpc.PutRequest(key=b"k"))
        server.stop()
        old = utl("migrate", "--data-dir", server.data_dir, "--target-version", "3.6")
        self.assertEqual(old.returncode, 1)
        self.assertIn("cannot detect storage schema version: missing term information", old.stderr)
        bad = utl("migrate", "--data-dir", server.data_dir, "--target-version", "3.4")
        self.assertEqual((bad.returncode, 'target version "3.4" not supported. Minimal "3.5"' in bad.stderr), (128, True))
        if os.path.basename(places.quorate()) == "etcd":
            return
        newer = member.Member(places.quorate(), data_dir=self.root / "newer", flags=["--new-cluster-version", "3.6"])
        self.addCleanup(newer.remove)
        newer.start().stop()
        database = newer.data_dir / "member/snap/db"
        status = json.loads(utl("snapshot", "status", database, "-w", "json").stdout)
        self.assertEqual(status["version"], "3.6.0")
        self.assertEqual(status["totalKey"], 0)
        self.assertTrue(utl("snapshot", "status", database).stdout.endswith(", 3.6.0\n"))
        up = utl("migrate", "--data-dir", newer.data_dir, "--target-version", "3.7")
        self.assertEqual(up.returncode, 0, up.stderr)
        self.assertEqual(json.loads(utl("snapshot", "status", database, "-w", "json").stdout)["version"], "3.7.0")


class CommandLineTest(UtlTest):
    def test_errors_and_help(self):
        cases = {
            ("snapshto", "status"): 'unknown command "snapshto" for "quorateutl"; did you mean snapshot?',
            ("snapshot", "restore", "--datadir", "x"): "unknown flag: --datadir; did you mean --data-dir?",
            ("defrag",): 'required flag(s) "data-dir" not set',
        }
        for arguments, text in cases.items():
            failed = utl(*arguments)
            self.assertEqual((failed.returncode, failed.stdout), (1, ""))
            self.assertIn(text, failed.stderr)
            self.assertEqual(failed.stderr.count("\n"), 1)
        for flag in ("--data-dir", "--wal-dir", "--initial-cluster", "--initial-cluster-token", "--name",
                     "--initial-advertise-peer-urls", "--skip-hash-check", "--bump-revision", "--mark-compacted",
                     "--initial-memory-map-size", "--timeout", "--write-out"):
            self.assertIn(flag, utl("snapshot", "restore", "--help").stdout)
        backup = utl("backup", "--data-dir", "x", "--backup-dir", "y")
        self.assertEqual(backup.returncode, 1)
        self.assertIn("snapshot save", backup.stderr)

    def test_names_and_versions(self):
        self.assertRegex(utl("version").stdout, r"^quorateutl version: \d+\.\d+\.\d+\nAPI version: 3\.7\n$")
        other = self.root / "etcdutl"
        other.symlink_to(places.quorateutl())
        self.assertRegex(run(other, "version").stdout, r"^etcdutl version: 3\.7\.\d+\nAPI version: 3\.7\n$")
        self.assertIn('for "etcdutl"', run(other, "nonsense").stderr)

    def test_completion(self):
        script = self.root / "completion.bash"
        script.write_text(utl("completion", "bash").stdout)
        complete = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
                    '_quorateutl_complete; '
                    'printf "%s\\n" "${COMPREPLY[@]}"')

        def completions(*words):
            shown = run("bash", "-c", complete, script, "quorateutl", *words)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            return shown.stdout.split()

        self.assertIn("restore", completions("snapshot", "re"))
        self.assertIn("--mark-compacted", completions("snapshot", "restore", "--data-dir", "x", "--mark"))
        self.assertEqual(completions("-w", "js"), ["json"])
        for shell in ("zsh", "fish", "powershell"):
            self.assertIn("quorateutl", utl("completion", shell).stdout)
        self.assertEqual(utl("completion", "bsh").returncode, 1)


if __name__ == "__main__":
    if shutil.which("etcdctl") is None and not os.environ.get("ETCDCTL_BIN"):
        print("etcdctl is not here", file=sys.stderr)
        sys.exit(places.SKIPPED)
    unittest.main(verbosity=2)
