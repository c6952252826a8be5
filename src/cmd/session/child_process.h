// Runs the commands that users put behind `--` (watch, lock). The texts are Go's, as etcd's client shows
// them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// Waits for it, and returns what waitpid says of its end. It is found in PATH and has our outputs, /dev/null
// as its input, no signal blocked, and our environment with `variables` added. An error: it could not be
// started.
StatusOr<int> RunChild(const std::vector<std::string>& words,
                       const std::vector<std::pair<std::string, std::string>>& variables);

// "exit status 3", "signal: killed".
std::string ChildEndText(int wait_status);

// Its own exit status; 255 when a signal ended it.
int ChildExitCode(int wait_status);

}  // namespace quorate::cmd
