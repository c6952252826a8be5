#include "raft/logger.h"

#include "base/logging.h"

namespace quorate::raft {
namespace {

log::Level ToBase(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return log::Level::kDebug;
    case LogLevel::kInfo:
      return log::Level::kInfo;
    case LogLevel::kWarn:
      return log::Level::kWarn;
    case LogLevel::kError:
      return log::Level::kError;
  }
  return log::Level::kError;
}

class ProcessLog : public Logger {
 public:
  bool Enabled(LogLevel level) const override { return log::Enabled(ToBase(level)); }
  void Write(LogLevel level, std::string_view line) override {
    log::Write(ToBase(level), __FILE__, __LINE__, line, {});
  }
};

}  // namespace

Logger* ProcessLogger() {
  static ProcessLog logger;
  return &logger;
}

}  // namespace quorate::raft
