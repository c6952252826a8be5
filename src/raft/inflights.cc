#include "raft/inflights.h"

#include "base/check.h"

namespace quorate::raft {

void Inflights::Add(Index index, uint64_t bytes) {
  QUORATE_CHECK(!Full());
  QUORATE_CHECK(window_.empty() || window_.back().index <= index);
  window_.push_back({index, bytes});
  bytes_ += bytes;
}

void Inflights::FreeUpTo(Index index) {
  while (!window_.empty() && window_.front().index <= index) {
    bytes_ -= window_.front().bytes;
    window_.pop_front();
  }
}

void Inflights::Reset() {
  window_.clear();
  bytes_ = 0;
}

}  // namespace quorate::raft
