#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets in this folder to seeds/NAME. Each seed is a small valid input, from which
the fuzzer starts. The formats are told where the project's own codecs are; nothing here is copied from a file."""

import gzip
import pathlib
import re
import struct

SEEDS = pathlib.Path(__file__).resolve().parent / "seeds"


def write(target, name, *parts):
    path = SEEDS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))


# Protobuf (src/base/wire.h).


def varint(value):
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*fields):
    """Fields are (number, int or bytes or str)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


# CRC-32C (src/base/crc32c.h).


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# The log (src/wal/frame.h, codec.h).

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5


def entry(index, term, data, kind=0):
    return message((1, kind), (2, term), (3, index), (4, data))


def hard_state(term, vote, commit):
    return message((1, term), (2, vote), (3, commit))


def wal_snapshot(index, term):
    return message((1, index), (2, term))


class Segment:
    def __init__(self, crc=0):
        self.crc = crc
        self.bytes = b""
        self.add(CRC, b"")

    def add(self, kind, data):
        self.crc = crc32c(data, self.crc)
        record = message((1, kind), (2, self.crc)) + (message((3, data)) if data else b"")
        pad = -len(record) % 8
        field = len(record) | ((0x80 | pad) << 56 if pad else 0)
        self.bytes += struct.pack("<Q", field) + record + bytes(pad)


def wal_seeds():
    metadata = message((1, 11), (2, 22))
    log = Segment()
    log.add(METADATA, metadata)
    log.add(SNAPSHOT, wal_snapshot(0, 0))
    for index in range(1, 5):
        log.add(ENTRY, entry(index, 1, b"entry %d" % index))
    log.add(STATE, hard_state(1, 11, 4))
    write("wal", "one_segment", bytes([0, 0, 0]), log.bytes, bytes(256))
    write("wal", "torn", bytes([0, 0, 0]), log.bytes[:-11])
    second = Segment(log.crc)
    second.add(METADATA, metadata)
    second.add(STATE, hard_state(1, 11, 4))
    second.add(ENTRY, entry(5, 2, b"five"))
    second.add(SNAPSHOT, wal_snapshot(3, 1))
    write("wal", "two_segments", bytes([2, 0, 0, 5]), struct.pack("<H", len(log.bytes)), log.bytes, second.bytes)
    write("wal", "from_snapshot", bytes([2, 3, 1, 5]), struct.pack("<H", len(log.bytes)), log.bytes, second.bytes)

    def op(kind, data):
        return bytes([kind, len(data)]) + data

    head = op(METADATA, metadata) + op(SNAPSHOT, wal_snapshot(0, 0))
    entries = bytes([0, 1, 1, 3, 0, 2, 1, 0, 16, 3, 1, 9])
    state = op(STATE, hard_state(1, 11, 2))
    write("wal", "built", bytes([1, 0, 0]), head, entries, state)
    write("wal", "built_overwritten", bytes([1, 0, 0]), head, entries, bytes([0, 2, 2, 1]), state)
    write("wal", "built_cut", bytes([1, 0, 0]), head, entries, bytes([6, 4]), op(METADATA, metadata), state,
          op(ENTRY, entry(4, 2, b"x", kind=1)), op(SNAPSHOT, wal_snapshot(4, 2)))


# The db file (src/bolt/page.h, meta.h).

PAGE = 1024
BRANCH, LEAF, META, FREELIST = 1, 2, 4, 16
NO_FREELIST = 2**64 - 1


def page(number, flags, count, body, overflow=0):
    out = struct.pack("<QHHI", number, flags, count, overflow) + body
    return out.ljust((1 + overflow) * PAGE, b"\0")


def meta(number, root, freelist, high_water, txid):
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, freelist, high_water, txid)
    checksum = 0xCBF29CE484222325
    for byte in body:
        checksum = (checksum ^ byte) * 0x100000001B3 % 2**64
    return page(number, META, 0, body + struct.pack("<Q", checksum))


def leaf_body(elements):
    """Elements are (flags, key, value)."""
    head, data = b"", b""
    for i, (flags, key, value) in enumerate(elements):
        pos = (len(elements) - i) * 16 + len(data)
        head += struct.pack("<IIII", flags, pos, len(key), len(value))
        data += key + value
    return head + data


def leaf(number, elements, overflow=0):
    return page(number, LEAF, len(elements), leaf_body(elements), overflow)


def branch(number, children):
    """Children are (key, page)."""
    head, data = b"", b""
    for i, (key, child) in enumerate(children):
        head += struct.pack("<IIQ", (len(children) - i) * 16 + len(data), len(key), child)
        data += key
    return page(number, BRANCH, len(children), head + data)


def bucket(root, sequence=0):
    return struct.pack("<QQ", root, sequence)


def inline_bucket(elements):
    return bucket(0) + struct.pack("<QHHI", 0, LEAF, len(elements), 0) + leaf_body(elements)


def db_file(pages, root, freelist=NO_FREELIST, txid=4):
    count = 2 + sum(len(p) for p in pages) // PAGE
    return b"".join([meta(0, root, freelist, count, txid), meta(1, root, freelist, count, txid - 1), *pages])


def db_seeds():
    def both(name, content):
        write("db", name, bytes([1]), content)

    empty = db_file([page(2, FREELIST, 0, b""), leaf(3, [])], 3, 2)
    both("empty", empty)
    write("db", "read_only", bytes([2]), empty)
    plain = [(0, b"a%d" % i, b"value %d" % i) for i in range(4)]
    both("inline", db_file([leaf(2, [(1, b"key", inline_bucket(plain)), (1, b"meta", inline_bucket([]))])], 2))
    low, high = plain[:2], [(0, b"m", bytes(1500)), (0, b"n", b"")]
    tree = [
        leaf(2, [(1, b"key", bucket(3)), (1, b"meta", inline_bucket(low))]),
        branch(3, [(b"a0", 4), (b"m", 5)]),
        leaf(4, low),
        leaf(5, high, overflow=1),
    ]
    both("tree", db_file(tree, 2))
    free = page(7, FREELIST, 2, struct.pack("<QQ", 8, 9))
    both("free_pages", db_file(tree + [free, bytes(PAGE), bytes(PAGE)], 2, 7))
    nested = inline_bucket([(1, b"deeper", inline_bucket([(0, b"k", b"v")])), (0, b"z", b"")])
    both("nested", db_file([leaf(2, [(1, b"other", nested), (0, b"plain", b"at the root")])], 2))


# Snapshot files (src/wal/snap_files.h, src/cluster/v2_store.h).


def v2_node(path, value="", children=None):
    inner = "null" if children is None else "{" + ",".join(f'"{n}":{c}' for n, c in children.items()) + "}"
    value = value.replace('"', '\\"')
    return (f'{{"Path":"{path}","CreatedIndex":1,"ModifiedIndex":2,"ExpireTime":"0001-01-01T00:00:00Z",'
            f'"Value":"{value}","Children":{inner}}}')


def v2_store(members, removed=(), version=None):
    rows = {}
    for name, raft, attributes in members:
        path = f"/0/members/{name}"
        rows[name] = v2_node(path, children={
            "raftAttributes": v2_node(path + "/raftAttributes", raft),
            "attributes": v2_node(path + "/attributes", attributes)})
    zero = {"members": v2_node("/0/members", children=rows),
            "removed_members": v2_node("/0/removed_members", children={r: v2_node("/r", "") for r in removed})}
    if version:
        zero["version"] = v2_node("/0/version", version)
    root = v2_node("/", children={"0": v2_node("/0", children=zero), "1": v2_node("/1", children={})})
    return f'{{"Root":{root},"CurrentIndex":7,"CurrentVersion":2}}'.encode()


def snap_seeds():
    one = v2_store([("8e9e05c52164694d", '{"peerURLs":["http://localhost:2380"]}',
                     '{"name":"default","clientURLs":["http://localhost:2379"]}')], version="3.4.0")
    two = v2_store([("1", '{"peerURLs":["http://a:1","http://a:2"]}', '{"name":"a"}'),
                    ("2", '{"peerURLs":["http://b:1"],"isLearner":true}', "{}")], removed=["3"])
    conf_state = message((1, 1), (1, 2), (2, 3))
    snapshot = message((1, one), (2, message((1, conf_state), (2, 9), (3, 2))))
    write("snap", "file", bytes([0]), message((1, crc32c(snapshot)), (2, snapshot)))
    write("snap", "snapshot", bytes([1]), snapshot)
    write("snap", "one_member", bytes([2]), one)
    write("snap", "two_members", bytes([2]), two)
    write("snap", "empty_store", bytes([2]), v2_store([]))


# HTTP (src/net; the instructions are those of h2_conversation.h).


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def hpack(*headers):
    out = b""
    for name, value in headers:
        out += b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return out


def grpc(data, compressed=0):
    return struct.pack(">BI", compressed, len(data)) + data


def http_seeds():
    def text(name, shape, content, manners=0):
        write("http", name, bytes([manners, shape]), content.replace("\n", "\r\n").encode())

    text("get", 0, "GET /version?v=a%20b&v=+c HTTP/1.1\nHost: h\nX: y\n\n")
    text("pipelined", 7, "POST /a HTTP/1.1\nHost: h\nContent-Length: 3\n\nabcGET /pieces?v=1&v=2 HTTP/1.1\nHost: h\n\n")
    text("chunked", 0x80, "PUT /pieces HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nExpect: 100-continue\n\n3\nabc\n0\n\n")
    text("old", 0x80, "HEAD /wait HTTP/1.0\n\n")
    text("close", 3, "GET /empty HTTP/1.1\nHost: h\nConnection: close\n\n")

    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    request = hpack((":method", "POST"), (":scheme", "http"), (":path", "/t.T/Echo"), (":authority", "h"),
                    ("content-type", "application/grpc"), ("te", "trailers"), ("token", "t"), ("grpc-timeout", "5S"))
    settings = frame(4, 0, 0, struct.pack(">HI", 4, 1 << 20))
    ping = frame(6, 0, 0, b"12345678")
    write("http", "h2", bytes([0, 0]), preface, settings, frame(1, 4, 1, request), frame(0, 1, 1, grpc(b"hello")), ping)
    write("http", "h2_pieces", bytes([0, 0x85]), preface, settings, frame(1, 4, 1, request), frame(0, 0, 1, grpc(b"a")),
          frame(3, 0, 1, struct.pack(">I", 8)), frame(7, 0, 0, bytes(8)))

    def call(stream, path, end=False):
        return bytes([11 | (0x80 if end else 0), stream, path])

    def send(stream, data, end=False):
        return bytes([12 | (0x80 if end else 0), stream, len(data)]) + data

    write("http", "calls", bytes([1, 0]), call(1, 0), send(1, b"one", True), call(3, 1), send(3, b"two"),
          send(3, b"three", True), call(5, 5, True))
    write("http", "windows", bytes([1, 20]), call(1, 3), send(1, b"go"), bytes([14, 1, 14, 0]), send(1, b"on", True))
    write("http", "resets", bytes([1, 0]), call(1, 2), send(1, b"w", True), call(3, 1), send(3, b"end"),
          bytes([3, 0, 1, 4, 0, 0, 0, 8]), bytes([6, 0, 0, 8]) + b"pingping", bytes([13, 3, 255]))
    body = bytes([13, 3, 255])
    write("http", "pages", bytes([1, 0]), call(1, 6, True), call(3, 5), body, body, call(5, 7, True), bytes([14, 5, 14, 0]))
    write("http", "gone", bytes([5, 0]), call(1, 6, True), call(3, 7, True), call(5, 2), send(5, b"w", True))
    write("http", "drained", bytes([9, 0]), call(1, 6, True), call(3, 2), send(3, b"w", True), call(5, 1), send(5, b"x"))
    text("long_gone", 0, "GET /long HTTP/1.1\nHost: h\n\n", 4)
    text("long_drained", 0, "GET /long HTTP/1.1\nHost: h\n\nGET /wait HTTP/1.1\nHost: h\n\n", 8)
    write("http", "unknown_method", bytes([1, 0]), call(1, 4), send(1, b"", True), call(3, 0x80), bytes([7, 0, 0, 8]), bytes(8))
    packed = gzip.compress(b"compress me" * 9, mtime=0)
    write("http", "one_call", bytes([2, 0, 1]), grpc(b"first"), grpc(b"end"), grpc(b""))
    write("http", "gzip_call", bytes([2, 0, 0x41]), grpc(packed, 1), grpc(b"plain"))
    write("http", "messages", bytes([3, 9, 1]), grpc(packed, 1), grpc(b"plain"))
    write("http", "timeout", bytes([3, 0, 0]), b"12345678m")
    write("http", "target", bytes([3, 0, 0]), b"/a%2fb?v=%41+&v=%zz")
    write("http", "gzip", bytes([3, 0, 0]), packed)


# Requests and rows (fuzz_requests.cc: the order of the decoders).


def request_seeds():
    put = message((1, "key"), (2, "value"), (3, 7), (4, 1), (6, 1))
    ranged = message((1, "a"), (2, "z"), (3, 10), (4, 5), (5, 2), (6, 4), (7, 1), (8, 1), (10, 2), (13, -1))
    delete = message((1, "a"), (2, b"\0"), (3, 1))
    compare = message((1, 1), (2, 3), (3, "key"), (7, "value"))
    operations = [(2, message((1, ranged))), (2, message((2, put))), (2, message((3, delete)))]
    txn = message((1, compare), *operations, (3, message((4, message((1, compare), *operations)))))
    header = message((1, 99), (2, "root"), (3, 4))
    member = b'{"id":1,"peerURLs":["http://a:1"],"isLearner":true,"name":"n","clientURLs":["http://c:2"]}'
    v2 = message((1, 5), (2, "PUT"), (3, "/0/members/1/attributes"), (4, '{"name":"a"}'), (5, 0), (6, ""), (7, 0),
                 (9, 0), (10, 0), (11, 0), (12, 0), (13, 0), (14, 0), (15, 0), (16, 0))
    v2_version = message((1, 6), (2, "PUT"), (3, "/0/version"), (4, "3.4.0"), (8, 0), (17, 1))
    revision = struct.pack(">Q", 5) + b"_" + struct.pack(">Q", 1) + b"t"
    seeds = [
        ("put", 0, put),
        ("delete_range", 1, delete),
        ("range", 2, ranged),
        ("txn", 3, txn),
        ("entry_put", 4, message((4, put), (100, header))),
        ("entry_v2", 4, v2),
        ("entry_auth", 4, message((1, 9), (100, header), (1100, message((1, "user"))))),
        ("v2_attributes", 5, v2),
        ("v2_version", 5, v2_version),
        ("conf_change", 6, message((1, 3), (2, 0), (3, 1), (4, member))),
        ("conf_change_v2", 6, message((1, 1), (2, message((1, 3), (2, 8))), (2, message((1, 1), (2, 9))), (3, "c"))),
        ("wire", 7, message((1, 1), (2, "b")) + b"\x1d\1\2\3\4" + b"\x21" + bytes(8)),
        ("key_value", 8, message((1, "k"), (2, 3), (3, 4), (4, 2), (5, "v"), (6, -1))),
        ("key_value_revision", 8, message((1, revision))),
        ("user", 9, message((1, "u"), (2, "$2a$10$x"), (3, "r"), (3, "s"), (4, message((1, 1))))),
        ("role", 10, message((1, "r"), (2, message((1, 2), (2, "a"), (3, "c"))), (2, message((2, "b"), (3, b"\0"))))),
        ("lease", 11, struct.pack(">Q", 7) + message((1, 7), (2, 60), (3, 30))),
        ("record", 12, message((1, 2), (2, 77), (3, entry(4, 2, b"data")))),
        ("log_entry", 12, entry(4, 2, message((1, 3), (2, 1), (3, 5)), kind=1)),
        ("hard_state", 12, hard_state(3, 2, 1)),
        ("snapshot", 12, message((1, "{}"), (2, message((1, message((1, 1), (1, 2), (2, 3))), (2, 9), (3, 2))))),
        ("member", 13, member),
        ("promotion", 13, b'{"id":2,"peerURLs":null,"isPromote":true}'),
        ("urls", 14, b"http://127.0.0.1:2380,https://[::1]:1,unix://s:0"),
        ("initial_cluster", 14, b"a=http://x:1,a=http://y:2,b=http://z:3"),
        ("version", 14, b"3.5.16-rc.1+build"),
    ]
    for name, choice, content in seeds:
        write("requests", name, bytes([choice]), content)


# What members send each other (fuzz_peer.cc: the order of the targets).


def raft_message(kind, to, sender, *, term=2, log_term=0, index=0, entries=(), commit=0, snapshot=None, context=b""):
    none = message((2, message((1, message((5, 0))), (2, 0), (3, 0))))
    fields = [(1, kind), (2, to), (3, sender), (4, term), (5, log_term), (6, index)]
    fields += [(7, e) for e in entries]
    fields += [(8, commit), (9, none if snapshot is None else snapshot), (10, 0), (11, 0)]
    return message(*fields, *([(12, context)] if context else []))


def peer_seeds():
    def framed(data):
        return struct.pack(">Q", len(data)) + data

    vote = raft_message(5, 1, 2, log_term=1, index=9, context=b"CampaignTransfer")
    append = raft_message(3, 1, 2, log_term=2, index=4, entries=[entry(5, 2, b"data"), entry(6, 2, b"")], commit=4)
    following = b"\1" + struct.pack(">Q", 1) + framed(entry(7, 2, b"more")) + struct.pack(">Q", 6)
    snapshot = message((1, "{}"), (2, message((1, message((1, 1), (1, 2), (5, 0))), (2, 9), (3, 2))))
    snap = raft_message(7, 1, 2, snapshot=snapshot)
    write("peer", "vote", bytes([0]), vote)
    write("peer", "append", bytes([0]), append)
    write("peer", "append_stream", bytes([1, 6]), b"\2", framed(append), following, b"\0", following)
    write("peer", "message_stream", bytes([2, 9]), framed(vote), framed(raft_message(8, 0, 0, term=0)))
    write("peer", "snapshot", bytes([3, 3]), framed(snap), bytes(4096))
    write("peer", "probe", bytes([4]), b'{"OK":true,"Now":"2026-11-22T19:13:16.72856676Z"}\n')
    write("peer", "url", bytes([4]), b"http://[::1]:2380")


# The files of the guard against lost logs (fuzz_lost_log.cc: the order of the decoders); checksums are added there.


def lost_log_seeds():
    write("lost_log", "epoch", bytes([0]), b"quorate-epoch 1 a1b2 7 c3d4")
    write("lost_log", "running", bytes([1]), b"quorate-run 1 a1b2 7 c3d4 boot running 3 8e9e 12")
    write("lost_log", "ended", bytes([1]), b"quorate-run 1 a1b2 8 c3d5 boot 14 3 8e9e 12")
    write("lost_log", "memory", bytes([2]), b"QUORPMEM", struct.pack(">QQI", 5, 9, 1), struct.pack(">QQQQ", 2, 3, 1, 40))
    write("lost_log", "answer", bytes([3]), b'{"cluster":"1","member":"2","term":3,"vote":"2","index":40}')
    write("lost_log", "mark", bytes([4]), b'{"member":"1","cluster":"9","proof":"p","term":3,"commit":5,"last-index":4,"since":1}')
    write("lost_log", "rejoin", bytes([5]), b'{"step":"move","old":"1","new":"2","promote":true,"name":"m",'
          b'"peer-urls":["http://a:1"],"endpoints":["http://b:2"],"initial-cluster":"m=http://a:1"}')


# Requests to the JSON gateway (fuzz_json.cc); the first byte is the place of the path among all, sorted.


def json_seeds():
    source = (SEEDS.parents[1] / "src/gateway/routes.cc").read_text()
    paths = sorted(re.findall(r'\{"(/v3/[^"]+)"', source))
    for path, body in (
            ("/v3/kv/range", r'{"key":"Zm9v","rangeEnd":"Zm-_","limit":"5","sort_order":"DESCEND","sort_target":2}'),
            ("/v3/kv/put", r'{"key":"Zm9v","value":"YmFy","lease":1.50e1,"prev_kv":true,"nosuch":[{"a":null}]}'),
            ("/v3/kv/txn", r'{"compare":[{"key":"YQ==","target":"MOD","mod_revision":"0"}],"success":[{"request_put":{"key":"YQ=="}},'
                           r'{"request_txn":{"failure":[{"requestRange":{}}]}}]}'),
            ("/v3/watch", r'{"create_request":{"key":"YQ==","filters":["NOPUT",1]}} {"cancel_request":{"watch_id":-1}}'),
            ("/v3/auth/user/add", r'{"name":"\u0061\ud83d\ude00\n\"<&>","password":null,"options":{"no_password":false}}'),
            ("/v3/cluster/member/add", r'{"peerURLs":["http://a:1","http://b:2"],"isLearner":true}')):
        write("json", path.rsplit("/", 1)[1], bytes([paths.index(path)]), body.encode())


if __name__ == "__main__":
    json_seeds()
    lost_log_seeds()
    peer_seeds()
    wal_seeds()
    db_seeds()
    snap_seeds()
    http_seeds()
    request_seeds()
