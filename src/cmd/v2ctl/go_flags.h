// Flags as Go's package flag reads them: -name and --name alike, values after '=' or as the next argument, up
// to the first argument that is no flag, or `--`. Source of the rules and texts: https://pkg.go.dev/flag.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"

namespace quorate::cmd::v2 {

// One thread. What the pointers name outlives the set.
class GoFlags {
 public:
  // `names` are all that it is called by, without dashes.
  void Add(std::vector<std::string> names, bool* value) { flags_.push_back({std::move(names), value}); }
  void Add(std::vector<std::string> names, std::string* value) {
    flags_.push_back({std::move(names), value});
  }
  // In nanoseconds.
  void Add(std::vector<std::string> names, int64_t* value) { flags_.push_back({std::move(names), value}); }

  // Sets the values, and returns the arguments behind the flags. Errors have Go's texts; where a name is
  // mistyped the near ones follow.
  StatusOr<std::vector<std::string>> Parse(const std::vector<std::string>& args) const;

 private:
  struct Flag {
    std::vector<std::string> names;
    std::variant<bool*, std::string*, int64_t*> value;
  };

  const Flag* Find(std::string_view name) const;
  Status Unknown(std::string_view name) const;

  std::vector<Flag> flags_;
};

// The order in which urfave/cli reads a command's words: flags may stand behind arguments.
std::vector<std::string> FlagsFirst(const std::vector<std::string>& args);

}  // namespace quorate::cmd::v2
