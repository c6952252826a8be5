#!/usr/bin/python3
"""The Ansible role of the rolling swap, played on this machine with programs that only write down what is asked of them: nothing
is stopped before all is downloaded, and a member that was stopped is started again, whatever fails. Skipped where
ansible-playbook is not installed (Debian: ansible-core)."""

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

ROLE = places.REPOSITORY / "packaging/ansible"


# Each writes down its call. FAILS names the one that fails.
PROGRAM = """#!/bin/sh
call="$(basename "$0") $*"
case $call in *"$FAILS"*) [ -z "$FAILS" ] || { echo "failed: $call" >&2; exit 100; } ;; esac
case $call in
  "systemctl show etcd"*) echo Id=etcd.service; echo LoadState=loaded; echo "ActiveState=$(cat "$HOME/state" || echo active)" ;;
  "systemctl is-enabled"*) echo enabled ;;
  "systemctl stop"*) echo inactive >"$HOME/state" ;;
  "systemctl start"*) echo active >"$HOME/state" ;;
  "quoratectl "*"cluster version") echo "cluster version: 3.6" ;;
  "apt-cache policy etcd-server") echo "  Candidate: 3.4.23+dfsg-4" ;;
esac 2>/dev/null
echo "$call" >>"$HOME/calls"
"""
PROGRAMS = ("systemctl", "apt-get", "apt-cache", "etcdctl", "quoratectl")


class AnsibleTest(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="ansible-", dir=places.scratch()))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        (self.home / "bin").mkdir()
        for name in PROGRAMS:
            (self.home / "bin" / name).write_text(PROGRAM)
            (self.home / "bin" / name).chmod(0o755)
        for name in ("quorate-server_1_amd64.deb", "quorate-client_1_amd64.deb"):
            (self.home / name).write_text("package")
        (self.home / "hosts").write_text("[etcd]\nlocalhost ansible_connection=local ansible_become=false "
                                         f"ansible_python_interpreter={sys.executable}\n")

    def play(self, *arguments, fails="", installed=()):
        """The play, and the calls that change something, shortened."""
        # What is installed is a fact that this machine must not decide.
        facts = "".join(f"'{name}': [], " for name in installed)
        role = self.home / "role"
        shutil.copytree(ROLE, role)
        tasks = role / "roles/quorate/tasks"
        main = (tasks / "main.yml").read_text()
        self.assertIn("ansible.builtin.package_facts:", main)
        known = f'ansible.builtin.set_fact: {{quorate_test_packages: {{{facts}}}}}'
        (tasks / "main.yml").write_text(main.replace("ansible.builtin.package_facts:", known)
                                        .replace("ansible_facts.packages", "quorate_test_packages"))
        (tasks / "packages_forth.yml").write_text((tasks / "packages_forth.yml").read_text()
                                                  .replace("/var/cache/quorate", str(self.home / "cache")))
        environment = os.environ | {"HOME": str(self.home), "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_NOCOLOR": "1", "FAILS": fails,
                                    "PATH": f"{self.home}/bin:{os.environ['PATH']}"}
        done = subprocess.run(["ansible-playbook", "-i", self.home / "hosts", "-e", f"quorate_packages={self.home}",
                               "-e", "quorate_health_retries=1", *arguments, "swap.yml"], cwd=role, capture_output=True, text=True,
                              check=False, timeout=400, env=environment)
        calls = self.home / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        steps = [line for line in lines if re.search(r"^apt-get|systemctl (start|stop)|snapshot save", line)]
        return done, [re.sub(r"apt-get install.* --(download-only|no-download) .*", r"apt-get --\1", line).split(" /var/")[0]
                      for line in steps]

    SAVE = "etcdctl --endpoints https://127.0.0.1:2379 snapshot save"

    def test_syntax(self):
        done = subprocess.run(["ansible-playbook", "--syntax-check", "-i", self.home / "hosts", "swap.yml"], cwd=ROLE,
                              capture_output=True, text=True, check=False, timeout=400, env=os.environ | {"HOME": str(self.home)})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_swap(self):
        done, steps = self.play()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(steps, [self.SAVE, "apt-get update -q", "apt-get --download-only", "systemctl stop etcd",
                                 "apt-get --no-download", "systemctl start etcd"])

    def test_a_download_that_fails_stops_nothing(self):
        done, steps = self.play(fails="--download-only")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(steps, [self.SAVE, "apt-get update -q"])

    def test_an_installation_that_fails_leaves_no_member_stopped(self):
        done, steps = self.play(fails="--no-download")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(steps[-2:], ["systemctl stop etcd", "systemctl start etcd"])
        self.assertIn("the member was started again as what is installed there", done.stdout)

    def test_no_way_back_from_a_version_that_etcd_does_not_serve(self):
        done, steps = self.play("-e", "quorate_direction=back", installed=["quorate-server"])
        self.assertEqual(done.returncode, 2)
        self.assertEqual(steps, [self.SAVE, "apt-get update -q"])
        self.assertIn("the cluster is at version 3.6, and the etcd-server that apt would install is 3.4", done.stdout)

    def test_nothing_to_do(self):
        done, steps = self.play(installed=["quorate-server"])
        self.assertEqual((done.returncode, steps), (0, []), done.stdout)
        done = subprocess.run(["ansible-playbook", "-i", self.home / "hosts", "-e", "quorate_direction=sideways", "swap.yml"],
                              cwd=ROLE, capture_output=True, text=True, check=False, timeout=400,
                              env=os.environ | {"HOME": str(self.home), "ANSIBLE_NOCOLOR": "1"})
        self.assertIn("quorate_direction is 'sideways'; it must be 'forth' or 'back'", done.stdout)


if __name__ == "__main__":
    if not shutil.which("ansible-playbook"):
        print("skipped: ansible-playbook is not installed")
        sys.exit(places.SKIPPED)
    unittest.main(verbosity=2)
