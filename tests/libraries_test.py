#!/usr/bin/python3
"""python3-etcd3 and npm's etcd3, unchanged: one script each, the same output from etcd and from our server."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import member
import places

CLIENTS = places.REPOSITORY / "tests/clients"


class LibrariesTest(unittest.TestCase):
    maxDiff = None

    def compare(self, command, environment=None):
        outputs = []
        for server in (member.etcd(), member.quorate()):
            self.addCleanup(server.remove)
            server.start()
            result = subprocess.run(command(server), capture_output=True, text=True, timeout=120, check=False,
                                    cwd=server.root, env={**os.environ, **(environment or {})})
            self.assertEqual(result.returncode, 0, f"{server.binary}\n{result.stdout}\n{result.stderr}")
            outputs.append(result.stdout.splitlines())
        self.assertEqual(outputs[0], outputs[1])
        self.assertGreater(len(outputs[0]), 15)

    def test_python_etcd3(self):
        self.compare(lambda server: ["/usr/bin/python3", str(CLIENTS / "python_etcd3.py"), "127.0.0.1",
                                     str(server.client_port), str(server.root / "backup")])

    def test_node_etcd3(self):
        modules = places.REPOSITORY / "build/npm/node_modules"
        if not shutil.which("node") or not (modules / "etcd3").is_dir():
            self.skipTest("node or npm's etcd3 is missing: ./dev setup")
        self.compare(lambda server: ["node", str(CLIENTS / "node_etcd3.js"), server.endpoint],
                     {"NODE_PATH": str(modules)})


if __name__ == "__main__":
    unittest.main(verbosity=2)
