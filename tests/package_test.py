#!/usr/bin/python3
"""The Debian packages in a Debian tree made for them, over Debian's etcd-server with data in it, and back again.

    ./dev package --test        makes the packages, and runs this

It wants root, debootstrap, and packages in build/packages; what it lacks it says, and is skipped. The bare tree is kept in
build/package-test for the next time (QUORATE_DEBIAN_TREE names another one).
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import places
from ports import free_port
from supervisor import Supervisor

PACKAGES = places.REPOSITORY / "build/packages"
KEPT = places.REPOSITORY / "build/package-test"
RELEASE = "bookworm"
# Debian's file, as an operator has filled it in.
SETTINGS = """## etcd(1) daemon options
ETCD_LISTEN_CLIENT_URLS="http://127.0.0.1:{client}"
ETCD_ADVERTISE_CLIENT_URLS="http://127.0.0.1:{client}"
ETCD_LISTEN_PEER_URLS="http://127.0.0.1:{peer}"
ETCD_INITIAL_ADVERTISE_PEER_URLS="http://127.0.0.1:{peer}"
ETCD_INITIAL_CLUSTER="site=http://127.0.0.1:{peer}"
ETCD_NAME="site"
DAEMON_ARGS="--max-snapshots 7"
"""


def missing():
    """Why it can't run here, or nothing."""
    if os.geteuid() != 0:
        return "it makes a Debian tree, and wants to be root for that"
    if not os.environ.get("QUORATE_DEBIAN_TREE") and not shutil.which("debootstrap"):
        return "debootstrap is not installed"
    if not list(PACKAGES.glob("quorate-server_*.deb")):
        return "there are no packages in build/packages: ./dev package"
    return None


def bare_tree():
    named = os.environ.get("QUORATE_DEBIAN_TREE")
    if named:
        return pathlib.Path(named)
    tree = KEPT / "base"
    if not (tree / "complete").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        subprocess.run(["debootstrap", "--variant=minbase", RELEASE, str(tree)], check=True, stdout=subprocess.DEVNULL)
        (tree / "complete").touch()
    return tree


