"""Patroni's view of etcd 3 on one server: leads, is seen to lead, gives up. Prints what it saw as JSON."""

import json
import sys

from patroni.dcs.etcd3 import Etcd3


def view(cluster):
    return {"leader": cluster.leader and cluster.leader.name, "members": sorted(m.name for m in cluster.members),
            "initialize": cluster.initialize, "config": cluster.config and cluster.config.data,
            "lsn": cluster.last_lsn, "sync": cluster.sync and cluster.sync.leader,
            "failover": cluster.failover and cluster.failover.candidate}


def node(endpoint, name):
    return Etcd3({"host": endpoint, "ttl": 300, "retry_timeout": 60, "loop_wait": 1, "name": name, "scope": "batman",
                  "namespace": "/service"})


def seen(dcs, condition):
    """What the watching cache shows once the condition holds there."""
    while True:
        cluster = dcs.get_cluster()
        if condition(cluster):
            return view(cluster)
        dcs.watch(None, 1)


def main(endpoint):
    first, second = node(endpoint, "node1"), node(endpoint, "node2")
    out = {"steps": [
        bool(first.initialize(create_new=True, sysid="4711")),
        bool(second.initialize(create_new=True, sysid="4712")),
        bool(first.touch_member({"role": "master", "conn_url": "postgres://1"})),
        bool(second.touch_member({"role": "replica"})),
        bool(first.set_config_value(json.dumps({"ttl": 30}))),
        bool(first.attempt_to_acquire_leader()),
        bool(second.attempt_to_acquire_leader()),
    ]}
    out["both"] = seen(second, lambda c: c.leader and len(c.members) == 2 and c.config)
    out["leader"] = out["both"]["leader"]
    leader = seen(first, lambda c: c.leader)
    out["as_the_leader_sees_it"] = leader
    first.get_cluster()
    out["steps"] += [bool(first.update_leader(1234)), bool(first.manual_failover("node1", "node2")),
                     bool(first.set_sync_state_value(json.dumps({"leader": "node1", "sync_standby": "node2"})))]
    out["updated"] = seen(second, lambda c: c.last_lsn == 1234 and c.failover and c.sync and c.sync.leader)
    first.get_cluster()
    first.delete_leader()
    out["left"] = seen(second, lambda c: not c.leader)
    out["steps"] += [bool(second.attempt_to_acquire_leader())]
    out["taken"] = seen(first, lambda c: c.leader and c.leader.name == "node2")
    out["steps"] += [bool(second.delete_cluster())]
    print(json.dumps(out))
    sys.stdout.flush()


main(sys.argv[1])
