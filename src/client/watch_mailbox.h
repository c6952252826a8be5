// Between the loop, which fills it, and the thread that reads a watch. All threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "base/status.h"
#include "rpc.pb.h"

namespace quorate::client {

class WatchMailbox {
 public:
  explicit WatchMailbox(size_t bytes_max) : bytes_max_(bytes_max) {}

  // False: more than it should hold is in it now, and `drained` is to be told when half of that is gone.
  bool Put(etcdserverpb::WatchResponse response);
  // Nothing comes after it; what is in it can still be read. `last` is the server's answer that ended it, if
  // one did.
  void End(Status why, etcdserverpb::WatchResponse last);
  // Drops what is in it, too. The first end counts.
  void Abandon(Status why);

  // Set before the first reader.
  void OnDrained(std::function<void()> drained) { drained_ = std::move(drained); }
  // Nothing: not in time.
  std::optional<StatusOr<etcdserverpb::WatchResponse>> Take(
      std::optional<std::chrono::steady_clock::time_point> until);
  etcdserverpb::WatchResponse last() const;

 private:
  const size_t bytes_max_;
  std::function<void()> drained_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<etcdserverpb::WatchResponse> responses_;  // This and all below under mutex_.
  size_t bytes_ = 0;
  bool overfull_ = false;
  std::optional<Status> end_;
  etcdserverpb::WatchResponse last_;
};

}  // namespace quorate::client
