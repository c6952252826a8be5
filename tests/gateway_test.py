#!/usr/bin/python3
"""JSON over HTTP: the same requests get the same bytes from ours and from etcd; real clients of the gateway work on both."""

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest

import websocket

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import api
import member
from api import rpc
from json_door import Door, b64

ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"
# What differs between two servers that have seen the same.
VOLATILE = re.compile(r'"(cluster_id|member_id|raft_term|leader|raftIndex|raftTerm|raftAppliedIndex|dbSize|dbSizeInUse|version'
                      r'|memberID)":"[^"]*"|"(ID)":"\d{13,}"|"(hash)":\d+|(http://127\.0\.0\.1:)\d+')
# Of later versions than the one that is compared with.
LATER = re.compile(r',"dbSizeQuota":"\d+"|,"downgradeInfo":\{\}')
TOKEN = re.compile(r'"token":"[^"]*"')
ROOT = {"name": "root", "password": "pw"}


def k(text, **more):
    return {"key": b64(text), **more}


def queue_length(door):
    return int(door.json("/v3/kv/range", k("w/", range_end=b64("w0"), count_only=True))["count"])


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("what the test waits for did not come")
        time.sleep(0.02)


def comparable(answer):
    status, kind, text = answer
    text = VOLATILE.sub(lambda m: m.group(1) or m.group(2) or m.group(3) or "url", text)
    return status, kind, LATER.sub("", TOKEN.sub("token", text))


class BothTest(unittest.TestCase):
    """A server of each kind, which are asked the same."""

    @classmethod
    def setUpClass(cls):
        servers = [member.etcd(), member.quorate()]
        for server in servers:
            cls.addClassCleanup(server.remove)
            server.start()
        cls.doors = [Door(server) for server in servers]
        cls.ours = cls.doors[1]

    def same(self, path, body=None, **more):
        """Both answer alike; the answer of ours."""
        etcd, ours = [door.ask(path, body, **more) for door in self.doors]
        self.assertEqual(comparable(etcd), comparable(ours), f"{path} {str(body)[:200]}")
        return ours

    def level(self):
        """One revision on both again: a call whose time ended may have written before, or not."""
        revisions = [int(door.json("/v3/kv/range", k("x"))["header"]["revision"]) for door in self.doors]
        for door, revision in zip(self.doors, revisions):
            for _ in range(max(revisions) - revision):
                door.json("/v3/kv/put", k("pad"))

    def same_refusal(self, path, body):
        """Both refuse; with other words and codes, since etcd 3.4 passes its inner errors on there."""
        for door in self.doors:
            status, _, text = door.ask(path, body)
            self.assertIn(status, (400, 401, 403, 500), text)
            self.assertIn("error", json.loads(text))