class Machine:
    """A Debian tree with a service in it."""

    def __init__(self):
        KEPT.mkdir(parents=True, exist_ok=True)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="tree-", dir=KEPT))
        self.root.chmod(0o755)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{bare_tree()}/.", self.root], check=True)
        # No service is started by an installation; the test does that.
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        self.client, self.peer = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.service = None

    def path(self, path):
        return self.root / path.lstrip("/")

    def run(self, *command, check=True, **options):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8",
                       "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": f"http://127.0.0.1:{self.client}"}
        # /proc is there for this command only, so that nothing has to be taken away before the tree is removed.
        inside = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', self.root]
        done = subprocess.run([*inside, *command], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                              timeout=600, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def install(self, *packages):
        return self.run("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)

    def bring(self, *names):
        """Our packages into the tree; their paths there."""
        for name in names:
            shutil.copy(self.deb(name), self.path("/root"))
        return [f"/root/{self.deb(name).name}" for name in names]

    def bring_newer(self, name):
        """The same package with a higher version; its path there."""
        unpacked = self.root / "root/newer"
        subprocess.run(["dpkg-deb", "-R", self.deb(name), unpacked], check=True)
        control = unpacked / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+newer", control.read_text()))
        subprocess.run(["dpkg-deb", "-b", unpacked, self.root / f"root/{name}_newer.deb"], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(unpacked)
        return f"/root/{name}_newer.deb"

    def pretend_systemd(self):
        """Maintainer scripts find systemd; what they ask of it is written down, and the member runs."""
        self.path("/run/systemd/system").mkdir(parents=True)
        for program in ("systemctl", "deb-systemd-invoke"):
            path = self.path("/usr/bin/" + program)
            path.write_text(f'#!/bin/sh\necho "{program} $*" >>/run/asked\n')
            path.chmod(0o755)

    def asked(self):
        """What was asked of systemd about the running member since the last time."""
        path = self.path("/run/asked")
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [line for line in lines if re.search(r" (start|stop|restart|try-restart|is-active) .*etcd\.service", " " + line)]

    @staticmethod
    def deb(name):
        return next(PACKAGES.glob(f"{name}_*.deb"))

    def start(self):
        """The installed unit's command line, as the unit's user, with its environment files."""
        unit = self.path("/lib/systemd/system/etcd.service").read_text()
        user = re.search(r"(?m)^User=(.*)$", unit).group(1)
        supervisor = Supervisor(unit, self.root, re.search(r"(?m)^ExecStart=(\S+)", unit).group(1), self.root / "var/log/service")
        supervisor.prefix = ["chroot", f"--userspec={user}:{user}", str(self.root)]
        number = next(line for line in self.path("/etc/passwd").read_text().splitlines() if line.startswith(user + ":")).split(":")
        for name in supervisor.unit.settings["RuntimeDirectory"]:
            self.path("/run/" + name).mkdir(parents=True, exist_ok=True, mode=0o700)
            os.chown(self.path("/run/" + name), int(number[2]), int(number[3]))
        self.service = supervisor
        status, output = supervisor.systemctl("start", "etcd")
        if status != 0:
            raise AssertionError(f"{output}\n{self.path('/var/log/service').read_text()[-4000:]}")

    def stop(self):
        self.service.systemctl("stop", "etcd")
        self.service.close()
        self.service = None

    def close(self):
        if self.service:
            self.service.close()
        shutil.rmtree(self.root, ignore_errors=True)


class PackageTest(unittest.TestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.close)

    def expect_data(self, key, value):
        self.assertEqual(self.machine.run("etcdctl", "get", key, "--print-value-only"), value + "\n")

    def owner(self, path):
        return self.machine.run("stat", "-c", "%U:%G %a", path).strip()

    def test_takes_the_place_of_etcd_and_gives_it_back(self):
        machine = self.machine
        machine.run("apt-get", "update", "-q")
        machine.install("etcd-server", "etcd-client")
        machine.path("/etc/default/etcd").write_text(SETTINGS.format(client=machine.client, peer=machine.peer))
        settings = machine.path("/etc/default/etcd").read_bytes()
        directory = self.owner("/var/lib/etcd")
        machine.start()
        machine.run("etcdctl", "put", "of", "etcd")
        machine.stop()

        with self.subTest("installed over it"):
            output = machine.install(*machine.bring("quorate-server", "quorate-client"))
            self.assertIn("do not purge the package etcd-server", output)
            self.assertEqual(machine.run("dpkg", "--audit"), "")
            self.assertEqual(settings, machine.path("/etc/default/etcd").read_bytes())
            self.assertEqual(directory, self.owner("/var/lib/etcd"))
            self.expect_files()
            self.expect_unit()
        with self.subTest("etcd-server can't be purged over the data"):
            self.expect_purge_refused()
        with self.subTest("serves what was there"):
            machine.start()
            self.expect_data("of", "etcd")
            machine.run("etcdctl", "put", "of", "quorate")
            # What /etc/etcd.env says wins over /etc/default/etcd.
            self.assertIn("quorate", machine.run("etcd", "--version"))
            machine.stop()
            machine.path("/etc/etcd.env").write_text("ETCD_MAX_WALS=3\nETCD_LISTEN_METRICS_URLS=\n")
            machine.start()
            self.expect_data("of", "quorate")
            machine.stop()
            machine.path("/etc/etcd.env").unlink()
        with self.subTest("removed and purged, the data stays"):
            machine.run("dpkg", "--remove", "quorate-server")
            self.assertTrue(machine.path("/var/lib/etcd/default/member/snap/db").exists())
            machine.install(*machine.bring("quorate-server"))
            machine.run("dpkg", "--purge", "quorate-server")
            self.assertTrue(machine.path("/var/lib/etcd/default/member/snap/db").exists())
            self.assertIn("etcd:", machine.path("/etc/passwd").read_text())
            self.assertEqual(directory, self.owner("/var/lib/etcd"))
        with self.subTest("the way back"):
            machine.install(*machine.bring("quorate-server"))
            machine.install("etcd-server")
            self.assertNotIn("ii  quorate-server", machine.run("dpkg", "-l"))
            machine.start()
            self.expect_data("of", "quorate")
            machine.stop()
        with self.subTest("getting rid of etcd-server as README.Debian says"):
            machine.install(*machine.bring("quorate-server"))
            told = machine.path("/usr/share/doc/quorate-server/README.Debian").read_text()
            for line in re.findall(r"(?m)^    ((?:cp|mv|rm|dpkg) .*)$", told):
                machine.run("sh", "-c", line)
            self.assertNotIn("etcd-server", machine.run("dpkg", "-l"))
            machine.start()
            self.expect_data("of", "quorate")
            machine.stop()
        with self.subTest("where etcd-server owns the data, its purge deletes them as ever"):
            machine.install("-o", "Dpkg::Options::=--force-confold", "etcd-server")
            machine.run("dpkg", "--purge", "etcd-server")
            self.assertFalse(machine.path("/var/lib/etcd").exists())

    def test_an_upgrade_leaves_the_member_alone(self):
        machine = self.machine
        machine.run("apt-get", "update", "-q")
        machine.pretend_systemd()
        machine.install(*machine.bring("quorate-server"))
        self.assertEqual(machine.asked(), ["deb-systemd-invoke start etcd.service"])
        output = machine.install(machine.bring_newer("quorate-server"))
        self.assertEqual(machine.asked(), ["systemctl --quiet is-active etcd.service"])
        self.assertIn("quoratectl cluster rolling-restart --exec", output)
        machine.run("dpkg", "--remove", "quorate-server")
        self.assertEqual(machine.asked(), ["deb-systemd-invoke stop etcd.service"])
        # Removed and installed again is no upgrade.
        machine.install(*machine.bring("quorate-server"))
        self.assertEqual(machine.asked(), ["deb-systemd-invoke start etcd.service"])

    def test_the_client_library(self):
        machine = self.machine
        machine.run("apt-get", "update", "-q")
        machine.install(*machine.bring("libquorate-client0.1"))
        self.assertIn("libquorate-client.so.0.1", machine.run("ldconfig", "-p"))
        self.assertNotIn("not found", machine.run("ldd", "/usr/lib/libquorate-client.so.0.1"))
        fields = subprocess.run(["dpkg-deb", "-f", machine.deb("libquorate-client-dev"), "Depends", "Version"],
                                capture_output=True, text=True, check=True).stdout
        version = re.search(r"(?m)^Version: (.*)$", fields).group(1)
        self.assertIn(f"libquorate-client0.1 (= {version})", fields)
        files = subprocess.run(["dpkg-deb", "-c", machine.deb("libquorate-client-dev")], capture_output=True, text=True,
                               check=True).stdout
        self.assertIn("usr/lib/libquorate-client.so -> ", files)
        self.assertNotIn("libquorate-client.so.0.1.", files.replace("libquorate-client.so -> libquorate-client.so.0.1", ""))
        shlibs = subprocess.run(["dpkg-deb", "-I", machine.deb("libquorate-client0.1"), "shlibs"], capture_output=True,
                                text=True, check=True).stdout
        self.assertIn("libquorate-client 0.1 libquorate-client0.1", shlibs)

    def expect_purge_refused(self):
        """However it is asked for; and nothing else is refused."""
        machine, data = self.machine, "/var/lib/etcd/default/member/snap/db"
        for command in ("dpkg --purge etcd-server", "dpkg -P etcd-server", "apt-get purge -y etcd-server",
                        "apt-get autoremove --purge -y etcd-server", "dpkg --purge --pending"):
            # apt puts the selections back after its purge was refused.
            machine.run("sh", "-c", "echo etcd-server purge | dpkg --set-selections")
            told = machine.run("sh", "-c", f"{command} && echo done", check=False)
            self.assertIn("purging the package etcd-server would delete /var/lib/etcd", told, command)
            self.assertNotIn("\ndone\n", told, command)
            self.assertTrue(machine.path(data).exists(), command)
        machine.run("sh", "-c", "echo etcd-server deinstall | dpkg --set-selections")
        machine.run("dpkg", "--remove", "quorate-client")
        machine.run("dpkg", "--purge", "quorate-client")
        machine.run("dpkg", "--purge", "--pending")
        machine.run("dpkg", "--purge", "etcd-client")
        machine.install(*machine.bring("quorate-client"))
        self.assertIn("etcd:", machine.path("/etc/passwd").read_text())

    def expect_files(self):
        machine = self.machine
        for path in ("/usr/bin/quorate", "/usr/bin/quorateutl", "/usr/bin/quoratectl", "/lib/systemd/system/etcd.service",
                     "/usr/share/man/man1/quorate.1.gz", "/usr/share/man/man1/quorateutl.1.gz",
                     "/usr/share/doc/quorate-server/README.Debian"):
            self.assertTrue(machine.path(path).is_file(), path)
        for link, target in (("/usr/bin/etcd", "quorate"), ("/usr/bin/etcdutl", "quorateutl"), ("/usr/bin/etcdctl", "quoratectl"),
                             ("/usr/share/man/man1/etcd.1.gz", "quorate.1.gz")):
            self.assertEqual(os.readlink(machine.path(link)), target)
        documents = machine.path("/usr/share/doc/quorate-server")
        self.assertTrue(list(documents.rglob("operating.md*")), list(documents.rglob("*"))[:20])
        for command in (("quorate", "--version"), ("quorateutl", "version"), ("quoratectl", "version")):
            self.assertIn("quorate", machine.run(*command).lower())

    def expect_unit(self):
        """The verbs of the unit, and systemd's own opinion where it is at hand."""
        unit = self.machine.path("/lib/systemd/system/etcd.service").read_text()
        for line in ("Type=notify", "User=etcd", "RestartPreventExitStatus=79", "EnvironmentFile=-/etc/default/etcd",
                     "EnvironmentFile=-/etc/etcd.env", "RuntimeDirectoryPreserve=yes", "Alias=quorate.service"):
            self.assertIn(f"\n{line}\n", unit)
        if shutil.which("systemd-analyze"):
            told = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={self.machine.root}",
                                   "etcd.service"], capture_output=True, text=True, check=False)
            self.assertEqual((told.returncode, told.stderr), (0, ""))


if __name__ == "__main__":
    if reason := missing():
        print(f"skipped: {reason}")
        sys.exit(places.SKIPPED)
    unittest.main(verbosity=2)
