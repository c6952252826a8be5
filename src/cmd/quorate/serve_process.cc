#include "cmd/quorate/serve_process.h"

#include <sys/mman.h>
#include <sys/resource.h>

namespace quorate::cmd {

Status LockMemory() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return absl::OkStatus();
  return FailedPrecondition(
      "--memory-mlock: mlockall failed; raise the limit (LimitMEMLOCK=infinity) or leave it out");
}

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace quorate::cmd
