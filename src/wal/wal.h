// The write-ahead log in etcd's format: entries, hard states and snapshot marks, in segments of 64 MB with a
// running CRC. Format: docs of etcd's wal package; layout facts are repeated at the code that writes them
// (frame.h, codec.h).
//
// Threads. Two halves, one writer each:
//   the encoding half (Append, SaveSnapshotRecord, RequestSync, TakeBatch, Recycle, and the getters without a
//   lane in
//     their comment) belongs to the owner, the core thread. It turns entries into bytes in memory: one CRC
//     pass and one copy, no allocation per entry, no I/O. It also decides where segments are cut.
//   the writing half (WriteAndSync, ReleaseTo, Close) runs on Lane::kLog, one call at a time, batches in the
//   order in
//     which they were taken.
//   PrepareSpare may run on any other thread, at any time before Close.
//
// Invariants
//   1. Batches are written in the order of TakeBatch, and nothing else is written: offset and CRC of the
//   halves agree.
//   2. After a failed write or sync nothing more is written, and every later call gives that first error
//   (latched).
//   3. Every segment from the tail down to the newest one that ReleaseTo has not passed is locked by this
//   object.
//   4. What a successful WriteAndSync of a batch with must_sync covered, and everything taken before it,
//   survives a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/limits.h"
#include "base/status.h"
#include "raft/types.h"
#include "wal/codec.h"
#include "wal/log_reader.h"

namespace quorate::wal {

struct WalOptions {
  uint64_t segment_bytes = limits::kWalSegmentBytes;
  // false: --unsafe-no-fsync.
  bool sync = true;
  // Called on Lane::kLog after each sync with its duration (metric etcd_disk_wal_fsync_duration_seconds).
  // Needs `clock`.
  std::function<void(int64_t nanos)> on_sync;
  Clock* clock = nullptr;
  // PrepareSpare also writes zeros over the spare segment, which makes later syncs cheaper: the blocks are
  // already written, so the file system's journal stays out of the way.
  bool zero_spare = false;
  // Open calls it with what the log holds, before anything in the directory is changed; an error is Open's.
  std::function<Status(const LogContents&)> accept;
};

// A run of encoded records, taken from the encoding half and written by the writing half. Owned by whoever
// holds it.
struct WalBatch {
  struct Cut {
    size_t at = 0;  // bytes[at..] belongs to the new segment, from its offset 0...
    size_t head =
        0;  // ...of which this many bytes are the head (crc, metadata, state), synced before the rename.
    uint64_t sequence = 0;  // Both name the new segment.
    raft::Index first_index = 0;
  };
  std::string bytes;
  uint64_t offset = 0;  // Of bytes[0] in the segment that is the tail when the batch begins.
  std::vector<Cut> cuts;
  bool must_sync = false;
  // The last entry in the batch, 0 when it holds none: after a synced write the log is durable up to it.
  raft::Index last_index = 0;
  raft::Term last_term = 0;

  bool empty() const { return bytes.empty() && !must_sync; }
};

class Wal {
 public:
  // Makes a log in `dir` with crc, metadata and snapshot{0,0}, built as DIR.tmp and renamed, so that it is
  // there whole or not at all. AlreadyExists when `dir` holds a segment; FailedPrecondition when it holds
  // other files (nothing of the user's is deleted), except *.tmp. `files` must outlive the object.
  static StatusOr<std::unique_ptr<Wal>> Create(FileSystem* files, std::string dir,
                                               const WalMetadata& metadata, WalOptions options);

  // Opens for append after the snapshot {start.index, start.term}; what the log holds goes to *contents.
  // Order: lock, read and check everything, only then change the directory: a torn tail is copied to
  // NAME.broken and cut off, what lies behind the last record is zeroed, *.tmp removed. Errors:
  // FailedPrecondition (locked by another process), NotFound (no segment for start.index, or gap in
  // sequence), DataLoss (damage, conflicting metadata, gap in the entries, snapshot record missing or of
  // another term): then nothing was changed.
  static StatusOr<std::unique_ptr<Wal>> Open(FileSystem* files, std::string dir, const WalSnapshot& start,
                                             WalOptions options, LogContents* contents);

