// The raft snapshot files of snap/: "%016x-%016x.snap" (term, index), each a CRC-guarded raftpb.Snapshot
// whose data is the v2 store as JSON (cluster/v2_store.h). Source: etcdserver/api/snap/snapshotter.go. Saving
// and purging are meant for Lane::kBackground, loading for start; one caller at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "raft/types.h"
#include "wal/codec.h"

namespace quorate::wal {

class SnapshotFiles {
 public:
  // `files` must outlive the object.
  SnapshotFiles(FileSystem* files, std::string dir) : files_(files), dir_(std::move(dir)) {}

  // Durable when it returns OK. An existing file of that name is replaced.
  Status Save(const raft::Snapshot& snapshot);

  // The newest file (by name) that is intact and whose (index, term) is one of `valid`; nullopt when there is
  // none. A file that can be read and is damaged is renamed NAME.broken; an I/O error is returned.
  StatusOr<std::optional<raft::Snapshot>> LoadNewest(std::span<const WalSnapshot> valid);

  // Names of the *.snap files, newest first.
  StatusOr<std::vector<std::string>> List();

  // Removes what an earlier process left half-made: tmp*, db.tmp*.
  Status RemoveTemporary();
  // Removes *.snap.db (databases received from a leader) for snapshots before `index`.
  Status ReleaseDatabasesBefore(raft::Index index);

  // The database received with the snapshot at `index`: "<dir>/%016x.snap.db".
  std::string DatabasePath(raft::Index index) const;
  const std::string& dir() const { return dir_; }

 private:
  FileSystem* const files_;
  const std::string dir_;
};

// "%016x-%016x.snap".
std::string SnapshotName(raft::Term term, raft::Index index);

// The contents of one file, checked. DataLoss names the path.
StatusOr<raft::Snapshot> ReadSnapshotFile(FileSystem* files, const std::string& path);
// The bytes of such a file.
std::string EncodeSnapshotFile(const raft::Snapshot& snapshot);

// Removes the oldest *.snap, and apart from them the oldest *.snap.db, while there are more than `count_max`
// of the kind (0: keep all). Returns the paths removed. Lane::kBackground.
StatusOr<std::vector<std::string>> PurgeSnap(FileSystem* files, const std::string& dir, size_t count_max);

}  // namespace quorate::wal
