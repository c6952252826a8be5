#include "cmd/procedures/replacement.h"

#include <ctime>

#include "cmd/cli/go_syntax.h"
#include "cmd/procedures/host_command.h"
#include "cmd/procedures/rolling_plan.h"
#include "cmd/procedures/safety.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

// Leadership may come back to the member before it is removed; after so many times something is wrong.
constexpr int kHandOversMax = 3;

std::string Names(const ClusterState& state) {
  std::string names;
  for (const MemberState& member : state.members) names += (names.empty() ? "" : ", ") + Label(member);
  return names;
}

Status NoSuchMember(const ClusterState& state, const std::string& wanted) {
  size_t named = 0;
  for (const MemberState& member : state.members) named += member.name == wanted ? 1 : 0;
  if (named > 1) {
    return FailedPrecondition(std::to_string(named) + " members are called \"" + wanted +
                              "\": name one by its ID; there are: " + Names(state));
  }
  return NotFound("there is no member \"" + wanted +
                  "\" (by name, or by ID in hexadecimal); there are: " + Names(state));
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

Notebook ReplacementNotebook(const std::string& directory, uint64_t cluster_id, const std::string& name) {
  return {directory, cluster_id, "replace-" + name};
}

StatusOr<std::vector<ReplacementNote>> InterruptedReplacements(const std::string& directory,
                                                               uint64_t cluster_id) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           InterruptedProcedures(directory, cluster_id, "replace-"));
  std::vector<ReplacementNote> found;
  for (const std::string& name : names) {
    const Notebook notebook = ReplacementNotebook(directory, cluster_id, name);
    QUORATE_ASSIGN_OR_RETURN(const std::optional<Notes> notes, notebook.Read());
    if (!notes) continue;
    QUORATE_ASSIGN_OR_RETURN(ReplacementNote note, ReplacementNote::FromNotes(*notes, notebook.path()));
    found.push_back(std::move(note));
  }
  return found;
}

// Goes on where an interrupted call has stopped, if that still makes sense.
Status Replacement::TakeNote(const ClusterState& state, const MemberState* found) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<ReplacementNote> notes,
                           InterruptedReplacements(options_.notes_directory, state.id));
  for (const ReplacementNote& note : notes) {
    const bool same = note.IsOf(wanted_) || (found != nullptr && note.name == found->name);
    if (!same) continue;
    const NoteJudgement judgement = Judge(note, state, std::time(nullptr));
    if (judgement.verdict == NoteVerdict::kGoesOn) {
      note_ = note;
      resumed_ = true;
      return absl::OkStatus();
    }
    if (judgement.verdict == NoteVerdict::kStale) {
      Say("What is noted of " + note.Describe() + " no longer fits (" +
          ReplacementNotebook(options_.notes_directory, state.id, note.name).path() + "): " + judgement.why +
          ". It is left out of account.");
      stale_.push_back(ReplacementNotebook(options_.notes_directory, state.id, note.name));
    }
  }
  return absl::OkStatus();
}

Status Replacement::Prepare(const ClusterState& state) {
  const MemberState* const found = state.FindByNameOrId(wanted_);
  QUORATE_RETURN_IF_ERROR(TakeNote(state, found));
  if (!resumed_) {
    if (found == nullptr) return NoSuchMember(state, wanted_);
    if (!found->started()) {
      return FailedPrecondition(Label(*found) + " was never started: start it, or remove it (member remove " +
                                HexId(found->id) + ")");
    }
    if (found->learner) {
      return FailedPrecondition(Label(*found) + " is a learner: remove it (member remove " +
                                HexId(found->id) + ") and add it again");
    }
    note_ = {.name = found->name,
             .old_id = found->id,
             .peer_urls = found->peer_urls,
             .client_urls = found->client_urls,
             .begun = std::time(nullptr)};
    leads_ = found->id == state.Leader();
  }
  notebook_ = std::make_unique<Notebook>(ReplacementNotebook(options_.notes_directory, state.id, note_.name));
  access_.Avoid(note_.old_id);
  return absl::OkStatus();
}

Status Replacement::CheckMayBegin(const ClusterState& state) const {
  if (!resumed_) QUORATE_RETURN_IF_ERROR(CheckMayReplace(state, note_.old_id));
  return access_.CheckMayAdminister();
}

