// The part of the log that the disk has not confirmed yet: new entries and a received snapshot. They are
// handed out once for persistence and stay here, readable, until OnPersisted says that the storage has them.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "raft/logger.h"
#include "raft/types.h"

namespace quorate::raft {

struct EntryId {
  Term term = 0;
  Index index = 0;
};

// Invariants (R3 of raw_node.h):
//  U1  entries()[i].index == offset() + i.
//  U2  offset() <= offset_in_progress() <= offset() + entries().size().
// offset() may lie at or below the storage's last index: then the next write replaces what is stored from
// there on.
class Unstable {
 public:
  Unstable(Index offset, Logger& logger) : offset_(offset), offset_in_progress_(offset), logger_(logger) {}

  Index offset() const { return offset_; }
  Index offset_in_progress() const { return offset_in_progress_; }
  Index end() const { return offset_ + entries_.size(); }
  const std::deque<Entry>& entries() const { return entries_; }
  const Entry& At(Index index) const { return entries_[index - offset_]; }
  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }

  std::optional<Index> FirstIndex() const;
  std::optional<Index> LastIndex() const;
  std::optional<Term> TermAt(Index index) const;

  bool HasNextEntries() const { return offset_in_progress_ < end(); }
  // Those not handed out yet.
  std::vector<Entry> NextEntries() const;
  // Null when there is none or it was handed out.
  std::shared_ptr<const Snapshot> NextSnapshot() const { return snapshot_in_progress_ ? nullptr : snapshot_; }
  // All there is was handed out.
  void AcceptInProgress();

  // The storage has everything up to this entry. Only when no write under way can overwrite it (see
  // PersistAck::term).
  void StableTo(EntryId id);
  void StableSnapshotTo(Index index);
  void Restore(std::shared_ptr<const Snapshot> snapshot);
  // Moves from `entries`: not empty, consecutive, the first at most one beyond the end.
  void TruncateAndAppend(std::span<Entry> entries);

 private:
  std::shared_ptr<const Snapshot> snapshot_;
  bool snapshot_in_progress_ = false;
  std::deque<Entry> entries_;
  Index offset_;
  Index offset_in_progress_;  // entries below it are on their way to the disk.
  Logger& logger_;
};

}  // namespace quorate::raft
