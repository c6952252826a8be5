// Looks at a db file that nobody uses yet: where it stands, and whether a member could live on it. Nothing is
// changed. Any thread that may wait for a disk.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/env.h"
#include "base/status.h"

namespace quorate::server {

// The raft index at which the file stands (meta/consistent_index); 0 when there is no file or none was ever
// written.
StatusOr<uint64_t> ReadConsistentIndex(FileSystem* files, const std::string& path);

// The database that came with a snapshot at `index`: all its pages, and that it is no older than the
// snapshot. Each sender (etcd 3.4 to 3.7, and we) commits meta/consistent_index right before it copies the
// file, so it is the snapshot's index; or a later one, while a member that has just started replays what its
// database has already. DataLoss says what is wrong. `wanted` is asked at each page; Cancelled: no longer.
Status CheckReceivedDatabase(FileSystem* files, const std::string& path, uint64_t index,
                             const std::function<bool()>& wanted);

}  // namespace quorate::server
