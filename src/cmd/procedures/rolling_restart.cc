#include <chrono>
#include <memory>
#include <set>

#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/procedures/findings.h"
#include "cmd/procedures/host_command.h"
#include "cmd/procedures/notebook.h"
#include "cmd/procedures/rolling_plan.h"

namespace quorate::cmd {
namespace {

constexpr char kCommandNote[] = "command";

struct RestartFlags {
  std::string exec;
  std::string state_dir;
  int64_t wait_nanos = 300'000'000'000;
  bool dry_run = false;
  bool yes = false;
  bool restart_all = false;
};

class RollingRestart {
 public:
  RollingRestart(ClusterAccess* access, const RestartFlags& flags) : access_(*access), flags_(flags) {}

  Status Run();

 private:
  Status Resume(const ClusterState& state);
  void SayPlan(const ClusterState& state, const std::vector<uint64_t>& order) const;
  Status RestartNext(const ClusterState& state, uint64_t member);
  Status HandOver(const ClusterState& state, const MemberState& leader);
  Status AwaitReturn(const ClusterState& before, const MemberState& member);
  Status Remember(uint64_t member);

  ClusterAccess& access_;
  const RestartFlags& flags_;
  std::unique_ptr<Notebook> notebook_;
  Notes notes_;
  std::set<uint64_t> done_;
};

Status RollingRestart::Resume(const ClusterState& state) {
  notebook_ = std::make_unique<Notebook>(flags_.state_dir, state.id, "rolling-restart");
  notes_[kCommandNote] = flags_.exec;
  if (flags_.restart_all) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const std::optional<Notes> found, notebook_->Read());
  // Another command is another procedure.
  const auto command = found ? found->find(kCommandNote) : Notes::const_iterator();
  if (!found || command == found->end() || command->second != flags_.exec) return absl::OkStatus();
  notes_ = *found;
  std::string names;
  for (const MemberState& member : state.members) {
    if (!notes_.contains(HexId(member.id))) continue;
    done_.insert(member.id);
    names += (names.empty() ? "" : ", ") + Label(member);
  }
  if (!names.empty()) {
    Say("An interrupted restart with the same command is resumed (" + notebook_->path() +
        "); done already: " + names + ". --all begins anew.");
  }
  return absl::OkStatus();
}

void RollingRestart::SayPlan(const ClusterState& state, const std::vector<uint64_t>& order) const {
  Say("Will be restarted, one after another, each by: " + flags_.exec);
  for (const uint64_t id : order) {
    const MemberState& member = *state.Find(id);
    std::string line = "  " + Label(member) + " at " + Joined(member.client_urls);
    if (!member.serving) line += " (does not serve now)";
    if (id == state.Leader() && state.members.size() > 1) line += " (leads: leadership is moved away first)";
    Say(line);
  }
  Say("After each: wait until it serves and has caught up. The majority is checked before each.");
}

Status RollingRestart::HandOver(const ClusterState& state, const MemberState& leader) {
  const uint64_t successor = BestSuccessor(state, leader.id);
  if (successor == 0) return FailedPrecondition("there is no other voter to move leadership to");
  Say("  moving leadership from " + Label(leader) + " to " + Label(*state.Find(successor)));
  const auto moved = access_.client().maintenance().MoveLeader(successor, access_.CallAt(leader));
  if (!moved.ok()) return moved.status();
  return access_.WaitUntil(Label(leader) + " has handed over", std::chrono::nanoseconds(flags_.wait_nanos),
                           [&](const ClusterState& now, std::string* why) {
                             *why = "no other member leads yet";
                             return now.Leader() != 0 && now.Leader() != leader.id;
                           });
}

Status RollingRestart::AwaitReturn(const ClusterState& before, const MemberState& member) {
  const uint64_t index = before.LastIndex();
  const std::optional<double> started = member.started_at;
  return access_.WaitUntil(Label(member) + " serves again", std::chrono::nanoseconds(flags_.wait_nanos),
                           [&](const ClusterState& now, std::string* why) {
                             if (!CaughtUp(now, member.id, index, why)) return false;
                             const MemberState* const one = now.Find(member.id);
                             *why = "it runs on as before: the command has not restarted it";
                             return !started || !one->started_at || *started != *one->started_at;
                           });
}

Status RollingRestart::Remember(uint64_t member) {
  done_.insert(member);
  notes_[HexId(member)] = "done";
  return notebook_->Write(notes_);
}

Status RollingRestart::RestartNext(const ClusterState& state, uint64_t id) {
  const MemberState& member = *state.Find(id);
  QUORATE_RETURN_IF_ERROR(CheckMayStop(state, id));
  Say("restarting " + Label(member));
  if (id == state.Leader()) QUORATE_RETURN_IF_ERROR(HandOver(state, member));
  QUORATE_RETURN_IF_ERROR(RunHostCommand(flags_.exec, MemberVariables(member)));
  QUORATE_RETURN_IF_ERROR(AwaitReturn(state, member));
  Say("  " + Label(member) + " serves again");
  return Remember(id);
}

Status RollingRestart::Run() {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, access_.Read());
  QUORATE_RETURN_IF_ERROR(Resume(state));
  std::vector<uint64_t> order = RestartOrder(state, done_);
  if (order.empty()) {
    Say("Every member was restarted already.");
    return notebook_->Remove();
  }
  SayPlan(state, order);
  QUORATE_RETURN_IF_ERROR(CheckMayStop(state, order.front()));
  if (flags_.dry_run) {
    Say("Nothing was done (--dry-run).");
    return absl::OkStatus();
  }
  QUORATE_RETURN_IF_ERROR(Confirm("Go on?", flags_.yes));
  while (!order.empty()) {
    QUORATE_RETURN_IF_ERROR(RestartNext(state, order.front()));
    // Who leads, and who serves, may have changed meanwhile.
    QUORATE_ASSIGN_OR_RETURN(state, access_.Read());
    order = RestartOrder(state, done_);
  }
  Say("All members were restarted.");
  return notebook_->Remove();
}

int Run(CtlSession* session, const RestartFlags& flags) {
  if (flags.exec.empty()) {
    return Fail(ExitCode::kBadArguments,
                "cluster rolling-restart needs --exec: the command that restarts one member, such as "
                "--exec 'ssh $QUORATE_MEMBER_HOST systemctl restart etcd'");
  }
  ClusterAccess access(session);
  if (const auto code = access.Open(true)) return *code;
  const Status status = RollingRestart(&access, flags).Run();
  return status.ok() ? 0 : session->Fail(status);
}

}  // namespace

void AddRollingRestartCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session) {
  auto flags = std::make_shared<RestartFlags>();
  CLI::App* const command =
      tree->Add(cluster, "rolling-restart", "Restarts all members, one after another, the leader last", "",
                [session, flags](const Arguments&) { return Run(session, *flags); });
  command->add_option(
      "--exec", flags->exec,
      "shell command that restarts one member; it is told which by QUORATE_MEMBER_NAME, _ID, _HOST, "
      "_PEER_URLS and _CLIENT_URLS");
  CommandTree::AddDuration(command, "--wait", &flags->wait_nanos,
                           "how long to wait for each member to come back");
  command->add_flag("--dry-run", flags->dry_run, "only say what would be done, and whether it may be");
  command->add_flag("--yes", flags->yes, "do not ask");
  command->add_flag("--all", flags->restart_all, "do not resume an interrupted restart, begin anew");
  command->add_option("--state-dir", flags->state_dir,
                      "where to remember what is done, should this be interrupted");
}

}  // namespace quorate::cmd
