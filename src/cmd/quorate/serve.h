// Runs a member with its listeners until it is told to end.
#pragma once

#include "cmd/quorate/options.h"

namespace quorate::cmd {

// Returns the process's exit status, after a clean end or an error, which is logged. A signal that ended it
// is raised again by this function once all is written (a supervisor sees a death by SIGTERM, as with etcd),
// unless we are PID 1.
int Serve(const Options& options);

}  // namespace quorate::cmd
