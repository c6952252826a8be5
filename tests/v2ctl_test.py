#!/usr/bin/python3
"""The client of the second generation: the same command lines with Debian's etcdctl and with ours, at the same servers, must end
with the same status and print the same, the curl lines of --debug included. In clear text and with mutual TLS."""

import concurrent.futures
import os
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import certificates
import cluster
import member
import places
from api import rpc

ADDRESSES = ("127.0.0.1", "127.0.0.11", "127.0.0.12", "127.0.0.13", "localhost")
ETCD_FLAGS = ["--enable-v2=true"]
NO_SUCH_FILE = "/nonexistent/file.pem"


class Outcome:
    def __init__(self, result):
        self.code, self.out, self.err = result.returncode, result.stdout, result.stderr

    @property
    def lines(self):
        return self.code, self.out, self.err


def run(program, arguments, variables=None, api_version="2"):
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("ETCD_", "ETCDCTL_"))}
    if api_version:
        environment["ETCDCTL_API"] = api_version
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120,
                            stdin=subprocess.DEVNULL, env=environment | (variables or {}))
    return Outcome(result)


def sorted_lists(text):
    """Lists of URLs in one order."""
    return re.sub(r"https?://[^\s,)]+(?:,\s?https?://[^\s,)]+)+",
                  lambda found: ", ".join(sorted(re.split(r",\s?", found.group()))), text)


class Comparison(unittest.TestCase):
    maxDiff = None

    def both(self, *arguments, variables=None):
        return run(places.etcdctl(), arguments, variables), run(places.quoratectl(), arguments, variables)

    def same(self, *arguments, variables=None, change=lambda text: re.sub(r"isLeader=(true|false)", "isLeader=?", text)):
        """Returns ours. `change` takes out what may differ: who leads may have changed between the two. So may a member's health,
        which has a second to answer: a difference of that is asked for again."""
        deadline = time.monotonic() + 60
        while True:
            theirs, ours = self.both(*arguments, variables=variables)
            if "cluster-health" not in arguments or change(theirs.out) == change(ours.out) or time.monotonic() > deadline:
                break
        self.assertEqual((theirs.code, change(theirs.out), change(theirs.err)),
                         (ours.code, change(ours.out), change(ours.err)), arguments)
        return ours


