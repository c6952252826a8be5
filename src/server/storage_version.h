// The rows of bucket `meta` that newer versions of the schema have, kept as an etcd of the cluster's version
// would (formats.md 5.2): term and confState from 3.5 on, storageVersion from 3.6 on; below, none of them,
// for an etcd 3.4 would leave them stale. Core thread only.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "cluster/version.h"
#include "mvcc/backend.h"
#include "raft/types.h"

namespace quorate::server {

constexpr std::string_view kStorageVersionKey = "storageVersion";
constexpr std::string_view kConfStateKey = "confState";

// raftpb.ConfState as Go's encoding/json writes it.
std::string ConfStateJson(const raft::ConfState& conf_state);

// The version that the rows tell: storageVersion; else 3.5 when there is a term; else none (3.4 or earlier).
StatusOr<std::optional<cluster::Version>> ReadStorageVersion(const mvcc::Backend& backend);

// Makes term, confState and storageVersion what the cluster's version wants; does nothing when they are so.
// To be called after open and after a restored snapshot, without `conf_state` (the row may be newer than what
// raft starts from); and when a cluster version or a change of the members has been applied that the database
// does not have yet, with it, in the same round, so that the rows reach the disk together with the consistent
// index.
Status FollowClusterVersion(const std::optional<cluster::Version>& cluster_version,
                            const raft::ConfState* conf_state, mvcc::Backend* backend);

}  // namespace quorate::server
