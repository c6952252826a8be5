#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <set>

#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/procedures/host_command.h"
#include "cmd/procedures/notebook.h"
#include "cmd/procedures/replacement_note.h"
#include "cmd/procedures/rolling_plan.h"
#include "cmd/procedures/safety.h"
#include "cmd/procedures/utc_text.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

constexpr char kCommandNote[] = "command";
constexpr char kTimeNote[] = "time";
constexpr char kDone[] = "done";
// Leadership may come back to a member before it is stopped; after so many times something is wrong.
constexpr int kHandOversMax = 3;

struct RestartFlags {
  std::string exec;
  std::string state_dir;
  int64_t wait_nanos = 300'000'000'000;
  bool dry_run = false;
  bool yes = false;
  bool restart_all = false;
  bool assume_restarted = false;
};

class RollingRestart {
 public:
  RollingRestart(ClusterAccess* access, const RestartFlags& flags) : access_(*access), flags_(flags) {}

  Status Run();

 private:
  std::chrono::nanoseconds wait() const { return std::chrono::nanoseconds(flags_.wait_nanos); }
  Status Resume(const ClusterState& state);
  void SayPlan(const ClusterState& state, const std::vector<uint64_t>& order) const;
  Status RestartAll();
  Status Restart(const ClusterState& state, const MemberState& member);
  Status Remember(uint64_t member);

  ClusterAccess& access_;
  const RestartFlags& flags_;
  std::unique_ptr<Notebook> notebook_;
  Notes notes_;
  std::set<uint64_t> done_;
};

Status RollingRestart::Resume(const ClusterState& state) {
  notes_[kCommandNote] = flags_.exec;
  if (flags_.restart_all) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const std::optional<Notes> found, notebook_->Read());
  // Another command is another procedure.
  const auto command = found ? found->find(kCommandNote) : Notes::const_iterator();
  if (!found || command == found->end() || command->second != flags_.exec) return absl::OkStatus();
  const auto time = found->find(kTimeNote);
  const int64_t noted = time == found->end() ? 0 : std::strtoll(time->second.c_str(), nullptr, 10);
  if (std::time(nullptr) - noted > kNoteFreshSeconds) {
    Say("What is noted of an interrupted restart with the same command is over a day old (" +
        notebook_->path() + "): all members are restarted.");
    return absl::OkStatus();
  }
  notes_ = *found;
  std::string names;
  for (const MemberState& member : state.members) {
    if (!notes_.contains(HexId(member.id))) continue;
    done_.insert(member.id);
    names += (names.empty() ? "" : ", ") + Label(member);
  }
  if (!names.empty()) {
    Say("An interrupted restart with the same command, last at work at " + UtcText(noted) + ", is resumed (" +
        notebook_->path() + "); done already: " + names + ". --all begins anew.");
  }
  return absl::OkStatus();
}

void RollingRestart::SayPlan(const ClusterState& state, const std::vector<uint64_t>& order) const {
  Say("Will be restarted, one after another, each by: " + flags_.exec);
  bool unseen = false;
  for (const uint64_t id : order) {
    const MemberState& member = *state.Find(id);
    std::string line = "  " + Label(member) + " at " + Joined(member.client_urls);
    if (!member.serving) line += " (does not serve now)";
    if (id == state.Leader() && state.members.size() > 1) line += " (leads: leadership is moved away first)";
    Say(line);
    unseen = unseen || (member.reachable && !member.started_at);
  }
  Say("After each: wait until it serves and has caught up. The majority is checked before each.");
  if (unseen && !flags_.assume_restarted) {
    Say("The /metrics of some can't be read, so for them it is also waited until they were seen down; if the "
        "command returns only after the restart, give --assume-restarted.");
  }
}

Status RollingRestart::Remember(uint64_t member) {
  done_.insert(member);
  notes_[HexId(member)] = kDone;
  notes_[kTimeNote] = std::to_string(std::time(nullptr));
  return notebook_->Write(notes_);
}

// `state` was read for this moment: nothing lies between it and the command.
Status RollingRestart::Restart(const ClusterState& state, const MemberState& member) {
  Say("restarting " + Label(member));
  const uint64_t index = state.LastIndex();
  RestartProof proof(member, flags_.assume_restarted);
  QUORATE_RETURN_IF_ERROR(RunHostCommand(flags_.exec, MemberVariables(member), [&] {
    if (member.started_at) return;  // That will show it.
    if (const auto now = access_.Read(); now.ok()) proof.Look(*now);
  }));
  QUORATE_RETURN_IF_ERROR(access_.WaitUntil(
      Label(member) + " serves again", wait(), [&](const ClusterState& now, std::string* why) {
        proof.Look(now);
        return CaughtUp(now, member.id, index, why) && proof.Given(*now.Find(member.id), why);
      }));
  Say("  " + Label(member) + " serves again");
  return Remember(member.id);
}

// Who leads and who serves changes all the time, so each member is chosen, and what is safe decided, by a
// state that is read then.
Status RollingRestart::RestartAll() {
  int hand_overs = 0;
  for (;;) {
    QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.ReadWithCare());
    const std::vector<uint64_t> order = RestartOrder(state, done_);
    if (order.empty()) return absl::OkStatus();
    const MemberState& member = *state.Find(order.front());
    access_.Avoid(member.id);
    QUORATE_RETURN_IF_ERROR(CheckMayRestart(state, member.id));
    if (member.id != state.Leader()) {
      QUORATE_RETURN_IF_ERROR(Restart(state, member));
      hand_overs = 0;
      continue;
    }
    if (++hand_overs > kHandOversMax) {
      return FailedPrecondition(Label(member) +
                                " leads again after each move of leadership; see why ('cluster "
                                "watch'), then run the same command again");
    }
    QUORATE_RETURN_IF_ERROR(access_.HandOver(state, member.id, wait()));
  }
}

Status RollingRestart::Run() {
  QUORATE_ASSIGN_OR_RETURN(const std::string directory, NotesDirectory(flags_.state_dir));
  QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.ReadWithCare());
  std::unique_ptr<ProcedureLock> lock;
  if (!flags_.dry_run) {
    QUORATE_ASSIGN_OR_RETURN(lock, ProcedureLock::Take(directory, state.id, "rolling-restart"));
  }
  notebook_ = std::make_unique<Notebook>(directory, state.id, "rolling-restart");
  QUORATE_RETURN_IF_ERROR(Resume(state));
  const std::vector<uint64_t> order = RestartOrder(state, done_);
  if (order.empty()) {
    Say("Every member was restarted already.");
    return flags_.dry_run ? Status() : notebook_->Remove();
  }
  SayPlan(state, order);
  QUORATE_RETURN_IF_ERROR(CheckMayRestart(state, order.front()));
  QUORATE_RETURN_IF_ERROR(access_.CheckMayAdminister());
  if (flags_.dry_run) {
    Say("Nothing was done (--dry-run).");
    return absl::OkStatus();
  }
  QUORATE_RETURN_IF_ERROR(Confirm("Go on?", flags_.yes));
  QUORATE_RETURN_IF_ERROR(RestartAll());
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
  command->add_flag("--assume-restarted", flags->assume_restarted,
                    "believe the command that the member was restarted, where neither its /metrics nor a "
                    "refused connection shows it");
  command->add_option("--state-dir", flags->state_dir,
                      "where to remember what is done, should this be interrupted");
}

}  // namespace quorate::cmd
