#include "cmd/procedures/replacement.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "cmd/cli/go_syntax.h"
#include "cmd/procedures/findings.h"
#include "cmd/procedures/host_command.h"
#include "cmd/procedures/rolling_plan.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

constexpr char kName[] = "name";
constexpr char kOldId[] = "old-id";
constexpr char kPeerUrls[] = "peer-urls";
constexpr char kClientUrls[] = "client-urls";
constexpr char kMoved[] = "moved-aside";
constexpr char kStarted[] = "started";

constexpr auto kRetryPeriod = std::chrono::milliseconds(500);

// A refusal that passes by itself: the server waits until its members have been connected for a while, or
// until the learner has caught up.
bool PassesByItself(const Status& status) {
  const std::string_view text = Message(status);
  return absl::IsUnavailable(status) || text.find("unhealthy cluster") != std::string_view::npos ||
         text.find("re-configuration failed") != std::string_view::npos ||
         text.find("in sync with leader") != std::string_view::npos;
}

// Does it until it is done or is refused for good. DeadlineExceeded after `limit`.
Status Insist(std::chrono::nanoseconds limit, const std::function<Status()>& attempt) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const Status status = attempt();
    if (status.ok() || !PassesByItself(status) || std::chrono::steady_clock::now() >= deadline) return status;
    std::this_thread::sleep_for(kRetryPeriod);
  }
}

}  // namespace

void AddReplacementFlags(CLI::App* command, ReplacementFlags* flags) {
  command->add_option(
      "--exec", flags->exec,
      "shell command for what is to be done on the member's host: run with QUORATE_STEP=stop, then "
      "move-aside, then start; without it you are told what to do");
  CommandTree::AddDuration(command, "--wait", &flags->wait_nanos,
                           "how long to wait for the member in each step");
  command->add_option("--state-dir", flags->state_dir,
                      "where to remember what is done, should this be interrupted");
  command->add_flag("--dry-run", flags->dry_run, "only say what would be done, and whether it may be");
  command->add_flag("--yes", flags->yes, "do not ask");
}

std::string InitialClusterFor(const ClusterState& state, uint64_t id, const std::string& name) {
  std::string out;
  for (const MemberState& member : state.members) {
    // One that was never started has no name to give.
    if (member.id != id && !member.started()) continue;
    for (const std::string& url : member.peer_urls) {
      out += (out.empty() ? "" : ",") + (member.id == id ? name : member.name) + "=" + url;
    }
  }
  return out;
}

Status Replacement::TakeNotes(const Notes& notes) {
  const auto text = [&](const char* name) {
    const auto at = notes.find(name);
    return at == notes.end() ? std::string() : at->second;
  };
  old_.name = text(kName);
  const std::string id = text(kOldId);
  std::from_chars(id.data(), id.data() + id.size(), old_.id, 16);
  if (const std::string urls = text(kPeerUrls); !urls.empty()) old_.peer_urls = SplitCommas(urls);
  if (const std::string urls = text(kClientUrls); !urls.empty()) old_.client_urls = SplitCommas(urls);
  if (old_.id == 0 || old_.peer_urls.empty()) {
    return DataLoss(notebook_->path() + " is damaged; look at it, and remove it to begin anew");
  }
  notes_ = notes;
  return absl::OkStatus();
}

Status Replacement::Prepare(const ClusterState& state) {
  const MemberState* const found = state.FindByNameOrId(wanted_);
  const std::string name = found != nullptr && found->started() ? found->name : wanted_;
  notebook_ = std::make_unique<Notebook>(options_.state_dir, state.id, "replace-" + name);
  QUORATE_ASSIGN_OR_RETURN(const std::optional<Notes> notes, notebook_->Read());
  if (notes) {
    QUORATE_RETURN_IF_ERROR(TakeNotes(*notes));
    resumed_ = true;
    return state.Find(old_.id) == nullptr ? Status() : CheckMayReplace(state, old_.id);
  }
  if (found == nullptr) {
    std::string names;
    for (const MemberState& member : state.members) names += (names.empty() ? "" : ", ") + Label(member);
    return NotFound("there is no member \"" + wanted_ +
                    "\" (by name, or by ID in hexadecimal); there are: " + names);
  }
  if (!found->started()) {
    return FailedPrecondition(Label(*found) + " was never started: start it, or remove it (member remove " +
                              HexId(found->id) + ")");
  }
  if (found->learner) {
    return FailedPrecondition(Label(*found) + " is a learner: remove it (member remove " + HexId(found->id) +
                              ") and add it again");
  }
  old_ = *found;
  leads_ = found->id == state.Leader();
  return CheckMayReplace(state, found->id);
}

