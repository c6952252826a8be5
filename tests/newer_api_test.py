#!/usr/bin/python3
"""What the API has since etcd 3.5 to 3.7 and Debian's etcd 3.4 lacks, so that nothing can be compared with it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
import places
from api import rpc


@unittest.skipIf(os.environ.get("QUORATE_BIN") == "etcd", "etcd 3.4 has none of it")
class NewerApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = member.quorate()
        cls.addClassCleanup(cls.server.remove)
        cls.server.start()
        cls.service = api.Api(cls.server.endpoint)
        cls.addClassCleanup(cls.service.close)
        for i in range(500):
            cls.service.KV.Put(rpc.PutRequest(key=b"s/%03d" % i, value=b"v" * (20_000 if i % 50 == 0 else 100)))

    def refused(self, call):
        with self.assertRaises(grpc.RpcError) as error:
            call()
        return api.code_and_text(error.exception)

    def stream(self, **fields):
        request = rpc.RangeRequest(key=b"s/", range_end=b"s0", **fields)
        return [part.range_response for part in self.service.KV.RangeStream(request, timeout=30)]

    def test_range_stream_is_a_range_in_parts(self):
        for fields in ({}, {"limit": 7}, {"limit": 10}, {"limit": 11}, {"limit": 499}, {"limit": 500},
                       {"revision": 100}, {"keys_only": True}, {"serializable": True}):
            with self.subTest(fields):
                whole = self.service.KV.Range(rpc.RangeRequest(key=b"s/", range_end=b"s0", **fields))
                parts = self.stream(**fields)
                self.assertEqual([kv for part in parts for kv in part.kvs], list(whole.kvs))
                self.assertEqual((parts[-1].header.revision, parts[-1].more, parts[-1].count),
                                 (whole.header.revision, whole.more, whole.count))
                for part in parts[:-1]:
                    self.assertEqual((part.HasField("header"), part.more, part.count), (False, False, 0))
                self.assertLessEqual(len(parts[0].kvs), 10)

    def test_range_stream_counts_in_one_part(self):
        parts = self.stream(count_only=True)
        self.assertEqual((len(parts), parts[0].count, len(parts[0].kvs)), (1, 500, 0))

    def test_range_stream_refusals(self):
        self.assertEqual(self.refused(lambda: self.stream(sort_order=rpc.RangeRequest.DESCEND)),
                         ("UNIMPLEMENTED", "RangeStream does not support custom sort orders"))
        code, text = self.refused(lambda: self.stream(min_mod_revision=5))
        self.assertEqual(code, "UNIMPLEMENTED")
        self.assertIn("revision filters", text)
        self.assertEqual(self.refused(lambda: self.stream(revision=10**9)),
                         ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"))
        self.assertEqual(self.refused(lambda: list(self.service.KV.RangeStream(rpc.RangeRequest(), timeout=60))),
                         ("INVALID_ARGUMENT", "etcdserver: key is not provided"))

    def test_unknown_sort_is_refused(self):
        """etcd 3.4 ends by a panic on these."""
        for fields in ({"sort_order": 7}, {"sort_target": 9, "sort_order": 1}, {"sort_target": 9}):
            request = rpc.RangeRequest(key=b"s/", range_end=b"s0", **fields)
            self.assertEqual(self.refused(lambda r=request: self.service.KV.Range(r)),
                             ("INVALID_ARGUMENT", "etcdserver: invalid sort option"))
            nested = rpc.TxnRequest(success=[rpc.RequestOp(request_range=request)])
            self.assertEqual(self.refused(lambda r=nested: self.service.KV.Txn(r)),
                             ("INVALID_ARGUMENT", "etcdserver: invalid sort option"))

    def test_watch_from_below_zero(self):
        request = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"a", start_revision=-1))
        answer = next(self.service.Watch.Watch(iter([request]), timeout=60))
        self.assertEqual((answer.created, answer.canceled, answer.watch_id, answer.cancel_reason),
                         (True, True, -1, "etcdserver: mvcc: required revision has been compacted"))

    def test_newer_fields(self):
        answer = self.service.Maintenance.HashKV(rpc.HashKVRequest())
        self.assertEqual(answer.hash_revision, answer.header.revision)
        status = self.service.Maintenance.Status(rpc.StatusRequest())
        self.assertEqual(status.dbSizeQuota, 2 * 1024**3)
        self.assertTrue(status.version.startswith("3.4."))

    def test_versions(self):
        import subprocess
        result = subprocess.run([places.quorate(), "--version"], capture_output=True, text=True, check=True)
        self.assertRegex(result.stdout, r"(?m)^quorate Version: \d+\.\d+\.\d+$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