void Replacement::SayPlan() const {
  if (resumed_) {
    Say("An interrupted replacement is resumed: " + note_.Describe() + " (" + notebook_->path() +
        "). What is done already is not done again.");
  }
  Say("Will replace " + note_.name + " (" + HexId(note_.old_id) + ") at " + Joined(note_.peer_urls) +
      " by a new member with its name and an empty directory:");
  if (leads_) Say("  move leadership to another member");
  Say("  remove it from the cluster, stop it, add it again as a learner (it has no vote until it has caught "
      "up)");
  Say("  on its host: move its data aside (nothing is deleted), start it with the new ETCD_INITIAL_CLUSTER");
  Say("  wait until it has caught up, and promote it");
  if (options_.exec.empty()) {
    Say("What is to be done on the host is told when it is time.");
  } else {
    Say("The steps on the host are done by: " + options_.exec);
  }
}

std::map<std::string, std::string> Replacement::HostVariables(uint64_t id) const {
  MemberState member;
  member.id = id;
  member.name = note_.name;
  member.peer_urls = note_.peer_urls;
  member.client_urls = note_.client_urls;
  Variables variables = MemberVariables(member);
  variables["QUORATE_OLD_MEMBER_ID"] = HexId(note_.old_id);
  // The same in each try, so that a directory that was moved already is not moved again.
  variables["QUORATE_ASIDE_SUFFIX"] = ".replaced-" + HexId(note_.old_id);
  if (initial_cluster_.empty()) return variables;
  variables["ETCD_NAME"] = note_.name;
  variables["ETCD_INITIAL_CLUSTER"] = initial_cluster_;
  variables["ETCD_INITIAL_CLUSTER_STATE"] = "existing";
  variables["ETCD_INITIAL_ADVERTISE_PEER_URLS"] = Joined(note_.peer_urls);
  return variables;
}

Status Replacement::StepOnHost(const char* step, uint64_t id) {
  if (options_.exec.empty()) return absl::OkStatus();
  Say(std::string("  on the host: ") + step);
  Variables variables = HostVariables(id);
  variables["QUORATE_STEP"] = step;
  return RunHostCommand(options_.exec, variables);
}

// The state is read anew for each try: what was safe when the operator said yes may be so no more.
Status Replacement::TryToRemove(int* hand_overs) {
  for (;;) {
    QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.ReadWithCare());
    // Not there: an earlier try has done it, though it was not answered.
    if (state.Find(note_.old_id) == nullptr) return absl::OkStatus();
    QUORATE_RETURN_IF_ERROR(CheckMayReplace(state, note_.old_id));
    if (state.Leader() != note_.old_id || *hand_overs >= kHandOversMax) break;
    ++*hand_overs;
    QUORATE_RETURN_IF_ERROR(access_.HandOver(state, note_.old_id, options_.wait));
  }
  const auto removed = access_.client().cluster().Remove(note_.old_id, access_.Call());
  return absl::IsNotFound(removed.status()) ? Status() : removed.status();
}

Status Replacement::HandOverAndRemove() {
  const std::string who = note_.name + " (" + HexId(note_.old_id) + ")";
  int hand_overs = 0;
  const Status removed = access_.Insist(who + " is removed", options_.wait,
                                        [&]() -> Status { return TryToRemove(&hand_overs); });
  if (!removed.ok()) return removed;
  Say("removed " + who);
  return absl::OkStatus();
}

// After the removal: before it, the stop could take the majority that the removal needs.
Status Replacement::StopOnHost() {
  if (note_.stopped) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(StepOnHost("stop", note_.old_id));
  note_.stopped = true;
  return Write();
}

Status Replacement::TryToAdd() {
  QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.Read());
  if (const MemberState* const there = Successor(note_, state); there != nullptr) {
    note_.new_id = there->id;
    return absl::OkStatus();
  }
  const auto added = access_.client().cluster().AddLearner(note_.peer_urls, access_.Call());
  if (added.ok()) note_.new_id = added->member().id();
  return added.status();
}

Status Replacement::AddAgain() {
  QUORATE_RETURN_IF_ERROR(
      access_.Insist(note_.name + " is added", options_.wait, [this] { return TryToAdd(); }));
  Say("added " + note_.name + " as a learner");
  return Write();
}

void Replacement::TellOperator(uint64_t id) const {
  const Variables variables = HostVariables(id);
  const std::string aside = variables.at("QUORATE_ASIDE_SUFFIX");
  Say("On " + variables.at("QUORATE_MEMBER_HOST") + ", where " + note_.name +
      " runs, do this now (paths as they are there):");
  Say("  systemctl stop etcd");
  Say("  mv /var/lib/etcd /var/lib/etcd" + aside + "   (unless the old data lie there already)");
  Say("  and start it with:");
  for (const char* name : {"ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_ADVERTISE_PEER_URLS",
                           "ETCD_INITIAL_CLUSTER_STATE"}) {
    Say("    " + std::string(name) + "=" + GoQuote(variables.at(name)));
  }
  Say("  systemctl start etcd");
  Say("It is waited for. To interrupt this is safe: the same command goes on from here.");
}

