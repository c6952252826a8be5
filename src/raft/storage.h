// The stable part of a node's log, as consensus reads it. It is memory, never a disk: the owner writes its
// WAL, then appends here, and no call fails for reasons of I/O.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::raft {

// No limit of bytes.
constexpr uint64_t kNoLimit = UINT64_MAX;

// Used by RawNode on its owner's thread.
class Storage {
 public:
  virtual ~Storage() = default;
  virtual HardState InitialHardState() const = 0;
  // The configuration at the snapshot.
  virtual ConfState InitialConfState() const = 0;
  // Appends to *out the entries of [lo, hi), as many as fit into max_bytes of encoded size but at least one.
  // False if lo is compacted away. hi <= LastIndex()+1.
  virtual bool Entries(Index lo, Index hi, uint64_t max_bytes, std::vector<Entry>* out) const = 0;
  // Known for [FirstIndex()-1, LastIndex()].
  virtual std::optional<Term> TermAt(Index index) const = 0;
  virtual Index FirstIndex() const = 0;
  virtual Index LastIndex() const = 0;
  // What to send to a follower that needs entries below FirstIndex(). Null when it can't be had right now:
  // raft asks again later.
  virtual std::shared_ptr<const Snapshot> LatestSnapshot() const = 0;
};

// The one implementation: a deque that starts after the last compaction. Payloads are shared with whoever
// reads them.
//
// Invariants:
//  S1  entries_ are consecutive: entries_[i].index == compacted_index_ + 1 + i, terms never fall.
//  S2  the snapshot's index <= LastIndex().
class MemoryStorage : public Storage {
 public:
  HardState InitialHardState() const override { return hard_state_; }
  ConfState InitialConfState() const override { return snapshot_->metadata.conf_state; }
  bool Entries(Index lo, Index hi, uint64_t max_bytes, std::vector<Entry>* out) const override;
  std::optional<Term> TermAt(Index index) const override;
  Index FirstIndex() const override { return compacted_index_ + 1; }
  Index LastIndex() const override { return compacted_index_ + entries_.size(); }
  std::shared_ptr<const Snapshot> LatestSnapshot() const override { return snapshot_; }

  void SetHardState(const HardState& state) { hard_state_ = state; }
  // Replaces everything by the snapshot. FailedPrecondition when there is a newer one (unless that has index
  // 0).
  Status ApplySnapshot(std::shared_ptr<const Snapshot> snapshot);
  // Makes the snapshot at `index` (in the log) the one that LatestSnapshot() answers. `conf_state`: null
  // keeps the last. FailedPrecondition when it would not be newer.
  Status CreateSnapshot(Index index, const ConfState* conf_state, std::string data);
  // Forgets all entries up to and including `index` <= LastIndex(). Costs as much as what is forgotten: call
  // it often for a little rather than once for much. FailedPrecondition when they are gone already.
  Status Compact(Index index);
  // Consecutive entries; the first at most one beyond LastIndex(). Entries from its index on are replaced;
  // what lies below FirstIndex() is skipped.
  void Append(std::span<const Entry> entries);
  // Of all payloads it holds.
  uint64_t payload_bytes() const { return payload_bytes_; }

 private:
  // Removes entries_[from, to).
  void Erase(size_t from, size_t to);

  uint64_t payload_bytes_ = 0;
  HardState hard_state_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
  Index compacted_index_ = 0;
  Term compacted_term_ = 0;
  std::deque<Entry> entries_;
};

}  // namespace quorate::raft
