// A directory of backups. Reads and changes files on the caller's thread: off the core. Every error carries
// the path.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backup/backup_file.h"
#include "backup/retention.h"
#include "base/env.h"
#include "base/status.h"

namespace quorate::backup {

// The whole backups of a cluster (0: of all), oldest first. NotFound when the directory is not there.
StatusOr<std::vector<BackupName>> ListBackups(FileSystem* files, const std::string& directory,
                                              uint64_t cluster_id);

// Parts that a member left behind when it ended on the way; those of other members only when they are a day
// old, since these may be at work. Returns what was removed.
StatusOr<std::vector<std::string>> RemoveLeftovers(FileSystem* files, const std::string& directory,
                                                   uint64_t member_id, int64_t now_unix_nanos);

// Removes the cluster's backups that are not to be kept. To be called when a newer one is durable. Returns
// what was removed.
StatusOr<std::vector<std::string>> RemoveOld(FileSystem* files, const std::string& directory,
                                             uint64_t cluster_id, const Retention& retention);

// Removes the cluster's backups taken before, but never the newest: for a directory whose member takes none,
// when others have newer ones. Returns what was removed.
StatusOr<std::vector<std::string>> RemoveBackupsBefore(FileSystem* files, const std::string& directory,
                                                       uint64_t cluster_id, int64_t unix_nanos);

// NotFound without one, DataLoss for one that can't be read.
StatusOr<BackupNote> ReadNote(FileSystem* files, const std::string& directory, const BackupName& name);

}  // namespace quorate::backup
