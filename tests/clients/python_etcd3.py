"""What a program on python3-etcd3 does, with the outcome of each step on standard output.

Arguments: host, port, a path for a backup, and for TLS the files of the authority, the certificate and its key."""

import sys
import threading

import etcd3

ca, certificate, key = sys.argv[4:7] or (None, None, None)
client = etcd3.client(host=sys.argv[1], port=int(sys.argv[2]), timeout=60, ca_cert=ca, cert_cert=certificate, cert_key=key)


def show(name, *values):
    print(name, *[repr(v) for v in values], flush=True)


client.put("a", "1")
show("get", client.get("a")[0], client.get("a")[1].version, client.get("a")[1].mod_revision)
show("missing", client.get("nosuch")[0])
show("put prev", client.put("a", "2", prev_kv=True).prev_kv.value)
show("create", client.put_if_not_exists("b", "x"), client.put_if_not_exists("b", "y"))
show("replace", client.replace("b", "x", "z"), client.replace("b", "x", "q"), client.get("b")[0])
for i in range(10):
    client.put(f"dir/{i}", str(i))
show("prefix", [(v, m.key) for v, m in client.get_prefix("dir/", sort_order="descend", sort_target="key")])
show("keys only", [(v, m.key) for v, m in client.get_prefix("dir/", keys_only=True)][:2])
show("range", [v for v, _ in client.get_range("dir/2", "dir/5")])
show("all", len(list(client.get_all())))
show("delete", client.delete("a"), client.delete("a"))
show("delete prefix", client.delete_prefix("dir/").deleted)
show("txn", client.transaction(
    compare=[client.transactions.value("b") == "z", client.transactions.version("b") > 0],
    success=[client.transactions.put("c", "yes"), client.transactions.get("b")],
    failure=[client.transactions.put("c", "no")])[0])
show("txn else", client.transaction(
    compare=[client.transactions.create("nosuch") > 0], success=[],
    failure=[client.transactions.delete("c")])[0])

lease = client.lease(600, 4711)
client.put("leased", "v", lease=lease)
show("lease", lease.id, lease.granted_ttl, 590 < lease.remaining_ttl <= 600, lease.keys)
show("refresh", [r.TTL for r in lease.refresh()])
lease.revoke()
show("revoked", client.get("leased")[0])

events, cancel = client.watch_prefix("w/")
seen = []
done = threading.Event()


def collect():
    for event in events:
        seen.append((type(event).__name__, event.key, event.value))
        if len(seen) == 4:
            done.set()
            return


reader = threading.Thread(target=collect, daemon=True)
reader.start()
client.put("w/1", "x")
client.put("w/2", "y")
client.delete("w/1")
client.put("w/3", "z")
show("watch done", done.wait(60))
cancel()
show("watch", seen)
first = client.get("w/2")[1].mod_revision
history, cancel = client.watch("w/2", start_revision=first)
show("watch past", next(iter(history)).value)
cancel()

with client.lock("mutex", ttl=60) as lock:
    show("lock held", lock.is_acquired())
show("lock free", client.lock("mutex", ttl=60).acquire(timeout=60))

show("members", [(m.name, len(m.client_urls)) for m in client.members])
status = client.status()
show("status", status.leader.name, status.db_size > 0)
client.compact(5)
try:
    client.compact(5)
except Exception as error:  # pylint: disable=broad-except
    show("compacted", type(error).__name__, str(error).split("\n", maxsplit=1)[0][:20])
client.defragment()
show("alarms", list(client.list_alarms()))
show("hash", client.hash() > 0)
with open(sys.argv[3], "wb") as backup:
    client.snapshot(backup)
    show("snapshot", backup.tell() % 512)
client.close()