class NoServerTest(Comparison):
    """What needs no server that answers."""

    def test_help_and_usage(self):
        without_version = lambda text: re.sub(r"(VERSION:\n   |etcdctl version: )\S+", r"\1", text)
        for line in ("", "help", "--help", "-h", "--version", "-v", "member", "member --help", "member list --help", "member add -h",
                     "cluster-health --help", "help cluster-health", "member help list", "member list -x",
                     "cluster-health -x", "cluster-health --debug", "member -x", "--nosuch", "--timeout", "--timeout x member list",
                     "--debug=x member list", "---x", "foo", "member foo", "help foo", "version", "member list x", "member add",
                     "member add x", "member add x y z", "member remove", "member remove a b", "member update", "member update a"):
            self.same(*line.split(), change=without_version)

    def test_mistyped_names_are_followed_by_the_near_ones(self):
        for line, near in (("cluster-heath", "cluster-health"), ("member lst", "list"), ("--ca-fil x member list", "--ca-file")):
            theirs, ours = self.both(*line.split())
            self.assertEqual(theirs.code, ours.code)
            self.assertTrue(ours.err.startswith(theirs.err.rstrip("\n")), ours.err)
            self.assertIn(f"did you mean {near}?", ours.err)

    def test_nobody_there(self):
        port = member.free_port()
        here = ("--endpoints", f"http://127.0.0.1:{port}")
        for line in ("cluster-health", "--debug cluster-health", "member list", "--debug member list", "--no-sync member list",
                     "--no-sync --debug member list", "-o json member list", "-o json cluster-health", "--no-sync member remove 1",
                     "--no-sync member update 1 http://127.0.0.1:1", "--no-sync member add x http://127.0.0.1:1",
                     "--no-sync member add x http://127.0.0.1:1/path", "--no-sync member add x nonsense"):
            self.same(*here, *line.split())
        for flags in (("--endpoint",), ("--peers",), ("-C",)):
            self.same(*flags, here[1], "cluster-health")
        for name in ("ETCDCTL_ENDPOINTS", "ETCDCTL_ENDPOINT", "ETCDCTL_PEERS"):
            self.same("cluster-health", variables={name: here[1]})
        self.same("--endpoints", f"127.0.0.1:{port}", "member", "list")
        self.same("--endpoints", f"localhost:{port}", "member", "list")
        self.same("--endpoints", f"localhost:{port}", "cluster-health")
        self.same("--endpoints", f"https://127.0.0.1:{port}", "cluster-health")
        # Two endpoints, in either order.
        any_order = lambda text: sorted(re.findall(r"dial tcp .*", text))
        two = f"{here[1]},http://127.0.0.2:{port}"
        self.same("--endpoints", two, "member", "list", change=any_order)

    def test_certificate_files(self):
        with member.Member("etcd") as scratch:
            ca = certificates.Authority(scratch.root)
            mine, other = ca.issue("mine"), ca.issue("other")
            here = ("--endpoints", f"https://127.0.0.1:{member.free_port()}")
            for flags in (("--ca-file", NO_SUCH_FILE), ("--cert-file", NO_SUCH_FILE), ("--key-file", NO_SUCH_FILE),
                          ("--cert-file", NO_SUCH_FILE, "--key-file", NO_SUCH_FILE),
                          ("--cert-file", "/etc/passwd", "--key-file", "/etc/passwd"),
                          ("--cert-file", mine.cert, "--key-file", other.key),
                          ("--cert-file", mine.key, "--key-file", mine.cert)):
                self.same(*here, *flags, "cluster-health")
                self.same(*here, *flags, "member", "list")
            self.same(*here, "cluster-health",
                      variables={"ETCDCTL_CA_FILE": NO_SUCH_FILE, "ETCDCTL_CERT_FILE": str(mine.cert),
                                 "ETCDCTL_KEY_FILE": str(mine.key)})

    def test_a_server_that_says_nothing(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(128)  # Nobody takes them, so all that come have to wait here.
            here = ("--endpoints", "http://127.0.0.1:%d" % silent.getsockname()[1])
            for line in ("--timeout 300ms member list", "--timeout 300ms --no-sync member list", "--total-timeout 1900ms member list",
                         "--total-timeout 1900ms --no-sync member list", "--timeout 300ms cluster-health",
                         "--timeout 300ms --debug member list"):
                self.same(*here, *line.split())

    def test_the_end_of_the_time_for_all_is_told_from_that_for_a_request(self):
        """Also where the library's timer is a little early."""
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(128)
            line = ("--endpoints", "http://127.0.0.1:%d" % silent.getsockname()[1], "--total-timeout", "300ms", "member", "list")
            with concurrent.futures.ThreadPoolExecutor(10) as pool:
                for ours in pool.map(lambda _: run(places.quoratectl(), line), range(40)):
                    self.assertEqual(ours.lines, (2, "", "Error:  context deadline exceeded\n"))

    def test_commands_of_the_v2_store(self):
        for line in ("ls", "get /a", "set /a b", "mk /a b", "rm /a", "watch /a", "backup", "user list", "auth enable"):
            ours = run(places.quoratectl(), line.split())
            self.assertEqual(ours.code, 4)
            self.assertEqual(ours.err.count("\n"), 1)
            self.assertIn("ETCDCTL_API=3", ours.err)


class ServerTest(Comparison):
    """At three members, each make in turn."""

    def compare_at(self, kind, credentials=None, flags=(), tls=()):
        with cluster.Cluster([kind] * 3, flags=[*ETCD_FLAGS, *flags], credentials=credentials) as three:
            three.start()
            urls = [one.url for one in three.members]
            # The 2 s that a request has by default are not enough for every machine.
            tls = ("--timeout", "30s", "--total-timeout", "60s", *tls)
            first = ("--endpoints", urls[0], *tls)
            self.same(*first, "--debug", "cluster-health")
            self.same(*first, "cluster-health")
            ours = self.same(*first, "member", "list")
            self.assertEqual(ours.out.count("isLeader=true"), 1)
            self.same(*first, "-o", "json", "member", "list")
            self.same(*first, "--debug", "--no-sync", "member", "list")
            self.same("--endpoints", ",".join(urls), *tls, "cluster-health")
            # After the synchronisation either asks the members in an order of its own.
            any_member = lambda text: re.sub(r"(curl -X GET )https?://[^/]*|isLeader=(true|false)", r"\1", sorted_lists(text))
            self.same(*first, "--debug", "member", "list", change=any_member)
            for line in ("member remove m1", "member remove zz", "member remove 12345", "member update zz http://127.0.0.1:1",
                         "member update abc http://127.0.0.1:1", "member update abc http://127.0.0.1:1,,",
                         "member update abc nonsense", "member add x nonsense"):
                self.same(*first, *line.split())
            self.same(*first, "--debug", "--no-sync", "member", "update", "abc", "http://127.0.0.1:1,http://127.0.0.1:2")
            self.same("--endpoints", f"{urls[0]}/path", *tls, "cluster-health")
            self.changes(three, tls)
            return self.one_down(three, tls)

    def changes(self, three, tls):
        """Adding and removing, by ours; what it prints is what etcdctl's own lines look like. All at one member: another one may
        not have seen yet what this one has answered."""
        first = ("--endpoints", three.members[0].url, "--no-sync", *tls)
        peer = f"http://127.0.0.1:{member.free_port()}"

        def added():
            outcome = run(places.quoratectl(), (*first, "member", "add", "new", peer))
            return outcome if outcome.code == 0 else None
        # Refused until the members have been connected for a while.
        outcome = three.wait(added, "a member is added")
        found = re.fullmatch(r'Added member named new with ID ([0-9a-f]+) to cluster\n\nETCD_NAME="new"\n'
                             r'ETCD_INITIAL_CLUSTER="([^"]*)"\nETCD_INITIAL_CLUSTER_STATE="existing"\n', outcome.out)
        self.assertTrue(found, outcome.out)
        self.assertEqual(set(found.group(2).split(",")), {f"{m.name}={m.peer_url}" for m in three.members} | {f"new={peer}"})
        number = found.group(1)
        self.assertIn(f"{number}[unstarted]: peerURLs={peer}\n", self.same(*first, "member", "list").out)
        self.assertIn(f"member {number} is unreachable: no available published client urls\n",
                      self.same(*first, "cluster-health").out)
        other = f"http://127.0.0.1:{member.free_port()}"
        updated = run(places.quoratectl(), (*first, "member", "update", number, other))
        self.assertEqual(updated.lines, (0, f"Updated member with ID {number} in cluster\n", ""))
        removed = run(places.quoratectl(), (*first, "member", "remove", number))
        self.assertEqual(removed.lines, (0, f"Removed member {number} from cluster\n", ""))
        self.same(*first, "member", "remove", number)

    def one_down(self, three, tls):
        gone = next(one for one in three.members[1:] if one is not three.leader())
        gone.kill()
        ours = self.same("--endpoints", three.members[0].url, *tls, "cluster-health")
        self.assertEqual(ours.code, 5)
        self.assertIn("connect: connection refused", ours.out)
        self.assertTrue(ours.out.endswith("cluster is degraded\n"))
        return gone

    def test_clear_text(self):
        for kind in ("etcd", "quorate"):
            with self.subTest(kind):
                self.compare_at(kind)

    def test_mutual_tls(self):
        for kind in ("etcd", "quorate"):
            with self.subTest(kind), member.Member("etcd") as scratch:
                ca = certificates.Authority(scratch.root)
                server, client = ca.issue("server", names=ADDRESSES), ca.issue("client")
                tls = ("--ca-file", ca.cert, "--cert-file", client.cert, "--key-file", client.key)
                self.compare_at(kind, ca.credentials(client),
                                ["--trusted-ca-file", str(ca.cert), "--client-cert-auth", *server.flags()], tls)

    def test_certificates_that_are_refused(self):
        for kind in ("etcd", "quorate"):
            with self.subTest(kind), member.Member("etcd") as scratch:
                ca = certificates.Authority(scratch.root)
                other = certificates.Authority(scratch.root, "other")
                server = ca.issue("server", names=("127.0.0.1", "localhost"))
                with getattr(member, kind)(flags=[*ETCD_FLAGS, *server.flags()]) as one:
                    one.credentials = ca.credentials()
                    one.start()
                    here = ("--timeout", "30s", "--endpoints", one.url)
                    for trusted in ((), ("--ca-file", other.cert), ("--ca-file", "/etc/passwd")):
                        self.same(*here, *trusted, "cluster-health")
                        self.same(*here, *trusted, "member", "list")
                    # By a name that is not in the certificate.
                    wrong = f"https://ip6-localhost:{one.client_port}"
                    theirs, ours = self.both("--timeout", "30s", "--endpoints", wrong, "--ca-file", ca.cert, "cluster-health")
                    self.assertEqual(theirs.code, ours.code)
                    # Clear text to a port of TLS.
                    theirs, ours = self.both("--timeout", "30s", "--endpoints", one.url.replace("https", "http"), "cluster-health")
                    self.assertEqual((theirs.code, theirs.out), (ours.code, ours.out))

    def test_found_by_its_flags_alone(self):
        """The runbook's line, where ETCDCTL_API says nothing."""
        with member.quorate() as one:
            one.start()
            line = ("--timeout", "30s", "--endpoints", one.url, "--debug", "cluster-health")
            theirs, ours = run(places.etcdctl(), line), run(places.quoratectl(), line, api_version=None)
            self.assertEqual(theirs.lines, ours.lines)
            self.assertIn("cURL Command: curl -X GET", ours.err)
            line = ("--timeout", "30s", "--endpoints", one.url, "--no-sync", "member", "list")
            self.assertEqual(run(places.etcdctl(), line).lines, run(places.quoratectl(), line, api_version=None).lines)

    @unittest.skipIf(os.environ.get("QUORATE_BIN") == "etcd", "etcd 3.4 asks its v2 users here, not those of v3")
    def test_with_a_password(self):
        with member.quorate() as one:
            one.start()
            with api.Api(one.endpoint) as service:
                service.Auth.UserAdd(rpc.AuthUserAddRequest(name="root", password="pw"))
                service.Auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
                service.Auth.AuthEnable(rpc.AuthEnableRequest())
            here = ("--endpoints", one.url)
            self.same(*here, "cluster-health")
            for user in ((), ("--username", "root:wrong")):
                self.same(*here, *user, "member", "update", "abc", "http://127.0.0.1:1")
            self.same(*here, "-u", "root:pw", "member", "update", "abc", "http://127.0.0.1:1")
            self.same(*here, "member", "update", "abc", "http://127.0.0.1:1", variables={"ETCDCTL_USERNAME": "root:pw"})


if __name__ == "__main__":
    unittest.main()
