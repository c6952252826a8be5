"""Everything a client can see of a member's store, as one value: equal before and after a swap of servers."""

import hashlib
import pathlib
import subprocess

import api
import places
from api import rpc

GOLDEN = "etcd-3.4.23"


def capture(service, hashes=400):
    """Revision, keys, hashes at up to `hashes` revisions, leases with their keys, alarms, members."""
    top = service.KV.Range(rpc.RangeRequest(key=b"x")).header.revision
    latest, compacted = api.hash_kv(service)
    first = max(1, compacted + 1)
    step = max(1, (top - first + 1) // hashes)
    leases = {}
    for lease in service.Lease.LeaseLeases(rpc.LeaseLeasesRequest()).leases:
        detail = service.Lease.LeaseTimeToLive(rpc.LeaseTimeToLiveRequest(ID=lease.ID, keys=True))
        leases[lease.ID] = (detail.grantedTTL, sorted(detail.keys))
    members = service.Cluster.MemberList(rpc.MemberListRequest())
    return {
        "revision": top,
        "compacted": compacted,
        "hash": latest,
        "hashes": {r: api.hash_kv(service, r)[0] for r in range(first, top + 1, step) if _any_key(service, r)},
        "keys": [kv.SerializeToString() for kv in api.every_key(service)],
        "leases": leases,
        "alarms": sorted((a.memberID, a.alarm) for a in service.Maintenance.Alarm(rpc.AlarmRequest()).alarms),
        "cluster": members.header.cluster_id,
        "members": [(m.ID, m.name, tuple(m.peerURLs)) for m in members.members],
    }


def _any_key(service, revision):
    """At a revision that has no keys etcd's hash takes in whatever the file still holds of compacted revisions: it changes
    when etcd itself is started again."""
    return service.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0", revision=revision, count_only=True)).count > 0


def differences(before, after):
    """What to print when two captures differ; empty when they are equal."""
    lines = []
    for name, value in before.items():
        if value == after[name]:
            continue
        if isinstance(value, dict):
            odd = [k for k in value.keys() | after[name].keys() if value.get(k) != after[name].get(k)]
            lines.append(f"{name}: differs at {sorted(odd)[:10]}")
        elif isinstance(value, list):
            lines.append(f"{name}: {len(value)} and {len(after[name])} items, "
                         f"first difference {next(((a, b) for a, b in zip(value, after[name]) if a != b), None)}")
        else:
            lines.append(f"{name}: {value} and {after[name]}")
    return "\n".join(lines)


def checksums(directory):
    """Path -> digest of content and mode, for every file and directory below."""
    root = pathlib.Path(directory)
    sums = {}
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            sums[str(path.relative_to(root))] = "directory"
            continue
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        sums[str(path.relative_to(root))] = digest.hexdigest()
    return sums


def unpack(name, destination):
    """Extracts an archive of etcd's own data below `destination`; None where there is no such data."""
    shared = places.shared_data()
    if shared is None:
        return None
    archive = shared / GOLDEN / f"{name}.tar.gz"
    pathlib.Path(destination).mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(destination)], check=True)
    return pathlib.Path(destination)


def manifest(name):
    import json
    with open(places.shared_data() / GOLDEN / f"{name}.json", encoding="utf-8") as file:
        return json.load(file)
