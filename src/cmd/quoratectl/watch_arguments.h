// What `watch` is to watch, and what to run for each event. Source: etcdctl/ctlv3/command/watch_command.go,
// parseWatchArgs. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/cli/command_tree.h"

namespace quorate::cmd {

struct WatchFlags {
  bool interactive = false;
  bool prefix = false;
  int64_t rev = 0;
  bool prev_kv = false;
  bool progress_notify = false;
};
void AddWatchFlags(CLI::App* command, WatchFlags* flags);

// ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END; empty: not set.
struct WatchEnvironment {
  std::string key;
  std::string range_end;
};

struct WatchTarget {
  std::string key;
  std::string range_end;          // Empty: none.
  std::vector<std::string> exec;  // Empty: nothing to run.
};

// The arguments before `--` are key and range end, those behind it the command; the environment may give key
// and range end instead. The texts of the errors are etcd's.
StatusOr<WatchTarget> WatchTargetOf(const Arguments& arguments, const WatchEnvironment& environment,
                                    bool prefix);

}  // namespace quorate::cmd
