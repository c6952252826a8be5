#include "cmd/cli/go_syntax.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/logging.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kParseError = "parse error";
constexpr std::string_view kRangeError = "value out of range";

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// Underscores may stand only between digits, or between a base prefix and a digit.
bool UnderscoresOk(std::string_view digits, bool has_prefix) {
  char before = has_prefix ? '0' : '_';
  for (char c : digits) {
    if (c == '_' && before == '_') return false;
    before = c;
  }
  return before != '_';
}

struct TimeUnit {
  std::string_view name;
  uint64_t nanos;
};
// Longer names first where one begins another. Both spellings of "micro" are UTF-8.
constexpr TimeUnit kTimeUnits[] = {
    {"ns", 1},         {"us", 1'000},        {"\xc2\xb5s", 1'000},  {"\xce\xbcs", 1'000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};

// The unit is everything up to the next digit or point.
const TimeUnit* FindUnit(std::string_view text, size_t* length) {
  size_t end = 0;
  while (end < text.size() && text[end] != '.' && (text[end] < '0' || text[end] > '9')) ++end;
  *length = end;
  for (const TimeUnit& unit : kTimeUnits) {
    if (unit.name == text.substr(0, end)) return &unit;
  }
  return nullptr;
}

Status BadDuration(std::string_view text) {
  return InvalidArgument("time: invalid duration " + GoQuote(text));
}

// Reads "12", "1.5", ".5" off the front as whole units and a fraction in [0, 1).
bool TakeNumber(std::string_view* text, uint64_t* whole, double* fraction) {
  size_t digits = 0;
  *whole = 0;
  *fraction = 0;
  while (!text->empty() && (*text)[0] >= '0' && (*text)[0] <= '9') {
    const uint64_t digit = static_cast<uint64_t>((*text)[0] - '0');
    if (*whole > (uint64_t{1} << 63) / 10) return false;
    *whole = *whole * 10 + digit;
    text->remove_prefix(1);
    ++digits;
  }
  if (!text->empty() && (*text)[0] == '.') {
    text->remove_prefix(1);
    double scale = 0.1;
    while (!text->empty() && (*text)[0] >= '0' && (*text)[0] <= '9') {
      *fraction += scale * ((*text)[0] - '0');
      scale /= 10;
      text->remove_prefix(1);
      ++digits;
    }
  }
  return digits > 0;
}

}  // namespace

StatusOr<bool> ParseGoBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return InvalidArgument(kParseError);
}

StatusOr<uint64_t> ParseGoUint(std::string_view text) {
  uint64_t base = 10;
  bool prefix = false;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = text[1];
    prefix = true;
    if (mark == 'x' || mark == 'X') {
      base = 16;
    } else if (mark == 'b' || mark == 'B') {
      base = 2;
    } else {
      base = 8;
    }
    text.remove_prefix(base == 8 && mark != 'o' && mark != 'O' ? 1 : 2);
  }
  if (text.empty() || !UnderscoresOk(text, prefix)) return InvalidArgument(kParseError);
  uint64_t value = 0;
  bool overflow = false;
  for (char c : text) {
    if (c == '_') continue;
    const uint64_t digit = static_cast<uint64_t>(DigitValue(c));
    if (digit >= base) return InvalidArgument(kParseError);
    uint64_t next = 0;
    overflow |= __builtin_mul_overflow(value, base, &next) || __builtin_add_overflow(next, digit, &value);
  }
  if (overflow) return InvalidArgument(kRangeError);
  return value;
}

StatusOr<int64_t> ParseGoInt(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  auto magnitude = ParseGoUint(text);
  if (!magnitude.ok()) return magnitude.status();
  const uint64_t limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) + (negative ? 1 : 0);
  if (*magnitude > limit) return InvalidArgument(kRangeError);
  return static_cast<int64_t>(negative ? uint64_t{0} - *magnitude : *magnitude);
}

StatusOr<int64_t> ParseGoDuration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest == "0") return 0;
  if (rest.empty()) return BadDuration(text);
  uint64_t total = 0;
  while (!rest.empty()) {
    uint64_t whole = 0;
    double fraction = 0;
    if (!TakeNumber(&rest, &whole, &fraction)) return BadDuration(text);
    size_t length = 0;
    const TimeUnit* unit = FindUnit(rest, &length);
    if (length == 0) return InvalidArgument("time: missing unit in duration " + GoQuote(text));
    if (unit == nullptr) {
      return InvalidArgument("time: unknown unit " + GoQuote(rest.substr(0, length)) + " in duration " +
                             GoQuote(text));
    }
    rest.remove_prefix(length);
    uint64_t nanos = 0;
    if (__builtin_mul_overflow(whole, unit->nanos, &nanos)) return BadDuration(text);
    nanos += static_cast<uint64_t>(std::llround(fraction * static_cast<double>(unit->nanos)));
    if (__builtin_add_overflow(total, nanos, &total)) return BadDuration(text);
    if (total > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return BadDuration(text);
  }
  return negative ? -static_cast<int64_t>(total) : static_cast<int64_t>(total);
}

StatusOr<int64_t> ParseGoDecimal(std::string_view text) {
  const std::string parsing = "strconv.ParseInt: parsing " + GoQuote(text) + ": ";
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, number);
  if (digits.starts_with("+") || error == std::errc::invalid_argument || stopped != end) {
    return InvalidArgument(parsing + "invalid syntax");
  }
  if (error != std::errc()) return InvalidArgument(parsing + std::string(kRangeError));
  return number;
}

std::string GoDuration(int64_t nanos) {
  // The form that logs have, in quotes there.
  const std::string quoted = log::Duration("", nanos).json;
  return quoted.substr(1, quoted.size() - 2);
}

std::vector<std::string> SplitCommas(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace quorate::cmd
