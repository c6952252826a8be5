// How Go's strconv, time and flag packages read values, and their error texts, which users and scripts see.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// Errors carry the bare texts "parse error", "value out of range" (package flag).
StatusOr<bool> ParseGoBool(std::string_view text);
// Base 0: decimal, 0x, 0o, 0b, leading 0 for octal, underscores between digits.
StatusOr<int64_t> ParseGoInt(std::string_view text);
StatusOr<uint64_t> ParseGoUint(std::string_view text);
// time.ParseDuration: nanoseconds.
StatusOr<int64_t> ParseGoDuration(std::string_view text);

// %q: a double-quoted Go string literal.
std::string GoQuote(std::string_view text);

std::vector<std::string> SplitCommas(std::string_view text);

}  // namespace quorate::cmd
