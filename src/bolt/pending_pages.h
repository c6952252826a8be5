// Pages that the newest state no longer uses but an open reader may. The writer's thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "bolt/page.h"

namespace quorate::bolt {

class FreePages;

struct PageSpan {
  PageId start = 0;
  uint64_t count = 0;
};

class PendingPages {
 public:
  uint64_t count() const { return count_; }

  // The transaction `txid` allocated a page at `start` while readers were open. Without this word a page
  // counts as old as the file, and a long reader would pin every page written and dropped beside it.
  void Allocated(PageId start, uint64_t txid) { allocated_[start] = txid; }
  // The transaction `txid` freed the span.
  void Freed(const PageSpan& span, uint64_t txid);

  // The length of the run of pending and free pages that ends at `end`.
  uint64_t CountTail(PageId end, const FreePages& free) const;

  // Moves to `free` what no reader sees. `readers`: the txids of the open ones, ascending, without repeats.
  void Release(const std::vector<uint64_t>& readers, FreePages* free);

  template <typename Fn>  // void(const PageSpan&)
  void ForEach(Fn fn) const {
    for (const Entry& entry : entries_) fn(entry.span);
  }

 private:
  // Visible to readers with allocated <= txid < freed.
  struct Entry {
    PageSpan span;
    uint64_t allocated = 0;
    uint64_t freed = 0;
  };

  std::vector<Entry> entries_;
  size_t entries_checked_ = 0;  // So many are known to be pinned by readers_checked_.
  std::vector<uint64_t> readers_checked_;
  uint64_t count_ = 0;
  absl::flat_hash_map<PageId, uint64_t> allocated_;
};

}  // namespace quorate::bolt
