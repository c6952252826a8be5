// Hashing and checking of passwords, which is slow on purpose: away from the core, a few at a time, so that
// whoever guesses passwords takes neither the machine nor the threads that read for others. Core thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/hash.h"

namespace quorate::rpc {

class PasswordWork {
 public:
  // Not owned.
  explicit PasswordWork(Executor* executor) : executor_(*executor) {}

  static constexpr size_t kAtOnceMax = 2;  // Half of the reader threads.
  // At the default cost this takes half a minute, longer than clients wait.
  static constexpr size_t kWaitingMax = 1000;

  struct Job {
    // Whose it is, as CallHandle::peer(): hosts take turns, and the connections of one host; no host has more
    // than half of the room that the others leave.
    std::string peer;
    std::function<bool()> wanted;  // Asked when its turn comes; false: neither of the others is called.
    std::function<void()> work;    // Elsewhere.
    std::function<void()> done;    // On the core's thread.
  };
  // False when too much is waiting, of this host or in all: nothing of the job is called.
  bool Submit(Job job);

  size_t waiting() const { return waiting_; }

 private:
  // The jobs of one host. Invariant: `connections` names exactly those that have jobs, the next first.
  struct Line {
    std::deque<std::string> connections;
    StringMap<std::deque<Job>> jobs;
    size_t size = 0;
  };

  void BeginNext();
  Job TakeNext();

  Executor& executor_;
  std::deque<std::string> hosts_;  // Those that have a line, the next first.
  StringMap<Line> lines_;
  size_t waiting_ = 0;
  size_t under_way_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::rpc