Status Replacement::WorkOnHost(const ClusterState& state, const MemberState& added) {
  initial_cluster_ = InitialClusterFor(state, added.id, note_.name);
  if (options_.exec.empty()) {
    // One that has a name has been running: what lies there is its own data.
    if (added.started()) {
      Say(Label(added) + " does not answer: start it on its host. It is waited for.");
    } else {
      TellOperator(added.id);
    }
    return absl::OkStatus();
  }
  if (!note_.moved_aside && !added.started()) {
    QUORATE_RETURN_IF_ERROR(StepOnHost("move-aside", added.id));
    note_.moved_aside = true;
    QUORATE_RETURN_IF_ERROR(Write());
  }
  // Each time: that a start was asked for once does not say that it runs.
  return StepOnHost("start", added.id);
}

Status Replacement::AwaitAndPromote(uint64_t id) {
  const std::string who = note_.name + " (" + HexId(id) + ")";
  uint64_t index = 0;
  QUORATE_RETURN_IF_ERROR(access_.WaitUntil(who + " has caught up", options_.wait,
                                            [&](const ClusterState& state, std::string* why) {
                                              if (index == 0) index = state.LastIndex();
                                              return CaughtUp(state, id, index, why);
                                            }));
  QUORATE_RETURN_IF_ERROR(access_.Insist(who + " is promoted", options_.wait, [&] {
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
  if (!state.alarms_trouble.empty()) {
    return Unavailable(
        "the alarms are not known, so it was not seen whether one of the old member is left: " +
        state.alarms_trouble + "; run the same command again");
  }
  if (!state.HasAlarm(note_.old_id, "CORRUPT")) return absl::OkStatus();
  Say("disarming the alarm CORRUPT of the member that is gone");
  return access_.client().maintenance().Disarm(note_.old_id, etcdserverpb::CORRUPT, access_.Call()).status();
}

// The question may have stood open for long.
Status Replacement::CheckUnchanged(const ClusterState& state) const {
  const NoteVerdict expected = resumed_ ? NoteVerdict::kGoesOn : NoteVerdict::kNothingDone;
  if (Judge(note_, state, std::time(nullptr)).verdict == expected) return absl::OkStatus();
  return FailedPrecondition("somebody else has worked on " + note_.name + " (" + HexId(note_.old_id) +
                            ") meanwhile, so nothing was done; see 'member list', then run the same command "
                            "again");
}

Status Replacement::Run() {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, access_.ReadWithCare());
  QUORATE_RETURN_IF_ERROR(CheckUnchanged(state));
  if (!resumed_) {
    QUORATE_RETURN_IF_ERROR(CheckMayReplace(state, note_.old_id));
    for (const Notebook& notebook : stale_) QUORATE_RETURN_IF_ERROR(notebook.Remove());
    QUORATE_RETURN_IF_ERROR(Write());
    QUORATE_RETURN_IF_ERROR(HandOverAndRemove());
  }
  if (Successor(note_, state) == nullptr) {
    QUORATE_RETURN_IF_ERROR(StopOnHost());
    QUORATE_RETURN_IF_ERROR(AddAgain());
  }
  QUORATE_ASSIGN_OR_RETURN(state, access_.Read());
  const MemberState* const added = Successor(note_, state);
  if (added == nullptr)
    return Unavailable("the new member is not in the list of members; run the same command again");
  const uint64_t id = added->id;
  if (note_.new_id != id) {
    note_.new_id = id;
    QUORATE_RETURN_IF_ERROR(Write());
  }
  if (!added->serving) QUORATE_RETURN_IF_ERROR(WorkOnHost(state, *added));
  QUORATE_RETURN_IF_ERROR(AwaitAndPromote(id));
  QUORATE_ASSIGN_OR_RETURN(state, access_.Read());
  QUORATE_RETURN_IF_ERROR(DisarmOldAlarms(state));
  Say(note_.name + " was replaced: " + HexId(note_.old_id) + " is now " + HexId(id) +
      ". Its old data lies aside on its host; delete it when you like.");
  return notebook_->Remove();
}

}  // namespace quorate::cmd
