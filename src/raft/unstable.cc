#include "raft/unstable.h"

#include <algorithm>

#include "base/check.h"
#include "raft/log_format.h"

namespace quorate::raft {

std::optional<Index> Unstable::FirstIndex() const {
  if (snapshot_ == nullptr) return std::nullopt;
  return snapshot_->metadata.index + 1;
}

std::optional<Index> Unstable::LastIndex() const {
  if (!entries_.empty()) return end() - 1;
  if (snapshot_ != nullptr) return snapshot_->metadata.index;
  return std::nullopt;
}

std::optional<Term> Unstable::TermAt(Index index) const {
  if (index >= offset_) {
    if (index >= end()) return std::nullopt;
    return At(index).term;
  }
  if (snapshot_ != nullptr && snapshot_->metadata.index == index) return snapshot_->metadata.term;
  return std::nullopt;
}

std::vector<Entry> Unstable::NextEntries() const {
  return {entries_.begin() + static_cast<ptrdiff_t>(offset_in_progress_ - offset_), entries_.end()};
}

void Unstable::AcceptInProgress() {
  offset_in_progress_ = end();
  if (snapshot_ != nullptr) snapshot_in_progress_ = true;
}

void Unstable::StableTo(EntryId id) {
  const std::optional<Term> term = TermAt(id.index);
  if (!term.has_value()) {
    Infof(logger_, "entry at index %d missing from unstable log; ignoring", id.index);
    return;
  }
  if (id.index < offset_) {
    Infof(logger_, "entry at index %d matched unstable snapshot; ignoring", id.index);
    return;
  }
  if (*term != id.term) {
    // Replaced while it was on its way to the disk.
    Infof(logger_, "entry at (index,term)=(%d,%d) mismatched with entry at (%d,%d) in unstable log; ignoring",
          id.index, id.term, id.index, *term);
    return;
  }
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(id.index + 1 - offset_));
  offset_ = id.index + 1;
  offset_in_progress_ = std::max(offset_in_progress_, offset_);
}

void Unstable::StableSnapshotTo(Index index) {
  if (snapshot_ == nullptr || snapshot_->metadata.index != index) return;
  snapshot_ = nullptr;
  snapshot_in_progress_ = false;
}

void Unstable::Restore(std::shared_ptr<const Snapshot> snapshot) {
  offset_ = snapshot->metadata.index + 1;
  offset_in_progress_ = offset_;
  entries_.clear();
  snapshot_ = std::move(snapshot);
  snapshot_in_progress_ = false;
}

void Unstable::TruncateAndAppend(std::span<Entry> entries) {
  const Index from = entries.front().index;
  QUORATE_CHECK_MSG(from <= end(), absl::StrFormat("append at %d beyond the end %d", from, end()));
  if (from < end()) {
    if (from <= offset_) {
      Infof(logger_, "replace the unstable entries from index %d", from);
      entries_.clear();
      offset_ = from;
      offset_in_progress_ = from;
    } else {
      Infof(logger_, "truncate the unstable entries before index %d", from);
      entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(from - offset_), entries_.end());
      offset_in_progress_ = std::min(offset_in_progress_, from);
    }
  }
  entries_.insert(entries_.end(), std::make_move_iterator(entries.begin()),
                  std::make_move_iterator(entries.end()));
}

}  // namespace quorate::raft
