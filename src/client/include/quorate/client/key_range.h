// The keys that a request is about. Keys are bytes; any byte may occur in them.
#pragma once

#include <string>
#include <string_view>

namespace quorate::client {

// One key when `end` is empty, else the half-open range [key, end); an end of one zero byte means "to the
// last key".
struct KeyRange {
  KeyRange(std::string_view one) : key(one) {}    // NOLINT(google-explicit-constructor)
  KeyRange(const std::string& one) : key(one) {}  // NOLINT(google-explicit-constructor)
  KeyRange(const char* one) : key(one) {}         // NOLINT(google-explicit-constructor)
  KeyRange(std::string_view from, std::string_view to) : key(from), end(to) {}

  std::string key;
  std::string end = {};
};

KeyRange Prefix(std::string_view prefix);
KeyRange FromKey(std::string_view first);
KeyRange AllKeys();
// The end of the range of all keys with this prefix.
std::string PrefixEnd(std::string_view prefix);

}  // namespace quorate::client
