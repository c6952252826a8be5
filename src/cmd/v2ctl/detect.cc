#include <algorithm>
#include <array>
#include <string_view>

#include "cmd/v2ctl/settings.h"
#include "cmd/v2ctl/v2ctl.h"

namespace quorate::cmd::v2 {
namespace {

// Global flags of either generation that take no value, so that what follows them is the command.
constexpr std::array<std::string_view, 8> kSwitches = {
    "debug",  "help", "h", "hex", "insecure-discovery", "insecure-transport", "insecure-skip-tls-verify",
    "version"};

// Of the third generation only, and not to be mistaken for one of the second's.
constexpr std::string_view kClusterProcedures = "cluster";

struct Line {
  bool has_v2_flag = false;  // Before the command.
  std::string_view command;  // Empty: there is none.
};

Line Look(const std::vector<std::string>& args) {
  Line line;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (arg == "--") return line;
    if (arg.size() < 2 || arg[0] != '-') {
      line.command = arg;
      return line;
    }
    const std::string_view text = arg.substr(arg[1] == '-' ? 2 : 1);
    const std::string_view name = text.substr(0, text.find('='));
    line.has_v2_flag = line.has_v2_flag || IsFlagOfV2Only(name);
    const bool is_switch = std::find(kSwitches.begin(), kSwitches.end(), name) != kSwitches.end();
    if (!is_switch && name.size() == text.size()) ++i;
  }
  return line;
}

}  // namespace

bool IsV2(const std::vector<std::string>& args, const Environment& environment) {
  const Line line = Look(args);
  if (line.command == kClusterProcedures) return false;
  const std::string api = environment("ETCDCTL_API");
  if (!api.empty()) return api == "2";
  return line.has_v2_flag || line.command == "cluster-health";
}

}  // namespace quorate::cmd::v2
