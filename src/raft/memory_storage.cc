#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "raft/confchange_codec.h"
#include "raft/storage.h"

namespace quorate::raft {
namespace {

// The limit of bytes may end a read long before `hi`.
constexpr Index kReserveMax = 1024;

}  // namespace

bool MemoryStorage::Entries(Index lo, Index hi, uint64_t max_bytes, std::vector<Entry>* out) const {
  if (lo <= compacted_index_) return false;
  QUORATE_CHECK_MSG(lo <= hi && hi <= LastIndex() + 1,
                    absl::StrFormat("entries [%d, %d) of a log up to %d", lo, hi, LastIndex()));
  out->reserve(out->size() + std::min<Index>(hi - lo, kReserveMax));
  uint64_t bytes = 0;
  auto it = entries_.begin() + static_cast<ptrdiff_t>(lo - FirstIndex());
  for (Index index = lo; index < hi; ++index, ++it) {
    bytes += EncodedSize(*it);
    if (index > lo && bytes > max_bytes) break;
    out->push_back(*it);
  }
  return true;
}

std::optional<Term> MemoryStorage::TermAt(Index index) const {
  if (index == compacted_index_) return compacted_term_;
  if (index < compacted_index_ || index > LastIndex()) return std::nullopt;
  return entries_[index - FirstIndex()].term;
}

Status MemoryStorage::ApplySnapshot(std::shared_ptr<const Snapshot> snapshot) {
  const SnapshotMetadata& metadata = snapshot->metadata;
  if (snapshot_->metadata.index != 0 && snapshot_->metadata.index >= metadata.index) {
    return FailedPrecondition("requested index is older than the existing snapshot");
  }
  compacted_index_ = metadata.index;
  compacted_term_ = metadata.term;
  Erase(0, entries_.size());
  snapshot_ = std::move(snapshot);
  return absl::OkStatus();
}

Status MemoryStorage::CreateSnapshot(Index index, const ConfState* conf_state, std::string data) {
  if (index <= snapshot_->metadata.index) {
    return FailedPrecondition("requested index is older than the existing snapshot");
  }
  const std::optional<Term> term = TermAt(index);
  if (!term.has_value()) {
    return OutOfRange(
        absl::StrFormat("snapshot %d is outside of the log (%d, %d]", index, compacted_index_, LastIndex()));
  }
  auto made = std::make_shared<Snapshot>();
  made->metadata.index = index;
  made->metadata.term = *term;
  made->metadata.conf_state = conf_state != nullptr ? *conf_state : snapshot_->metadata.conf_state;
  made->data = std::move(data);
  snapshot_ = std::move(made);
  return absl::OkStatus();
}

Status MemoryStorage::Compact(Index index) {
  if (index <= compacted_index_) {
    return FailedPrecondition("requested index is unavailable due to compaction");
  }
  if (index > LastIndex()) {
    return OutOfRange(absl::StrFormat("compact %d is beyond the last index %d", index, LastIndex()));
  }
  compacted_term_ = *TermAt(index);
  Erase(0, index - compacted_index_);
  compacted_index_ = index;
  return absl::OkStatus();
}

void MemoryStorage::Append(std::span<const Entry> entries) {
  while (!entries.empty() && entries.front().index < FirstIndex()) entries = entries.subspan(1);
  if (entries.empty()) return;
  const Index from = entries.front().index;
  QUORATE_CHECK_MSG(from <= LastIndex() + 1,
                    absl::StrFormat("missing log entry [last: %d, append at: %d]", LastIndex(), from));
  Erase(from - FirstIndex(), entries_.size());
  entries_.insert(entries_.end(), entries.begin(), entries.end());
  for (const Entry& entry : entries) payload_bytes_ += entry.data.size();
}

void MemoryStorage::Erase(size_t from, size_t to) {
  const auto begin = entries_.begin() + static_cast<ptrdiff_t>(from);
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(to);
  for (auto it = begin; it != end; ++it) payload_bytes_ -= it->data.size();
  entries_.erase(begin, end);
}

}  // namespace quorate::raft
