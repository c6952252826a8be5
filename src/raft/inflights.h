// The window of kApp messages sent to one follower and not yet acknowledged: bounded by count and, softly, by
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "raft/types.h"

namespace quorate::raft {

// Invariants: indexes rise from front to back; bytes_ is the sum over the window; count() <= max_count.
class Inflights {
 public:
  Inflights() : Inflights(1, 0) {}
  // max_bytes 0: no limit. One message may bring the window from below the limit to above it.
  Inflights(size_t max_count, uint64_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  // `index` is that of the message's last entry, not below those added before; not when Full().
  void Add(Index index, uint64_t bytes);
  // Frees all messages whose last entry is at or below `index`.
  void FreeUpTo(Index index);
  void Reset();
  bool Full() const { return window_.size() >= max_count_ || (max_bytes_ != 0 && bytes_ >= max_bytes_); }
  size_t count() const { return window_.size(); }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Sent {
    Index index;
    uint64_t bytes;
  };

  size_t max_count_;
  uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  std::deque<Sent> window_;
};

}  // namespace quorate::raft
