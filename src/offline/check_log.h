// Checking a member's log and .snap files: every record, its checksum, its place in the chain, and what it
// holds.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "offline/finding.h"
#include "offline/report.h"

namespace quorate::offline {

struct LogCheck {
  Findings findings;
  uint64_t segments = 0;
  uint64_t records = 0;
  uint64_t entries = 0;
  uint64_t last_index = 0;
  uint64_t term = 0;
  uint64_t commit = 0;
};

// Reads without a lock and repairs nothing; in the log of a running server the end may look torn. After
// damage the rest of that segment can't be read; the next segments are. An error means that there is no log
// to look at.
StatusOr<LogCheck> CheckLog(FileSystem* files, const std::string& wal_dir, const ReportFn& report);

struct SnapCheck {
  Findings findings;
  uint64_t files = 0;
};
StatusOr<SnapCheck> CheckSnapFiles(FileSystem* files, const std::string& snap_dir);

}  // namespace quorate::offline
