#!/usr/bin/python3
"""The C++ client library: its examples, its document, its package, and its behaviour at a real member and over faults.

QUORATE_BUILD_DIR  where the examples and client_probe are built (default: beside the server that is tested)
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
import places
from api import rpc
from cluster import Cluster

BUILD = pathlib.Path(os.environ.get("QUORATE_BUILD_DIR") or places.REPOSITORY / "build/release")
DOCUMENT = places.REPOSITORY / "docs/client.md"
EXAMPLES = places.REPOSITORY / "docs/examples"
MAKES = (member.etcd, member.quorate)


def run(program, *arguments, timeout=60, **options):
    """The finished process of one of our programs."""
    return subprocess.run([str(BUILD / "bin" / program), *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, check=False, **options)


def wait(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Probe:
    """A client_probe that runs on: its lines as they come, and a way to let it go on."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", str(BUILD / "bin/client_probe"),
                                         *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def rest(self, timeout=300):
        output, _ = self.process.communicate(timeout=timeout)
        return output.splitlines()

    def release(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ask(self, order):
        """The answer of one that obeys."""
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class ConnectProxy(socketserver.ThreadingTCPServer):
    """An HTTP proxy for CONNECT, on a port of its own."""

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            target = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            self.server.targets.append(target)
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self.copy, args=(server, self.connection), daemon=True)
                back.start()
                self.copy(self.connection, server)
                back.join()

        @staticmethod
        def copy(source, sink):
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.targets = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def environment(self):
        return {**{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
                "http_proxy": f"http://127.0.0.1:{self.server_address[1]}"}

    def __exit__(self, *arguments):
        self.shutdown()
        super().__exit__(*arguments)


class DocumentTest(unittest.TestCase):
    """Each block of the document is a region of an example, and each region is in the document."""

    @staticmethod
    def regions():
        found = {}
        for path in sorted(EXAMPLES.glob("*.cc")):
            for name, body in re.findall(r"^ *// \[(\w+)\]\n(.*?)^ *// \[/\1\]", path.read_text(), re.S | re.M):
                found[f"{path.name} {name}"] = textwrap.dedent(body)
        return found

    def test_blocks_are_the_examples(self):
        blocks = dict(re.findall(r"<!-- (\S+ \S+) -->\n```cpp\n(.*?)```", DOCUMENT.read_text(), re.S))
        self.assertEqual(blocks, self.regions())
        self.assertEqual(DOCUMENT.read_text().count("```cpp"), len(blocks))


class ExamplesTest(unittest.TestCase):
    EXPECTED = {
        "keys": ["it was red", "now it is green", "fruit/apple", "fruit/plum", "before it was red", "green and blue",
                 "2 deleted"],
        "transaction": ["OK", "FAILED_PRECONDITION: not enough", "OK", "35"],
        "watch": ["config/size is small", "config/size becomes large", "config/size is gone",
                  "config/size becomes medium"],
        "lease": ["alive/host-1 has a lease of 10 s", "0 keys left"],
        "lock": ["locked", "printed", "host-1 leads", "leader: host-1", "leader: host-1, second floor"],
    }

    def test_each_says_what_it_should(self):
        for make in MAKES:
            with make() as server:
                server.start()
                for name, expected in self.EXPECTED.items():
                    with self.subTest(server=server.binary, example=name):
                        result = run(f"example_{name}", server.url)
                        self.assertEqual(result.returncode, 0, result.stderr)
                        lines = result.stdout.splitlines()
                        # An observer may come when the second value is there already.
                        if name == "lock" and "leader: host-1" not in lines:
                            expected = [line for line in expected if line != "leader: host-1"]
                        self.assertEqual(lines, expected)

    def test_all_are_run(self):
        self.assertEqual({path.stem for path in EXAMPLES.glob("*.cc")}, set(self.EXPECTED) | {"secure"})


class OneMemberTest(unittest.TestCase):
    """The same at etcd and at ours."""

    def test_locks_exclude_etcdctl(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()
                with Probe(server.url, "lock", "name") as probe:
                    self.assertTrue(probe.line().startswith("held name/"))
                    with subprocess.Popen([places.etcdctl(), "--endpoints", server.endpoint, "lock", "name"],
                                          env={**os.environ, "ETCDCTL_API": "3"}, stdout=subprocess.PIPE,
                                          text=True) as ctl:
                        # It is in the queue, behind ours.
                        wait(lambda server=server: len(
                            server.ctl("get", "--prefix", "name/", "--keys-only").stdout.split()) == 2, "a queue of two")
                        again = run("client_probe", server.url, "trylock", "name")
                        self.assertIn("mutex: Locked by another session", again.stdout)
                        probe.release()
                        held = ctl.stdout.readline().strip()
                        self.assertTrue(held.startswith("name/"), held)
                        again = run("client_probe", server.url, "trylock", "name")
                        self.assertIn("mutex: Locked by another session", again.stdout)
                        ctl.terminate()
                self.assertEqual(run("client_probe", server.url, "lock", "name", input="\n").returncode, 0)

    def test_elections_are_etcdctls(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()
                with Probe(server.url, "elect", "name", "ours") as probe:
                    self.assertTrue(probe.line().startswith("held name/"))
                    with subprocess.Popen([places.etcdctl(), "--endpoints", server.endpoint, "elect", "--listen",
                                           "name"], env={**os.environ, "ETCDCTL_API": "3"}, stdout=subprocess.PIPE,
                                          text=True) as ctl:
                        self.assertTrue(ctl.stdout.readline().startswith("name/"))
                        self.assertEqual(ctl.stdout.readline().strip(), "ours")
                        ctl.terminate()

    def test_a_candidate_whose_lease_is_gone_does_not_lead(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()

                def keys(server=server):
                    return server.ctl("get", "--prefix", "name/", "--keys-only").stdout.split()
                with Probe(server.url, "elect", "name", "a") as leader:
                    held = leader.line().removeprefix("held ")
                    with Probe(server.url, "elect", "name", "b") as next_one:
                        wait(lambda: len(keys()) == 2, "a queue of two")
                        waiting, = set(keys()) - {held}
                        server.ctl("lease", "revoke", waiting.rpartition("/")[2])
                        leader.release()
                        self.assertEqual(next_one.line(), "ABORTED: election: session is expired")
                self.assertEqual(keys(), [])

    def test_a_lock_that_was_not_answered_keeps_nobody_out(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()
                with Probe("--timeout-ms", 1000, server.url, "obey") as probe:
                    wait(lambda probe=probe: probe.ask("trylock other") == "OK", "a session and its lock")
                    server.signal(signal.SIGSTOP)
                    self.assertTrue(probe.ask("trylock name").startswith("DEADLINE_EXCEEDED"))
                    # Now it is done after all.
                    server.signal(signal.SIGCONT)

                    def free(server=server, probe=probe):
                        probe.ask("unlock name")
                        return run("client_probe", server.url, "trylock", "name").stdout == "OK\n"
                    wait(free, "the lock")

    def test_a_lease_is_kept_beyond_its_time(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()
                with Probe(server.url, "keep", 9) as probe:
                    lease = int(probe.line().split()[1])
                    # What is left of it falls, and grows again with each renewal.
                    left = [9]

                    def renewed_thrice():
                        request = rpc.LeaseTimeToLiveRequest(ID=lease)
                        left.append(service.Lease.LeaseTimeToLive(request).TTL)
                        self.assertGreater(left[-1], 0)
                        return sum(after > before for before, after in zip(left, left[1:])) >= 3
                    with api.Api(server.endpoint) as service:
                        wait(renewed_thrice, "three renewals")
                    probe.release()
                    self.assertEqual(probe.rest(), ["status OK"])

    def test_a_snapshot_is_whole(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()
                for number in range(50):
                    server.ctl("put", f"k{number}", "v" * 1000)
                path = server.root / "snapshot.db"
                result = run("client_probe", server.url, "snapshot", path)
                self.assertEqual(result.stdout, "ok\n", result.stderr)
                status = server.ctl("snapshot", "status", path)
                self.assertEqual(status.stdout.split(", ")[1], "51")  # The revision.

    def test_a_token_that_a_restart_forgot(self):
        for make in MAKES:
            with self.subTest(make=make.__name__), make() as server:
                server.start()
                for command in (("user", "add", "root:secret"), ("user", "grant-role", "root", "root"),
                                ("role", "add", "root"), ("user", "grant-role", "root", "root"), ("auth", "enable")):
                    server.ctl(*command, check=False)
                wrong = run("client_probe", "--user", "root:wrong", server.url, "get", "w/a")
                self.assertIn("authentication failed, invalid user ID or password", wrong.stdout)
                self.assertIn("user name is empty", run("client_probe", server.url, "get", "w/a").stdout)
                with Probe("--user", "root:secret", server.url, "watch", "w") as watch:
                    self.assertEqual(watch.line(), "created")
                    server.stop()
                    server.start_with_alarm()
                    for key in ("w/a", "w/end"):
                        put = run("client_probe", "--user", "root:secret", server.url, "put", key, "x")
                        self.assertEqual(put.stdout, "ok\n", put.stderr)
                        self.assertNotIn("secret", put.stderr)
                    self.assertEqual([line.split()[2] for line in watch.rest()], ["w/a", "w/end"])


class FaultsTest(unittest.TestCase):
    """Three members, some of them etcd, that are killed and paused: watches see all, once; acknowledged writes are there."""

    def test_members_of_ours_are_killed(self):
        self.check(("quorate",) * 3, self.kill_each)

    def test_members_of_ours_are_paused(self):
        self.check(("quorate",) * 3, self.pause_each)

    def test_etcds_are_killed(self):
        self.check(("etcd",) * 3, self.kill_each)

    @staticmethod
    def kill_each(cluster):
        for one in list(cluster.members):
            one.kill()
            cluster.leader()
            one.start()

    @staticmethod
    def pause_each(cluster):
        for one in list(cluster.members):
            one.pause()
            cluster.leader()
            one.resume()
            one.wait_healthy()

    def check(self, kinds, fault):
        with Cluster(kinds) as cluster:
            cluster.start()
            cluster.leader()
            urls = ",".join(one.url for one in cluster.members)
            watchers = [Probe(urls, "watch", "load") for _ in range(3)]
            reader = Probe("--read-attempt-timeout-ms", 1000, urls, "read", "load/0", 8)
            for probe in watchers:
                self.assertEqual(probe.line(), "created")
            writer = Probe(urls, "write", "load", 8)
            # The members are this thread's to start: they die with the thread that started them.
            with concurrent.futures.ThreadPoolExecutor() as pool:
                outputs = [pool.submit(probe.rest) for probe in (writer, reader, *watchers)]
                fault(cluster)
                written, read = (output.result() for output in outputs[:2])
                cluster.ctl("put", "load/end", "x")
                seen = [output.result() for output in outputs[2:]]
            cluster.agree()
            truth = self.history(cluster)
        for events in seen:
            self.assertEqual(events, truth)
        self.check_writes(written, truth)
        self.assertRegex(read[-1], r"^read \d+ failed 0$", read)

    def check_writes(self, written, truth):
        revisions = {event.split()[2]: int(event.split()[0]) for event in truth}
        counts = {"ok": 0, "no": 0, "unknown": 0}
        for line in written:
            outcome, number, rest = line.split(" ", 2)
            counts[outcome] += 1
            key = f"load/{number}"
            if outcome == "ok":
                self.assertEqual(revisions.get(key), int(rest), line)
            elif outcome == "no":
                self.assertNotIn(key, revisions, line)
        self.assertGreater(counts["ok"], 10, counts)

    @staticmethod
    def history(cluster):
        """All events below load/, as a watch of one member from the first revision on tells them."""
        events = []
        with cluster.members[0].api() as service:
            create = rpc.WatchCreateRequest(key=b"load", range_end=b"loae", start_revision=1)
            call = service.Watch.Watch(iter([rpc.WatchRequest(create_request=create)]))
            for response in call:
                for event in response.events:
                    kv = event.kv
                    events.append(f"{kv.mod_revision} {'DELETE' if event.type else 'PUT'} {kv.key.decode()} "
                                  f"{kv.value.decode()}")
                if events and " load/end " in events[-1]:
                    call.cancel()
                    return events
        raise AssertionError("the watch ended")


class EndpointsTest(unittest.TestCase):
    def test_the_members_advertise_theirs(self):
        with Cluster(("quorate",) * 3) as cluster:
            cluster.start()
            cluster.leader()
            result = run("client_probe", cluster.members[0].url, "members")
            self.assertEqual(sorted(result.stdout.split()), sorted(one.url for one in cluster.members))

    def test_members_that_come_and_go_are_followed(self):
        with Cluster(("quorate",)) as cluster:
            cluster.start()
            first = cluster.members[0]
            first.put("k", "v")
            with Probe("--auto-sync-ms", 100, "--timeout-ms", 60000, first.url, "obey") as probe:
                self.assertEqual(probe.ask("endpoints"), first.url)
                second = cluster.add("quorate")
                both = {first.url, second.url}
                wait(lambda: set(probe.ask("endpoints").split(",")) == both, "both members' endpoints", 60)
                cluster.dismiss(first)
                wait(lambda: probe.ask("endpoints") == second.url, "the second member's endpoint alone", 60)
                first.kill()
                self.assertEqual(probe.ask("get k"), "v")

    def test_a_watch_leaves_a_member_that_has_stopped_answering(self):
        """Nothing but keepalive tells: the connection stays, and the member says nothing on it for good."""
        with Cluster(("quorate",) * 3) as cluster:
            cluster.start()
            cluster.leader()
            silent, other, third = cluster.members
            other.stop()
            cluster.leader()
            # So the watch is at the one that is there.
            with Probe(f"{silent.url},{other.url}", "watch", "k") as probe:
                self.assertEqual(probe.line(), "created")
                other.start()
                silent.pause()
                cluster.leader()
                cluster.wait(lambda: third.put("k/end", "x"), "a put")
                self.assertEqual([line.split()[2] for line in probe.rest()], ["k/end"])

    def test_a_lease_leaves_a_member_that_has_stopped_answering(self):
        """Sooner than keepalive tells, which would be too late for a lease as short as this."""
        with Cluster(("quorate",) * 3) as cluster:
            cluster.start()
            leader = cluster.leader()
            silent, other = (one for one in cluster.members if one is not leader)
            other.stop()
            # So the lease is renewed at the one that is there.
            with Probe(f"{silent.url},{other.url}", "keep", 14) as probe, api.Api(leader.endpoint) as service:
                lease = int(probe.line().split()[1])
                other.start()
                silent.pause()
                left = [14]

                def renewed():
                    left.append(service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=lease)).TTL)
                    self.assertGreater(left[-1], 0)
                    return left[-1] > left[-2]
                wait(renewed, "a renewal")
                probe.release()
                self.assertEqual(probe.rest(), ["status OK"])

    def test_a_proxy_is_for_those_who_ask(self):
        with member.quorate() as server, ConnectProxy() as proxy:
            server.start()
            for flags, targets in (((), set()), (("--http-proxy",), {server.endpoint})):
                with self.subTest(flags=flags):
                    result = run("client_probe", *flags, server.url, "put", "k", "v", env=proxy.environment())
                    self.assertEqual(result.stdout, "ok\n", result.stderr)
                    self.assertEqual(set(proxy.targets), targets)

    def test_a_dead_endpoint_costs_nothing_but_the_error_names_it(self):
        with member.quorate() as server:
            server.start()
            dead = f"http://127.0.0.1:{member.free_port()}"
            result = run("client_probe", f"{dead},{server.url}", "put", "k", "v")
            self.assertEqual(result.stdout, "ok\n")
        result = run("client_probe", dead, "put", "k", "v")
        self.assertRegex(result.stdout, f"^DEADLINE_EXCEEDED: context deadline exceeded: no connection to {dead}: .*refused")


class PackageTest(unittest.TestCase):
    """The installed component is enough to build a program elsewhere."""

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(dir=places.scratch()))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.prefix = cls.root / "prefix"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix, "--component", "client"], check=True,
                       capture_output=True)
        cls.source = cls.root / "source"
        cls.source.mkdir()
        shutil.copy(EXAMPLES / "keys.cc", cls.source / "program.cc")

    def check(self, program, environment=None):
        with member.quorate() as server:
            server.start()
            result = subprocess.run([program, server.url], capture_output=True, text=True, check=False,
                                    env={**os.environ, **(environment or {})})
            self.assertEqual(result.stdout.splitlines(), ExamplesTest.EXPECTED["keys"], result.stderr)

    def library_directory(self):
        return next(self.prefix.rglob("pkgconfig")).parent

    def test_only_the_client_is_installed(self):
        self.assertFalse([path for path in self.prefix.rglob("*") if "quorate_" in path.name])
        headers = self.prefix / "include/quorate"
        self.assertEqual({path.name for path in headers.iterdir()}, {"client", "proto"})

    def test_all_headers_are_there(self):
        """With what they include. That each stands alone is shown by the source that includes it first."""
        headers = (self.prefix / "include/quorate/client").glob("*.h")
        (self.source / "headers.cc").write_text("".join(f"#include <quorate/client/{path.name}>\n" for path in headers))
        subprocess.run(["c++", "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                        f"-I{self.prefix}/include", f"-isystem{self.prefix}/include/quorate/proto",
                        self.source / "headers.cc"], check=True)

    def test_cmake(self):
        (self.source / "CMakeLists.txt").write_text(textwrap.dedent("""
            cmake_minimum_required(VERSION 3.25)
            project(outside CXX)
            find_package(QuorateClient REQUIRED)
            add_library(object OBJECT program.cc)
            target_link_libraries(object PUBLIC QuorateClient::client)
            add_executable(program $<TARGET_OBJECTS:object>)
            target_link_libraries(program QuorateClient::client)
            add_executable(program_static $<TARGET_OBJECTS:object>)
            target_link_libraries(program_static QuorateClient::client_static)
            """))
        build = self.root / "build"
        for command in (["cmake", "-G", "Ninja", "-S", self.source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}"],
                        ["cmake", "--build", build]):
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.check(build / "program")
        self.check(build / "program_static")

    def test_pkg_config(self):
        directory = self.library_directory()
        environment = {**os.environ, "PKG_CONFIG_PATH": str(directory / "pkgconfig")}
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "quorate-client"], capture_output=True, text=True,
                               check=True, env=environment).stdout.split()
        program = self.root / "with_pkg_config"
        subprocess.run(["c++", "-std=c++20", self.source / "program.cc", "-o", program, *flags], check=True)
        self.check(program, {"LD_LIBRARY_PATH": str(directory)})


if __name__ == "__main__":
    unittest.main(verbosity=2)