void Replacement::SayPlan() const {
  if (resumed_) Say("An interrupted replacement is resumed (" + notebook_->path() + ").");
  Say("Will replace " + Label(old_) + " at " + Joined(old_.peer_urls) +
      " by a new member with its name and an empty directory:");
  if (leads_) Say("  move leadership to another member");
  Say("  stop it, remove it from the cluster, add it again as a learner (it has no vote until it has caught "
      "up)");
  Say("  on its host: move its data aside (nothing is deleted), start it with the new ETCD_INITIAL_CLUSTER");
  Say("  wait until it has caught up, and promote it");
  if (options_.exec.empty()) {
    Say("What is to be done on the host is told when it is time.");
  } else {
    Say("The steps on the host are done by: " + options_.exec);
  }
}

Status Replacement::Note(const char* name) {
  notes_[name] = "yes";
  return notebook_->Write(notes_);
}

std::map<std::string, std::string> Replacement::HostVariables(uint64_t id) const {
  MemberState member = old_;
  member.id = id;
  Variables variables = MemberVariables(member);
  variables["QUORATE_OLD_MEMBER_ID"] = HexId(old_.id);
  // The same in each try, so that a directory that was moved already is not moved again.
  variables["QUORATE_ASIDE_SUFFIX"] = ".replaced-" + HexId(old_.id);
  if (initial_cluster_.empty()) return variables;
  variables["ETCD_NAME"] = old_.name;
  variables["ETCD_INITIAL_CLUSTER"] = initial_cluster_;
  variables["ETCD_INITIAL_CLUSTER_STATE"] = "existing";
  variables["ETCD_INITIAL_ADVERTISE_PEER_URLS"] = Joined(old_.peer_urls);
  return variables;
}

Status Replacement::StepOnHost(const char* step, uint64_t id) {
  if (options_.exec.empty()) return absl::OkStatus();
  Say(std::string("  on the host: ") + step);
  Variables variables = HostVariables(id);
  variables["QUORATE_STEP"] = step;
  return RunHostCommand(options_.exec, variables);
}

const MemberState* Replacement::NewMember(const ClusterState& state) const {
  for (const MemberState& member : state.members) {
    if (member.id != old_.id && member.peer_urls == old_.peer_urls) return &member;
  }
  return nullptr;
}

Status Replacement::HandOverAndRemove(const ClusterState& state) {
  notes_ = {{kName, old_.name},
            {kOldId, HexId(old_.id)},
            {kPeerUrls, Joined(old_.peer_urls)},
            {kClientUrls, Joined(old_.client_urls)}};
  QUORATE_RETURN_IF_ERROR(notebook_->Write(notes_));
  if (old_.id == state.Leader()) {
    const uint64_t successor = BestSuccessor(state, old_.id);
    if (successor == 0) return FailedPrecondition("there is no other voter to move leadership to");
    Say("moving leadership to " + Label(*state.Find(successor)));
    const auto moved = access_.client().maintenance().MoveLeader(successor, access_.CallAt(old_));
    if (!moved.ok()) return moved.status();
  }
  QUORATE_RETURN_IF_ERROR(StepOnHost("stop", old_.id));
  QUORATE_RETURN_IF_ERROR(Insist(options_.wait, [&] {
    const auto removed = access_.client().cluster().Remove(old_.id, access_.Call());
    // Not found: an earlier try has done it.
    return absl::IsNotFound(removed.status()) ? Status() : removed.status();
  }));
  Say("removed " + Label(old_));
  return absl::OkStatus();
}

Status Replacement::AddAgain() {
  QUORATE_RETURN_IF_ERROR(Insist(options_.wait, [&]() -> Status {
    const auto state = access_.Read();
    if (!state.ok()) return state.status();
    if (NewMember(*state) != nullptr) return absl::OkStatus();
    return access_.client().cluster().AddLearner(old_.peer_urls, access_.Call()).status();
  }));
  Say("added " + old_.name + " as a learner");
  return absl::OkStatus();
}

