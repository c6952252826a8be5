#!/usr/bin/python3
"""The second-generation API: what its client and scripts ask of members and health, answered by ours as by etcd."""

import base64
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import cluster
import member
import places
from api import rpc

ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"
V2_FLAG = "--enable-v2=true"
VOLATILE = re.compile(r"\b[0-9a-f]{13,16}\b|http://127\.0\.0\.\d+:\d+")
JSON = {"Content-Type": "application/json"}
JSON_WITH_CHARSET = {"Content-Type": "application/json; charset=utf-8"}


def etcdctl(endpoints, *arguments):
    """(status, stdout, stderr) of the client of the second generation."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("ETCD_", "ETCDCTL_"))}
    environment["ETCDCTL_API"] = "2"
    # The 2 s that a request has by default are not enough for every machine.
    result = subprocess.run([places.etcdctl(), "--timeout", "30s", "--total-timeout", "60s", "--endpoints", endpoints,
                             *arguments], capture_output=True, text=True, env=environment, timeout=120, check=False)
    return result.returncode, result.stdout, result.stderr


def comparable(value):
    if isinstance(value, str):
        return VOLATILE.sub("?", value)
    return tuple(comparable(v) if isinstance(v, (str, tuple)) else v for v in value)


def ask(server, path, method="GET", body=None, headers=None):
    """(status, content type, cluster id shown, Allow, body)."""
    with contextlib.closing(http.client.HTTPConnection(server.endpoint, timeout=60)) as connection:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return (answer.status, answer.getheader("content-type") or "", answer.getheader("x-etcd-cluster-id") or "",
                answer.getheader("allow") or "", answer.read().decode())


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode(), **JSON}


class OneMemberTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.etcd, cls.ours = member.etcd(flags=[V2_FLAG]), member.quorate(flags=[V2_FLAG])
        for server in (cls.etcd, cls.ours):
            cls.addClassCleanup(server.remove)
            server.start()

    def same(self, path, *more):
        etcd, ours = ask(self.etcd, path, *more), ask(self.ours, path, *more)
        self.assertEqual(comparable(etcd), comparable(ours), path)
        return ours

    def same_client(self, *arguments):
        etcd, ours = [etcdctl(server.url, *arguments) for server in (self.etcd, self.ours)]
        self.assertEqual(comparable(etcd), comparable(ours), arguments)
        return ours

    def test_client(self):
        self.assertIn("cluster is healthy\n", self.same_client("cluster-health")[1])
        self.assertIn("cURL Command: curl -X GET", self.same_client("--debug", "cluster-health")[2])
        self.assertIn("isLeader=true", self.same_client("member", "list")[1])
        self.same_client("-o", "json", "member", "list")
        self.same_client("--debug", "member", "list")
        self.same_client("member", "remove", "abc")
        self.same_client("member", "remove", "xyz")
        self.same_client("member", "update", "abc", "http://127.0.0.1:1")
        self.same_client("member", "add", "x", "nonsense")

    def test_reading(self):
        for path in ("/v2/members", "/v2/members/", "/v2/members/leader", "/v2/members/nosuch", "/v2/machines", "/v2/stats/nosuch",
                     "/v2/stats/leader", "/v2", "/v2/", "/v2/nosuch"):
            self.same(path)
        counters = [sorted(json.loads(ask(server, "/v2/stats/store")[4])) for server in (self.etcd, self.ours)]
        self.assertEqual(*counters)
        stats = [json.loads(ask(server, "/v2/stats/self")[4]) for server in (self.etcd, self.ours)]
        self.assertEqual(*[list(s) for s in stats])
        self.assertEqual(*[list(s["leaderInfo"]) for s in stats])
        self.assertEqual(stats[1]["state"], "StateLeader")
        self.assertEqual(stats[1]["leaderInfo"]["leader"], stats[1]["id"])
        self.assertRegex(stats[1]["startTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")

    def test_methods(self):
        for path, method in (("/v2/members", "HEAD"), ("/v2/members", "PATCH"), ("/v2/members", "DELETE"), ("/v2/members/", "PUT"),
                             ("/v2/members", "PUT"), ("/v2/machines", "POST"), ("/v2/machines", "HEAD"), ("/v2/stats/self", "POST"),
                             ("/v2/stats/leader", "PUT")):
            self.same(path, method)

    def test_requests_that_are_refused(self):
        for method, path, body, headers in (
                ("POST", "/v2/members", "{}", {}),
                ("POST", "/v2/members", '{"peerURLs":["http://127.0.0.1:1"]}', {"Content-Type": "text/plain"}),
                ("DELETE", "/v2/members/xyz", None, {}),
                ("DELETE", "/v2/members/a/b", None, {}),
                ("PUT", "/v2/members/xyz", '{"peerURLs":["http://127.0.0.1:1"]}', JSON),
                ("PUT", "/v2/members/12", '{"peerURLs":["http://127.0.0.1:1"]}', {"Content-Type": "text/plain"}),
                ("DELETE", "/v2/members/12345", None, {}),
                ("POST", "/v2/members", '{"peerURLs":["http://127.0.0.1:1"]}', {"Content-Type": "Application/json"}),
                ("POST", "/v2/members", '{"peerURLs":["http://127.0.0.1:1"]} trailing', JSON),
                ("POST", "/v2/members", '{"peerURLs":["http://127.0.0.1:1"]} {}', JSON_WITH_CHARSET),
                ("PUT", "/v2/members/12345", '{"peerURLs":["http://127.0.0.1:1"]}', JSON_WITH_CHARSET),
                ("PUT", "/v2/members/12345", '{"peerURLs":["http://127.0.0.1:1"]}', JSON)):
            self.same(path, method, body, headers)
        for body in ('{"peerURLs":', '{"peerURLs":["127.0.0.1:1"]}', '{"peerURLs":["http://127.0.0.1:1/path"]}', '{"peerURLs":[]}',
                     '{"peerURLs":"http://127.0.0.1:1"}', '{"peerURLs":[5]}', "[]", "", "{}"):
            etcd, ours = [ask(server, "/v2/members", "POST", body, JSON) for server in (self.etcd, self.ours)]
            self.assertEqual(comparable(etcd[:4]), comparable(ours[:4]), body)
            self.assertEqual(list(json.loads(ours[4])), ["message"])

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4 serves keys")
    def test_keys_are_refused_with_a_way_out(self):
        for path, method in (("/v2/keys", "GET"), ("/v2/keys/a", "GET"), ("/v2/keys/a?value=b", "PUT"), ("/v2/keys/a", "DELETE")):
            status, kind, _, _, body = ask(self.ours, path, method)
            self.assertEqual((status, kind), (410, "application/json"))
            error = json.loads(body)
            self.assertEqual(set(error), {"errorCode", "message", "cause", "index"})
            self.assertNotEqual(error["errorCode"], 100)  # That would be "no such key".
        for arguments in (("get", "/a"), ("set", "/a", "b"), ("ls",), ("rm", "/a")):
            status, _, stderr = etcdctl(self.ours.url, *arguments)
            self.assertEqual(status, 4)
            self.assertIn("v2 API's keys are not served", stderr)
            self.assertIn("ETCDCTL_API=3", stderr)
        for path in ("/v2/auth/users", "/v2/auth/enable"):
            self.assertEqual(ask(self.ours, path)[0], 410)


class ClusterTest(unittest.TestCase):
    """The runbook's R1 and R5 by the second-generation client, on three members."""

    def test_health_and_members(self):
        outcomes = []
        for kind in ("etcd", "quorate"):
            with cluster.Cluster([kind] * 3, flags=[V2_FLAG]) as three:
                outcomes.append(self.story(three.start().members))
        self.assertEqual(outcomes[0], outcomes[1])

    def story(self, servers):
        all_urls = ",".join(s.url for s in servers)
        seen = [etcdctl(servers[0].url, "--debug", "cluster-health"), etcdctl(all_urls, "member", "list")]
        # Who leads is chance, that one does is not.
        self.assertEqual(seen[1][1].count("isLeader=true"), 1)
        seen = [(code, sorted(re.sub("isLeader=[a-z]*", "", comparable(out)).splitlines()), comparable(err))
                for code, out, err in seen]
        followers = [s for s in servers if ask(s, "/v2/stats/leader")[0] == 403]
        self.assertEqual(len(followers), 2)
        leader = next(s for s in servers if s not in followers)
        stats = json.loads(ask(leader, "/v2/stats/leader")[4])
        self.assertEqual(len(stats["followers"]), 2)
        for row in stats["followers"].values():
            self.assertEqual(list(row), ["latency", "counts"])
        # One is down.
        gone = followers[0]
        listed = json.loads(ask(leader, "/v2/members")[4])["members"]
        gone_id = next(m["id"] for m in listed if m["clientURLs"] == [gone.url])
        gone.kill()
        code, out = self.health(leader, "cluster is degraded")
        self.assertIn(f"failed to check the health of member {gone_id} on {gone.url}", out)
        self.assertIn(f"member {gone_id} is unreachable: [{gone.url}] are all unreachable\n", out)
        seen.append((code, out.splitlines()[-1]))
        # It is removed, and another added in its place.
        code, out, err = self.change(leader, "remove", gone_id)
        seen.append((code, comparable(out), comparable(err)))
        seen.append(comparable(etcdctl(leader.url, "--no-sync", "member", "remove", gone_id)))
        seen.append(comparable(ask(leader, f"/v2/members/{gone_id}", "DELETE")))
        code, out = self.health(leader, "cluster is healthy")
        seen.append((code, out.splitlines()[-1]))
        peer = f"http://127.0.0.1:{member.free_port()}"
        code, out, err = self.change(leader, "add", "new", peer)
        lines = comparable(out).splitlines()
        seen.append((code, lines[0], re.sub(r"ETCD_INITIAL_CLUSTER=.*", "", "\n".join(lines[1:])), comparable(err)))
        new_id = re.search(r"with ID ([0-9a-f]+) to cluster", out).group(1)
        self.assertRegex(out, rf'ETCD_INITIAL_CLUSTER="[^"]*new={re.escape(peer)}')
        other = f"http://127.0.0.1:{member.free_port()}"
        # etcd says "Internal Server Error" here, ours the reason.
        seen.append(ask(leader, "/v2/members", "POST", json.dumps({"peerURLs": [peer]}), JSON)[0])
        seen.append(comparable(etcdctl(leader.url, "--no-sync", "member", "update", new_id, other)))
        seen.append(comparable(ask(leader, f"/v2/members/{new_id}", "PUT",
                                   json.dumps({"peerURLs": [leader.peer_url]}), JSON_WITH_CHARSET)))
        urls = [m["peerURLs"] for m in json.loads(ask(leader, "/v2/members")[4])["members"] if m["id"] == new_id]
        self.assertEqual(urls, [[other]])
        seen.append(comparable(etcdctl(leader.url, "--no-sync", "member", "remove", new_id)))
        return seen

    @staticmethod
    def health(leader, verdict):
        """(status, stdout) of cluster-health once it says so: members have a second to answer, which a busy machine may need."""
        deadline = time.monotonic() + 60
        while True:
            code, out, _ = etcdctl(leader.url, "cluster-health")
            if out.splitlines()[-1:] == [verdict] or time.monotonic() > deadline:
                return code, out
            time.sleep(0.1)

    @staticmethod
    def change(leader, *arguments):
        """Refused until the others have been connected for a while. All at the leader: another one may not have seen yet what this
        one has answered."""
        deadline = time.monotonic() + 60
        while True:
            code, out, err = etcdctl(leader.url, "--no-sync", "member", *arguments)
            if code == 0 or time.monotonic() > deadline:
                return code, out, err
            time.sleep(0.5)


@unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4 asks its v2 users here, not those of v3")
class AuthenticationTest(unittest.TestCase):
    def test_changes_need_root(self):
        with member.quorate() as server:
            server.start()
            with api.Api(server.endpoint) as service:
                for name in ("root", "user"):
                    service.Auth.UserAdd(rpc.AuthUserAddRequest(name=name, password="pw"))
                service.Auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
                service.Auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
                service.Auth.AuthEnable(rpc.AuthEnableRequest())
            body = json.dumps({"peerURLs": ["http://127.0.0.1:1"]})
            for headers in (JSON, basic("root", "wrong"), basic("user", "pw"), basic("none", "pw"), basic("", ""),
                            {"Authorization": "Basic !", **JSON}, {"Authorization": "x", **JSON}):
                for method, path in (("POST", "/v2/members"), ("PUT", "/v2/members/12"), ("DELETE", "/v2/members/12")):
                    status, _, _, _, text = ask(server, path, method, body, headers)
                    self.assertEqual((status, text), (401, '{"message":"Insufficient credentials"}'), (headers, path))
            # Reading stays open: health is asked without a password.
            self.assertEqual(ask(server, "/v2/members")[0], 200)
            self.assertIn("cluster is healthy", etcdctl(server.url, "cluster-health")[1])
            self.assertEqual(ask(server, "/v2/members/12", "DELETE", None, basic("root", "pw"))[0], 404)
            # By the client, with a password.
            code, out, err = etcdctl(server.url, "--username", "root:pw", "member", "add", "m2", "http://127.0.0.1:1")
            self.assertEqual(code, 0, err)
            self.assertIn("Added member named m2", out)


if __name__ == "__main__":
    unittest.main()
