// The hash of the key space of a db file, as every member of its cluster gives it for Maintenance.HashKV.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "offline/report.h"

namespace quorate::offline {

struct KvHash {
  uint32_t hash = 0;
  int64_t hash_revision = 0;
  int64_t compact_revision = -1;  // -1: never compacted.
};

// revision <= 0: the newest. Reads the file alone and changes nothing: a compaction that was begun and not
// finished counts as done. Errors as the server has them: the revision is compacted, or in the future.
StatusOr<KvHash> ComputeKvHash(FileSystem* files, const std::string& path, int64_t revision,
                               const ReportFn& report);

}  // namespace quorate::offline
