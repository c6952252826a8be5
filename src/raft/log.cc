#include "raft/log.h"

#include <algorithm>

#include "base/check.h"
#include "raft/confchange_codec.h"
#include "raft/log_format.h"

namespace quorate::raft {

Log::Log(Storage& storage, Logger& logger, uint64_t applying_bytes_max)
    : storage_(storage),
      logger_(logger),
      unstable_(storage.LastIndex() + 1, logger),
      committed_(storage.FirstIndex() - 1),
      applying_(committed_),
      applied_(committed_),
      applying_bytes_max_(applying_bytes_max) {
  QUORATE_CHECK(applying_bytes_max > 0);
}

Index Log::FirstIndex() const { return unstable_.FirstIndex().value_or(storage_.FirstIndex()); }

Index Log::LastIndex() const {
  const std::optional<Index> last = unstable_.LastIndex();
  return last.has_value() ? *last : storage_.LastIndex();
}

std::optional<Term> Log::TermAt(Index index) const {
  if (const std::optional<Term> term = unstable_.TermAt(index); term.has_value()) return term;
  // The entry before the first is gone but its term is kept, to match appends against.
  if (index + 1 < FirstIndex() || index > LastIndex()) return std::nullopt;
  return storage_.TermAt(index);
}

EntryId Log::Last() const {
  const Index index = LastIndex();
  const std::optional<Term> term = TermAt(index);
  QUORATE_CHECK_MSG(term.has_value(), absl::StrFormat("no term for the last entry %d", index));
  return {*term, index};
}

bool Log::IsUpToDate(EntryId candidate) const {
  const EntryId own = Last();
  return candidate.term > own.term || (candidate.term == own.term && candidate.index >= own.index);
}

bool Log::Slice(Index lo, Index hi, uint64_t max_bytes, std::vector<Entry>* out) const {
  QUORATE_CHECK_MSG(lo <= hi && hi <= LastIndex() + 1,
                    absl::StrFormat("slice [%d, %d) of a log up to %d", lo, hi, LastIndex()));
  if (lo < FirstIndex()) return false;
  if (lo == hi) return true;
  uint64_t bytes = 0;
  const Index offset = unstable_.offset();
  if (lo < offset) {
    const Index cut = std::min(hi, offset);
    if (!storage_.Entries(lo, cut, max_bytes, out)) return false;
    if (hi <= offset || out->size() < cut - lo) return true;
    for (const Entry& entry : *out) bytes += EncodedSize(entry);
    if (bytes >= max_bytes) return true;
  }
  for (Index index = std::max(lo, offset); index < hi; ++index) {
    const Entry& entry = unstable_.At(index);
    bytes += EncodedSize(entry);
    if (bytes > max_bytes && !out->empty()) break;
    out->push_back(entry);
  }
  return true;
}

void Log::Append(std::span<Entry> entries) {
  if (entries.empty()) return;
  QUORATE_CHECK_MSG(entries.front().index > committed_,
                    absl::StrFormat("append at %d, committed %d", entries.front().index, committed_));
  unstable_.TruncateAndAppend(entries);
}

const Entry* Log::FindConflict(std::span<const Entry> entries) const {
  for (const Entry& entry : entries) {
    if (Matches({entry.term, entry.index})) continue;
    if (entry.index <= LastIndex()) {
      Infof(logger_, "found conflict at index %d [existing term: %d, conflicting term: %d]", entry.index,
            TermOrZero(entry.index), entry.term);
    }
    return &entry;
  }
  return nullptr;
}

EntryId Log::FindConflictByTerm(Index index, Term term) const {
  for (; index > 0; --index) {
    const std::optional<Term> ours = TermAt(index);
    if (!ours.has_value()) return {0, index};
    if (*ours <= term) return {*ours, index};
  }
  return {0, 0};
}

void Log::CommitTo(Index index) {
  if (index <= committed_) return;
  QUORATE_CHECK_MSG(index <= LastIndex(),
                    absl::StrFormat("tocommit(%d) is out of range [lastIndex(%d)]", index, LastIndex()));
  committed_ = index;
}

bool Log::MaybeCommit(EntryId id) {
  if (id.term == 0 || id.index <= committed_ || !Matches(id)) return false;
  CommitTo(id.index);
  return true;
}

Index Log::MaxAppliable(bool allow_unstable) const {
  return allow_unstable ? committed_ : std::min(committed_, unstable_.offset() - 1);
}

bool Log::HasNextCommitted(bool allow_unstable) const {
  // A snapshot is restored before anything after it is applied.
  return !applying_paused_ && !SnapshotPending() && applying_ < MaxAppliable(allow_unstable);
}

std::vector<Entry> Log::NextCommitted(bool allow_unstable) const {
  std::vector<Entry> entries;
  if (!HasNextCommitted(allow_unstable)) return entries;
  QUORATE_CHECK(applying_bytes_ < applying_bytes_max_);
  const Index end = MaxAppliable(allow_unstable) + 1;
  const bool found = Slice(applying_ + 1, end, applying_bytes_max_ - applying_bytes_, &entries);
  QUORATE_CHECK_MSG(found, absl::StrFormat("entry %d to apply is compacted", applying_ + 1));
  return entries;
}

void Log::AcceptApplying(Index index, uint64_t bytes, bool allow_unstable) {
  QUORATE_CHECK_MSG(index <= committed_, absl::StrFormat("applying %d, committed %d", index, committed_));
  applying_ = index;
  applying_bytes_ += bytes;
  // Fewer entries than could be had: the next one would pass the limit.
  applying_paused_ = applying_bytes_ >= applying_bytes_max_ || index < MaxAppliable(allow_unstable);
}

void Log::AppliedTo(Index index, uint64_t bytes) {
  QUORATE_CHECK_MSG(applied_ <= index && index <= committed_,
                    absl::StrFormat("applied(%d) is out of range [prevApplied(%d), committed(%d)]", index,
                                    applied_, committed_));
  applied_ = index;
  applying_ = std::max(applying_, index);
  applying_bytes_ -= std::min(applying_bytes_, bytes);
  applying_paused_ = applying_bytes_ >= applying_bytes_max_;
}

void Log::Restore(std::shared_ptr<const Snapshot> snapshot) {
  Infof(logger_, "log [%s] starts to restore snapshot [index: %d, term: %d]", Describe(),
        snapshot->metadata.index, snapshot->metadata.term);
  committed_ = snapshot->metadata.index;
  unstable_.Restore(std::move(snapshot));
}

std::shared_ptr<const Snapshot> Log::LatestSnapshot() const {
  return unstable_.snapshot() != nullptr ? unstable_.snapshot() : storage_.LatestSnapshot();
}

std::string Log::Describe() const {
  return absl::StrFormat(
      "committed=%d, applied=%d, applying=%d, unstable.offset=%d, unstable.offsetInProgress=%d, "
      "len(unstable.Entries)=%d",
      committed_, applied_, applying_, unstable_.offset(), unstable_.offset_in_progress(),
      unstable_.entries().size());
}

}  // namespace quorate::raft
