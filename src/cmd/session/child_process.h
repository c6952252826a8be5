// Runs the commands that users put behind `--` (watch, lock).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// Waits for it. It has our standard streams and our environment with `variables` added, and is found in PATH.
// Returns its exit code, 128 and the number of the signal that ended it; an error when it could not be
// started.
StatusOr<int> RunChild(const std::vector<std::string>& words,
                       const std::vector<std::pair<std::string, std::string>>& variables);

}  // namespace quorate::cmd
