#include "base/go_json.h"

#include <cstdint>

#include "base/utf8.h"

namespace quorate {
namespace {

void AppendEscaped(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
    case '\\':
      out += '\\';
      out += c;
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  const auto byte = static_cast<uint8_t>(c);
  if (byte >= 0x20 && c != '<' && c != '>' && c != '&') {
    out += c;
    return;
  }
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

void AppendGoString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view character = text.substr(0, length);
    if (length == 0) {
      out += "\\ufffd";
    } else if (length == 1) {
      AppendEscaped(out, text[0]);
    } else if (character == "\xe2\x80\xa8") {
      out += "\\u2028";
    } else if (character == "\xe2\x80\xa9") {
      out += "\\u2029";
    } else {
      out += character;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

void AppendGoStrings(std::string& out, const std::vector<std::string>& texts) {
  out += '[';
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    AppendGoString(out, texts[i]);
  }
  out += ']';
}

}  // namespace quorate