class GatewayTest(BothTest):
    def tearDown(self):
        with api.Api(self.ours.server.endpoint) as service:
            service.KV.Put(rpc.PutRequest(key=b"alive", value=b"yes"))
        self.doors[0].json("/v3/kv/put", k("alive", value=b64("yes")))

    # Every method

    def test_kv(self):
        for path, body in (
                ("put", k("a", value=b64("1"))),
                ("put", k("a", value=b64("2"), prev_kv=True)),
                ("put", k("b", value=b64(b"\x00\xff<>&\"\n"), prevKv=True)),
                ("put", k("c")),
                ("put", {}),
                ("put", k("nolease", lease="77")),
                ("put", k("nosuch", ignore_value=True)),
                ("put", k("a", ignore_value=True, value=b64("x"))),
                ("range", k("a")),
                ("range", k("a", range_end=b64("z"), sort_order="DESCEND", sort_target="MOD")),
                ("range", k("a", range_end=b64("z"), limit=1)),
                ("range", k("a", range_end=b64("z"), limit="1", keys_only=True, serializable=True)),
                ("range", k("a", range_end=b64("z"), countOnly=True)),
                ("range", k("\0", range_end=b64("\0"), revision=2)),
                ("range", k("nosuch")),
                ("range", {}),
                ("range", k("a", revision=100000)),
                ("txn", {"compare": [{"key": b64("a"), "result": "EQUAL", "target": "VERSION", "version": 2}],
                         "success": [{"request_put": k("t", value=b64("yes"))}, {"request_range": k("a")},
                                     {"request_delete_range": k("b", prev_kv=True)}],
                         "failure": [{"request_range": k("c")}]}),
                ("txn", {"compare": [{"key": b64("a"), "result": "LESS", "target": "MOD", "modRevision": "1"}],
                         "failure": [{"requestTxn": {"success": [{"requestRange": k("t")}]}}, {"request_range": k("none")}]}),
                ("txn", {"compare": [{"key": b64("zz"), "result": "EQUAL", "target": "CREATE", "create_revision": "0"}]}),
                ("txn", {}),
                ("txn", {"success": [{"request_put": k("d")}, {"request_put": k("d")}]}),
                ("txn", {"success": [{}]}),
                ("deleterange", k("a", prev_kv=True)),
                ("deleterange", k("a")),
                ("deleterange", {}),
                ("compaction", {"revision": 3}),
                ("compaction", {"revision": "3"}),
                ("compaction", {"revision": 100000, "physical": True}),
                ("range", k("a", revision=2)),
        ):
            self.same("/v3/kv/" + path, body)
        self.same("/v3beta/kv/range", k("t"))

    def test_leases(self):
        for path, body in (
                ("/v3/lease/grant", {"ID": 7001, "TTL": 1000}),
                ("/v3/lease/grant", {"ID": "7001", "TTL": "1000"}),
                ("/v3/lease/grant", {"ID": 7002, "TTL": 0}),
                ("/v3/lease/grant", {"ID": 7002, "TTL": 99999999999}),
                ("/v3/kv/put", k("leased", lease=7001)),
                ("/v3/kv/range", k("leased")),
                ("/v3/lease/keepalive", {"ID": 7001}),
                ("/v3/lease/keepalive", '{"ID":7001}{"ID":9999} {"ID":"7001"}'),
                ("/v3/lease/keepalive", '{"ID":7001}\n{bad'),
                ("/v3/lease/keepalive", {"ID": 9999}),
                ("/v3/lease/keepalive", ""),
                ("/v3/lease/keepalive", "{bad"),
                ("/v3/lease/keepalive", '{"ID":"x"}'),
                ("/v3/lease/timetolive", {"ID": 9999}),
                ("/v3/lease/revoke", {"ID": 7001}),
                ("/v3/kv/lease/revoke", {"ID": 7001}),
                ("/v3/kv/range", k("leased")),
        ):
            self.same(path, body)
        for path in ("/v3/lease/leases", "/v3/kv/lease/leases"):
            # In the order in which they run out, which may differ where two were made at nearly the same time.
            etcd, ours = ({frozenset(lease.items()) for lease in door.json(path, {})["leases"]} for door in self.doors)
            self.assertIn(frozenset({("ID", "7002")}), ours)
            self.assertEqual(etcd, ours)
        for door in self.doors:
            door.json("/v3/lease/grant", {"ID": 7003, "TTL": 1000})
            door.json("/v3/kv/put", k("leased", lease="7003"))
            for path in ("/v3/lease/timetolive", "/v3/kv/lease/timetolive"):
                left = door.json(path, {"ID": 7003, "keys": True})
                self.assertEqual((left["ID"], left["grantedTTL"], left["keys"]), ("7003", "1000", [b64("leased")]))
                self.assertIn(int(left["TTL"]), range(900, 1001))
            door.json("/v3/lease/revoke", {"ID": 7003})

    def test_cluster(self):
        self.same("/v3/cluster/member/list", {})
        self.same("/v3/cluster/member/remove", {"ID": 4711})
        self.same("/v3/cluster/member/update", {"ID": "4711", "peerURLs": ["http://127.0.0.1:1"]})
        self.same("/v3/cluster/member/promote", {"ID": 4711})
        self.same("/v3/cluster/member/add", {"peerURLs": ["nonsense"]})
        self.same("/v3/cluster/member/add", {"peerURLs": "http://127.0.0.1:1"})
        answers = []
        for door in self.doors:
            added = door.json("/v3/cluster/member/add", {"peerURLs": ["http://127.0.0.1:1"], "isLearner": True})
            new = added["member"]["ID"]
            rows = [added]
            for path, body in (("promote", {"ID": new}), ("update", {"ID": new, "peerURLs": ["http://127.0.0.1:2"]}),
                               ("remove", {"ID": new})):
                status, _, text = door.ask("/v3/cluster/member/" + path, body)
                row = json.loads(text)
                if path == "update":  # etcd 3.4 forgets here that it is a learner.
                    for one in row.get("members", []):
                        one.pop("isLearner", None)
                rows += [status, row]
            answers.append([self.without_ids(row) for row in rows])
        self.assertEqual(answers[0], answers[1])

    @staticmethod
    def without_ids(answer):
        """Members come in the order of IDs that are new each time."""
        if not isinstance(answer, dict):
            return answer
        answer.pop("header", None)
        members = answer.get("members", []) + [answer.get("member", {})]
        for one in members:
            one.pop("ID", None)
            one.pop("clientURLs", None)
            one["peerURLs"] = [url if url.endswith((":1", ":2")) else "own" for url in one.get("peerURLs", [])]
        answer["members"] = sorted(members, key=str)
        return answer

    def test_maintenance(self):
        for path, body in (("status", {}), ("defragment", {}), ("hash", {}), ("alarm", {"action": "NOSUCH"}),
                           ("transfer-leadership", {"targetID": 4711})):
            self.same("/v3/maintenance/" + path, body)
        # etcd 3.4 leaves the header of alarms out.
        for body, expected in (({}, None), ({"action": "ACTIVATE", "memberID": "4711", "alarm": "NOSPACE"}, "NOSPACE"),
                               ({"action": 0}, "NOSPACE"), ({"action": "DEACTIVATE", "memberID": 4711, "alarm": 1}, "NOSPACE"),
                               ({}, None)):
            for door in self.doors:
                alarms = door.json("/v3/maintenance/alarm", body).get("alarms")
                self.assertEqual(alarms, expected and [{"memberID": "4711", "alarm": expected}])

    def test_snapshot(self):
        for door in self.doors:
            door.json("/v3/kv/put", k("big", value=b64(os.urandom(300_000))))
            content, left = b"", None
            with door.stream("/v3/maintenance/snapshot", {}) as lines:
                for line in lines:
                    content += base64.b64decode(line["result"].get("blob", ""))
                    left = int(line["result"].get("remaining_bytes", 0))
            self.assertEqual(left, 0)
            self.assertEqual(hashlib.sha256(content[:-32]).digest(), content[-32:])
            path = door.server.root / "snapshot"
            path.write_bytes(content)
            self.assertIn("hash", door.server.ctl("snapshot", "status", path, "-w", "json").stdout)

    def test_lock_and_election(self):
        for door in self.doors:
            door.json("/v3/lease/grant", {"ID": 8001, "TTL": 1000})
            door.json("/v3/lease/grant", {"ID": 8002, "TTL": 1000})
        self.same("/v3/lock/lock", {"name": b64("l"), "lease": 8001})
        self.same("/v3/lock/unlock", k("l/1f41"))
        self.same("/v3/lock/lock", {"name": b64("l"), "lease": 9999})
        won = json.loads(self.same("/v3/election/campaign", {"name": b64("e"), "lease": "8001", "value": b64("me")})[2])
        self.same("/v3/election/proclaim", {"leader": won["leader"], "value": b64("me, again")})
        self.same("/v3/election/leader", {"name": b64("e")})
        for door in self.doors:
            with door.stream("/v3/election/observe", {"name": b64("e")}) as lines:
                self.assertEqual(next(lines)["result"]["kv"]["value"], b64("me, again"))
        self.same("/v3/election/resign", {"leader": won["leader"]})
        self.same("/v3/election/leader", {"name": b64("e")})
        self.same("/v3/election/proclaim", {"leader": won["leader"], "value": b64("too late")})
        self.same("/v3/election/campaign", {"lease": "8002"})

    def test_a_waiting_call_ends_with_its_client(self):
        for door in self.doors:
            for lease in (8101, 8102, 8103):
                door.json("/v3/lease/grant", {"ID": lease, "TTL": 1000})
            held = door.json("/v3/lock/lock", {"name": b64("w"), "lease": 8101})
            waiting = door.connect()
            waiting.request("POST", "/v3/lock/lock", json.dumps({"name": b64("w"), "lease": 8102}))
            until(lambda d=door: queue_length(d) == 2)
            waiting.close()  # The one who gave up must not hold the lock later.
            until(lambda d=door: queue_length(d) == 1)
            door.json("/v3/lock/unlock", {"key": held["key"]})
            door.json("/v3/lock/lock", {"name": b64("w"), "lease": 8103})

    def test_watch(self):
        for door in self.doors:
            seen = []
            with door.stream("/v3/watch", {"create_request": k("w", range_end=b64("x"), prev_kv=True)}) as lines:
                seen.append(next(lines))
                door.json("/v3/kv/put", k("w1", value=b64("1")))
                seen.append(next(lines))
                door.json("/v3/kv/deleterange", k("w1"))
                seen.append(next(lines))
            self.assertTrue(seen[0]["result"]["created"])
            self.assertEqual(seen[1]["result"]["events"][0]["kv"]["value"], b64("1"))
            event = seen[2]["result"]["events"][0]
            self.assertEqual((event["type"], event["prev_kv"]["value"]), ("DELETE", b64("1")))

    def test_watch_from_the_past_has_the_same_bytes(self):
        texts = []
        for door in self.doors:
            start = int(door.json("/v3/kv/put", k("p", value=b64("1")))["header"]["revision"])
            door.json("/v3/kv/put", k("p", value=b64("2")))
            door.json("/v3/kv/deleterange", k("p"))
            request = json.dumps({"create_request": k("p", start_revision=start)})
            with contextlib.closing(door.connect()) as connection:
                connection.request("POST", "/v3/watch", request)
                answer = connection.getresponse()
                lines = VOLATILE.sub("", answer.readline().decode() + answer.readline().decode())
                for n in range(3):
                    lines = lines.replace(f'"{start + n}"', f'"start+{n}"')
                texts.append((answer.getheader("content-type"), lines))
        self.assertEqual(texts[0], texts[1])

    def test_watches_that_fail(self):
        self.same("/v3/watch", '{"create_request":{"key":5}}')
        self.same("/v3/watch", "[]")
        for door in self.doors:
            revision = int(door.json("/v3/kv/put", k("c"))["header"]["revision"])
            door.json("/v3/kv/put", k("c"))
            door.json("/v3/kv/compaction", {"revision": revision + 1})
            with door.stream("/v3/watch", {"create_request": k("c", start_revision=revision)}) as lines:
                answer = next(lines)["result"]
                while not answer.get("canceled"):
                    answer = next(lines)["result"]
                self.assertEqual(int(answer["compact_revision"]), revision + 1)
            with door.stream("/v3/watch", '{"create_request":{"key":"YQ==","watch_id":5}}{"cancel_request":{"watch_id":5}}'
                                          '{"progress_request":{}}') as lines:
                self.assertTrue(next(lines)["result"]["created"])
                self.assertTrue(next(lines)["result"]["canceled"])

    # WebSockets

    def open_socket(self, door, path, **more):
        return contextlib.closing(websocket.create_connection(f"ws://{door.server.endpoint}{path}", timeout=60, **more))

    def test_watch_by_web_socket(self):
        for door in self.doors:
            with self.open_socket(door, "/v3/watch") as ws:
                ws.send(json.dumps({"create_request": k("ws", watch_id=7)}))
                self.assertTrue(json.loads(ws.recv())["result"]["created"])
                door.json("/v3/kv/put", k("ws", value=b64("1")))
                event = json.loads(ws.recv())["result"]
                self.assertEqual((event["watch_id"], event["events"][0]["kv"]["value"]), ("7", b64("1")))
                ws.send(json.dumps({"cancel_request": {"watch_id": 7}}))
                self.assertTrue(json.loads(ws.recv())["result"]["canceled"])
                ws.send(json.dumps({"create_request": k("ws2")}))
                self.assertTrue(json.loads(ws.recv())["result"]["created"])

    def test_other_calls_by_web_socket(self):
        for path, body in (("/v3/kv/range", json.dumps(k("nosuch"))), ("/v3/kv/range", "{}"), ("/v3/kv/range", "{bad"),
                           ("/v3/watch", "{bad"), ("/v3/lease/keepalive", '{"ID":4711}')):
            answers = []
            for door in self.doors:
                with self.open_socket(door, path) as ws:
                    ws.send(body)
                    answers.append(VOLATILE.sub("", re.sub(r'"revision":"\d+"', "", ws.recv())))
            self.assertEqual(answers[0], answers[1], (path, body))

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4.23 has no bound here")
    def test_a_web_socket_that_sends_too_much(self):
        with self.open_socket(self.ours, "/v3/watch") as ws:
            ws.send("x" * 5_000_000)
            opcode, data = ws.recv_data()
            self.assertEqual((opcode, int.from_bytes(data[:2], "big")), (websocket.ABNF.OPCODE_CLOSE, 1009))

    # What can't be understood

    def test_malformed_requests(self):
        for body in ('{"key":', '{"key"x', "{", "nul", "[]", "3", '"x"', "null", '{"key":1}', '{"key":"&&"}', '{"key":{}}',
                     '{"key":null}', '{"key":"Zm9v"}garbage', '{"nosuch":[{"a":"]"}],"key":"Zm9v"}',
                     '{"key":"Zm8=","limit":"abc"}', '{"key":"Zm8=","limit":1.5}', '{"key":"Zm8=","limit":""}',
                     '{"key":"Zm8=","limit":99999999999999999999}', '{"key":"Zm8=","limit":-5}', '{"key":"Zm8=","limit":[1]}',
                     '{"key":"Zm8=","serializable":"true"}', '{"key":"Zm8=","serializable":1}', '{"key":"Zm8=","sort_order":"XX"}',
                     '{"key":"Zm8=","sort_order":1.5}', '{"key":"Zm9v","key":"YQ=="}', '{"Key":"Zm9v"}', '{"key":"Zm8=",}',
                     "\ufeff{}", "'", "{'key':1}", "tru", '{"k\\u0065y":"Zm9v"}', '{"key":"\\u005am9v"}', '{"key":"\\x"}', '{"key":"a\nb"}',
                     "[" * 9000, "[" * 11000, '{"x":' + "[" * 500 + "]" * 500 + "}"):
            self.same("/v3/kv/range", body)
        # Bytes that are no UTF-8.
        self.same("/v3/kv/range", b'{"key":"\xff"}')
        self.same("/v3/auth/user/get", b'{"name":"\xff\xc3"}')
        self.same("/v3/kv/range", b"\xff")


    def test_deep_transactions(self):
        def nested(depth):
            text = '{"success":[{"request_put":{"key":"YQ=="}}]}'
            for _ in range(depth):
                text = '{"success":[{"request_txn":' + text + "}]}"
            return text
        self.same("/v3/kv/txn", nested(5))
        if not ETCD_IN_BOTH_ROLES:  # That takes minutes for it.
            status, _, text = self.ours.ask("/v3/kv/txn", nested(3000))
            self.assertEqual(status, 400, text)

    def test_sizes(self):
        self.same("/v3/kv/put", k("big", value=b64("x" * 1_400_000)))
        self.same("/v3/kv/put", k("big", value=b64("x" * 1_600_000)))
        self.same("/v3/kv/put", k("big", value=b64("x" * 2_200_000)))
        status, _, _ = self.ours.ask("/v3/kv/put", k("big", value=b64("x" * 5_000_000)))
        self.assertIn(status, (413, 429))
        # A response that is larger than the core writes by itself.
        self.same("/v3/kv/range", k("big"))

    def test_methods_and_paths(self):
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            self.same("/v3/kv/range", None, method=method)
        for path in ("/v3/kv/nosuch", "/v3/kv/range/", "/v3/", "/v3alpha/kv/range", "/v3beta/nosuch"):
            self.same(path, {})

    def test_headers(self):
        self.same("/v3/kv/range", k("a"), headers={"Grpc-Timeout": "10S"})
        for timeout in ("x", "1", "10", "1x", "1.5S", "S"):
            self.same("/v3/kv/range", k("a"), headers={"Grpc-Timeout": timeout})
        self.same("/v3/kv/range", k("a"), headers={"Grpc-Metadata-Hasleader": "true"})
        for door in self.doors:
            door.json("/v3/lease/grant", {"ID": 8301, "TTL": 1000})
            door.json("/v3/lock/lock", {"name": b64("t"), "lease": 8301})
        for door in self.doors:
            door.json("/v3/lease/grant", {"ID": 8302, "TTL": 1000})
        self.same("/v3/lock/lock", {"name": b64("t"), "lease": 8302}, headers={"Grpc-Timeout": "200m"})
        for door in self.doors:
            door.json("/v3/lease/revoke", {"ID": 8301})
            door.json("/v3/lease/revoke", {"ID": 8302})
        self.level()
        for door in self.doors:
            with contextlib.closing(door.connect()) as connection:
                connection.request("POST", "/v3/kv/range", json.dumps(k("a")), {"Origin": "http://example.com"})
                answer = connection.getresponse()
                answer.read()
                headers = dict((name.lower(), value) for name, value in answer.getheaders())
                self.assertEqual(headers["access-control-allow-origin"], "*")
                self.assertEqual(headers["grpc-metadata-content-type"], "application/grpc")
                connection.request("OPTIONS", "/v3/kv/range")
                answer = connection.getresponse()
                self.assertEqual((answer.status, answer.read()), (200, b""))

    def test_calls_are_counted_like_any_others(self):
        def count(method):
            page = self.ours.server.http("/metrics")[1]
            return int(re.search(rf'grpc_server_handled_total{{grpc_code="OK",grpc_method="{method}",'
                                 r'grpc_service="etcdserverpb.KV",grpc_type="unary"} (\d+)', page).group(1))
        self.ours.json("/v3/kv/range", k("a"))
        before = count("Range")
        for _ in range(3):
            self.ours.json("/v3/kv/range", k("a"))
        self.assertEqual(count("Range"), before + 3)


@unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4.23 maps fewer methods, is stricter, and has bounds of its own")
class OursTest(unittest.TestCase):
    """What only ours is asked, on a server that nobody compares."""

    @classmethod
    def setUpClass(cls):
        server = member.quorate()
        cls.addClassCleanup(server.remove)
        cls.ours = Door(server.start())

    def test_methods_that_came_later(self):
        hashed = self.ours.json("/v3/maintenance/hashkv", {"revision": 0})
        self.assertIn("hash", hashed)
        self.assertIn("header", self.ours.json("/v3/auth/status"))
        status, _, text = self.ours.ask("/v3/maintenance/downgrade", {"action": "VALIDATE", "version": "3.3"})
        self.assertEqual(status, 400, text)

    def test_what_later_versions_accept(self):
        self.ours.json("/v3/kv/put", k(b"\xfb\xff\xfe", value=b64("url")))
        for text in ("-__-", "-__-\\n", "+//+"):
            self.assertEqual(self.ours.json("/v3/kv/range", '{"key":"%s"}' % text)["count"], "1")
        self.assertNotIn("kvs", self.ours.json("/v3/kv/range", '{"key":"Zm8","limit":1.0}'))

    def test_a_client_that_does_not_read_holds_nothing_up(self):
        for n in range(40):
            self.ours.json("/v3/kv/put", k("slow", value=b64(os.urandom(1_000_000))))
        start = int(self.ours.json("/v3/kv/range", k("slow"))["kvs"][0]["mod_revision"]) - 39
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.ours.server.client_port))) as lazy:
            body = json.dumps({"create_request": k("slow", start_revision=start)})
            lazy.sendall(f"POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            for _ in range(20):
                self.ours.json("/v3/kv/put", k("other"))
            # Then it reads after all, and gets everything.
            lazy.settimeout(60)
            reader = lazy.makefile("rb")
            events = 0
            while events < 40:
                line = reader.readline()
                if b'"result"' in line:
                    events += line.count(b'"kv"')


class AuthenticationTest(BothTest):
    def test_authentication(self):
        for path, body in (
                ("auth/user/add", ROOT),
                ("auth/user/add", ROOT),
                ("auth/user/add", {"name": "u", "password": "<p&w>"}),
                ("auth/user/add", {"name": "nobody", "options": {"no_password": True}}),
                ("auth/user/add", {"name": ""}),
                ("auth/role/add", {"name": "root"}),
                ("auth/role/add", {"name": "r<&>\u2028\u00e4"}),
                ("auth/role/grant", {"name": "r<&>\u2028\u00e4", "perm": {"permType": "READ", "key": b64("u"), "range_end": b64("v")}}),
                ("auth/role/grant", {"name": "r<&>\u2028\u00e4", "perm": {"permType": 2, "key": b64("u1")}}),
                ("auth/role/get", {"role": "r<&>\u2028\u00e4"}),
                ("auth/role/get", {"role": "none"}),
                ("auth/role/list", {}),
                ("auth/user/grant", {"user": "root", "role": "root"}),
                ("auth/user/grant", {"user": "u", "role": "r<&>\u2028\u00e4"}),
                ("auth/user/grant", {"user": "u", "role": "none"}),
                ("auth/user/get", {"name": "u"}),
                ("auth/user/get", {"name": "none"}),
                ("auth/user/list", {}),
                ("auth/user/changepw", {"name": "u", "password": "pw2"}),
                ("auth/authenticate", ROOT),
                ("auth/enable", {}),
                ("auth/authenticate", {"name": "root", "password": "wrong"}),
                ("auth/authenticate", {"name": "none", "password": "wrong"}),
                ("auth/authenticate", ROOT),
                ("kv/range", k("u")),
                ("kv/put", k("u")),
                ("auth/user/list", {}),
                ("maintenance/snapshot", {}),
        ):
            self.same_refusal("/v3/" + path, body) if path == "maintenance/snapshot" else self.same("/v3/" + path, body)
        for door in self.doors:
            door.token = "no.token"
        self.same("/v3/kv/range", k("u"))
        self.same_refusal("/v3/maintenance/snapshot", {})
        self.log_in({"name": "u", "password": "pw2"})
        for path, body in (("kv/range", k("u")), ("kv/range", k("v")), ("kv/put", k("u1")), ("kv/put", k("u2")),
                           ("kv/txn", {"success": [{"request_put": k("u2")}]}), ("auth/user/list", {}),
                           ("auth/user/get", {"name": "u"}), ("maintenance/status", {}), ("auth/disable", {})):
            self.same("/v3/" + path, body)
        self.same_refusal("/v3/maintenance/snapshot", {})
        for door in self.doors:
            with door.stream("/v3/watch", {"create_request": k("v")}) as lines:
                denied = next(lines)["result"]
                self.assertTrue(denied["canceled"])
                self.assertIn("permission denied", denied["cancel_reason"])
            with door.stream("/v3/watch", {"create_request": k("u")}) as lines:
                self.assertNotIn("canceled", next(lines)["result"])
        if not ETCD_IN_BOTH_ROLES:  # etcd 3.4 takes the scheme for a part of the token.
            ours = self.doors[1]
            for token, denied in ((ours.token, False), ("no.token", True)):
                with contextlib.closing(websocket.create_connection(f"ws://{ours.server.endpoint}/v3/kv/range", timeout=60,
                                                                    subprotocols=["Bearer", token])) as ws:
                    ws.send(json.dumps(k("u")))
                    self.assertEqual("error" in json.loads(ws.recv()), denied)
        # The token may also come as metadata.
        tokens = [door.token for door in self.doors]
        for door, token in zip(self.doors, tokens):
            door.token = None
            self.assertEqual(door.ask("/v3/kv/range", k("u"), headers={"Grpc-Metadata-Token": token})[0], 200)
        self.log_in(ROOT)
        for path, body in (("auth/user/revoke", {"name": "u", "role": "r<&>\u2028\u00e4"}),
                           ("auth/role/revoke", {"role": "r<&>\u2028\u00e4", "key": b64("u1")}),
                           ("auth/role/delete", {"role": "r<&>\u2028\u00e4"}),
                           ("auth/user/delete", {"name": "u"}),
                           ("auth/user/delete", {"name": "root"}),
                           ("auth/disable", {})):
            self.same("/v3/" + path, body)

    def log_in(self, who):
        for door in self.doors:
            door.token = None
            door.token = door.json("/v3/auth/authenticate", who)["token"]


class ClientsTest(unittest.TestCase):
    """Other people's programs on the gateway."""

    @classmethod
    def setUpClass(cls):
        cls.servers = [member.etcd(), member.quorate()]
        for server in cls.servers:
            cls.addClassCleanup(server.remove)
            server.start()

    def test_etcd3gw(self):
        import etcd3gw
        outcomes = []
        for server in self.servers:
            client = etcd3gw.Etcd3Client(host="127.0.0.1", port=server.client_port, api_path="/v3/")
            outcome = [client.put("a", "1"), client.get("a"), client.get("none"), client.create("a", "x"),
                       client.create("b", "2"), client.replace("b", "2", "3"), client.replace("b", "2", "4"),
                       [value for value, _ in client.get_prefix("a")], client.delete("b"), client.delete("b"),
                       "version" in client.status(), len(client.members())]
            lease = client.lease(ttl=1000)
            client.put("leased", "x", lease=lease)
            outcome += [lease.ttl() > 900, lease.refresh() > 900, lease.keys(), lease.revoke(), client.get("leased")]
            lock = client.lock("lock", ttl=1000)
            other = client.lock("lock", ttl=1000)
            outcome += [lock.acquire(), lock.is_acquired(), other.acquire(), lock.release(), other.acquire(), other.release()]
            events, cancel = client.watch_prefix("watched")
            writer = threading.Thread(target=lambda c=client: (c.put("watched1", "x"), c.delete("watched1")))
            # The watch exists once its created answer has come, which the library does not tell: write until it shows.
            seen = []
            feeder = etcd3gw.Etcd3Client(host="127.0.0.1", port=server.client_port, api_path="/v3/")
            stop = threading.Event()

            def feed():
                while not stop.wait(0.05):
                    feeder.put("watched", "feed")

            feeding = threading.Thread(target=feed)
            feeding.start()
            first = next(events)
            stop.set()
            feeding.join()
            writer.start()
            while len(seen) < 2:
                event = next(events)
                if event["kv"]["key"] == b"watched1":
                    seen.append((event.get("type"), event["kv"].get("value")))
            writer.join()
            cancel()
            outcome += [first["kv"]["key"], seen]
            outcomes.append(outcome)
        self.assertEqual(outcomes[0], outcomes[1])

    def test_patroni(self):
        """Its view of etcd 3, without the database it would supervise."""
        outcomes = []
        for server in self.servers:
            result = subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                                  "clients/patroni_etcd3.py"), server.endpoint],
                                    capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            outcomes.append(json.loads(result.stdout))
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertEqual(outcomes[1]["leader"], "node1")

    def test_curl(self):
        server = self.servers[1]
        result = subprocess.run(["curl", "-sL", f"{server.url}/v3/kv/put", "-X", "POST", "-d", '{"key": "Zm9v", "value": "YmFy"}'],
                                capture_output=True, text=True, timeout=60, check=True)
        self.assertIn("revision", json.loads(result.stdout)["header"])


class SwitchedOffTest(unittest.TestCase):
    def test_without_the_gateway(self):
        answers = []
        for make in (member.etcd, member.quorate):
            with make(flags=["--enable-grpc-gateway=false"]) as server:
                server.start()
                answers.append(Door(server).ask("/v3/kv/range", k("a")))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[1][0], 404)

    def test_only_metrics_on_the_metrics_address(self):
        port = member.free_port()
        with member.quorate(flags=[f"--listen-metrics-urls=http://127.0.0.1:{port}"]) as server:
            server.start()
            server.client_port = port
            door = Door(server)
            self.assertEqual(door.ask("/health", None, "GET")[0], 200)
            self.assertEqual(door.ask("/metrics", None, "GET")[0], 200)
            self.assertEqual(door.ask("/v3/kv/range", k("a"))[0], 404)
            self.assertEqual(door.ask("/v2/members", None, "GET")[0], 404)


if __name__ == "__main__":
    unittest.main()
