// Giving the free space of a stopped member's db file back: all pairs are copied in order into a new file
// beside it, which then takes its place.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "offline/report.h"

namespace quorate::offline {

struct Defragmented {
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
};

// The file is locked while it runs; a crash at any point leaves the old file or the new one. What an earlier,
// interrupted run left beside it (db.tmp.*) is removed by the next start of the server.
StatusOr<Defragmented> Defragment(const Env& env, const std::string& db_path, const ReportFn& report);

}  // namespace quorate::offline
