#include "cmd/procedures/utc_text.h"

#include <ctime>

namespace quorate::cmd {

std::string UtcText(int64_t unix_seconds) {
  const time_t seconds = unix_seconds;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace quorate::cmd
