#!/usr/bin/python3
"""Which peer URLs a member takes, beside etcd: members that run etcd parse the URLs of all others again and end on one that they can't
read, at each start anew. QUORATE_TEST_SEED replays."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import grpc

import api
import member
from api import rpc

SEED = int(os.environ.get("QUORATE_TEST_SEED", str(int.from_bytes(os.urandom(4), "big"))))
TABLE = """
http://127.0.0.9:1 http://[::1]:1 http://[fe80::1%25eth0]:1 http://[fe80::1%eth0]:1 http://[fe80::1%25]:1 http://[fe80::1%]:1
http://[fe80::1%25a%20b]:1 http://[fe80::1%25a%2fb]:1 http://[fe80::1%25a%zz]:1 http://[a%20b]:1 http://[::1]x:1 http://[[::1]]:1
http://[::1]:1] http://a[b]:1 http://a]:1 http://[:1 http://[]:1 http://u@a:1 http://u:p@a:1 http://u%zz@a:1 http://u%20@a:1 http://u[@a:1
http://u"@a:1 http://@a:1 http://a@b@c:1 http://a%20b:1 http://a%25b:1 http://a%c3%a9:1 http://a%3ab:1 http://a<b>:1 http://a"b:1
http://a|b:1 http://a\\b:1 http://a{b}:1 http://a^b:1 http://a`b:1 http://a,b:1 http://a;b=c:1 http://a*:1 http://a_b:1 http://:1 http://:
http://a: http://a http:// http:a:1 http:/a:1 //a:1 a:1 :1 ftp://a:1 HTTP://a:1 https://a:1 unix://a:1 unixs://a:1 unix:a:1 1http://a:1
h+tp://a:1 http://a:x http://a:-1 http://a:99999 http://a:1:2 http://::1 http://a:1/ http://a:1/b http://a:1/%zz http://a:1? http://a:1?b
http://a:1?%zz http://a:1# http://a:1#b http://a:1#%zz http://a:1#%20 http://a:1?#[ http://a#b:1 http://a?b:1 http://é:1 http://a%ffb:1
""".split()
PIECES = ["[", "]", "%", "%25", "%zz", "%20", "%C3", "@", ":", "/", "?", "#", "a", "::1", "1", "é", "<", '"', "|", "\\", " ", "~", "+", "\x7f"]


class PeerUrlsTest(unittest.TestCase):
    def test_those_that_etcd_takes(self):
        with member.etcd() as theirs, member.quorate() as ours:
            doors = []
            for one in (theirs, ours):
                one.start()
                doors.append(api.Api(one.endpoint).Cluster)
                # One learner is all that may be: who gets past the check of its URLs is refused for that.
                doors[-1].MemberAdd(rpc.MemberAddRequest(peerURLs=["http://127.0.0.99:1"], isLearner=True), timeout=60)
            print(f"seed {SEED}", flush=True)
            chance = random.Random(SEED)
            urls = TABLE + ["http://" + "".join(chance.choices(PIECES, k=chance.randint(1, 5))) + chance.choice((":1", "", "]:1"))
                            for _ in range(600)]
            taken = 0
            for url in urls:
                theirs_say, ours_say = (self.answer(door, url) for door in doors)
                self.assertEqual(theirs_say, ours_say, url)
                taken += "too many learner" in ours_say[1]
            self.assertGreater(taken, 20)
            self.assertLess(taken, len(urls) - 20)

    @staticmethod
    def answer(door, url):
        try:
            door.MemberAdd(rpc.MemberAddRequest(peerURLs=[url], isLearner=True), timeout=60)
        except grpc.RpcError as error:
            return error.code(), error.details()
        return None, "taken"


if __name__ == "__main__":
    unittest.main(verbosity=2)
