// Go's string literals, read: strconv.Unquote.
#include <charconv>
#include <string>

#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

void AppendUtf8(uint32_t code, std::string* out) {
  const auto tail = [&](int shift) { *out += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    *out += static_cast<char>(0xf0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

// A number of exactly `digits` digits at the beginning.
bool TakeNumber(std::string_view* text, size_t digits, int base, uint32_t* number) {
  if (text->size() < digits) return false;
  const char* const end = text->data() + digits;
  const auto [stopped, error] = std::from_chars(text->data(), end, *number, base);
  if (error != std::errc() || stopped != end) return false;
  text->remove_prefix(digits);
  return true;
}

// What follows a backslash.
bool TakeEscape(std::string_view* text, std::string* out) {
  if (text->empty()) return false;
  const char c = text->front();
  uint32_t number = 0;
  if (c >= '0' && c <= '7') {
    if (!TakeNumber(text, 3, 8, &number) || number > 0xff) return false;
    *out += static_cast<char>(number);
    return true;
  }
  text->remove_prefix(1);
  constexpr std::string_view kLetters = "abfnrtv\\\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"";
  if (const size_t at = kLetters.find(c); at != std::string_view::npos) {
    *out += kMeanings[at];
    return true;
  }
  if (c == 'x') {
    if (!TakeNumber(text, 2, 16, &number)) return false;
    *out += static_cast<char>(number);
    return true;
  }
  if (c != 'u' && c != 'U') return false;
  if (!TakeNumber(text, c == 'u' ? 4 : 8, 16, &number)) return false;
  if (number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) return false;
  AppendUtf8(number, out);
  return true;
}

}  // namespace

StatusOr<std::string> TakeGoQuoted(std::string_view* text) {
  const Status bad = InvalidArgument("expected quoted string");
  std::string_view rest = *text;
  if (rest.empty() || (rest.front() != '"' && rest.front() != '`')) return bad;
  const char quote = rest.front();
  rest.remove_prefix(1);
  std::string out;
  while (!rest.empty() && rest.front() != quote) {
    const char c = rest.front();
    if (c == '\n' && quote == '"') return bad;
    rest.remove_prefix(1);
    if (c != '\\' || quote == '`') {
      out += c;
    } else if (!TakeEscape(&rest, &out)) {
      return InvalidArgument("invalid syntax");
    }
  }
  if (rest.empty()) return bad;
  rest.remove_prefix(1);
  *text = rest;
  return out;
}

}  // namespace quorate::cmd
