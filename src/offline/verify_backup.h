// A restore drill: whether a backup would bring a cluster back. Everything happens in a scratch directory.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "offline/report.h"

namespace quorate::offline {

struct VerifyBackupOptions {
  std::string path;  // A backup that a server took, or a file of `snapshot save`.
  // Missing or empty; removed afterwards. Takes twice the size of the backup.
  std::string scratch_dir;
};

struct VerifiedBackup {
  int64_t revision = 0;
  uint32_t kv_hash = 0;
  bool hash_compared = false;  // With what the server noted.
  // The archived log behind it, applied to its end.
  bool has_log = false;
  uint64_t entries = 0;
  int64_t log_revision = 0;
  uint64_t hashes_compared = 0;  // Of later backups on the way.
};

// In turn: the digest and every page of the file; its note; a member that is started alone on a copy, its
// HashKV compared with the noted one; the archived log, applied to another copy as far as it goes, with the
// revisions that its rows name and the hashes that later backups noted. The first thing that is wrong is the
// error.
StatusOr<VerifiedBackup> VerifyBackup(FileSystem* files, Clock* clock, Random* random,
                                      const VerifyBackupOptions& options, const ReportFn& report);

}  // namespace quorate::offline
