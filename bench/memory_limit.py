"""A cgroup with a memory limit, of version 2 or 1, where this machine lets us make one."""

import os
import pathlib


class MemoryLimit:
    """Raises OSError when no such group can be made. The group counts what its processes touch first, page cache
    included, so a server must be started inside it: see prefix()."""

    def __init__(self, limit_bytes):
        name = f"quorate-bench-{os.getpid()}"
        unified, legacy = pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/memory")
        if (unified / "cgroup.controllers").exists():
            self.path, knob = unified / name, "memory.max"
        elif (legacy / "memory.limit_in_bytes").exists():
            self.path, knob = legacy / name, "memory.limit_in_bytes"
        else:
            raise OSError("no memory cgroup is mounted at /sys/fs/cgroup")
        self.path.mkdir()
        try:
            (self.path / knob).write_text(str(limit_bytes))
        except OSError:
            self.path.rmdir()
            raise

    def prefix(self):
        """A command that enters the group and runs what follows it."""
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]

    def remove(self):
        self.path.rmdir()
