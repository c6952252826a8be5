// Work that waits for a name server, off the loop: getaddrinfo and its kin can't be interrupted, so it runs
// on threads of its own, at most kThreadsMax at a time, so that a dead name server holds up nobody for long;
// they are let go, not joined, when this goes.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "net/loop.h"

namespace quorate::net {

// Owner: the loop's thread.
class LookupThreads {
 public:
  static constexpr size_t kThreadsMax = 16;
  static constexpr size_t kWaitingMax = 1024;

  explicit LookupThreads(Loop* loop);
  // `done` of what is under way is not called any more.
  ~LookupThreads();
  LookupThreads(const LookupThreads&) = delete;
  LookupThreads& operator=(const LookupThreads&) = delete;

  // `work` runs on a thread and owns what it uses; then `done`, once, on the loop's thread. False, and
  // neither runs, when kWaitingMax wait already.
  bool Run(std::function<void()> work, std::function<void()> done);

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the threads.
};

}  // namespace quorate::net
