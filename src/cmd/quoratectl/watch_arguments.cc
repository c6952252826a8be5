#include "cmd/quoratectl/watch_arguments.h"

namespace quorate::cmd {

void AddWatchFlags(CLI::App* command, WatchFlags* flags) {
  command->add_flag("-i,--interactive", flags->interactive, "Interactive mode");
  command->add_flag("--prefix", flags->prefix, "Watch on a prefix if prefix is set");
  command->add_option("--rev", flags->rev, "Revision to start watching");
  command->add_flag("--prev-kv", flags->prev_kv, "get the previous key-value pair before the event happens");
  command->add_flag("--progress-notify", flags->progress_notify,
                    "get periodic watch progress notification from server");
}

StatusOr<WatchTarget> WatchTargetOf(const Arguments& arguments, const WatchEnvironment& environment,
                                    bool prefix) {
  const std::vector<std::string>& values = arguments.values;
  const size_t count = arguments.before_dashes.value_or(values.size());
  WatchTarget target;
  target.exec.assign(values.begin() + static_cast<ptrdiff_t>(count), values.end());
  if (arguments.before_dashes && target.exec.empty()) {
    return InvalidArgument("bad number of arguments (found separator --, but no commands)");
  }
  std::vector<std::string> keys(values.begin(), values.begin() + static_cast<ptrdiff_t>(count));
  if (!environment.key.empty()) {
    if (!keys.empty()) {
      return InvalidArgument("bad number of arguments (found conflicting environment key)");
    }
    keys = {environment.key};
    if (!environment.range_end.empty()) keys.push_back(environment.range_end);
  }
  if (keys.empty()) return InvalidArgument("bad number of arguments");
  target.key = keys[0];
  if (keys.size() == 2) {
    if (prefix) return InvalidArgument("`range_end` and `--prefix` are mutually exclusive");
    target.range_end = keys[1];
  }
  return target;
}

}  // namespace quorate::cmd
