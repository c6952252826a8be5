// What `snapshot status` shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "offline/report.h"

namespace quorate::offline {

struct DbStatus {
  uint32_t hash = 0;        // CRC-32C of all buckets: the name, then each key and value.
  int64_t revision = 0;     // Of the last record.
  uint64_t rows = 0;        // Of all buckets: what etcd's tools up to 3.5 call total keys.
  uint64_t keys_alive = 0;  // Since 3.6.
  uint64_t size_bytes = 0;
  // meta/storageVersion ("3.6.0"); nothing in files of 3.5 and before. It decides which of the two counts,
  // and whether a version, is shown.
  std::optional<std::string> storage_version;

  uint64_t total_keys() const { return storage_version ? keys_alive : rows; }
};

// Checks the whole file first. `path` must exist.
StatusOr<DbStatus> ReadDbStatus(FileSystem* files, const std::string& path, const ReportFn& report);

}  // namespace quorate::offline
