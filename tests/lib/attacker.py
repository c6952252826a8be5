"""An HTTP/2 client that does what no honest one does: frames by hand, headers without a library, nothing read unless asked.

    with Attacker("127.0.0.1", port) as attacker:
        attacker.send(b"".join(attacker.request(RANGE, end=False) for _ in range(1000)))
"""

import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
ENHANCE_YOUR_CALM = 11

RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
WATCH = "/etcdserverpb.Watch/Watch"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", key, value) for key, value in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def _integer(prefix, bits, value):
    """An HPACK integer (RFC 7541, 5.1) behind the bits of `prefix`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([prefix | value])
    out, value = bytearray([prefix | most]), value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def _text(value):
    return _integer(0, 7, len(value)) + value


def literal(name, value, remember=False):
    """A header that is spelled out; with `remember` it enters the table (at index 62, the others move up)."""
    return (b"\x40" if remember else b"\x00") + _text(name) + _text(value)


def indexed(index):
    """One byte that stands for a whole header of the table."""
    return _integer(0x80, 7, index)


def grpc_headers(path, *extra):
    pairs = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"x"),
             (b"content-type", b"application/grpc"), (b"te", b"trailers"), *extra]
    return b"".join(literal(name, value) for name, value in pairs)


def varint(value):
    """An integer of protobuf's."""
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes([value])


def message(body, compressed=False):
    """A gRPC message frame."""
    return bytes([compressed]) + len(body).to_bytes(4, "big") + body


class Attacker:
    """One connection. Whatever the server does to it is no error: see closed() and goaway()."""

    def __init__(self, host, port, context=None, greet=True, receive_buffer=None, source=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(20)
        self.socket.connect((host, port))
        if context:
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.received = b""
        self.broken = False
        self._next = 1
        if greet:
            self.send(PREFACE + settings())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """False when the server does not take it any more: it has closed, or reads no further within 20 s."""
        if self.broken:
            return False
        try:
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            self.broken = True
        return not self.broken

    def agree(self):
        """Takes the server's SETTINGS and says so: its larger windows hold from then on."""
        while not self.broken and not any(kind == SETTINGS and not flags & ACK for kind, flags, _, _ in self.frames()):
            self.drain(1)
        self.send(frame(SETTINGS, ACK, 0))

    @property
    def newest(self):
        """The number of the stream that was begun last."""
        return self._next - 2

    def stream(self):
        """The number of a new stream."""
        number = self._next
        self._next += 2
        return number

    def request(self, path, body=b"", end=True, extra=(), block=None):
        """The frames of one request; without `end` its stream stays open."""
        number = self.stream()
        out = frame(HEADERS, END_HEADERS, number, grpc_headers(path, *extra) if block is None else block)
        if body or end:
            out += frame(DATA, END_STREAM if end else 0, number, body)
        return out

    def drain(self, seconds=0.0):
        """Takes what is there (waiting at most so long for the first of it)."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            while part := self.socket.recv(1 << 20):
                self.received += part
                self.socket.settimeout(0.001)
            self.broken = True
        except (TimeoutError, ssl.SSLWantReadError):
            pass
        except (OSError, ssl.SSLError):
            self.broken = True
        finally:
            self.socket.settimeout(20)
        return self.received

    def closed(self, seconds=60):
        """Whether the server ends the connection within that time."""
        self.socket.settimeout(seconds)
        try:
            while part := self.socket.recv(1 << 20):
                self.received += part
        except TimeoutError:
            return False
        except (OSError, ssl.SSLError):
            pass
        self.broken = True
        return True

    def frames(self):
        """What was received, as (kind, flags, stream, payload)."""
        data, out = self.received, []
        while len(data) >= 9:
            size = int.from_bytes(data[:3], "big")
            if len(data) < 9 + size:
                break
            out.append((data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7fffffff, data[9:9 + size]))
            data = data[9 + size:]
        return out

    def goaway(self):
        """The error code of the server's GOAWAY among what was received, None without one."""
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                return int.from_bytes(payload[4:8], "big")
        return None
