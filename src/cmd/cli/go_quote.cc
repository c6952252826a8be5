// Go's string literals, written: strconv.Quote.
#include <clocale>
#include <cstdio>
#include <cwctype>
#include <string>

#include "base/utf8.h"
#include "cmd/cli/go_syntax.h"

namespace quorate::cmd {
namespace {

// What Unicode calls a space or a format character: the C library prints it, Go does not.
struct CodeRange {
  uint32_t first;
  uint32_t last;
};
constexpr CodeRange kUnseen[] = {{0x80, 0xa0},       {0xad, 0xad},       {0x600, 0x605},   {0x61c, 0x61c},
                                 {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x1680, 0x1680}, {0x180e, 0x180e},
                                 {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x206f}, {0x3000, 0x3000},
                                 {0xe000, 0xf8ff},   {0xfeff, 0xfeff},   {0xfff0, 0xfffb}, {0xfffe, 0xffff},
                                 {0xe0000, 0xe00ff}, {0xf0000, 0x10ffff}};

bool IsPrintable(uint32_t code) {
  for (const CodeRange& range : kUnseen) {
    if (code >= range.first && code <= range.last) return false;
  }
  static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return utf8 == nullptr || iswprint_l(static_cast<wint_t>(code), utf8) != 0;
}

uint32_t CodeOf(std::string_view sequence) {
  // What the first byte of a sequence of this length holds of the code.
  constexpr uint32_t kFirstBits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  uint32_t code = static_cast<unsigned char>(sequence[0]) & kFirstBits[sequence.size()];
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fU);
  return code;
}

void AppendHex(const char* format, uint32_t number, std::string* out) {
  char text[16];
  std::snprintf(text, sizeof text, format, number);
  *out += text;
}

void AppendAscii(char c, std::string* out) {
  constexpr std::string_view kSpecial = "\a\b\f\n\r\t\v\\\"";
  constexpr std::string_view kLetters = "abfnrtv\\\"";
  if (const size_t at = kSpecial.find(c); at != std::string_view::npos) {
    *out += '\\';
    *out += kLetters[at];
  } else if (c < 0x20 || c == 0x7f) {
    AppendHex("\\x%02x", static_cast<unsigned char>(c), out);
  } else {
    *out += c;
  }
}

}  // namespace

std::string GoQuote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) {
      AppendHex("\\x%02x", static_cast<unsigned char>(text[0]), &out);
      text.remove_prefix(1);
      continue;
    }
    const std::string_view sequence = text.substr(0, length);
    const uint32_t code = CodeOf(sequence);
    if (length == 1) {
      AppendAscii(text[0], &out);
    } else if (IsPrintable(code)) {
      out += sequence;
    } else {
      AppendHex(code < 0x10000 ? "\\u%04x" : "\\U%08x", code, &out);
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

}  // namespace quorate::cmd
