// The writing half of the log: the open segment files, their locks, and the spare. See wal.h for threads and
// invariants; this class is Lane::kLog's, except PrepareSpare.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "wal/wal.h"

namespace quorate::wal {

class Wal::Segments {
 public:
  struct Locked {
    std::unique_ptr<File> file;
    uint64_t sequence = 0;
    raft::Index first_index = 0;
  };

  Segments(FileSystem* files, std::string dir, const WalOptions& options)
      : files_(files), dir_(std::move(dir)), options_(options) {}

  // Setup, before the first batch. Ascending; the last is the tail.
  void Adopt(std::vector<Locked> locked) { locked_ = std::move(locked); }

  // What Wal's functions of the same names do.
  Status WriteAndSync(const WalBatch& batch);
  Status ReleaseTo(raft::Index index);
  Status Close();
  Status PrepareSpare();

 private:
  struct Spare {
    std::unique_ptr<File> file;
    std::string path;
  };

  File& tail() { return *locked_.back().file; }
  Status Write(const WalBatch& batch);
  Status WriteTail(uint64_t offset, std::string_view bytes);
  Status Cut(const WalBatch& batch, const WalBatch::Cut& cut, uint64_t old_bytes);
  Status Sync(File& file);
  // The two below need spare_mutex_.
  Status MakeSpare();
  Status ZeroSpare();

  FileSystem* const files_;
  const std::string dir_;
  const WalOptions& options_;

  // Lane::kLog.
  std::vector<Locked> locked_;
  Status failure_;  // The first failure of a write or sync; never cleared.
  bool unsynced_ = false;
  std::string unsynced_bytes_;  // Of batches that need no sync, at the tail's end: some commit indexes.

  // Held while a spare is being made, so that a cut that comes meanwhile waits for it; hurry_ shortens that
  // wait.
  std::mutex spare_mutex_;
  std::atomic<bool> hurry_{false};
  Spare spare_;
  int spare_count_ = 0;
};

}  // namespace quorate::wal