  ~Wal();
  Wal(const Wal&) = delete;
  Wal& operator=(const Wal&) = delete;

  // ---- the encoding half: owner thread ----

  // Appends what one raft Ready must save: entries in order, then `state` if not empty. Needs a sync when
  // there are entries or term or vote changed; a change of commit alone is buffered and goes out with the
  // next batch.
  void Append(std::span<const raft::Entry> entries, const raft::HardState& state);
  // Always needs a sync. Call it after the .snap file is on disk, and, for a snapshot of our own, after the
  // Append of a state whose commit reaches its index: a start trusts no snapshot beyond the last commit, and
  // once ReleaseTo and purge have run there is no other.
  void SaveSnapshotRecord(const WalSnapshot& snapshot);
  // The next batch is synced even if it is empty.
  void RequestSync() { pending_.must_sync = true; }

  bool has_pending() const { return !pending_.empty(); }
  // What is pending must become durable before its messages leave or its entries count.
  bool pending_must_sync() const { return pending_.must_sync; }
  size_t pending_bytes() const { return pending_.bytes.size(); }
  // Everything appended since the last call. Hand it to WriteAndSync on Lane::kLog.
  WalBatch TakeBatch();
  // Gives a written batch's buffer back for reuse.
  void Recycle(WalBatch batch);

  const raft::HardState& last_state() const { return state_; }
  raft::Index last_index() const { return last_index_; }
  const WalMetadata& metadata() const { return metadata_; }

  // ---- the writing half: Lane::kLog ----

  // Writes the batch, cutting segments where it says so, and syncs if it must. Any error is final (invariant
  // 2); the process is expected to end.
  Status WriteAndSync(const WalBatch& batch);
  // Unlocks the segments that are not needed to start from a snapshot at `index`, so that purge may remove
  // them: of those named below index all but the newest.
  Status ReleaseTo(raft::Index index);
  // Syncs what was written, removes the spare, unlocks. Batches not written are lost.
  Status Close();

  // ---- any thread but the two above ----

  // Makes the next segment beforehand, if there is none. Worth calling at start and after each cut
  // (WalBatch::cuts not empty); without it a cut makes its own. Takes as long as the disk does.
  Status PrepareSpare();

 private:
  class Segments;

  Wal(FileSystem* files, std::string dir, WalOptions options);

  void EncodeRecord(RecordType type, std::string_view data);
  void EncodeEntry(const raft::Entry& entry);
  void EncodeState();
  void CutIfFull();
  uint64_t tail_offset() const { return tail_base_ + pending_.bytes.size(); }

  const std::string dir_;
  const WalOptions options_;

  // Owner thread.
  WalMetadata metadata_;
  std::string metadata_bytes_;  // As found in the log: repeated verbatim in every segment.
  raft::HardState state_;
  raft::Index last_index_ = 0;
  uint32_t crc_ = 0;
  uint64_t sequence_ = 0;  // Of the tail, cuts in pending_ included.
  // Offset in the tail segment = tail_base_ + pending_.bytes.size(), modulo 2^64: after a cut within pending_
  // it is negative.
  uint64_t tail_base_ = 0;
  WalBatch pending_;
  std::vector<std::string> spare_buffers_;
  std::string scratch_;

  std::unique_ptr<Segments> segments_;  // The writing half.
};

// "%016x-%016x.wal".
std::string SegmentName(uint64_t sequence, raft::Index first_index);

// Removes the oldest *.wal of `dir` while there are more than `count_max` (0: keep all); stops at the first
// that is locked. Returns the paths removed. Lane::kBackground.
StatusOr<std::vector<std::string>> PurgeWal(FileSystem* files, const std::string& dir, size_t count_max);

}  // namespace quorate::wal
