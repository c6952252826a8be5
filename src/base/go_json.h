// JSON text exactly as Go's encoding/json writes it: rows and snapshot files must have the same bytes on
// every member. Source: https://pkg.go.dev/encoding/json#Marshal. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quorate {

// A string with its quotes. '<', '>', '&', U+2028 and U+2029 are escaped; bytes that are not UTF-8 become
// \ufffd.
void AppendGoString(std::string& out, std::string_view text);
// ["a","b"]
void AppendGoStrings(std::string& out, const std::vector<std::string>& texts);

}  // namespace quorate