void Replacement::TellOperator(uint64_t id) const {
  const Variables variables = HostVariables(id);
  const std::string aside = variables.at("QUORATE_ASIDE_SUFFIX");
  Say("On " + variables.at("QUORATE_MEMBER_HOST") + ", where " + old_.name +
      " runs, do this now (paths as they are there):");
  Say("  systemctl stop etcd");
  Say("  mv /var/lib/etcd /var/lib/etcd" + aside);
  Say("  and start it with:");
  for (const char* name : {"ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_ADVERTISE_PEER_URLS",
                           "ETCD_INITIAL_CLUSTER_STATE"}) {
    Say("    " + std::string(name) + "=" + GoQuote(variables.at(name)));
  }
  Say("  systemctl start etcd");
  Say("It is waited for. To interrupt this is safe: the same command goes on from here.");
}

Status Replacement::WorkOnHost(const ClusterState& state, uint64_t id) {
  initial_cluster_ = InitialClusterFor(state, id, old_.name);
  if (options_.exec.empty()) {
    TellOperator(id);
    return absl::OkStatus();
  }
  if (!Noted(kMoved)) {
    QUORATE_RETURN_IF_ERROR(StepOnHost("move-aside", id));
    QUORATE_RETURN_IF_ERROR(Note(kMoved));
  }
  if (Noted(kStarted)) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(StepOnHost("start", id));
  return Note(kStarted);
}

Status Replacement::AwaitAndPromote(uint64_t id) {
  const std::string who = old_.name + " (" + HexId(id) + ")";
  uint64_t index = 0;
  QUORATE_RETURN_IF_ERROR(access_.WaitUntil(who + " has caught up", options_.wait,
                                            [&](const ClusterState& state, std::string* why) {
                                              if (index == 0) index = state.LastIndex();
                                              return CaughtUp(state, id, index, why);
                                            }));
  QUORATE_RETURN_IF_ERROR(Insist(options_.wait, [&] {
    const auto state = access_.Read();
    if (!state.ok()) return state.status();
    const MemberState* const member = state->Find(id);
    if (member != nullptr && !member->learner) return Status();
    return access_.client().cluster().Promote(id, access_.Call()).status();
  }));
  return access_.WaitUntil(who + " serves", options_.wait, [&](const ClusterState& state, std::string* why) {
    return CaughtUp(state, id, index, why) && !state.Find(id)->learner;
  });
}

Status Replacement::DisarmOldAlarms(const ClusterState& state) {
  if (!state.HasAlarm(old_.id, "CORRUPT")) return absl::OkStatus();
  Say("disarming the alarm CORRUPT of the member that is gone");
  return access_.client().maintenance().Disarm(old_.id, etcdserverpb::CORRUPT, access_.Call()).status();
}

Status Replacement::Run() {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, access_.Read());
  if (state.Find(old_.id) != nullptr) {
    QUORATE_RETURN_IF_ERROR(CheckMayReplace(state, old_.id));
    QUORATE_RETURN_IF_ERROR(HandOverAndRemove(state));
  }
  if (NewMember(state) == nullptr) QUORATE_RETURN_IF_ERROR(AddAgain());
  QUORATE_ASSIGN_OR_RETURN(state, access_.Read());
  const MemberState* const added = NewMember(state);
  if (added == nullptr)
    return Unavailable("the new member is not in the list of members; run the same command again");
  const uint64_t id = added->id;
  if (!added->started()) QUORATE_RETURN_IF_ERROR(WorkOnHost(state, id));
  QUORATE_RETURN_IF_ERROR(AwaitAndPromote(id));
  QUORATE_ASSIGN_OR_RETURN(state, access_.Read());
  QUORATE_RETURN_IF_ERROR(DisarmOldAlarms(state));
  Say(old_.name + " was replaced: " + HexId(old_.id) + " is now " + HexId(id) +
      ". Its old data lies aside on its host; delete it when you like.");
  return notebook_->Remove();
}

}  // namespace quorate::cmd
