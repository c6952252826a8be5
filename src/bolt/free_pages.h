// The set of free pages: one bit a page, lowest first. Taking a single page is constant time in the common
// case; taking a run scans words, at most once over the whole map between two releases for each length. The
// writer's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "bolt/page.h"

namespace quorate::bolt {

class FreePages {
 public:
  uint64_t count() const { return count_; }
  bool Contains(PageId id) const;

  // No page of the run is free yet.
  void Add(PageId start, uint64_t count);
  // Takes the lowest run of `count` (> 0) adjacent free pages.
  std::optional<PageId> Take(uint64_t count);
  // The same, but only if the run ends at or below `limit`.
  std::optional<PageId> TakeBelow(uint64_t count, PageId limit);
  // The start of the run of free pages that ends at `end`, `end` for none.
  PageId RunStartBefore(PageId end) const { return end > 0 && Contains(end - 1) ? RunStart(end - 1) : end; }
  // Takes that run, however long; returns its start.
  PageId TakeTail(PageId end);
  // The end of the highest free page, 0 when there is none.
  PageId end() const;

 private:
  // Runs longer than this share one mark.
  static constexpr size_t kMarks = 64;

  // The first page >= from that is free (or not), within the map; size in bits if there is none.
  PageId NextFree(PageId from) const;
  // The start of the lowest run of `count`; bits() for none.
  PageId Find(uint64_t count);
  void Remove(PageId start, uint64_t count);
  PageId NextUsed(PageId from) const;
  // The first page of the run that holds the free page `id`.
  PageId RunStart(PageId id) const;
  PageId bits() const { return words_.size() * 64; }

  std::vector<uint64_t> words_;  // Bit i of word w: page 64 w + i is free.
  uint64_t count_ = 0;
  // No run of i+1 or more free pages ends at or below marks_[i].
  std::array<PageId, kMarks> marks_{};
};

}  // namespace quorate::bolt
