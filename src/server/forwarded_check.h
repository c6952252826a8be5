// Whether a proposal that another member forwards to this one, the leader, can be applied. An entry that
// can't be ends every member that comes to it, at each of its starts, so it must not get into the log: a byte
// lost on the way, a newer etcd in a mixed cluster, or whoever reaches the peer port could end the cluster.
#pragma once

#include "base/status.h"
#include "cluster/membership.h"
#include "raft/types.h"

namespace quorate::server {

// The error says what is wrong with it. What is merely refused when it is applied (a missing permission, a
// member that is there already) passes.
Status CheckForwarded(const raft::Entry& entry, const cluster::Membership& membership);

}  // namespace quorate::server
