#include "cmd/procedures/cluster_access.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <thread>

namespace quorate::cmd {
namespace {

constexpr auto kPollPeriod = std::chrono::milliseconds(500);
constexpr auto kAnswerMax = std::chrono::milliseconds(3000);

}  // namespace

std::optional<int> ClusterAccess::Open(bool with_metrics) {
  client_ = session_.Connect();
  if (client_ == nullptr) return session_.exit_code();
  const GlobalFlags& flags = session_.flags();
  ReaderOptions options;
  options.with_metrics = with_metrics;
  options.timeout = std::min(kAnswerMax, std::chrono::duration_cast<std::chrono::milliseconds>(
                                             std::chrono::nanoseconds(flags.command_timeout)));
  options.http.files = {flags.cacert, flags.cert, flags.key};
  options.http.skip_verify = flags.insecure_skip_tls_verify;
  if (!flags.insecure_discovery) options.http.server_name = flags.discovery_srv;
  reader_ = std::make_unique<StateReader>(client_, std::move(options));
  return std::nullopt;
}

client::CallOptions ClusterAccess::CallAt(const MemberState& member) const {
  client::CallOptions call = session_.Call();
  if (!member.client_urls.empty()) call.endpoint = member.client_urls.front();
  return call;
}

Status ClusterAccess::WaitUntil(std::string_view what, std::chrono::nanoseconds limit,
                                const std::function<bool(const ClusterState&, std::string* why)>& done) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::string told;
  for (;;) {
    std::string why;
    const auto state = Read();
    if (state.ok()) {
      if (done(*state, &why)) return absl::OkStatus();
    } else {
      why = std::string(Message(state.status()));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                        "waited too long until " + std::string(what) + (why.empty() ? "" : ": " + why));
    }
    if (!why.empty() && why != told) {
      std::fprintf(stderr, "  waiting until %.*s: %s\n", static_cast<int>(what.size()), what.data(),
                   why.c_str());
      told = why;
    }
    std::this_thread::sleep_for(kPollPeriod);
  }
}

void Say(const std::string& line) {
  std::fprintf(stdout, "%s\n", line.c_str());
  std::fflush(stdout);
}

Status Confirm(const std::string& question, bool yes) {
  if (yes) return absl::OkStatus();
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
    return FailedPrecondition(
        "nothing was done: there is no terminal to ask on; give --yes, or --dry-run to look only");
  }
  std::fprintf(stdout, "%s [y/N] ", question.c_str());
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return absl::OkStatus();
  return FailedPrecondition("nothing was done");
}

std::string Joined(const std::vector<std::string>& urls) {
  std::string out;
  for (const std::string& url : urls) out += (out.empty() ? "" : ",") + url;
  return out;
}

}  // namespace quorate::cmd
