// What a watch has seen, and so where it goes on. Pure.
//
// W1: next() only grows. W2: an event below it is never given out again. W3: the events of one revision are
// given out together, so that going on at next() loses none of them.
#pragma once

#include <cstdint>
#include <optional>

#include "rpc.pb.h"

namespace quorate::client {

class WatchCursor {
 public:
  explicit WatchCursor(int64_t start_revision) : next_(start_revision) {}

  // The first revision that is still to be seen; 0: what comes after the server takes the watch up.
  int64_t next() const { return next_; }

  // The server has taken it up; its store was at this revision.
  void Created(int64_t store_revision);
  // Events or news of progress from the server. What is to be given out now, if anything.
  std::optional<etcdserverpb::WatchResponse> Take(etcdserverpb::WatchResponse response);
  // The stream is gone, and with it the rest of an answer in fragments.
  void Interrupted() { fragments_.reset(); }

 private:
  int64_t next_;
  std::optional<etcdserverpb::WatchResponse> fragments_;
};

}  // namespace quorate::client
