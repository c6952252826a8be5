// A moment as it is shown. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace quorate::cmd {

// "2026-01-02T03:04:05Z".
std::string UtcText(int64_t unix_seconds);

}  // namespace quorate::cmd
