// printf-style lines to a Logger; nothing is formatted when the level is off.
#pragma once

#include "absl/strings/str_format.h"
#include "raft/logger.h"

namespace quorate::raft {

template <typename... Args>
void Logf(Logger& logger, LogLevel level, const absl::FormatSpec<Args...>& format, const Args&... args) {
  if (!logger.Enabled(level)) return;
  const std::string line = absl::StrFormat(format, args...);
  logger.Write(level, line);
}

template <typename... Args>
void Debugf(Logger& logger, const absl::FormatSpec<Args...>& format, const Args&... args) {
  Logf<Args...>(logger, LogLevel::kDebug, format, args...);
}
template <typename... Args>
void Infof(Logger& logger, const absl::FormatSpec<Args...>& format, const Args&... args) {
  Logf<Args...>(logger, LogLevel::kInfo, format, args...);
}
template <typename... Args>
void Warnf(Logger& logger, const absl::FormatSpec<Args...>& format, const Args&... args) {
  Logf<Args...>(logger, LogLevel::kWarn, format, args...);
}
template <typename... Args>
void Errorf(Logger& logger, const absl::FormatSpec<Args...>& format, const Args&... args) {
  Logf<Args...>(logger, LogLevel::kError, format, args...);
}

}  // namespace quorate::raft
