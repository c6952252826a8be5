#include "sim/scheduler.h"

#include <algorithm>
#include <utility>

namespace quorate::sim {

void Scheduler::At(int64_t nanos, Task task) {
  heap_.push_back({std::max(nanos, now_), next_order_++, std::move(task)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

bool Scheduler::RunNext(int64_t until) {
  if (heap_.empty() || heap_.front().at > until) {
    now_ = std::max(now_, until);
    return false;
  }
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  const Event event = std::move(heap_.back());
  heap_.pop_back();
  now_ = event.at;
  ++events_;
  event.task();
  return true;
}

}  // namespace quorate::sim
