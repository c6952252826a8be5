// Whether the parts of a stopped member's directory belong together: the log, the .snap files and the
// database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "cluster/version.h"
#include "offline/data_directory.h"
#include "raft/types.h"
#include "wal/codec.h"

namespace quorate::offline {

struct MemberState {
  wal::WalMetadata metadata;
  raft::HardState hard_state;
  wal::WalSnapshot snapshot;                        // The newest that a start may use; index 0: none.
  std::vector<raft::Entry> entries;                 // Those behind it.
  uint64_t consistent_index = 0;                    // Of the database.
  uint64_t db_term = 0;                             // 0 below 3.5.
  std::optional<cluster::Version> storage_version;  // 3.5 is told by the term; nothing: 3.4 or earlier.
};

// Reads all of it, under the database's shared lock.
StatusOr<MemberState> ReadMemberState(FileSystem* files, const DataDirectory& at);

// Source of the rules and texts: etcd, server/verify/verify.go; but a database ahead of the commit index is
// refused only beyond the log's end, since a sound member that is killed leaves the one ahead of the other.
// `exact`: the database must have all that is committed, as after a restore. FailedPrecondition when the
// parts don't fit.
Status VerifyMember(const MemberState& state, bool exact);
// A note for the operator when the database is ahead of the commit index.
std::optional<std::string> TrailingCommit(const MemberState& state);

// Data of the v2 API in the .snap files or the log (etcdutl 3.5: check v2store). Messages are the original's.
Status CheckV2Store(FileSystem* files, const DataDirectory& at);

}  // namespace quorate::offline
