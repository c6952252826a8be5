#include "cmd/v2ctl/endpoint.h"

#include <algorithm>
#include <cctype>

namespace quorate::cmd::v2 {
namespace {

bool IsScheme(std::string_view text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) != 0 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
         });
}

Status ParseError(std::string_view text, std::string_view why) {
  return InvalidArgument("parse \"" + std::string(text) + "\": " + std::string(why));
}

}  // namespace

StatusOr<std::string> NormalEndpoint(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return ParseError(text, "net/url: invalid control character in URL");
    }
  }
  const size_t colon = text.find(':');
  if (colon == 0) return ParseError(text, "missing protocol scheme");
  if (colon != std::string_view::npos && IsScheme(text.substr(0, colon))) return std::string(text);
  const std::string_view segment = text.substr(0, text.find('/'));
  if (segment.find(':') != std::string_view::npos) {
    return ParseError(text, "first path segment in URL cannot contain colon");
  }
  return (text.starts_with("//") ? "http:" : "http://") + std::string(text);
}

std::string UrlAt(std::string_view endpoint, std::string_view path) {
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  return std::string(endpoint) + std::string(path);
}

}  // namespace quorate::cmd::v2
