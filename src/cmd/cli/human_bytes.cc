#include "cmd/cli/human_bytes.h"

#include <cmath>
#include <cstdio>
#include <iterator>

namespace quorate::cmd {

std::string HumanBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 10) return std::to_string(bytes) + " B";
  double unit_bytes = 1;
  size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && static_cast<double>(bytes) / unit_bytes >= 1000) {
    unit_bytes *= 1000;
    ++unit;
  }
  const double value = std::floor(static_cast<double>(bytes) / unit_bytes * 10 + 0.5) / 10;
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.1f %s" : "%.0f %s", value, kUnits[unit]);
  return text;
}

}  // namespace quorate::cmd
