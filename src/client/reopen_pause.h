// How long a stream that has ended waits before it is opened again: longer each time, up to a bound, until it
// has worked. Pure.
#pragma once

#include <algorithm>
#include <chrono>

#include "client/retry.h"

namespace quorate::client {

class ReopenPause {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // The first pause, and the second one, from which on they double up to `max`.
  constexpr ReopenPause(Milliseconds first, Milliseconds second, Milliseconds max)
      : first_(first), second_(second), max_(max), next_(first) {}

  // `jitter` as in Options::retry_jitter, `random` in [0, 1).
  Milliseconds Next(double jitter, double random) {
    const Milliseconds pause = next_;
    next_ = std::clamp(next_ * 2, second_, max_);
    return Jittered(pause, jitter, random);
  }
  // The stream has worked.
  void Reset() { next_ = first_; }

 private:
  const Milliseconds first_, second_, max_;
  Milliseconds next_;
};

}  // namespace quorate::client
