#!/usr/bin/python3
"""HTTP/1.1 and the gRPC transport on the one client port: health, metrics, and what odd or hostile peers send."""

import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
from api import lock, rpc

ETCD_IN_BOTH_ROLES = os.environ.get("QUORATE_BIN") == "etcd"
SNAPSHOTS_AT_ONCE = 8
# Metrics of Go's runtime, of etcd's v2 store and of its proxies, which have no counterpart here.
NOT_OURS = re.compile(r"^(go_|promhttp_|etcd_debugging_store_|etcd_grpc_proxy_|etcd_cluster_version$|etcd_server_go_version"
                      r"|process_virtual_memory_max|etcd_debugging_mvcc_(delete|put|txn|range|db_total)_|etcd_debugging_snap|"
                      r"etcd_debugging_server_lease|os_fd)")


def curl(url, method="GET", headers=None):
    """(status, headers, body) as a browser or a load balancer sees them."""
    host, path = url.split("/", 1)
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, "/" + path, headers=headers or {})
    answer = connection.getresponse()
    result = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    connection.close()
    return result


class HttpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.etcd, cls.ours = member.etcd(), member.quorate()
        cls.addClassCleanup(cls.etcd.remove)
        cls.addClassCleanup(cls.ours.remove)
        cls.etcd.start()
        cls.ours.start()

    def tearDown(self):
        """Whatever a test sent, the server still serves."""
        with api.Api(self.ours.endpoint) as service:
            service.KV.Put(rpc.PutRequest(key=b"alive", value=b"yes"))

    def both(self, path, *arguments):
        return [curl(f"{server.endpoint}{path}", *arguments) for server in (self.etcd, self.ours)]

    def test_health(self):
        for server in (self.etcd, self.ours):
            status, headers, body = curl(f"{server.endpoint}/health")
            self.assertEqual(status, 200)
            self.assertEqual(json.loads(body)["health"], "true")
            self.assertTrue(headers["content-type"].startswith(("text/plain", "application/json")))
            status, headers, _ = curl(f"{server.endpoint}/health", "POST")
            self.assertEqual(status, 405)
            self.assertEqual(headers["allow"], "GET")

    def test_version(self):
        for server in (self.etcd, self.ours):
            status, _, body = curl(f"{server.endpoint}/version")
            self.assertEqual(status, 200)
            version = json.loads(body)
            self.assertRegex(version["etcdserver"], r"^3\.4\.\d+$")
            self.assertEqual(version["etcdcluster"], "3.4.0")

    def test_unknown_path(self):
        etcd, ours = self.both("/nosuch")
        self.assertEqual((etcd[0], etcd[2]), (ours[0], ours[2]))
        self.assertEqual(ours[2], "404 page not found\n")

    def test_unclean_paths_are_redirected(self):
        for path, clean in (("//version", "/version"), ("/v2/../metrics", "/metrics"), ("/a//b c/?d=e%20f", "/a/b%20c/?d=e%20f"),
                            ("//nosuch", "/nosuch"), ("/./v3//kv/range", "/v3/kv/range")):
            for method in ("GET", "POST"):
                with self.subTest(f"{method} {path}"):
                    etcd, ours = self.both(path.replace(" ", "%20"), method)
                    self.assertEqual((etcd[0], etcd[1].get("location"), etcd[1].get("content-type"), etcd[2]),
                                     (ours[0], ours[1].get("location"), ours[1].get("content-type"), ours[2]))
                    self.assertEqual((ours[0], ours[1]["location"]), (301, clean))

    def test_targets_as_for_a_proxy(self):
        """RFC 9112, 3.2.2: `curl -x` to the server itself, and some clients in Java."""
        for path in ("/version", "//version"):
            answers = []
            for server in (self.etcd, self.ours):
                connection = http.client.HTTPConnection(server.endpoint, timeout=60)
                connection.request("GET", f"http://{server.endpoint}{path}")
                answer = connection.getresponse()
                answers.append((answer.status, answer.getheader("location"), len(answer.read())))
                connection.close()
            self.assertEqual(answers[0][:2], answers[1][:2], path)

    def test_debug_vars(self):
        etcd, ours = self.both("/debug/vars")
        self.assertEqual((etcd[0], etcd[1]["content-type"]), (ours[0], ours[1]["content-type"]))
        theirs, values = json.loads(etcd[2]), json.loads(ours[2])
        self.assertEqual(theirs.keys(), values.keys())
        self.assertEqual(values["cmdline"][1:], self.ours.arguments())
        self.assertGreater(values["file_descriptor_limit"], 0)
        self.assertLessEqual(values["memstats"].keys(), theirs["memstats"].keys())
        self.assertGreater(values["memstats"]["Alloc"], 0)
        status = values["raft.status"]
        self.assertEqual(theirs["raft.status"].keys(), status.keys())
        self.assertEqual((status["raftState"], status["lead"], list(status["progress"])),
                         ("StateLeader", status["id"], [status["id"]]))
        etcd, ours = self.both("/debug/vars", "POST")
        self.assertEqual((etcd[0], etcd[1]["allow"], etcd[2]), (ours[0], ours[1]["allow"], ours[2]))
        etcd, ours = self.both("/metrics", "POST")
        self.assertEqual((etcd[0], ours[0]), (200, 200))

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4.23 has none")
    def test_livez_readyz(self):
        for path in ("/livez", "/readyz", "/livez/serializable_read", "/readyz/linearizable_read",
                     "/readyz/data_corruption"):
            status, _, body = curl(f"{self.ours.endpoint}{path}")
            self.assertEqual((status, body), (200, "ok\n"), path)
        status, _, body = curl(f"{self.ours.endpoint}/readyz?verbose")
        self.assertEqual(status, 200)
        self.assertIn("[+]linearizable_read ok\n", body)

    def test_metrics_have_the_names_of_etcd(self):
        names = []
        for server in (self.etcd, self.ours):
            with api.Api(server.endpoint) as service:
                service.KV.Put(rpc.PutRequest(key=b"m", value=b"1"))
            status, headers, body = curl(f"{server.endpoint}/metrics")
            self.assertEqual(status, 200)
            self.assertTrue(headers["content-type"].startswith("text/plain"))
            names.append({tuple(line.split()[2:4]) for line in body.splitlines() if line.startswith("# TYPE")})
            for sample in ("etcd_server_has_leader 1", "etcd_server_is_leader 1"):
                self.assertIn(sample, body)
            self.assertRegex(body, r'grpc_server_handled_total{grpc_code="OK",grpc_method="Put",'
                                   r'grpc_service="etcdserverpb.KV",grpc_type="unary"} [1-9]')
        missing = {pair for pair in names[0] - names[1] if not NOT_OURS.match(pair[0])}
        self.assertEqual(missing, set())

    # gRPC as a transport

    def test_grpc_codes_of_the_transport(self):
        outcomes = []
        for server in (self.etcd, self.ours):
            with api.Api(server.endpoint) as service:
                answers = []
                service.Lease.LeaseGrant(rpc.LeaseGrantRequest(ID=77, TTL=1000))
                service.Lock.Lock(lock.LockRequest(name=b"held", lease=77))
                for call in (lambda s=service: s.Lock.Lock(lock.LockRequest(name=b"held"), timeout=0.3),
                             lambda s=service: s.raw("/etcdserverpb.KV/Nosuch", b""),
                             lambda s=service: s.raw("/nosuch.Service/X", b""),
                             lambda s=service: s.KV.Put(rpc.PutRequest(key=b"b", value=b"x" * 1_600_000)),
                             lambda s=service: s.KV.Put(rpc.PutRequest(key=b"b", value=b"x" * 2_200_000))):
                    with self.assertRaises(grpc.RpcError) as error:
                        call()
                    answers.append(api.code_and_text(error.exception))
                # Either end may be the first to see that the time is over, and etcd's has no code for it.
                self.assertIn(answers[0][0], ("DEADLINE_EXCEEDED", "UNKNOWN") if server is self.etcd else ("DEADLINE_EXCEEDED",))
                answers[0] = None
                outcomes.append(answers)
                service.Lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=77))
        self.assertEqual(outcomes[0], outcomes[1])

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4.23 takes no compressed requests")
    def test_gzip(self):
        channel = grpc.insecure_channel(self.ours.endpoint, compression=grpc.Compression.Gzip)
        put = channel.unary_unary("/etcdserverpb.KV/Put", request_serializer=lambda m: m.SerializeToString(),
                                  response_deserializer=rpc.PutResponse.FromString)
        put(rpc.PutRequest(key=b"zipped", value=b"z" * 500_000), timeout=60)
        channel.close()
        with api.Api(self.ours.endpoint) as service:
            self.assertEqual(len(service.KV.Range(rpc.RangeRequest(key=b"zipped")).kvs[0].value), 500_000)

    @unittest.skipIf(ETCD_IN_BOTH_ROLES, "etcd 3.4.23 takes no compressed requests")
    def test_a_zip_bomb_is_refused(self):
        channel = grpc.insecure_channel(self.ours.endpoint, compression=grpc.Compression.Gzip,
                                        options=[("grpc.max_send_message_length", -1)])
        put = channel.unary_unary("/etcdserverpb.KV/Put", request_serializer=lambda m: m.SerializeToString(),
                                  response_deserializer=rpc.PutResponse.FromString)
        with self.assertRaises(grpc.RpcError) as error:
            put(rpc.PutRequest(key=b"zipped", value=b"\0" * 100_000_000), timeout=60)
        self.assertEqual(error.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        channel.close()

    def test_large_answers(self):
        """Far beyond one flow-control window, to several readers at once."""
        with api.Api(self.ours.endpoint) as service:
            # Together below the 64 MB that may wait on one connection, beyond which a further call is refused.
            for i in range(15):
                service.KV.Put(rpc.PutRequest(key=b"large/%02d" % i, value=os.urandom(1_000_000)))
            request = rpc.RangeRequest(key=b"large/", range_end=b"large0")
            sizes = []
            threads = [threading.Thread(target=lambda: sizes.append(
                sum(len(kv.value) for kv in service.KV.Range(request, timeout=60).kvs))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            self.assertEqual(sizes, [15_000_000] * 4)
            service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"large/", range_end=b"large0"))

    def test_snapshots_wait_for_their_turn(self):
        """So many are sent at once; a client that does not read holds up the next one, and nobody else."""
        if ETCD_IN_BOTH_ROLES:
            self.skipTest("etcd sends any number at once")
        with api.Api(self.ours.endpoint) as service:
            for i in range(16):
                service.KV.Put(rpc.PutRequest(key=b"snap/%02d" % i, value=os.urandom(1_000_000)))
            threads = self.threads_of_ours()
            first = [service.Maintenance.Snapshot(rpc.SnapshotRequest()) for _ in range(SNAPSHOTS_AT_ONCE)]
            for stream in first:
                next(stream)
            waiting = [service.Maintenance.Snapshot(rpc.SnapshotRequest()) for _ in range(3)]
            digests = []
            ends = [threading.Thread(target=self.check_snapshot, args=(stream, digests)) for stream in waiting]
            for end in ends:
                end.start()
            service.KV.Put(rpc.PutRequest(key=b"alive", value=b"meanwhile"))
            self.assertEqual(self.threads_of_ours() - threads, SNAPSHOTS_AT_ONCE)
            self.assertEqual(digests, [])
            for stream in first:
                stream.cancel()
            for end in ends:
                end.join(60)
            self.assertEqual(digests, [True] * len(waiting))
            self.assertEqual(self.threads_of_ours() - threads, SNAPSHOTS_AT_ONCE)
            service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"snap/", range_end=b"snap0"))

    def threads_of_ours(self):
        return len(os.listdir(f"/proc/{self.ours.process.pid}/task"))

    @staticmethod
    def check_snapshot(stream, digests):
        """Appends whether the last blob is the digest of those before it."""
        blobs = [answer.blob for answer in stream]
        digests.append(hashlib.sha256(b"".join(blobs[:-1])).digest() == blobs[-1])

    def test_many_streams_on_one_connection(self):
        with api.Api(self.ours.endpoint) as service:
            put = service.channel.unary_unary("/etcdserverpb.KV/Put",
                                              request_serializer=lambda m: m.SerializeToString(),
                                              response_deserializer=rpc.PutResponse.FromString)
            calls = [put.future(rpc.PutRequest(key=b"many/%d" % i, value=b"x"), timeout=60) for i in range(3000)]
            revisions = [call.result().header.revision for call in calls]
            self.assertEqual(len(set(revisions)), 3000)

    def test_a_slow_reader_costs_the_others_nothing(self):
        with api.Api(self.ours.endpoint) as service:
            for i in range(20):
                service.KV.Put(rpc.PutRequest(key=b"slow/%02d" % i, value=b"s" * 1_000_000))
        # A raw connection that asks for 20 MB a few times and never reads.
        script = ("import socket,sys,time\n"
                  "s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n"
                  "s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,4096)\n"
                  "s.sendall(bytes.fromhex(sys.argv[2]))\n"
                  "time.sleep(600)\n")
        frames = self.range_frames(b"slow/", b"slow0", 4)
        sleeper = subprocess.Popen([sys.executable, "-c", script, str(self.ours.client_port), frames.hex()])
        try:
            with api.Api(self.ours.endpoint) as service:
                for i in range(200):
                    service.KV.Put(rpc.PutRequest(key=b"quick", value=b"%d" % i), timeout=60)
                self.assertIsNone(sleeper.poll(), "the slow reader has gone")
                service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"slow/", range_end=b"slow0"))
        finally:
            sleeper.kill()
            sleeper.wait()

    @staticmethod
    def range_frames(key, end, count):
        """Preface, SETTINGS and `count` Range calls, with literal headers only."""
        def frame(kind, flags, stream, payload):
            return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

        def header(name, value):
            return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        block = b"".join(header(n, v) for n, v in (
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/etcdserverpb.KV/Range"), (b":authority", b"x"),
            (b"content-type", b"application/grpc"), (b"te", b"trailers")))
        message = rpc.RangeRequest(key=key, range_end=end).SerializeToString()
        data = b"\0" + len(message).to_bytes(4, "big") + message
        window = (0x7fffffff - 65535).to_bytes(4, "big")
        out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, (4).to_bytes(2, "big") + (0x7fffffff).to_bytes(4, "big"))
        out += frame(8, 0, 0, window)
        for i in range(count):
            out += frame(1, 4, 2 * i + 1, block) + frame(0, 1, 2 * i + 1, data)
        return out

    def send(self, data, wait=True, server=None, until=None):
        """Sends raw bytes; returns what comes back until the server closes, or `until` has come, or nothing more comes."""
        with socket.create_connection(("127.0.0.1", (server or self.ours).client_port),
                                      timeout=60) as connection:
            got = b""
            try:
                connection.sendall(data)
                connection.settimeout(60.0 if until else 1.0)
                while wait and not (until and until in got):
                    part = connection.recv(65536)
                    if not part:
                        break
                    got += part
            except OSError:
                pass
            return got

    def test_garbage_costs_only_its_connection(self):
        import random
        chance = random.Random(7)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        good = self.range_frames(b"a", b"", 1)
        cases = [b"", b"\0", b"PRI", preface[:10], preface + b"\xff" * 100, b"GET", b"GET / HTTP/9.9\r\n\r\n",
                 b"GET /health HTTP/1.1\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
                 b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
                 preface + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 1000,
                 preface + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 500,
                 good.replace(b"/etcdserverpb.KV/Range", b"/etcdserverpb.KV/Rang\xff"),
                 good.replace(b"application/grpc", b"application/json")]
        for _ in range(40):
            damaged = bytearray(good)
            for _ in range(chance.choice((1, 2, 8))):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            cases.append(bytes(damaged))
        server = member.quorate()  # One of its own: if it dies, the other tests should not.
        self.addCleanup(server.remove)
        server.start()
        for data in cases:
            self.send(data, wait=chance.random() < 0.3, server=server)
            self.assertEqual(curl(f"{server.endpoint}/version")[0], 200, f"after {data[:200]!r}: {server.log()[-500:]}")

    def answer(self, server, request):
        """All that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", server.client_port), timeout=30) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def test_heads_that_are_odd(self):
        """Hosts, expectations, lengths, targets and bare line feeds: the status is etcd's, and who was refused is shown the door."""
        close = b"Connection: close\r\n"
        for request in (b"GET /health HTTP/1.1\r\n\r\n", b"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET /health HTTP/1.0\r\nHost: a/b\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nHost:\r\n" + close + b"\r\n",
                        b"GET /health HTTP/1.1\r\nHost: [::1]:1\r\n" + close + b"\r\n",
                        b"GET http://b/health HTTP/1.1\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + close + b"\r\n",
                        b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
                        *(b"GET /health HTTP/1.1\r\nHost: a\r\n" + close + length + b"\r\n\r\n{}" for length in (
                            b"Content-Length: 2\r\nContent-Length: 2", b"Content-Length: 2\r\ncontent-length:\t2 ",
                            b"Content-Length: 02", b"Content-Length: 2, 2", b"Content-Length: 2,2", b"Content-Length: 2,",
                            b"Content-Length: 2\r\nContent-Length: 02", b"Content-Length: 2\r\nContent-Length: 3",
                            b"Content-Length: 2\r\nContent-Length: 2\r\nContent-Length: 2, 2", b"Content-Length: +2",
                            b"Content-Length: 9223372036854775808")),
                        b"GET /health HTTP/1.0\n\n", b"GET /health HTTP/1.1\nHost: a\nConnection: close\n\n",
                        b"GET /health HTTP/1.1\nHost: a b\n\n"):
            with self.subTest(request=request):
                etcd, ours = [self.answer(server, request) for server in (self.etcd, self.ours)]
                self.assertEqual(ours.split()[1], etcd.split()[1])
                if b"Bad Request:" in etcd:
                    first = etcd.splitlines()[0]
                    self.assertEqual(ours.splitlines()[0], first)
                    self.assertEqual(ours.splitlines()[-1], first.removeprefix(b"HTTP/1.1 "))

    def test_many_idle_connections(self):
        held = [socket.create_connection(("127.0.0.1", self.ours.client_port)) for _ in range(500)]
        self.assertEqual(curl(f"{self.ours.endpoint}/health")[0], 200)
        for connection in held:
            connection.close()

    def test_ping_flood_is_told_off(self):
        """Pings without need, faster than allowed: GOAWAY with ENHANCE_YOUR_CALM and too_many_pings."""
        ping = (8).to_bytes(3, "big") + bytes([6, 0, 0, 0, 0, 0]) + b"12345678"
        settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        got = self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + ping * 20, until=b"too_many_pings")
        self.assertIn(b"too_many_pings", got)

    def test_shutdown_ends_streams(self):
        server = member.quorate()
        self.addCleanup(server.remove)
        server.start()
        with api.Api(server.endpoint) as service:
            waiting = threading.Event()

            def requests():
                yield rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"a"))
                waiting.wait(60)

            stream = service.Watch.Watch(requests())
            self.assertTrue(next(stream).created)
            server.stop()  # Which has an end of its own, streams or not.
            with self.assertRaises(grpc.RpcError):
                next(stream)
            waiting.set()


if __name__ == "__main__":
    unittest.main(verbosity=2)
