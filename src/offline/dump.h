// Logs, databases and .snap files in readable form, a line a record. Secrets as in request_text.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "offline/request_text.h"

namespace quorate::offline {

// Gets each line, without its end; an error of it ends the dump.
using LineFn = std::function<Status(std::string_view line)>;

struct LogDumpOptions {
  uint64_t first_index = 0;
  uint64_t last_index = UINT64_MAX;  // Inclusive.
  bool entries_only = false;         // Leaves out checksums, metadata, states and marks of snapshots.
  TextOptions text;
};

// "SEGMENT OFFSET entry term=2 index=7 normal put key=...". In the order of the files, without a lock; damage
// ends it with an error, after everything before.
Status DumpLog(FileSystem* files, const std::string& wal_dir, const LogDumpOptions& options,
               const LineFn& line);

// The buckets with their numbers of rows and bytes.
Status DumpBuckets(FileSystem* files, const std::string& path, const LineFn& line);

struct BucketDumpOptions {
  std::string bucket;
  uint64_t rows_max = UINT64_MAX;
  bool newest_first = false;
  TextOptions text;
};
// One bucket's rows. NotFound, with the buckets there are, when it is missing.
Status DumpBucket(FileSystem* files, const std::string& path, const BucketDumpOptions& options,
                  const LineFn& line);

// The members and versions in a .snap file.
Status DumpSnap(FileSystem* files, const std::string& path, const LineFn& line);

}  // namespace quorate::offline
