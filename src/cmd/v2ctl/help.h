// What the second-generation client prints when asked for help, as etcdctl 3.4 does. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quorate::cmd::v2 {

std::string ProgramHelp();
std::string MemberGroupHelp();
// `path` is "cluster-health", "member list" and so on; empty for a command that has no help here.
std::string CommandHelp(std::string_view path);
std::string VersionText();

// All commands of the program, those that are not served included.
std::vector<std::string> CommandNames();
std::vector<std::string> MemberCommandNames();
// A command that works on the v2 API's own keys, users or files.
bool IsCommandOfTheV2Store(std::string_view name);

}  // namespace quorate::cmd::v2
