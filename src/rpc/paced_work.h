// Work of the core that takes long in sum: some of it each round of the loop, so that heartbeats and
// everybody else's short requests come in between. Owner: the core's thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>

#include "net/loop.h"

namespace quorate::rpc {

class PacedWork {
 public:
  // Bytes that are copied; what else takes time is given as so many bytes. One piece may go beyond it.
  static constexpr size_t kCostPerRound = 8 * 1024 * 1024;
  // Of a key that is looked at in the index, or in a lease.
  static constexpr size_t kCostOfKey = 64;
  // So many keys are looked at without asking.
  static constexpr size_t kKeysAtOnce = 4096;

  explicit PacedWork(net::Loop* loop) : loop_(*loop) {}
  PacedWork(const PacedWork&) = delete;
  PacedWork& operator=(const PacedWork&) = delete;

  // Runs `work` in one of the next rounds, after all that was added before. The loop must not run any more
  // when this is gone.
  void Add(size_t cost, std::function<void()> work);
  // The same for work that looks at so many keys; few: now.
  void AddForKeys(size_t keys, std::function<void()> work);

 private:
  void Work();

  struct Waiting {
    size_t cost;
    std::function<void()> work;
  };

  net::Loop& loop_;
  std::deque<Waiting> waiting_;  // Oldest first.
};

}  // namespace quorate::rpc
