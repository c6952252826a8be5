// A heap of things by the time they are due, from which any can be taken out or moved. Each thing knows its
// place.
//
// Invariants: heap[i] is not due before heap[(i-1)/2], equals by id; heap[i].thing->*slot == i.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quorate::lease {

constexpr uint32_t kNotInHeap = std::numeric_limits<uint32_t>::max();

// T has `id` (orders equals, so that runs repeat) and the member `slot`, kNotInHeap while it is not in.
// Nothing is owned.
template <typename T, uint32_t T::*slot>
class DueHeap {
 public:
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  int64_t first_due() const { return heap_.front().due; }
  T* first() const { return heap_.front().thing; }

  // Adds it, or moves it.
  void Set(T* thing, int64_t due) {
    uint32_t at = thing->*slot;
    if (at == kNotInHeap) {
      at = static_cast<uint32_t>(heap_.size());
      heap_.push_back({due, thing});
      thing->*slot = at;
    }
    heap_[at].due = due;
    Settle(at);
  }

  // Nothing happens when it is not in.
  void Remove(T* thing) {
    const uint32_t at = std::exchange(thing->*slot, kNotInHeap);
    if (at == kNotInHeap) return;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    heap_[at] = last;
    last.thing->*slot = at;
    Settle(at);
  }

  void Clear() {
    for (const Entry& entry : heap_) entry.thing->*slot = kNotInHeap;
    heap_.clear();
  }

  void CheckInvariants() const {
    for (uint32_t i = 0; i < heap_.size(); ++i) {
      QUORATE_CHECK(heap_[i].thing->*slot == i);
      QUORATE_CHECK(i == 0 || !Before(heap_[i], heap_[(i - 1) / 2]));
    }
  }

 private:
  struct Entry {
    int64_t due;
    T* thing;
  };
  static bool Before(const Entry& a, const Entry& b) {
    return a.due != b.due ? a.due < b.due : a.thing->id < b.thing->id;
  }

  void Place(uint32_t at, const Entry& entry) {
    heap_[at] = entry;
    entry.thing->*slot = at;
  }

  void Settle(uint32_t at) {
    const Entry entry = heap_[at];
    while (at > 0 && Before(entry, heap_[(at - 1) / 2])) {
      Place(at, heap_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    for (;;) {
      uint32_t child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) ++child;
      if (!Before(heap_[child], entry)) break;
      Place(at, heap_[child]);
      at = child;
    }
    Place(at, entry);
  }

  std::vector<Entry> heap_;
};

}  // namespace quorate::lease
