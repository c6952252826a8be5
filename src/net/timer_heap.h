// Timers that live inside what they time (a stream, a connection): setting and cancelling allocate nothing.
//
// Invariants: (1) heap_[i]->heap_index == i; (2) no child is due before its parent; (3) a timer not in the
// heap has heap_index kIdle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quorate::net {

struct Timer {
  static constexpr size_t kIdle = SIZE_MAX;

  // Runs on the loop's thread; the timer is idle by then and may be set again or destroyed.
  void (*fire)(void* context) = nullptr;
  void* context = nullptr;
  int64_t when = 0;  // Monotonic nanoseconds.
  size_t heap_index = kIdle;

  bool idle() const { return heap_index == kIdle; }
};

class TimerHeap {
 public:
  // A timer already set is moved.
  void Set(Timer* timer, int64_t when);
  void Cancel(Timer* timer);
  bool empty() const { return heap_.empty(); }
  // The earliest; INT64_MAX when there is none.
  int64_t next() const { return heap_.empty() ? INT64_MAX : heap_.front()->when; }
  // Fires all that are due at `now`. Ends even when timers are set again to times already past.
  void FireDue(int64_t now);

 private:
  void Place(size_t index, Timer* timer);
  void SiftUp(size_t index, Timer* timer);
  void SiftDown(size_t index, Timer* timer);

  std::vector<Timer*> heap_;
};

}  // namespace quorate::net
