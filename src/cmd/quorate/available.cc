// What this release doesn't have, said before anything is started or written.
#include <string>

#include "cmd/cli/go_syntax.h"
#include "cmd/quorate/flag_table.h"
#include "cmd/quorate/options.h"

namespace quorate::cmd {
namespace {

std::string_view Reason(Later later) {
  switch (later) {
    case Later::kNow:
      return "";
    case Later::kTracing:
      return "distributed tracing comes with a later release of Quorate; leave it out";
    case Later::kLogRotation:
      return "log rotation comes with a later release of Quorate; leave it out and let logrotate or journald "
             "do it";
    case Later::kV2Proxy:
      return "the v2 proxy is gone, as in etcd 3.6 and later; leave it out";
    case Later::kV2Discovery:
      return "v2 discovery is gone, as in etcd 3.7; give --initial-cluster instead";
    case Later::kV2Emulation:
      return "the v2 API is gone, as in etcd 3.6 and later; leave it out";
  }
  return "";
}

Status Refuse(std::string_view what, std::string_view why) {
  return FailedPrecondition(std::string(what) + ": " + std::string(why));
}

}  // namespace

Status CheckAvailable(const Options& options) {
  Options given = options;
  Options defaults;
  for (const Flag& flag : FlagTable()) {
    if (flag.later == Later::kNow || RenderValue(flag, given) == RenderValue(flag, defaults)) continue;
    return Refuse("--" + std::string(flag.name), Reason(flag.later));
  }
  if (options.io_threads > 0) {
    return Refuse("--io-threads " + std::to_string(options.io_threads),
                  "threads of their own for sockets come with a later release of Quorate; give 0");
  }
  return absl::OkStatus();
}

}  // namespace quorate::cmd
