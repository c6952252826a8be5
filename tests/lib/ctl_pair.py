"""Two command-line clients, each with servers of its own that are in the same state: etcd's etcdctl and ours."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import grpc

import ctl_output
import member
import places
from api import rpc

RUN_SECONDS = 60
# Of commands that say nothing of it: by default they give up after 2 s and 5 s, which a busy machine may need.
_PATIENT = ("--dial-timeout=20s", "--command-timeout=40s")
_ALL = {"key": b"\0", "range_end": b"\0"}


class Outcome:
    """What a command left behind, as bytes."""

    def __init__(self, code, out, error):
        self.code = code
        self.out = out
        self.error = error


class Background:
    """A command that goes on; its output is collected as it comes."""

    def __init__(self, command, environment, directory):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         env=environment, cwd=directory, start_new_session=True)
        self._parts = {1: b"", 2: b""}
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read, args=(1, self._process.stdout), daemon=True),
                         threading.Thread(target=self._read, args=(2, self._process.stderr), daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read(self, which, stream):
        while chunk := os.read(stream.fileno(), 65536):
            with self._changed:
                self._parts[which] += chunk
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_lines(self, count):
        """Until so many lines stand on stdout; an early end is seen by what is compared."""
        deadline = time.monotonic() + RUN_SECONDS
        with self._changed:
            while self._parts[1].count(b"\n") < count and self._process.poll() is None:
                if not self._changed.wait(min(0.5, max(0, deadline - time.monotonic()))) and time.monotonic() > deadline:
                    return

    def write(self, data):
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended; its exit status will tell.

    def close_input(self):
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def end(self, number=None):
        """Sends the signal, or waits for the end; the outcome."""
        if number and self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = "did not end"
        self.close_input()
        for reader in self._readers:
            reader.join()
        self._process.stdout.close()
        self._process.stderr.close()
        return Outcome(code, self._parts[1], self._parts[2])


class Side:
    """One client with its servers. `members` are those of its cluster; `dest` is another one, for make-mirror."""

    def __init__(self, tool, members, dest=None, secured=()):
        self.tool = tool
        self.members = members
        self.dest = dest
        self.secured = list(secured)  # Flags for a server that speaks TLS.
        self.directory = tempfile.mkdtemp(prefix="ctl-", dir=places.scratch())
        self.captured = {}  # Name to ID in hex.
        self.names = {}
        self.background = None
        self._login = None
        self._name_all()

    def close(self):
        if self.background:
            self.background.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _name_id(self, number, name):
        self.names[f"{number:x}"] = self.names[str(number)] = name
        self.names[f"{number:016x}"] = name

    def _name_all(self):
        with self.members[0].api() as service:
            answer = service.Cluster.MemberList(rpc.MemberListRequest())
        self._name_id(answer.header.cluster_id, "CLUSTER")
        self.ids = {known.name: known.ID for known in answer.members}
        for one in self.members:
            self._name_id(self.ids[one.name], f"ID-{one.name}")
            self.names[one.endpoint] = f"EP-{one.name}"
            self.names[f"{one.endpoint.split(':')[0]}:{one.peer_port}"] = f"PEER-{one.name}"
        if self.dest:
            self.names[self.dest.endpoint] = "DEST"
        self.names[self.directory] = "DIR"

    # Placeholders

    def values(self):
        """What stands for {NAME} in a line."""
        first = self.members[0]
        values = {"ep": first.endpoint, "eps": ",".join(one.endpoint for one in self.members), "dir": self.directory,
                  "member": f"{self.ids[first.name]:x}", **self.captured}
        values.update({f"ep{i}": one.endpoint for i, one in enumerate(self.members, 1)})
        values.update({f"id{i}": f"{self.ids[one.name]:x}" for i, one in enumerate(self.members, 1)})
        if self.dest:
            values["dest"] = self.dest.endpoint
        if len(self.members) > 1:
            leader = self._leader()
            values["leader"] = f"{leader:x}"
            values["follower"] = next(f"{i:x}" for i in self.ids.values() if i != leader)
        return values

    def _leader(self):
        with self.members[0].api() as service:
            return service.Maintenance.Status(rpc.StatusRequest()).leader

    def filled(self, text, revision):
        """`text` with its placeholders filled in; {rev} is the revision at which the script began."""
        if "{" not in text:
            return text
        values = self.values()
        text = re.sub(r"\{rev([+-]\d+)?\}", lambda found: str(revision + int(found[1] or 0)), text)
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)

    def capture(self, name, outcome):
        """Remembers the first ID that the command has printed."""
        if found := re.search(rb"^(?:lease|Member) +([0-9a-f]+) ", outcome.out):
            number = int(found[1], 16)
        elif found := re.search(rb'"ID"\D+(\d+)', outcome.out):
            number = int(found[1])
        else:
            return
        self.captured[name] = f"{number:x}"
        self._name_id(number, name.upper())

    # Commands

    def _command(self, tool, arguments, environment):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        if not any(a.startswith("--endpoints") for a in arguments) and "ETCDCTL_ENDPOINTS" not in environment:
            arguments = ["--endpoints", self.members[0].endpoint, *arguments]
        if not any(a.startswith(("--dial-timeout", "--command-timeout")) for a in arguments):
            arguments = [*_PATIENT, *arguments]
        return [tool, *self.secured, *arguments], {**inherited, "ETCDCTL_API": "3", **environment}

    def run(self, arguments, environment, stdin, tool=None):
        command, environment = self._command(tool or self.tool, arguments, environment)
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, env=environment, cwd=self.directory,
                                  timeout=RUN_SECONDS, check=False)
        except subprocess.TimeoutExpired as late:
            return Outcome("did not end", late.stdout or b"", late.stderr or b"")
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start_background(self, arguments, environment):
        command, environment = self._command(self.tool, arguments, environment)
        self.background = Background(command, environment, self.directory)

    def run_on_terminal(self, arguments, environment, answers):
        """With a terminal for all three streams; an answer is typed whenever the output ends with a question."""
        command, environment = self._command(self.tool, arguments, environment)
        # Not by pty.fork: gRPC's threads in this process do not survive a fork that runs Python.
        terminal, theirs = pty.openpty()
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
                                   cwd=self.directory, start_new_session=True)
        os.close(theirs)
        said, asked_at = b"", 0
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.5)[0]:
                try:
                    chunk = os.read(terminal, 4096)
                except OSError:  # Its end on Linux.
                    break
                said += chunk
            if answers and said[asked_at:].endswith(b": ") and self._echo_is_off(terminal):
                os.write(terminal, answers.pop(0).encode() + b"\n")
                asked_at = len(said)
        else:
            process.kill()
        code = process.wait()
        os.close(terminal)
        return Outcome(code, said, b"")

    @staticmethod
    def _echo_is_off(terminal):
        import termios
        return not termios.tcgetattr(terminal)[3] & termios.ECHO

    # The store

    def _api(self):
        return self.members[0].api()

    def revision(self):
        """Nothing when users keep it from us. Every member is asked, so that each has applied all that was done: a change of
        membership that comes to a leader before it has applied the last one has no effect, as with etcd."""
        return [self._revision_of(one) for one in self.members][0]

    def _revision_of(self, one):
        """A server that is too busy is asked again."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            try:
                with one.api() as service:
                    return service.KV.Range(rpc.RangeRequest(key=b"x", count_only=True)).header.revision
            except grpc.RpcError as error:
                if error.code().name in ("INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED"):
                    return None
                if time.monotonic() > deadline:
                    raise

    def pad(self, count):
        with self._api() as service:
            for _ in range(count):
                service.KV.Put(rpc.PutRequest(key=b"pad"))
            service.KV.Put(rpc.PutRequest(key=b"pad"))
            service.KV.DeleteRange(rpc.DeleteRangeRequest(key=b"pad"))

    def clear(self):
        self.revoke_all()
        with self._api() as service:
            for alarm in service.Maintenance.Alarm(rpc.AlarmRequest()).alarms:
                service.Maintenance.Alarm(rpc.AlarmRequest(action=2, memberID=alarm.memberID, alarm=alarm.alarm))
            service.KV.DeleteRange(rpc.DeleteRangeRequest(**_ALL))
            for user in service.Auth.UserList(rpc.AuthUserListRequest()).users:
                service.Auth.UserDelete(rpc.AuthUserDeleteRequest(name=user))
            for role in service.Auth.RoleList(rpc.AuthRoleListRequest()).roles:
                service.Auth.RoleDelete(rpc.AuthRoleDeleteRequest(role=role))

    def contents(self):
        """Every key with its numbers, as text; of a lease only whether there is one."""
        with self._api() as service:
            kvs = service.KV.Range(rpc.RangeRequest(**_ALL)).kvs
            users = list(service.Auth.UserList(rpc.AuthUserListRequest()).users)
            roles = list(service.Auth.RoleList(rpc.AuthRoleListRequest()).roles)
        lines = [f"{kv.key!r} {kv.value!r} v{kv.version} c{kv.create_revision} m{kv.mod_revision} {bool(kv.lease)}" for kv in kvs]
        return "\n".join([*lines, f"users {users}", f"roles {roles}"])

    def grant(self, lease, ttl):
        with self._api() as service:
            service.Lease.LeaseGrant(rpc.LeaseGrantRequest(ID=lease, TTL=ttl))

    def raise_alarm(self):
        with self._api() as service:
            service.Maintenance.Alarm(rpc.AlarmRequest(action=1, memberID=self.ids[self.members[0].name], alarm=1))

    def wait_keys(self, prefix, count):
        with self._api() as service:
            deadline = time.monotonic() + RUN_SECONDS
            while time.monotonic() < deadline:
                request = rpc.RangeRequest(key=prefix, range_end=prefix[:-1] + bytes([prefix[-1] + 1]), count_only=True)
                if service.KV.Range(request).count >= count:
                    return
                time.sleep(0.02)

    def revoke_all(self):
        with self._api() as service:
            for lease in service.Lease.LeaseLeases(rpc.LeaseLeasesRequest()).leases:
                try:
                    service.Lease.LeaseRevoke(rpc.LeaseRevokeRequest(ID=lease.ID))
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.NOT_FOUND:  # It has just run out.
                        raise

    def wait_mirrored(self, key, value):
        with self.dest.api() as service:
            deadline = time.monotonic() + RUN_SECONDS
            while time.monotonic() < deadline:
                kvs = service.KV.Range(rpc.RangeRequest(key=key.encode())).kvs
                if (kvs[0].value.decode() if kvs else "-") == value:
                    return
                time.sleep(0.02)

    # Comparing

    def shown(self, arguments, outcome):
        """(stdout, stderr) as text without what must differ."""
        if "protobuf" in " ".join(arguments) and outcome.out:
            try:
                text = ctl_output.fields(outcome.out)
            except ValueError:
                text = repr(outcome.out)
        else:
            text = outcome.out.decode(errors="backslashreplace")
        return (ctl_output.normalised(text, arguments, self.names),
                ctl_output.normalised(outcome.error.decode(errors="backslashreplace"), arguments, self.names))
