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
  // Nothing comes after it; what is in it can still be read.
  void End(Status why, int64_t compact_revision);
  // Drops what is in it, too. The first end counts.
  void Abandon(Status why);

  // Set before the first reader.
  void OnDrained(std::function<void()> drained) { drained_ = std::move(drained); }
  // Nothing: not in time.
  std::optional<StatusOr<etcdserverpb::WatchResponse>> Take(
      std::optional<std::chrono::steady_clock::time_point> until);
  int64_t compact_revision() const;

 private:
  const size_t bytes_max_;
  std::function<void()> drained_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<etcdserverpb::WatchResponse> responses_;  // This and all below under mutex_.
  size_t bytes_ = 0;
  bool overfull_ = false;
  std::optional<Status> end_;
  int64_t compact_revision_ = 0;
};

}  // namespace quorate::client
