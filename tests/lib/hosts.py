"""The site of the operators' runbook: three hosts 127.0.0.10 to 127.0.0.12, each with a root directory of its own that holds
what the runbook names:

    /etc/etcd.env                    the settings of the member
    /etc/ssl/etcd/ssl/               ca.pem, member-HOST.pem, member-HOST-key.pem; mutual TLS on client and peer ports
    /var/lib/etcd                    its data
    /usr/local/bin/etcd-health.sh    R1 of the runbook
    /usr/local/bin/etcdctl3.sh       R2
    systemctl                        of tests/lib/supervisor.py, which runs packaging/systemd/etcd.service

    with Site(("quorate",) * 3, etcdctl="/usr/bin/etcdctl") as site:
        site.start()
        print(site.hosts[0].sh("etcd-health.sh"))

Command lines are typed as they stand: sh() puts the host's root before /etc, /var, /run and /usr/local, and takes it off what
is printed. Ports are the test's own; the members' on one address are the same on all hosts.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import places
from certificates import Authority, Credentials
from cluster import KINDS, Cluster, ClusterError, ClusterMember
from ports import free_port
from supervisor import Supervisor

UNIT = places.REPOSITORY / "packaging/systemd/etcd.service"
FIRST_ADDRESS = 10
_ROOTED = re.compile(r"(?<![\w./:-])/(?=(?:etc|var|run|usr/local)/)")

HEALTH_SCRIPT = """#!/bin/bash
# Health of the cluster as this host sees it.
HOST={host}
ETCDCTL_API=2 exec etcdctl --endpoints https://127.0.0.1:{local_port} --ca-file=/etc/ssl/etcd/ssl/ca.pem \\
  --cert-file=/etc/ssl/etcd/ssl/member-$HOST.pem --key-file=/etc/ssl/etcd/ssl/member-$HOST-key.pem --debug cluster-health
"""
CTL3_SCRIPT = """#!/bin/bash
# The third-generation client, as a member.
HOST={host}
ETCDCTL_API=3 exec etcdctl --endpoints https://127.0.0.1:{local_port} --cacert=/etc/ssl/etcd/ssl/ca.pem \\
  --cert=/etc/ssl/etcd/ssl/member-$HOST.pem --key=/etc/ssl/etcd/ssl/member-$HOST-key.pem "$@"
"""
ENVIRONMENT = """# Settings of the member on {host}
ETCD_NAME="{name}"
ETCD_DATA_DIR=/var/lib/etcd
ETCD_LISTEN_CLIENT_URLS=https://{address}:{client_port},https://127.0.0.1:{local_port}
ETCD_ADVERTISE_CLIENT_URLS=https://{address}:{client_port}
ETCD_LISTEN_PEER_URLS=https://{address}:{peer_port}
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://{address}:{peer_port}
ETCD_INITIAL_CLUSTER="{initial_cluster}"
ETCD_INITIAL_CLUSTER_STATE="new"
ETCD_INITIAL_CLUSTER_TOKEN={token}
ETCD_ENABLE_V2=true
ETCD_TRUSTED_CA_FILE=/etc/ssl/etcd/ssl/ca.pem
ETCD_CERT_FILE=/etc/ssl/etcd/ssl/member-{host}.pem
ETCD_KEY_FILE=/etc/ssl/etcd/ssl/member-{host}-key.pem
ETCD_CLIENT_CERT_AUTH=true
ETCD_PEER_TRUSTED_CA_FILE=/etc/ssl/etcd/ssl/ca.pem
ETCD_PEER_CERT_FILE=/etc/ssl/etcd/ssl/member-{host}.pem
ETCD_PEER_KEY_FILE=/etc/ssl/etcd/ssl/member-{host}-key.pem
ETCD_PEER_CLIENT_CERT_AUTH=True

