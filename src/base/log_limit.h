// Log lines that anybody on the network can cause are limited: whoever makes them must neither fill the disk
// nor hold up the thread that writes them.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "base/logging.h"

namespace quorate::log {

// Any thread.
class LineLimit {
 public:
  static constexpr int kLinesPerSecond = 20;

  // `lines`: what they are about, for the line that says how many were left out.
  explicit LineLimit(std::string_view lines) : lines_(lines) {}

  // Whether one more may be written. The first of a later second also logs how many were not.
  bool Admit();
  // As of `now`, in nanoseconds of a clock that does not go back.
  bool Admit(int64_t now);

 private:
  const std::string lines_;
  std::mutex mutex_;  // Of the rest.
  int64_t second_ = -1;
  int written_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace quorate::log

// As LOG_WARN and LOG_ERROR, for what anybody can cause. `message` is a literal.
#define QUORATE_LOG_LIMITED_(level, message, ...)                              \
  do {                                                                         \
    static ::quorate::log::LineLimit limit_of_this_line(message);              \
    if (limit_of_this_line.Admit()) QUORATE_LOG_(level, message, __VA_ARGS__); \
  } while (false)
#define LOG_WARN_LIMITED(message, ...) \
  QUORATE_LOG_LIMITED_(::quorate::log::Level::kWarn, message, __VA_ARGS__)
