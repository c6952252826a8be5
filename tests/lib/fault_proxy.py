"""A TCP proxy between members whose links can be cut, delayed, stalled one way, or left half open.

One listener stands in front of each member's peer port, and the members advertise the listeners. Who dialled is found
out by the process that holds the other end of the connection (/proc), so every ordered pair of members is a link of its
own, whatever they speak. A rule of the link a -> b is for the bytes that a sends to b, on connections that either dialled.

The proxy is a process of its own (this file as a program), which obeys one JSON object a line; FaultProxy is the test's
half of it.
"""

import asyncio
import collections
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time

import socket_table

_CHUNK = 64 << 10
_CHUNKS_HELD = 16
_ESTABLISHED = 1  # Of enum tcp_state.
_IDENTIFY_SECONDS = 1.0


class FaultProxy:
    """Names are the members'. Faults stay until heal()."""

    def __init__(self, identify_seconds=_IDENTIFY_SECONDS):
        """Who has not been found out after so long is let through as nobody in particular."""
        self._process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(identify_seconds)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, operation, **fields):
        self._process.stdin.write(json.dumps({"operation": operation, **fields}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"fault proxy: {operation} {fields}: {answer['error']}")
        return answer

    def listen(self, name, host, port, target_port):
        """Puts a listener at host:port in front of the member's own peer port on the same host."""
        self._ask("listen", name=name, host=host, port=port, target_port=target_port)

    def process(self, name, pid):
        """The member's process, whenever it was started: connections from it are the member's."""
        self._ask("process", name=name, pid=pid)

    def cut(self, a, b):
        """No connection between the two, old ones reset."""
        self._ask("cut", a=a, b=b)

    def reset(self, a, b):
        """Resets the connections between the two once."""
        self._ask("reset", a=a, b=b)

    def stall(self, a, b):
        """Nothing more arrives of what a sends to b; the other direction works. After heal() it arrives late."""
        self._ask("stall", a=a, b=b)

    def delay(self, a, b, seconds, jitter=0.0):
        """What a sends to b arrives that much later, in order."""
        self._ask("delay", a=a, b=b, seconds=seconds, jitter=jitter)

    def freeze(self, a, b):
        """Half open: present connections carry nothing any more and stay open; new ones work."""
        self._ask("freeze", a=a, b=b)

    def heal(self):
        """No faults from here on. Stalled bytes arrive, frozen connections are reset."""
        self._ask("heal")

    def isolate(self, name, others):
        for other in others:
            if other != name:
                self.cut(name, other)

    def connections(self):
        """[(dialler or None, member, bytes)] of the open ones."""
        return [tuple(entry) for entry in self._ask("connections")["connections"]]

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class _Rule:
    def __init__(self):
        self.cut = False
        self.stalled = False
        self.delay = 0.0
        self.jitter = 0.0


class _Connection:
    """One proxied connection: two flows, each a reader that stamps chunks and a writer that lets them go when due."""

    def __init__(self, proxy, dialler, target, near, far):
        self.proxy = proxy
        self.ends = (dialler, target)
        self.streams = (near, far)
        self.frozen = False
        self.bytes = 0

    def concerns(self, a, b):
        return set(self.ends) == {a, b}

    async def run(self):
        dialler, target = self.ends
        (near_in, near_out), (far_in, far_out) = self.streams
        flows = []
        for reader, writer, source, sink in ((near_in, far_out, dialler, target), (far_in, near_out, target, dialler)):
            held = asyncio.Queue(_CHUNKS_HELD)
            flows += [self._read(reader, held, source, sink), self._write(writer, held, source, sink)]
        tasks = [asyncio.create_task(flow) for flow in flows]
        try:
            await asyncio.gather(*tasks)
        except OSError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            self.abort()

    async def _read(self, reader, held, source, sink):
        while True:
            data = await reader.read(_CHUNK)
            rule = self.proxy.rule(source, sink)
            due = time.monotonic() + rule.delay + rule.jitter * random.random() if rule.delay or rule.jitter else 0
            await held.put((due, data))
            if not data:
                return

    async def _write(self, writer, held, source, sink):
        while True:
            due, data = await held.get()
            if due:
                await asyncio.sleep(due - time.monotonic())
            while self.frozen or self.proxy.rule(source, sink).stalled:
                await self.proxy.wait_for_change()
            if not data:
                writer.write_eof()
                return
            self.bytes += len(data)
            writer.write(data)
            await writer.drain()

    def abort(self):
        for _, writer in self.streams:
            try:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except (OSError, AttributeError):
                pass
            writer.transport.abort()


class _Proxy:
    def __init__(self, identify_seconds):
        self.identify_seconds = identify_seconds
        self.rules = collections.defaultdict(_Rule)
        self.pids = {}
        self.open = set()
        self.changed = asyncio.Event()
        self.servers = []

    def rule(self, source, sink):
        return self.rules[source, sink]

    async def wait_for_change(self):
        await self.changed.wait()

    def tell_change(self):
        """Wakes whoever waits for other rules; they look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    # Who dialled

    async def dialler(self, writer):
        """The member whose process holds the other end of this connection; None when none does."""
        # One source port may serve several destinations at once: both ends name a socket.
        ends = [writer.get_extra_info(end)[:2] for end in ("peername", "sockname")]
        deadline = time.monotonic() + self.identify_seconds
        while True:
            inode = socket_table.inode_of(*ends)
            for name, pid in self.pids.items():
                if inode is not None and _holds(pid, inode):
                    return name
            if inode is None and _has_left(writer):
                raise ConnectionResetError  # Nobody is there any more, who could be asked for and served.
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.02)

    async def accept(self, name, host, target_port, reader, writer):
        near = (reader, writer)
        connection = None
        try:
            dialler = await self.dialler(writer)
            refused = self.rule(dialler, name).cut or self.rule(name, dialler).cut
            unknown = dialler is None and any(rule.cut or rule.stalled for (_, sink), rule in self.rules.items()
                                              if sink == name)
            if not refused and not unknown:
                far = await asyncio.open_connection(host, target_port, limit=_CHUNK)
                connection = _Connection(self, dialler, name, near, far)
                # The rules may have changed while this connected.
                if not self.rule(dialler, name).cut:
                    self.open.add(connection)
                    await connection.run()
        except OSError:
            pass
        finally:
            self.open.discard(connection)
            (connection or _Connection(self, None, name, near, near)).abort()

    # What the test asks for

    async def obey(self, request):
        operation = request.pop("operation")
        return await getattr(self, "do_" + operation)(**request) or {}

    async def do_listen(self, name, host, port, target_port):
        async def accept(reader, writer):
            await self.accept(name, host, target_port, reader, writer)
        self.servers.append(await asyncio.start_server(accept, host, port, limit=_CHUNK))

    async def do_process(self, name, pid):
        self.pids[name] = pid

    async def do_cut(self, a, b):
        self.rule(a, b).cut = self.rule(b, a).cut = True
        await self.do_reset(a, b)

    async def do_reset(self, a, b):
        for connection in [c for c in self.open if c.concerns(a, b)]:
            connection.abort()

    async def do_stall(self, a, b):
        self.rule(a, b).stalled = True

    async def do_delay(self, a, b, seconds, jitter):
        self.rule(a, b).delay, self.rule(a, b).jitter = seconds, jitter

    async def do_freeze(self, a, b):
        for connection in self.open:
            connection.frozen |= connection.concerns(a, b)

    async def do_heal(self):
        self.rules.clear()
        for connection in [c for c in self.open if c.frozen]:
            connection.abort()
        self.tell_change()

    async def do_connections(self):
        return {"connections": [[*c.ends, c.bytes] for c in self.open]}


def _has_left(writer):
    """Whether the other end has closed. To go on looking for it would take the time of those who wait meanwhile."""
    state = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != _ESTABLISHED


def _holds(pid, inode):
    wanted = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    if os.readlink(entry.path) == wanted:
                        return True
                except OSError:
                    continue
    except OSError:
        pass
    return False


async def _serve():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # Aborted transports complain; they were meant to end.
    proxy = _Proxy(float(sys.argv[1]))
    commands = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        try:
            answer = await proxy.obey(json.loads(line))
        except Exception as error:  # pylint: disable=broad-except
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve())
