#include "cmd/procedures/host_command.h"

#include <cstdio>

#include "cmd/procedures/cluster_access.h"
#include "cmd/session/answer.h"
#include "cmd/session/child_process.h"

namespace quorate::cmd {

std::string HostOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('/'));
  if (url.starts_with('[')) return std::string(url.substr(1, url.find(']') - 1));
  return std::string(url.substr(0, url.rfind(':')));
}

Variables MemberVariables(const MemberState& member) {
  return {{"QUORATE_MEMBER_NAME", member.name},
          {"QUORATE_MEMBER_ID", HexId(member.id)},
          {"QUORATE_MEMBER_HOST", member.peer_urls.empty() ? "" : HostOf(member.peer_urls.front())},
          {"QUORATE_MEMBER_PEER_URLS", Joined(member.peer_urls)},
          {"QUORATE_MEMBER_CLIENT_URLS", Joined(member.client_urls)}};
}

Status RunHostCommand(const std::string& command, const Variables& variables) {
  std::fflush(stdout);
  QUORATE_ASSIGN_OR_RETURN(const int ended,
                           RunChild({"/bin/sh", "-c", command}, {variables.begin(), variables.end()}));
  if (ended == 0) return absl::OkStatus();
  return FailedPrecondition("the command of --exec ended: " + ChildEndText(ended));
}

}  // namespace quorate::cmd
