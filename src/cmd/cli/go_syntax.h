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
// strconv.ParseInt with base 10, and with its texts: strconv.ParseInt: parsing "x": invalid syntax.
StatusOr<int64_t> ParseGoDecimal(std::string_view text);
// time.ParseDuration: nanoseconds.
StatusOr<int64_t> ParseGoDuration(std::string_view text);

// time.Duration.String: "1.5s", "1m0s".
std::string GoDuration(int64_t nanos);

// %q: a double-quoted Go string literal.
std::string GoQuote(std::string_view text);
// Reads such a literal (or a raw one, in backquotes) at the beginning of *text and takes it away from there;
// InvalidArgument when there is none.
StatusOr<std::string> TakeGoQuoted(std::string_view* text);

std::vector<std::string> SplitCommas(std::string_view text);

}  // namespace quorate::cmd
