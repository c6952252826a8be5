// Hashing and checking of passwords, which is slow on purpose: away from the core, a few at a time, so that
// whoever guesses passwords takes neither the machine nor the threads that read for others. Core thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "base/env.h"

namespace quorate::rpc {

class PasswordWork {
 public:
  // Not owned.
  explicit PasswordWork(Executor* executor) : executor_(*executor) {}

  static constexpr size_t kAtOnceMax = 2;  // Half of the reader threads.
  // At the default cost this takes half a minute, longer than clients wait.
  static constexpr size_t kWaitingMax = 1000;

  struct Job {
    std::function<bool()> wanted;  // Asked when its turn comes; false: neither of the others is called.
    std::function<void()> work;    // Elsewhere.
    std::function<void()> done;    // On the core's thread.
  };
  // False when too much is waiting: nothing of the job is called.
  bool Submit(Job job);

  size_t waiting() const { return waiting_.size(); }

 private:
  void BeginNext();

  Executor& executor_;
  std::deque<Job> waiting_;
  size_t under_way_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::rpc
