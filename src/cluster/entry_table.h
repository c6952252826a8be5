// Which kinds of log entry and which fields exist since which cluster version, and what we do below it.
// Nothing enters the log or the db that an etcd of the cluster's version would not itself write: an unknown
// entry ends it. Source: etcdserverpb/raft_internal.proto and rpc.proto (versionpb annotations of 3.6), the
// release branches.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "cluster/version.h"

namespace quorate::cluster {

// What we do while the cluster version is lower.
enum class Below {
  kAsV2Request,  // Propose the same change as a v2-style Request.
  kRefuse,       // Fail the client's request: etcd of that version has no such request.
  kLocal,        // Answer from the local state, without an entry.
  kOmitField,    // Write the entry or row without the field; members compute it themselves.
  kOmitRow,      // Do not write the row.
  kNever,        // Not written at any version.
};

struct EntryRule {
  std::string_view name;  // Of the entry, or "entry.field", or "bucket/row".
  // Field of InternalRaftRequest; 0 for what is no such field.
  uint32_t field;
  // The first cluster version whose etcd proposes or writes it.
  Version since;
  Below below;
};

std::span<const EntryRule> EntryTable();
// By name; null when there is none.
const EntryRule* FindEntryRule(std::string_view name);
// By field of InternalRaftRequest; null when there is none.
const EntryRule* FindEntryRule(uint32_t field);
// Whether it may be written in a cluster of this version. Without a version yet: as in 3.4.
bool MayWrite(const EntryRule& rule, const std::optional<Version>& cluster_version);

}  // namespace quorate::cluster
