// Whether a disk still answers: work that was handed to it, and when it last ended some. One thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quorate::backup {

class DiskWatch {
 public:
  // Longer than a disk that works takes for any piece of work.
  static constexpr int64_t kHangNanos = int64_t{60} * 1'000'000'000;

  void Begin(int64_t now_nanos) {
    if (open_++ == 0) since_nanos_ = now_nanos;
  }
  void End(int64_t now_nanos) {
    --open_;
    since_nanos_ = now_nanos;
  }
  bool Hangs(int64_t now_nanos) const { return open_ > 0 && now_nanos - since_nanos_ >= kHangNanos; }

 private:
  size_t open_ = 0;
  int64_t since_nanos_ = 0;
};

}  // namespace quorate::backup
