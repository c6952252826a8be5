// How a member without a log finds the others when --initial-cluster does not name them. Waits for the
// network: before the loop runs.
#pragma once

#include <string>

#include "base/status.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {

// The value of --initial-cluster: as given, or from DNS (--discovery-srv).
StatusOr<std::string> FindInitialCluster(const Options& options);

}  // namespace quorate::cmd
