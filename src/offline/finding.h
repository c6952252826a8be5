// What a check found.
#pragma once

#include <string>
#include <vector>

namespace quorate::offline {

struct Finding {
  // A note tells of something that a server deals with by itself.
  enum class Kind { kDamage, kNote };
  Kind kind = Kind::kDamage;
  std::string text;  // Names file and offset.
};
using Findings = std::vector<Finding>;

// Beyond so many of one file the rest is only counted.
constexpr size_t kFindingsMax = 100;

}  // namespace quorate::offline
