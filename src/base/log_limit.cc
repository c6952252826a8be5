#include "base/log_limit.h"

#include <chrono>
#include <utility>

namespace quorate::log {

bool LineLimit::Admit() {
  return Admit(std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

bool LineLimit::Admit(int64_t now) {
  constexpr int64_t kSecondNanos = 1'000'000'000;
  uint64_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    const int64_t second = now / kSecondNanos;
    if (second != std::exchange(second_, second)) {
      left_out = std::exchange(left_out_, 0);
      written_ = 0;
    }
    if (++written_ > kLinesPerSecond) {
      ++left_out_;
      return false;
    }
  }
  if (left_out > 0) LOG_WARN("left out log lines that came too fast", {"lines", lines_}, {"count", left_out});
  return true;
}

}  // namespace quorate::log
