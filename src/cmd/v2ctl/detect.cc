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

}  // namespace

bool IsV2(const std::vector<std::string>& args, const Environment& environment) {
  const std::string api = environment("ETCDCTL_API");
  if (!api.empty()) return api == "2";
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (arg.size() < 2 || arg[0] != '-') return arg == "cluster-health";
    if (arg == "--") return false;
    const std::string_view text = arg.substr(arg[1] == '-' ? 2 : 1);
    const std::string_view name = text.substr(0, text.find('='));
    if (IsFlagOfV2Only(name)) return true;
    const bool is_switch = std::find(kSwitches.begin(), kSwitches.end(), name) != kSwitches.end();
    if (!is_switch && name.size() == text.size()) ++i;
  }
  return false;
}

}  // namespace quorate::cmd::v2