# For the client
ETCDCTL_ENDPOINTS=https://127.0.0.1:{local_port}
ETCDCTL_CACERT=/etc/ssl/etcd/ssl/ca.pem
ETCDCTL_CERT=/etc/ssl/etcd/ssl/member-{host}.pem
ETCDCTL_KEY=/etc/ssl/etcd/ssl/member-{host}-key.pem
"""


class Host(ClusterMember):
    """A host and the member on it. Its process is the supervisor's."""

    def __init__(self, site, number, kind):
        super().__init__(site, number, kind)
        self.name = f"etcd_{number - 1}"
        self.host = f"node{number}"
        self.address = f"127.0.0.{FIRST_ADDRESS + number - 1}"
        self.client_port, self.peer_port = site.client_port, site.peer_port
        self.advertised_port = self.peer_port
        self.local_port = free_port("127.0.0.1")
        self.data_dir = self.path("/var/lib/etcd")
        self.environment_file = self.path("/etc/etcd.env")
        self.supervisor = Supervisor(UNIT.read_text(), self.root, KINDS[kind](), self.log_path)

    def path(self, path):
        return self.root / path.lstrip("/")

    # The files of the host

    def install(self):
        for directory in ("/etc/ssl/etcd/ssl", "/var/lib", "/var/backups", "/usr/local/bin", "/bin"):
            self.path(directory).mkdir(parents=True)
        tls = self.path("/etc/ssl/etcd/ssl")
        shutil.copy(self.cluster.authority.cert, tls / "ca.pem")
        made = self.cluster.authority.issue(self.host, names=("127.0.0.1", "localhost", self.address))
        shutil.copy(made.cert, tls / f"member-{self.host}.pem")
        shutil.copy(made.key, tls / f"member-{self.host}-key.pem")
        self.add_program("/usr/local/bin/etcd-health.sh", self._filled(HEALTH_SCRIPT))
        self.add_program("/usr/local/bin/etcdctl3.sh", self._filled(CTL3_SCRIPT))
        self.add_program("/bin/systemctl", f"#!/bin/bash\nexec {sys.executable} {pathlib.Path(__file__).parent}/supervisor.py "
                      f"{self.supervisor.address} \"$@\"\n")
        self.path("/bin/etcdctl").symlink_to(self.cluster.etcdctl)
        # Where /run is; etcd would only warn of it.
        self.environment_file.write_text(self._filled(ENVIRONMENT) + f"ETCD_RUN_DIR={self.path('/run/quorate')}\n")

    def _filled(self, text):
        filled = text.format(host=self.host, name=self.name, address=self.address, client_port=self.client_port,
                             peer_port=self.peer_port, local_port=self.local_port, token=self.cluster.token,
                             initial_cluster=self.initial_cluster)
        return re.sub(r"(?<=[= ])/(?=(?:etc|var)/)", f"{self.root}/", filled)

    def add_program(self, path, text):
        self.path(path).write_text(text)
        self.path(path).chmod(0o755)

    def set(self, text):
        """Lines NAME=VALUE of the environment file, changed or added, as an operator edits it."""
        lines = self.environment_file.read_text().splitlines()
        for line in text.splitlines():
            name = line.partition("=")[0]
            lines = [one for one in lines if not one.startswith(name + "=")] + [line]
        self.environment_file.write_text("\n".join(lines) + "\n")

    # Its command line

    def run(self, line, timeout=60):
        """(exit status, what the command line prints on both streams)"""
        with self.begin(line) as running:
            output, _ = running.communicate(timeout=timeout)
        output = output.replace(str(self.root), "")
        shown = output if len(output) < 4000 else output[:4000] + "...\n"
        print(f"[{self.host}]$ {line}\n{shown}", end="", flush=True)
        return running.returncode, output

    def begin(self, line):
        """The command line as a process; its output comes by a pipe."""
        return subprocess.Popen(["bash", "-c", self.rooted(line)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", env=self.environment_of_shell(),
                                cwd=self.root)

    def environment_of_shell(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        environment["PATH"] = f"{self.path('/usr/local/bin')}:{self.path('/bin')}:{environment['PATH']}"
        return environment

    def rooted(self, line):
        """The line with paths of the host below its root."""
        return _ROOTED.sub(f"{self.root}/", line)

    def sh(self, line, **options):
        """What it prints; it must succeed."""
        status, output = self.run(line, **options)
        if status != 0:
            raise ClusterError(f"{line} on {self.host} ended with {status}:\n{output}\n{self.cluster.logs()}")
        return output

    # As a member of a cluster

    @property
    def running(self):
        return self.supervisor.active

    def spawn(self):
        raise ClusterError("the supervisor of the host starts it: systemctl start etcd")

    def mark_log(self):
        """recent_log() begins here."""
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0

    def wait_healthy(self, seconds=60):
        self.cluster.wait(self.healthy, f"{self.name} is healthy", seconds)

    def remove(self):
        self.supervisor.close()
        shutil.rmtree(self.root, ignore_errors=True)


class Site(Cluster):
    """`kinds`: of each host's server. `etcdctl`: the client that the hosts have under this name."""

    def __init__(self, kinds, etcdctl):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="site-", dir=places.scratch()))
        self.authority = Authority(self.directory)
        self.etcdctl = etcdctl
        addresses = [f"127.0.0.{FIRST_ADDRESS + i}" for i in range(len(kinds))]
        self.client_port, self.peer_port = free_port(*addresses), free_port(*addresses)
        super().__init__(kinds, peer_scheme="https",
                         credentials=Credentials(self.authority.cert, self.authority.issue("tests", names=())))
        for host in self.hosts:
            host.install()

    def _new_member(self, kind):
        host = Host(self, self._next, kind)
        self._next += 1
        self.members.append(host)
        return host

    @property
    def hosts(self):
        return self.members

    def __exit__(self, kind, *rest):
        super().__exit__(kind, *rest)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        """All at once, as when the power comes back."""
        starts = [subprocess.Popen([host.path("/bin/systemctl"), "start", "etcd"]) for host in self.hosts]
        for host, start in zip(self.hosts, starts):
            if start.wait(90) != 0:
                raise ClusterError(f"systemctl start etcd failed on {host.host}\n{self.logs()}")
        for host in self.hosts:
            host.wait_healthy()
        return self
