// The part of a restore that makes another cluster's database the new cluster's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "cluster/member.h"
#include "cluster/version.h"
#include "offline/report.h"
#include "raft/types.h"

namespace quorate::offline {

struct RestoredDb {
  int64_t revision = 0;
  std::optional<cluster::Version> cluster_version;
};

struct DbChanges {
  const std::vector<cluster::Member>* members = nullptr;  // Of the new cluster.
  raft::HardState hard_state;                             // What the log begins with.
  uint64_t revision_bump = 0;
  uint64_t map_bytes = 0;
};

// Checks all of `from`, and copies its pages to a new file `to`, synced.
Status CopyDb(FileSystem* files, const std::string& from, const std::string& to, const ReportFn& report);

// In one transaction: the members' rows, the consistent index, what newer versions of the schema keep of the
// log, and the bump of the revision.
StatusOr<RestoredDb> AdoptDb(FileSystem* files, const std::string& path, const DbChanges& changes);

}  // namespace quorate::offline
