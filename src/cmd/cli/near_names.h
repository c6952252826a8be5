// Which of the known names a mistyped one may have meant. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quorate::cmd {

// The least number of insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`, each
// character changed at most once; letters of either case are the same.
size_t EditDistance(std::string_view a, std::string_view b);

// Those of `names` that lie near `typed`, or begin with it, nearest first; at most three.
std::vector<std::string> NearNames(std::string_view typed, const std::vector<std::string>& names);

// "; did you mean X, or Y?"; empty when there are none. `prefix` ("--") is put before each.
std::string DidYouMean(const std::vector<std::string>& near, std::string_view prefix = "");

}  // namespace quorate::cmd
