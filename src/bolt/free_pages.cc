#include "bolt/free_pages.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace quorate::bolt {

bool FreePages::Contains(PageId id) const { return id < bits() && (words_[id / 64] >> (id % 64) & 1) != 0; }

void FreePages::Add(PageId start, uint64_t count) {
  const PageId end = start + count;
  if (end > bits()) words_.resize((end + 63) / 64);
  for (PageId id = start; id < end; ++id) {
    uint64_t& word = words_[id / 64];
    QUORATE_CHECK((word >> (id % 64) & 1) == 0);
    word |= uint64_t{1} << (id % 64);
  }
  count_ += count;
  for (PageId& mark : marks_) mark = std::min(mark, start);
}

PageId FreePages::RunStart(PageId id) const {
  size_t w = id / 64;
  // The used pages among those up to and including `id`.
  uint64_t used = ~words_[w] << (63 - id % 64);
  if (used != 0) return id - static_cast<PageId>(std::countl_zero(used)) + 1;
  while (w > 0) {
    used = ~words_[--w];
    if (used != 0) return w * 64 + 64 - static_cast<PageId>(std::countl_zero(used));
  }
  return 0;
}

PageId FreePages::NextFree(PageId from) const {
  if (from >= bits()) return bits();
  size_t w = from / 64;
  uint64_t word = words_[w] & (~uint64_t{0} << (from % 64));
  while (word == 0) {
    if (++w == words_.size()) return bits();
    word = words_[w];
  }
  return w * 64 + static_cast<PageId>(std::countr_zero(word));
}

PageId FreePages::NextUsed(PageId from) const {
  if (from >= bits()) return bits();
  size_t w = from / 64;
  uint64_t word = ~words_[w] & (~uint64_t{0} << (from % 64));
  while (word == 0) {
    if (++w == words_.size()) return bits();
    word = ~words_[w];
  }
  return w * 64 + static_cast<PageId>(std::countr_zero(word));
}

PageId FreePages::Find(uint64_t count) {
  QUORATE_CHECK(count > 0);
  if (count > count_) return bits();
  const size_t slot = std::min<uint64_t>(count, kMarks) - 1;
  PageId start = NextFree(marks_[slot]);
  if (start < bits()) start = RunStart(start);
  // The shared mark of the long runs may only rise past runs shorter than the shortest of them.
  PageId mark = start;
  bool mark_fixed = false;
  while (start < bits()) {
    const PageId end = NextUsed(start);
    if (end - start >= count) break;
    if (end - start > slot) mark_fixed = true;
    start = NextFree(end);
    if (!mark_fixed) mark = start;
  }
  marks_[slot] = mark;
  return std::min(start, bits());
}

void FreePages::Remove(PageId start, uint64_t count) {
  for (PageId id = start; id < start + count; ++id) words_[id / 64] &= ~(uint64_t{1} << (id % 64));
  count_ -= count;
}

std::optional<PageId> FreePages::Take(uint64_t count) { return TakeBelow(count, bits()); }

std::optional<PageId> FreePages::TakeBelow(uint64_t count, PageId limit) {
  const PageId start = Find(count);
  if (start >= bits() || start + count > limit) return std::nullopt;
  Remove(start, count);
  return start;
}

PageId FreePages::TakeTail(PageId end) {
  const PageId start = RunStartBefore(end);
  Remove(start, end - start);
  return start;
}

PageId FreePages::end() const {
  for (size_t w = words_.size(); w > 0; --w) {
    if (words_[w - 1] != 0) return w * 64 - static_cast<PageId>(std::countl_zero(words_[w - 1]));
  }
  return 0;
}

}  // namespace quorate::bolt
