#include "cmd/procedures/cluster_access.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <thread>

#include "cmd/procedures/safety.h"

namespace quorate::cmd {
namespace {

constexpr auto kPollPeriod = std::chrono::milliseconds(500);
constexpr auto kAnswerMax = std::chrono::milliseconds(3000);
// At members that don't serve.
constexpr int kLooks = 3;
constexpr auto kLookAgain = std::chrono::milliseconds(1000);
constexpr auto kRightsMax = std::chrono::seconds(30);

// The server waits until its members have been connected for a while, or until the learner has caught up.
bool PassesByItself(const Status& status) {
  const std::string_view text = Message(status);
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         text.find("unhealthy cluster") != std::string_view::npos ||
         text.find("re-configuration failed") != std::string_view::npos ||
         text.find("in sync with leader") != std::string_view::npos;
}

// What keeps us waiting, told whenever it changes.
class Waiting {
 public:
  explicit Waiting(std::string_view what) : what_(what) {}
  void Tell(const std::string& why) {
    if (why.empty() || why == told_) return;
    std::fprintf(stderr, "  waiting until %s: %s\n", what_.c_str(), why.c_str());
    told_ = why;
  }

 private:
  const std::string what_;
  std::string told_;
};

}  // namespace

std::optional<int> ClusterAccess::Open(bool with_metrics) {
  client_ = session_.Connect();
  if (client_ == nullptr) return session_.exit_code();
  const GlobalFlags& flags = session_.flags();
  ReaderOptions options;
  options.with_metrics = with_metrics;
  options.timeout = std::min(kAnswerMax, session_.CommandTimeout());
  options.http.files = {flags.cacert, flags.cert, flags.key};
  options.http.skip_verify = flags.insecure_skip_tls_verify;
  if (!flags.insecure_discovery) options.http.server_name = flags.discovery_srv;
  reader_ = std::make_unique<StateReader>(client_, std::move(options));
  return std::nullopt;
}

client::CallOptions ClusterAccess::CallAt(const MemberState& member) const {
  client::CallOptions call = session_.Call();
  if (!member.url.empty()) call.endpoint = member.url;
  return call;
}

StatusOr<ClusterState> ClusterAccess::ReadWithCare() {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, Read());
  for (int look = 1; look < kLooks && state.ServingVoters() < state.Voters(); ++look) {
    std::this_thread::sleep_for(kLookAgain);
    QUORATE_ASSIGN_OR_RETURN(ClusterState next, Read());
    for (MemberState& member : next.members) {
      const MemberState* const before = state.Find(member.id);
      member.down = member.down && before != nullptr && before->down;
    }
    state = std::move(next);
  }
  return state;
}

Status ClusterAccess::WaitUntil(std::string_view what, std::chrono::nanoseconds limit,
                                const std::function<bool(const ClusterState&, std::string* why)>& done) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  Waiting waiting(what);
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
    waiting.Tell(why);
    std::this_thread::sleep_for(kPollPeriod);
  }
}

// Only who may administer may see the users; nothing else is needed of them.
Status ClusterAccess::CheckMayAdminister() {
  return Insist("the cluster says what this user may", kRightsMax, [&] {
    const Status status = client_->auth().UserList(Call()).status();
    if (status.ok() || PassesByItself(status)) return status;
    return MakeStatus(status.code(), std::string(Message(status)) + " (nothing was done: this needs root)");
  });
}

Status ClusterAccess::HandOver(const ClusterState& state, uint64_t leader, std::chrono::nanoseconds limit) {
  const MemberState& from = *state.Find(leader);
  const uint64_t successor = BestSuccessor(state, leader);
  if (successor == 0) {
    return FailedPrecondition("there is no other voter to move leadership to: " + Label(from) +
                              " leads, and no other one serves and is sound");
  }
  if (from.url.empty()) {
    return FailedPrecondition(Label(from) + " leads, and can't be asked from here to hand over (" +
                              from.trouble + "): run this on a machine that reaches all members");
  }
  Say("moving leadership from " + Label(from) + " to " + Label(*state.Find(successor)));
  const auto moved = client_->maintenance().MoveLeader(successor, CallAt(from));
  // It may have lost it in this moment.
  const bool lost = Message(moved.status()).find("not leader") != std::string_view::npos;
  if (!moved.ok() && !lost) return moved.status();
  return WaitUntil(Label(from) + " has handed over", limit, [&](const ClusterState& now, std::string* why) {
    *why = "no other member leads yet";
    return now.Leader() != 0 && now.Leader() != leader;
  });
}

Status ClusterAccess::Insist(std::string_view what, std::chrono::nanoseconds limit,
                             const std::function<Status()>& attempt) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  Waiting waiting(what);
  for (;;) {
    const Status status = attempt();
    if (status.ok() || !PassesByItself(status) || std::chrono::steady_clock::now() >= deadline) return status;
    waiting.Tell(std::string(Message(status)));
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
