#include "net/timer_heap.h"

#include "base/check.h"

namespace quorate::net {

void TimerHeap::Place(size_t index, Timer* timer) {
  heap_[index] = timer;
  timer->heap_index = index;
}

void TimerHeap::SiftUp(size_t index, Timer* timer) {
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (heap_[parent]->when <= timer->when) break;
    Place(index, heap_[parent]);
    index = parent;
  }
  Place(index, timer);
}

void TimerHeap::SiftDown(size_t index, Timer* timer) {
  for (;;) {
    size_t child = index * 2 + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->when < heap_[child]->when) ++child;
    if (timer->when <= heap_[child]->when) break;
    Place(index, heap_[child]);
    index = child;
  }
  Place(index, timer);
}

void TimerHeap::Set(Timer* timer, int64_t when) {
  if (!timer->idle()) Cancel(timer);
  timer->when = when;
  heap_.push_back(timer);
  SiftUp(heap_.size() - 1, timer);
}

void TimerHeap::Cancel(Timer* timer) {
  if (timer->idle()) return;
  const size_t index = timer->heap_index;
  QUORATE_CHECK(index < heap_.size() && heap_[index] == timer);
  timer->heap_index = Timer::kIdle;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  if (index > 0 && last->when < heap_[(index - 1) / 2]->when) {
    SiftUp(index, last);
  } else {
    SiftDown(index, last);
  }
}

void TimerHeap::FireDue(int64_t now) {
  // A timer set by one that fires is later than `now` or waits for the next round: the count bounds the loop.
  for (size_t left = heap_.size(); left > 0 && next() <= now; --left) {
    Timer* timer = heap_.front();
    Cancel(timer);
    timer->fire(timer->context);
  }
}

}  // namespace quorate::net
