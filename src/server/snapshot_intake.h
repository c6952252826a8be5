// Receives the database that comes with a snapshot from a leader: the bytes go into a temporary file beside
// the other snapshot files (snap/tmp*), which is checked (database_check.h), synced and renamed to
// SnapshotFiles::DatabasePath(index). When `done` says OK, the owner steps the kSnap message; until then
// nothing of it is visible to the member.
//
// Owner: the core's thread. All work on files happens on Lane::kBackground, in order. What waits for the disk
// is bounded by whoever calls Append: stop at kPendingHigh until OnDrained.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "wal/snap_files.h"

namespace quorate::server {

class SnapshotIntake {
 public:
  using Done = std::function<void(const Status&)>;

  static constexpr size_t kPendingHigh = 4 * 1024 * 1024;
  static constexpr size_t kPendingLow = 1024 * 1024;

  // `index` is that of the snapshot's metadata. `files` is used here only.
  SnapshotIntake(const Env& env, const wal::SnapshotFiles& files, uint64_t index);
  // The bytes are thrown away, and a check of them ends at the next page. After Finish `done` is not called
  // any more, and the file may still appear when it was about to (the next start or the next release removes
  // it).
  ~SnapshotIntake();
  SnapshotIntake(const SnapshotIntake&) = delete;
  SnapshotIntake& operator=(const SnapshotIntake&) = delete;

  // The next bytes, copied. After a failure of the disk they are dropped, and Finish tells.
  void Append(std::string_view bytes);
  // All bytes came. `done` runs once, in a later round: OK when the database lies in its place, durable;
  // DataLoss when the bytes are no sound db file of that index; or what the disk said.
  void Finish(Done done);

  // Appended and not yet on disk.
  size_t pending_bytes() const;
  // Runs once, when pending_bytes() falls below kPendingLow.
  void OnDrained(std::function<void()> fn);
  uint64_t received_bytes() const;

 private:
  struct State;
  void SubmitPiece();

  std::shared_ptr<State> state_;  // Shared with the jobs, which may outlive this.
  std::string piece_;
};

}  // namespace quorate::server
