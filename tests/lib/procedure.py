"""What tests of `quoratectl cluster ...` share: hosts whose services --exec reaches with curl, a load whose acknowledged writes must
stay, a terminal to answer questions on, and the test case around them."""

import contextlib
import http.server
import json
import os
import pathlib
import pty
import select
import shutil
import subprocess
import threading
import unittest
import urllib.parse

import certificates
import places
from api import rpc
from cluster import Cluster

QUARANTINED = "is quarantined, its log went back in time"
# Short elections, so that what waits for several of them fits into a test.
FLAGS = ("--heartbeat-interval", "50", "--election-timeout", "500")
ADDRESSES = ("127.0.0.1", "127.0.0.11", "127.0.0.12", "127.0.0.13", "localhost")
PASSED_ON = ("QUORATE_STEP", "QUORATE_MEMBER_NAME", "QUORATE_MEMBER_ID", "QUORATE_MEMBER_HOST", "QUORATE_ASIDE_SUFFIX",
             "ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE")


class Hosts:
    """Stands for the hosts and their service managers. The calls with the numbers in `fail` (from 0) end with an error before
    anything is done; `after` has what else happens after the call with that number was done, before it is answered."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.steps = []  # (step, member's name) as they were done.
        self.fail = set()
        self.after = {}
        self.calls = 0
        self.trouble = []
        hosts = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                variables = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
                try:
                    done = hosts.act(variables)
                except Exception as error:  # Told by the test, whose thread this is not.
                    hosts.trouble.append(error)
                    done = False
                self.send_response(200 if done else 500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        # One thread that lives as long as the members that it starts: they die with it.
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        data = " ".join(f'--data-urlencode "{name}=${name}"' for name in PASSED_ON)
        self.command = f"curl -sS --fail -o /dev/null {data} http://127.0.0.1:{self.server.server_port}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def act(self, variables):
        step = variables["QUORATE_STEP"] or "restart"
        one = next(m for m in self.cluster.members if m.name == variables["QUORATE_MEMBER_NAME"])
        assert variables["QUORATE_MEMBER_HOST"] == one.address, variables
        number, self.calls = self.calls, self.calls + 1
        if number in self.fail:
            return False
        self.steps.append((step, one.name))
        getattr(self, step.replace("-", "_"))(one, variables)
        self.after.pop(number, lambda: None)()
        return True

    def restart(self, one, _):
        if one.running:
            one.stop()
        one.spawn()

    def stop(self, one, _):
        if one.running:
            one.kill()

    def move_aside(self, one, variables):
        if one.running:
            one.kill()
        aside = pathlib.Path(f"{one.data_dir}{variables['QUORATE_ASIDE_SUFFIX']}")
        if not aside.exists() and one.data_dir.exists():
            one.data_dir.rename(aside)

    def start(self, one, variables):
        assert variables["ETCD_NAME"] == one.name
        one.initial_cluster = variables["ETCD_INITIAL_CLUSTER"]
        one.initial_state = variables["ETCD_INITIAL_CLUSTER_STATE"]
        one.spawn()


class Writer:
    """Puts numbers one after another at all members that answer; every acknowledged one must be there in the end."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.acknowledged = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            for one in list(self.cluster.members):
                try:
                    one.put(f"load/{number}", str(number), timeout=5)
                    self.acknowledged.append(number)
                    break
                except Exception:  # Of a member that is down, or has no leader: the next one is asked.
                    continue
            self.ended.wait(0.01)

    def check(self, test):
        with self.cluster.running[0].api() as service:
            found = service.KV.Range(rpc.RangeRequest(key=b"load/", range_end=b"load0"), timeout=30).kvs
        test.assertTrue(self.acknowledged)
        test.assertLessEqual(set(self.acknowledged), {int(kv.value) for kv in found})


