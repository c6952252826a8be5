#include "net/h2_header_rules.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>

namespace quorate::net {
namespace {

enum Pseudo : uint8_t { kMethod = 1, kScheme = 2, kPath = 4, kAuthority = 8 };

const uint8_t* Bytes(std::string_view s) { return reinterpret_cast<const uint8_t*>(s.data()); }

bool IsField(std::string_view name, std::string_view value) {
  return !name.empty() && name[0] != ':' && nghttp2_check_header_name(Bytes(name), name.size()) != 0 &&
         nghttp2_check_header_value(Bytes(value), value.size()) != 0;
}

// They speak of one connection, which is HTTP/2's business.
bool IsOfConnection(std::string_view name, std::string_view value) {
  if (name == "te") return value != "trailers";
  constexpr std::array<std::string_view, 5> kNames = {"connection", "keep-alive", "proxy-connection",
                                                      "transfer-encoding", "upgrade"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

bool H2HeaderRules::Take(std::string_view name, std::string_view value, bool known) {
  ++count_;
  if (!name.empty() && name[0] == ':') return TakePseudo(name, value, known);
  fields_ = true;
  return known || (IsField(name, value) && !IsOfConnection(name, value));
}

bool H2HeaderRules::TakePseudo(std::string_view name, std::string_view value, bool known) {
  uint8_t bit = 0;
  if (name == ":method") {
    bit = kMethod;
    connect_ = value == "CONNECT";
  } else if (name == ":scheme") {
    bit = kScheme;
  } else if (name == ":path") {
    bit = kPath;
  } else if (name == ":authority") {
    bit = kAuthority;
  }
  if (bit == 0 || (seen_ & bit) != 0 || fields_) return false;
  seen_ |= bit;
  if (bit != kAuthority && value.empty()) return false;
  return known || nghttp2_check_header_value(Bytes(value), value.size()) != 0;
}

bool H2HeaderRules::Complete() const {
  if (connect_) return seen_ == (kMethod | kAuthority);
  constexpr uint8_t kNeeded = kMethod | kScheme | kPath;
  return (seen_ & kNeeded) == kNeeded;
}

bool H2HeaderRules::AllowedInTrailers(std::string_view name, std::string_view value) {
  return IsField(name, value) && !IsOfConnection(name, value);
}

}  // namespace quorate::net
