// From a directory of backups to the data directory of one member of a new cluster, at any moment: the newest
// backup at or before it, and the archived log (src/backup) applied to its copy up to there. The rest is as
// `snapshot restore` does it; its invariants hold here (restore.h), and one more:
//   5. Members that were restored to different states refuse each other: raft index, revision and hash of the
//   state go into the IDs of the new cluster and its members. Hosts that restore from directories of their
//   own would else go on with different data, since a time, a revision and the end of an archive are not the
//   same entry everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "offline/report.h"
#include "offline/restore.h"

namespace quorate::offline {

// A moment to go to. At most one is set; none: as far as the archive goes.
struct Moment {
  std::optional<int64_t> revision;
  std::optional<int64_t> unix_nanos;
  // Of the last entry: this alone is one state on every host, since entries without a revision change leases
  // and users.
  std::optional<uint64_t> index = std::nullopt;
};
// A revision (digits), a time (backup/utc_time.h), or "index:" and a raft index.
StatusOr<Moment> ParseMoment(std::string_view text);

struct RestoreAtOptions {
  std::string backup_dir;
  uint64_t cluster_id = 0;  // Whose backups; 0: the directory has those of one cluster only.
  Moment at;
  // This backup and no other (a file in backup_dir); empty: the newest at or before the moment.
  std::string backup_file;
  // Hashes that later backups have noted are compared on the way.
  bool compare_hashes = false;
  RestoreOptions member;  // snapshot_path is chosen here.
};

struct RestoredAt {
  Restored restored;
  int64_t revision = 0;     // Reached.
  uint64_t index = 0;       // The same as a raft index.
  uint32_t kv_hash = 0;     // HashKV there.
  std::string backup_path;  // Where it began.
  int64_t backup_revision = 0;
  uint64_t entries = 0;          // Of the archived log, applied.
  uint64_t hashes_compared = 0;  // With those of later backups.
  // When a member last noted a state at or before it: a row, or the backup.
  int64_t unix_nanos = 0;
};

// NotFound when no backup is as old; OutOfRange when the archive does not reach the moment: the text says how
// far it does, and what is missing.
StatusOr<RestoredAt> RestoreAt(FileSystem* files, Clock* clock, Random* random,
                               const RestoreAtOptions& options, const ReportFn& report);

}  // namespace quorate::offline
