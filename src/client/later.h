// Points of time that lie ahead, whatever length of time a caller names. Pure.
#pragma once

#include <algorithm>
#include <chrono>

namespace quorate::client {

// More is for ever: a point of time counts nanoseconds, and there is room for some 290 years of them.
constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365 * 100);

// That long from now; time_point::max() is "never". What is negative is over already.
inline std::chrono::steady_clock::time_point Later(std::chrono::milliseconds time) {
  if (time > kLongest) return std::chrono::steady_clock::time_point::max();
  return std::chrono::steady_clock::now() + std::max(time, std::chrono::milliseconds(0));
}

}  // namespace quorate::client
