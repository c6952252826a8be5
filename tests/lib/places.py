"""Where the programs under test and their data are.

QUORATE_BIN       our server (default: build/release/bin/quorate); QUORATE_BIN=etcd runs etcd in our role, which is how a
                  test proves that it is itself sound
ETCD_BIN          the etcd to compare with (default: Debian's)
ETCDCTL_BIN       its command-line client
QUORATECTL_BIN    our command-line client (default: build/release/bin/quoratectl)
QUORATE_SANITIZED   set where the server was built with a sanitizer, by ctest of such a build
QUORATE_SHARED_DATA  the directory with etcd's own data (default: ../shared/data beside the clone)
"""

import os
import pathlib
import shutil

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

# What ctest takes as "skipped" instead of "failed".
SKIPPED = 77


def etcd():
    return os.environ.get("ETCD_BIN") or shutil.which("etcd") or "/usr/bin/etcd"


def etcdctl():
    return os.environ.get("ETCDCTL_BIN") or shutil.which("etcdctl") or "/usr/bin/etcdctl"


def quoratectl():
    """Our client, None where it was not built."""
    chosen = os.environ.get("QUORATECTL_BIN") or str(REPOSITORY / "build/release/bin/quoratectl")
    return chosen if os.access(chosen, os.X_OK) else None


def quorate():
    """Our server, or etcd where QUORATE_BIN says so."""
    chosen = os.environ.get("QUORATE_BIN") or str(REPOSITORY / "build/release/bin/quorate")
    if chosen == "etcd":
        return etcd()
    if not os.access(chosen, os.X_OK):
        raise FileNotFoundError(f"{chosen} is not built: run ./dev build, or name the server with QUORATE_BIN")
    return chosen


def quorateutl():
    """The offline tool, beside the server where that is ours."""
    chosen = os.environ.get("QUORATEUTL_BIN") or str(pathlib.Path(quorate()).parent / "quorateutl")
    return chosen if os.access(chosen, os.X_OK) else str(REPOSITORY / "build/release/bin/quorateutl")


def sanitized():
    return bool(os.environ.get("QUORATE_SANITIZED"))


def shared_data():
    """The directory that holds etcd-3.4.23, or None."""
    named = os.environ.get("QUORATE_SHARED_DATA")
    if named:
        return pathlib.Path(named)
    for above in (REPOSITORY, *REPOSITORY.parents):
        for candidate in (above / "shared/data", above.parent / "shared/data"):
            if (candidate / "etcd-3.4.23").is_dir():
                return candidate
    return None


def scratch():
    """Below it tests make their directories; on the disk of the build, since a WAL is 64 MB."""
    path = pathlib.Path(os.environ.get("QUORATE_TEST_DIR") or REPOSITORY / "build/test-data")
    path.mkdir(parents=True, exist_ok=True)
    return path
