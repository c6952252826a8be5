#include "gateway/request_metadata.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"

namespace quorate::gateway {
namespace {

constexpr std::string_view kMetadataPrefix = "grpc-metadata-";

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

int64_t UnitNanos(char unit) {
  switch (unit) {
    case 'H':
      return 3'600'000'000'000;
    case 'M':
      return 60'000'000'000;
    case 'S':
      return 1'000'000'000;
    case 'm':
      return 1'000'000;
    case 'u':
      return 1'000;
    case 'n':
      return 1;
    default:
      return 0;
  }
}

}  // namespace

StatusOr<net::HttpHeaders> CallMetadata(const net::HttpRequest& request) {
  net::HttpHeaders metadata;
  for (const auto& [name, value] : request.headers) {
    const std::string lower = Lower(name);
    if (lower == "authorization") metadata.emplace_back(lower, value);
    if (!lower.starts_with(kMetadataPrefix) || lower.size() == kMetadataPrefix.size()) continue;
    std::string decoded = value;
    // On the wire binary metadata is base64; the handler gets what it stands for.
    if (lower.ends_with("-bin") && !absl::Base64Unescape(value, &decoded)) {
      return InvalidArgument("invalid binary header " + name + ": illegal base64 data");
    }
    metadata.emplace_back(lower.substr(kMetadataPrefix.size()), std::move(decoded));
  }
  return metadata;
}

StatusOr<std::optional<std::chrono::nanoseconds>> CallTimeout(const net::HttpRequest& request) {
  const auto text = request.header("Grpc-Timeout");
  if (!text || text->empty()) return std::nullopt;
  const int64_t unit = UnitNanos(text->back());
  int64_t count = 0;
  const char* const end = text->data() + text->size() - 1;
  const auto [stop, error] = std::from_chars(text->data(), end, count);
  if (unit == 0 || text->size() < 2 || error != std::errc() || stop != end) {
    return InvalidArgument("invalid grpc-timeout: " + std::string(*text));
  }
  // Zero means none, as with the original.
  if (count == 0) return std::nullopt;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 4;
  return std::chrono::nanoseconds(count > kMax / unit ? kMax : count < 0 ? 0 : count * unit);
}

}  // namespace quorate::gateway
