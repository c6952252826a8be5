// --backup-log: every entry that this member applies goes into the archive, with a row of the index a second.
//
// Each member archives its own, so that no change of leaders leaves a gap: the entries are the same
// everywhere, and a restore puts together what it finds. Entries wait in memory until they are written, on a
// thread of their own (Lane::kLog of `env`), so that no backup under way holds them up; when the disk of
// backups can't keep up, or fails for long, they are dropped, and the archive has a gap that restores name.
//
// Owner: the core's thread. Invariants:
//   1. At most one write is under way.
//   2. A row names a state that the member has had: index, revision and time belong together.
//   3. Entries in a segment follow each other; where one is missing a new segment begins.
//   4. A write that fails leaves no file that holds nothing, and no torn end on a disk that is full.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/disk_watch.h"
#include "backup/log_segment.h"
#include "base/env.h"
#include "raft/types.h"

namespace quorate::server {
class Member;
}

namespace quorate::backup {

// For the metrics.
struct ArchiveFigures {
  uint64_t failures = 0;
  uint64_t gaps = 0;  // Since the start of the member.
  uint64_t dropped_entries = 0;
  uint64_t last_index = 0;  // What is durable in the archive.
  int64_t last_revision = 0;
  uint64_t pending_bytes = 0;
};

class LogArchiver {
 public:
  // Nothing is owned; `member` outlives it, and so does what is in `env`.
  LogArchiver(server::Member* member, const Env& env, std::string directory);
  ~LogArchiver();
  LogArchiver(const LogArchiver&) = delete;
  LogArchiver& operator=(const LogArchiver&) = delete;

  // Each entry after it was applied (server::Config::on_applied), those too that a start applies again.
  void OnApplied(const raft::Entry& entry);
  // With the member's.
  void Tick();
  // The next entry begins a new segment, so that old ones can go as a whole: a backup holds all before it.
  void Rotate() { rotate_ = true; }
  // The CRC of the last applied entry, if it is that one.
  std::optional<uint32_t> CrcAt(uint64_t index) const;

  const ArchiveFigures& figures() const { return figures_; }

 private:
  struct Sink;
  struct Batch;

  void Flush();
  void TakeRun(Batch* batch);
  void TryAgain(Batch* batch);
  void WatchDisk();
  void OnWritten(const std::shared_ptr<Batch>& batch, const Status& status);
  void DropPending();

  server::Member& member_;
  const Env env_;
  const std::shared_ptr<Sink> sink_;  // Shared with the write under way.

  std::vector<raft::Entry> pending_;
  uint64_t pending_bytes_ = 0;
  std::optional<raft::Entry> last_;  // Applied.
  std::optional<EntryMark> taken_;   // The last one handed to a write.
  uint64_t row_index_ = 0;           // Of the last row asked for.
  int64_t next_flush_nanos_ = 0;
  int64_t retry_nanos_ = 0;  // Between two attempts while they fail.
  DiskWatch disk_;
  bool hangs_ = false;  // So that the log says it once.
  bool writing_ = false;
  bool rotate_ = false;
  bool failing_ = false;  // So that the log says it once.
  ArchiveFigures figures_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// What a directory holds for nothing, because others have newer backups in theirs.
struct Outlived {
  int64_t before_unix_nanos = 0;  // The retention keeps nothing from before.
  // The newest backup in the directory is not the newest there is: what follows from it is not kept for its
  // sake.
  bool others_have_newer = false;
};

// Removes segments of the cluster that are of no use: those that ended before the oldest backup in the
// directory was taken. Without a backup, or when others have newer ones, those that ended before that time.
// Off the core. Returns what was removed.
StatusOr<std::vector<std::string>> RemoveOldSegments(FileSystem* files, const std::string& directory,
                                                     uint64_t cluster_id, const Outlived& outlived);

// Files of the member that a write left behind before it held anything: on a full disk there may be many. To
// be called while the member has none that it writes to. Off the core.
Status RemoveEmptySegments(FileSystem* files, const std::string& directory, uint64_t member_id);

}  // namespace quorate::backup
