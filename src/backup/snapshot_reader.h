// The state that a backup is made of, read in pieces. It touches the member's own files and memory only, and
// never the disk of backups: so it can be let go whatever becomes of that disk, and keeps no old pages in the
// database longer than needed.
//
// Made on the core's thread. Next and Check run on any thread, one after the other; Stop on any, at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "mvcc/backend.h"

namespace quorate::backup {

class SnapshotReader {
 public:
  // Says whether the state is sound, or ends early when `stop` is set: mvcc::CheckSnapshot.
  using CheckFn = std::function<Status(const mvcc::Backend::Snapshot&, const std::atomic<bool>& stop)>;

  SnapshotReader(std::shared_ptr<mvcc::Backend::Snapshot> snapshot, CheckFn check);
  SnapshotReader(const SnapshotReader&) = delete;
  SnapshotReader& operator=(const SnapshotReader&) = delete;

  uint64_t size_bytes() const { return size_bytes_; }
  // The bytes that come next, at most `bytes_max` (above 0). Not after the last.
  StatusOr<std::string> Next(uint64_t bytes_max);
  bool at_end() const { return at_ == size_bytes_; }
  // Walks all of it: as long as it takes.
  Status Check() { return check_(*snapshot_, stop_); }
  // A check under way ends soon.
  void Stop() { stop_ = true; }

 private:
  const std::shared_ptr<mvcc::Backend::Snapshot> snapshot_;
  const CheckFn check_;
  const uint64_t size_bytes_;
  uint64_t at_ = 0;
  std::atomic<bool> stop_ = false;
};

}  // namespace quorate::backup
