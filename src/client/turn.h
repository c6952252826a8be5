// Waiting one's turn in a queue of keys, as locks and elections do: whoever created the oldest key below a
// prefix is at the head. The keys and their rules are those of etcd's clientv3/concurrency.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "quorate/client/session.h"

namespace quorate::client {

// PREFIX followed by the lease in hex.
std::string SessionKey(std::string_view prefix, int64_t lease);

// What is left of the time that a call may take as a whole. The time runs from the construction.
class TimeLeft {
 public:
  explicit TimeLeft(const CallOptions& call);
  // For one request of it, which may be repeated: locking twice under one key is locking once.
  CallOptions ForCall() const;
  // How long a watch may wait at most.
  std::optional<std::chrono::milliseconds> Left() const;

 private:
  const CallOptions call_;
  std::optional<std::chrono::steady_clock::time_point> until_;
};

// Waits until no key below the prefix is older than `create_revision`. kAborted when the session is lost.
Status WaitForTurn(Session* session, std::string_view prefix, int64_t create_revision, const TimeLeft& time,
                   const std::stop_token& stop);

}  // namespace quorate::client
