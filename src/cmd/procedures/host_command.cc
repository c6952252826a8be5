#include "cmd/procedures/host_command.h"

#include <chrono>
#include <cstdio>
#include <future>

#include "cmd/procedures/cluster_access.h"
#include "cmd/session/answer.h"
#include "cmd/session/child_process.h"

namespace quorate::cmd {
namespace {

constexpr auto kMeanwhilePeriod = std::chrono::milliseconds(100);
constexpr auto kTellPeriod = std::chrono::seconds(30);

}  // namespace

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

Status RunHostCommand(const std::string& command, const Variables& variables,
                      const std::function<void()>& meanwhile) {
  std::fflush(stdout);
  const auto begun = std::chrono::steady_clock::now();
  auto tell_at = begun + kTellPeriod;
  auto running = std::async(std::launch::async, [&] {
    return RunChild({"/bin/sh", "-c", command}, {variables.begin(), variables.end()});
  });
  while (running.wait_for(kMeanwhilePeriod) != std::future_status::ready) {
    if (meanwhile) meanwhile();
    const auto now = std::chrono::steady_clock::now();
    if (now < tell_at) continue;
    tell_at = now + kTellPeriod;
    std::fprintf(
        stderr, "  the command of --exec still runs, after %lld s: %s\n",
        static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(now - begun).count()),
        command.c_str());
  }
  QUORATE_ASSIGN_OR_RETURN(const int ended, running.get());
  if (ended == 0) return absl::OkStatus();
  return FailedPrecondition("the command of --exec ended: " + ChildEndText(ended));
}

}  // namespace quorate::cmd
