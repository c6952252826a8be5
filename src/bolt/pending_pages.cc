#include "bolt/pending_pages.h"

#include <algorithm>

#include "bolt/free_pages.h"

namespace quorate::bolt {

void PendingPages::Freed(const PageSpan& span, uint64_t txid) {
  uint64_t allocated = 0;
  if (auto it = allocated_.find(span.start); it != allocated_.end()) {
    allocated = it->second;
    allocated_.erase(it);
  }
  entries_.push_back({span, allocated, txid});
  count_ += span.count;
}

uint64_t PendingPages::CountTail(PageId end, const FreePages& free) const {
  std::vector<PageSpan> spans;
  spans.reserve(entries_.size());
  for (const Entry& entry : entries_) spans.push_back(entry.span);
  std::sort(spans.begin(), spans.end(),
            [](const PageSpan& a, const PageSpan& b) { return a.start > b.start; });
  PageId start = end;
  for (const PageSpan& span : spans) {
    start = free.RunStartBefore(start);
    if (span.start + span.count != start) break;
    start = span.start;
  }
  return end - free.RunStartBefore(start);
}

void PendingPages::Release(const std::vector<uint64_t>& readers, FreePages* free) {
  // New readers start at the newest state, where nothing old can be seen: only a reader that left matters to
  // entries checked before.
  const bool recheck =
      !std::includes(readers.begin(), readers.end(), readers_checked_.begin(), readers_checked_.end());
  size_t kept = recheck ? 0 : entries_checked_;
  for (size_t i = kept; i < entries_.size(); ++i) {
    const Entry entry = entries_[i];
    const auto reader = std::lower_bound(readers.begin(), readers.end(), entry.allocated);
    if (reader != readers.end() && *reader < entry.freed) {
      entries_[kept++] = entry;
      continue;
    }
    free->Add(entry.span.start, entry.span.count);
    count_ -= entry.span.count;
  }
  entries_.resize(kept);
  entries_checked_ = kept;
  readers_checked_ = readers;
  // Without readers nothing is pinned, and later readers see all that is allocated by now.
  if (readers.empty()) allocated_.clear();
}

}  // namespace quorate::bolt
