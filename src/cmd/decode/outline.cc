#include "cmd/decode/outline.h"

#include "base/utf8.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/human_bytes.h"

namespace quorate::cmd {
namespace {

constexpr size_t kIndent = 2;

bool IsBare(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.front() == '"') return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) return false;
  }
  return IsPrintable(text);
}

}  // namespace

bool IsPrintable(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    const auto first = static_cast<unsigned char>(text[0]);
    if ((first < 0x20 && first != '\n' && first != '\t') || first == 0x7f) return false;
    // U+0080 to U+009F are control characters, too.
    if (length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string ScalarText(std::string_view text) {
  if (IsBare(text)) return std::string(text);
  if (IsPrintable(text)) return GoQuote(text);
  std::string escaped = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr char kDigits[] = "0123456789abcdef";
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      escaped += c;
    } else {
      escaped += "\\x";
      escaped += kDigits[byte >> 4];
      escaped += kDigits[byte & 15];
    }
  }
  return escaped + '"';
}

std::string SizeText(size_t bytes) { return HumanBytes(bytes); }

void Outline::AppendTo(std::string* out, size_t depth) const {
  out->append(depth * kIndent, ' ').append(name_).append(":");
  if (!value_.empty()) out->append(" ").append(value_);
  out->append("\n");
  for (const Outline& child : children_) child.AppendTo(out, depth + 1);
}

std::string Outline::Text() const {
  std::string out;
  for (const Outline& child : children_) child.AppendTo(&out, 0);
  return out;
}

}  // namespace quorate::cmd
