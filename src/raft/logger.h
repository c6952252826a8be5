// Where consensus writes its log lines. The texts are etcd-io/raft's, so that people who search for them find
// them.
#pragma once

#include <string_view>

namespace quorate::raft {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Called on the owner's thread of the node. A line is formatted only if its level is enabled.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual bool Enabled(LogLevel level) const = 0;
  virtual void Write(LogLevel level, std::string_view line) = 0;
};

// The process-wide log of base/logging.h; lives as long as the program.
Logger* ProcessLogger();

}  // namespace quorate::raft
