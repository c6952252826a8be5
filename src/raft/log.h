// A node's log: the storage's stable entries below, the unstable ones above, and how far it is committed and
// applied.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raft/storage.h"
#include "raft/types.h"
#include "raft/unstable.h"

namespace quorate::raft {

// Invariants R1 to R3 of raw_node.h. Here:
//  L1  applied() <= applying() <= committed() <= LastIndex().
//  L2  committed() >= FirstIndex() - 1.
class Log {
 public:
  // Begins with everything up to the storage's compaction committed and applied. The storage and logger
  // outlive it. applying_bytes_max > 0: encoded bytes that may be handed to apply and not be acknowledged.
  Log(Storage& storage, Logger& logger, uint64_t applying_bytes_max);

  Index FirstIndex() const;
  Index LastIndex() const;
  std::optional<Term> TermAt(Index index) const;
  Term TermOrZero(Index index) const { return TermAt(index).value_or(0); }
  EntryId Last() const;
  bool Matches(EntryId id) const { return TermAt(id.index) == id.term; }
  // Whether a log that ends so is at least as complete as this one.
  bool IsUpToDate(EntryId candidate) const;

  // Appends to *out the entries of [lo, hi) that fit into max_bytes, at least one; false if lo is compacted
  // away.
  bool Slice(Index lo, Index hi, uint64_t max_bytes, std::vector<Entry>* out) const;

  // Moves from `entries`; the first lies above committed().
  void Append(std::span<Entry> entries);
  // The first of `entries` (consecutive) that this log does not hold; null if it holds all. Logs a conflict.
  const Entry* FindConflict(std::span<const Entry> entries) const;
  // The highest index <= `index` whose term is <= `term` or unknown (then the second is 0): a guess on where
  // a log that has an entry (index, term) meets this one.
  EntryId FindConflictByTerm(Index index, Term term) const;

  void CommitTo(Index index);  // Never back; not beyond LastIndex().
  // Commits up to `id` if that is news and its term is the leader's: entries of earlier terms only through a
  // later one.
  bool MaybeCommit(EntryId id);
  void RestoreCommitted(Index committed) { committed_ = committed; }

  // Entries to apply now; without allow_unstable only those the storage has.
  std::vector<Entry> NextCommitted(bool allow_unstable) const;
  bool HasNextCommitted(bool allow_unstable) const;
  void AcceptApplying(Index index, uint64_t bytes, bool allow_unstable);
  void AppliedTo(Index index, uint64_t bytes);

  void Restore(std::shared_ptr<const Snapshot> snapshot);
  std::shared_ptr<const Snapshot> LatestSnapshot() const;
  bool SnapshotPending() const { return unstable_.snapshot() != nullptr; }
  Index PendingSnapshot() const { return SnapshotPending() ? unstable_.snapshot()->metadata.index : 0; }

  Index committed() const { return committed_; }
  Index applying() const { return applying_; }
  Index applied() const { return applied_; }
  uint64_t applying_bytes_max() const { return applying_bytes_max_; }
  Unstable& unstable() { return unstable_; }
  const Unstable& unstable() const { return unstable_; }

  std::string Describe() const;

 private:
  Index MaxAppliable(bool allow_unstable) const;

  Storage& storage_;
  Logger& logger_;
  Unstable unstable_;
  Index committed_;
  Index applying_;
  Index applied_;
  uint64_t applying_bytes_max_;
  uint64_t applying_bytes_ = 0;
  bool applying_paused_ = false;
};

}  // namespace quorate::raft