class Terminal:
    """A command on a terminal of its own; what it says is kept in .text."""

    def __init__(self, command, environment):
        self.controller, terminal = pty.openpty()
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
        os.close(terminal)
        self.text = ""

    def read(self):
        """What comes next; nothing at the end."""
        if not select.select([self.controller], [], [], 60)[0]:
            raise AssertionError(f"it says nothing more: {self.text}")
        with contextlib.suppress(OSError):  # The end of the other side.
            part = os.read(self.controller, 4096).decode(errors="replace").replace("\r\n", "\n")
            self.text += part
            return part
        return ""

    def wait_for(self, text):
        while text not in self.text:
            if not self.read():
                raise AssertionError(f"it ended without {text!r}: {self.text}")

    def type(self, line):
        os.write(self.controller, line.encode() + b"\n")

    def end(self):
        """The exit status, once it has ended by itself."""
        while self.read():
            pass
        return self.process.wait(timeout=60)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.controller)


class ProcedureTest(unittest.TestCase):
    maxDiff = None
    login = ()  # Of each command: --user.

    def cluster(self, kinds=("quorate",) * 3, start=True, **options):
        cluster = Cluster(kinds, flags=options.pop("flags", ()), **options)
        self.addCleanup(cluster.__exit__, None)
        if start:
            cluster.start()
            # Members are healthy before they have agreed on the cluster's version.
            cluster.wait(lambda: all(json.loads(m.http("/version")[1])["etcdcluster"] == "3.4.0" for m in cluster.members),
                         "the cluster's version is decided")
        hosts = Hosts(cluster)
        self.addCleanup(hosts.close)
        return cluster, hosts

    def command(self, cluster, *arguments, endpoints=None):
        secured = []
        if cluster.credentials:
            secured = ["--cacert", str(cluster.credentials.ca), "--cert", str(cluster.credentials.certificate.cert),
                       "--key", str(cluster.credentials.certificate.key)]
        urls = endpoints or [m.url for m in cluster.running]
        return [places.quoratectl(), "--endpoints", ",".join(urls), *secured, *self.login, *map(str, arguments)]

    def certificates(self, **server):
        """An authority of its own, and a certificate of each member's client port."""
        directory = pathlib.Path(places.scratch()) / f"certificates-{os.getpid()}-{self.id()}"
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        directory.mkdir()
        ca = certificates.Authority(directory)
        return ca, ca.issue("server", names=ADDRESSES, **server)

    def environment(self, cluster):
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("ETCD_", "ETCDCTL_", "XDG_"))}
        return clean | {"XDG_STATE_HOME": str(cluster.members[0].root / "state")}

    def terminal(self, cluster, *arguments, **options):
        made = Terminal(self.command(cluster, *arguments, **options), self.environment(cluster))
        self.addCleanup(made.close)
        return made

    def ctl(self, cluster, *arguments, code=0, **options):
        """stdout and stderr in one."""
        result = subprocess.run(self.command(cluster, *arguments, **options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False, timeout=150, stdin=subprocess.DEVNULL, env=self.environment(cluster))
        self.assertEqual(result.returncode, code, result.stdout)
        return result.stdout

    def lose_directory(self, cluster, victim):
        """Its disk is empty, and it is started again: the commonest way to lose a log."""
        victim.kill()
        shutil.rmtree(victim.data_dir)
        victim.spawn()
        cluster.wait(lambda: QUARANTINED in victim.http("/health")[1], f"{victim.name} is quarantined")

    def alarm(self, one, kind, member_id):
        """As a server raises it itself."""
        with one.api() as service:
            service.Maintenance.Alarm(rpc.AlarmRequest(action=rpc.AlarmRequest.ACTIVATE, memberID=member_id, alarm=kind), timeout=30)

    def notes(self, cluster):
        return list((cluster.members[0].root / "state").rglob("*.json"))

    def all_healthy(self, cluster):
        for one in cluster.members:
            one.wait_healthy()

        def told():
            """A member may hear of its leader a moment later than the others."""
            return subprocess.run(self.command(cluster, "cluster", "health"), stdout=subprocess.PIPE, text=True, check=False,
                                  timeout=150, env=self.environment(cluster)).stdout.endswith("cluster is healthy\n")
        cluster.wait(told, "the cluster is healthy, and says so")
