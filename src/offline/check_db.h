// Checking a db file: every page, every key, and what etcd's buckets hold.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "offline/finding.h"
#include "offline/report.h"

namespace quorate::offline {

struct DbCheck {
  Findings findings;
  uint64_t pages_total = 0;
  uint64_t pages_free = 0;
  uint64_t rows = 0;
  int64_t revision = 0;
};

// An error means that the file can't be looked at (missing, locked); all else is a finding.
StatusOr<DbCheck> CheckDbFile(FileSystem* files, const std::string& path, const ReportFn& report);

}  // namespace quorate::offline
