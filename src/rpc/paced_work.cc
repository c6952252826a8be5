#include "rpc/paced_work.h"

#include <utility>

namespace quorate::rpc {

void PacedWork::Add(size_t cost, std::function<void()> work) {
  waiting_.push_back({cost, std::move(work)});
  if (waiting_.size() == 1) loop_.Post([this] { Work(); });
}

void PacedWork::AddForKeys(size_t keys, std::function<void()> work) {
  if (keys <= kKeysAtOnce) return work();
  Add(keys * kCostOfKey, std::move(work));
}

void PacedWork::Work() {
  size_t cost = 0;
  while (!waiting_.empty() && cost < kCostPerRound) {
    const Waiting next = std::move(waiting_.front());
    cost += next.cost;
    next.work();
    waiting_.pop_front();  // Only now: so what comes meanwhile finds a round asked for.
  }
  if (!waiting_.empty()) loop_.Post([this] { Work(); });
}

}  // namespace quorate::rpc
