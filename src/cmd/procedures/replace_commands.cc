#include <ctime>
#include <memory>

#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/procedures/notebook.h"
#include "cmd/procedures/replacement.h"
#include "cmd/procedures/safety.h"
#include "cmd/procedures/utc_text.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

// The lock of a procedure that changes something; none where it only says what it would do.
StatusOr<std::unique_ptr<ProcedureLock>> LockFor(const ReplacementFlags& flags, const std::string& directory,
                                                 uint64_t cluster_id, const std::string& procedure) {
  if (flags.dry_run) return nullptr;
  return ProcedureLock::Take(directory, cluster_id, procedure);
}

Status ReplaceOne(ClusterAccess* access, const ReplacementFlags& flags, const std::string& member) {
  QUORATE_ASSIGN_OR_RETURN(const std::string directory, NotesDirectory(flags.state_dir));
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, access->ReadWithCare());
  QUORATE_ASSIGN_OR_RETURN(const auto lock, LockFor(flags, directory, state.id, "replace-member " + member));
  Replacement replacement(access, flags.options(directory), member);
  QUORATE_RETURN_IF_ERROR(replacement.Prepare(state));
  replacement.SayPlan();
  QUORATE_RETURN_IF_ERROR(replacement.CheckMayBegin(state));
  if (flags.dry_run) {
    Say("Nothing was done (--dry-run).");
    return absl::OkStatus();
  }
  QUORATE_RETURN_IF_ERROR(Confirm("Go on?", flags.yes));
  return replacement.Run();
}

class Heal {
 public:
  Heal(ClusterAccess* access, const ReplacementFlags& flags) : access_(*access), flags_(flags) {}

  Status Run();

 private:
  Status FindInterrupted(const ClusterState& state);
  void FindBroken(const ClusterState& state);
  Status SayPlan(const ClusterState& state);
  Status Replace(const ClusterState& state, const std::string& member);
  Status Carry();
  Status DisarmGone();

  ClusterAccess& access_;
  const ReplacementFlags& flags_;
  std::string directory_;
  std::vector<std::string> interrupted_;  // Replacements to be gone on with, by name.
  std::vector<uint64_t> broken_;          // To be replaced after them.
  std::vector<Notebook> dropped_;         // Notes that mean nothing any more.
  std::vector<std::string> left_;         // What is not healed, and why.
  std::vector<uint64_t> gone_corrupt_;    // No members any more, with an alarm.
};

// Those that were removed and not added again yet are seen in the notes only. Nobody has said which member he
// means, so of the notes only those count that can't be about anything else.
Status Heal::FindInterrupted(const ClusterState& state) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<ReplacementNote> notes,
                           InterruptedReplacements(directory_, state.id));
  const int64_t now = std::time(nullptr);
  for (const ReplacementNote& note : notes) {
    const Notebook notebook = ReplacementNotebook(directory_, state.id, note.name);
    const NoteJudgement judgement = Judge(note, state, now);
    const MemberState* const old = state.Find(note.old_id);
    if (judgement.verdict == NoteVerdict::kStale) {
      Say("What is noted of " + note.Describe() + " no longer fits: " + judgement.why + ". It is dropped.");
      dropped_.push_back(notebook);
    } else if (judgement.verdict == NoteVerdict::kNothingDone) {
      if (old != nullptr && IsBroken(state, *old)) continue;  // Is found as such.
      Say(note.name + " (" + HexId(note.old_id) +
          ") is neither quarantined nor corrupt, so it is left alone, " +
          "though its replacement was begun at " + UtcText(note.begun) + "; 'cluster replace-member " +
          note.name + "' replaces it all the same.");
      dropped_.push_back(notebook);
    } else if (now - note.begun > kNoteFreshSeconds) {
      left_.push_back(note.Describe() + " is not finished, and is over a day old: 'cluster replace-member " +
                      note.name + "' goes on with it; if it is not wanted any more, remove " +
                      notebook.path());
    } else {
      interrupted_.push_back(note.name);
    }
  }
  return absl::OkStatus();
}

void Heal::FindBroken(const ClusterState& state) {
  for (const uint64_t id : Broken(state)) {
    const MemberState* const member = state.Find(id);
    Say(Label(*member) + (member->quarantined ? " is quarantined: its log went back in time"
                                              : " is corrupt: its data differs from the others'"));
    broken_.push_back(id);
  }
  for (const AlarmState& alarm : state.alarms) {
    if (alarm.type != "CORRUPT" || state.Find(alarm.member) != nullptr) continue;
    if (alarm.member != 0) {
      Say(HexId(alarm.member) + " is no member any more, and has an alarm CORRUPT");
      gone_corrupt_.push_back(alarm.member);
      continue;
    }
    left_.push_back(
        "there is an alarm CORRUPT that names no member: compare 'endpoint hashkv --cluster', replace the "
        "one "
        "that differs ('cluster replace-member'), then 'alarm disarm'");
  }
}

Status Heal::SayPlan(const ClusterState& state) {
  std::vector<std::string> members = interrupted_;
  for (const uint64_t id : broken_) members.push_back(HexId(id));
  for (size_t i = 0; i < members.size(); ++i) {
    Replacement replacement(&access_, flags_.options(directory_), members[i]);
    QUORATE_RETURN_IF_ERROR(replacement.Prepare(state));
    replacement.SayPlan();
    // The later ones are checked when their turn has come: the first one's replacement changes the answer.
    if (i == 0) QUORATE_RETURN_IF_ERROR(replacement.CheckMayBegin(state));
  }
  for (const uint64_t id : gone_corrupt_) {
    Say("Will take away the alarm CORRUPT of " + HexId(id) + ", which is gone.");
  }
  return absl::OkStatus();
}

Status Heal::Replace(const ClusterState& state, const std::string& member) {
  Replacement replacement(&access_, flags_.options(directory_), member);
  QUORATE_RETURN_IF_ERROR(replacement.Prepare(state));
  return replacement.Run();
}

// One at a time: while one is replaced, the cluster has one vote less to lose.
Status Heal::Carry() {
  for (const std::string& name : interrupted_) {
    QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.ReadWithCare());
    QUORATE_RETURN_IF_ERROR(Replace(state, name));
  }
  for (const uint64_t id : broken_) {
    QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.ReadWithCare());
    const MemberState* const member = state.Find(id);
    if (member == nullptr || !IsBroken(state, *member)) {
      Say((member == nullptr ? HexId(id) : Label(*member)) + " is not broken any more, and is left alone");
      continue;
    }
    QUORATE_RETURN_IF_ERROR(Replace(state, HexId(id)));
  }
  return DisarmGone();
}

Status Heal::DisarmGone() {
  QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.Read());
  for (const uint64_t id : gone_corrupt_) {
    if (state.Find(id) != nullptr || !state.HasAlarm(id, "CORRUPT")) continue;
    Say("disarming the alarm CORRUPT of " + HexId(id));
    const auto disarmed = access_.client().maintenance().Disarm(id, etcdserverpb::CORRUPT, access_.Call());
    if (!disarmed.ok()) return disarmed.status();
  }
  return absl::OkStatus();
}

Status Heal::Run() {
  QUORATE_ASSIGN_OR_RETURN(directory_, NotesDirectory(flags_.state_dir));
  QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access_.ReadWithCare());
  QUORATE_ASSIGN_OR_RETURN(const auto lock, LockFor(flags_, directory_, state.id, "heal"));
  if (!state.alarms_trouble.empty()) {
    return Unavailable("the alarms are not known, so it can't be seen which member is corrupt: " +
                       state.alarms_trouble);
  }
  QUORATE_RETURN_IF_ERROR(FindInterrupted(state));
  FindBroken(state);
  QUORATE_RETURN_IF_ERROR(SayPlan(state));
  const bool nothing = interrupted_.empty() && broken_.empty() && gone_corrupt_.empty();
  if (nothing && left_.empty()) Say("No member is quarantined or corrupt.");
  if (flags_.dry_run) {
    Say("Nothing was done (--dry-run).");
  } else {
    for (const Notebook& notebook : dropped_) QUORATE_RETURN_IF_ERROR(notebook.Remove());
    if (!nothing) {
      QUORATE_RETURN_IF_ERROR(Confirm("Go on?", flags_.yes));
      QUORATE_RETURN_IF_ERROR(Carry());
    }
  }
  if (left_.empty()) return absl::OkStatus();
  std::string text;
  for (const std::string& one : left_) text += (text.empty() ? "" : "; ") + one;
  return FailedPrecondition("not healed: " + text);
}

template <typename Work>
int WithAccess(CtlSession* session, Work work) {
  ClusterAccess access(session);
  if (const auto code = access.Open(false)) return *code;
  const Status status = work(&access);
  return status.ok() ? 0 : session->Fail(status);
}

}  // namespace

void AddReplaceMemberCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session) {
  auto flags = std::make_shared<ReplacementFlags>();
  CLI::App* const command = tree->Add(
      cluster, "replace-member", "Replaces a member by a new one with its name and an empty directory",
      "<name or ID>", [session, flags](const Arguments& arguments) {
        if (arguments.values.size() != 1) {
          return Fail(ExitCode::kBadArguments, "cluster replace-member needs one member, by name or ID");
        }
        return WithAccess(
            session, [&](ClusterAccess* access) { return ReplaceOne(access, *flags, arguments.values[0]); });
      });
  AddReplacementFlags(command, flags.get());
}

void AddHealCommand(CommandTree* tree, CLI::App* cluster, CtlSession* session) {
  auto flags = std::make_shared<ReplacementFlags>();
  CLI::App* const command = tree->Add(
      cluster, "heal", "Replaces every member that is quarantined or corrupt, one at a time", "",
      [session, flags](const Arguments&) {
        return WithAccess(session, [&](ClusterAccess* access) { return Heal(access, *flags).Run(); });
      });
  AddReplacementFlags(command, flags.get());
}

}  // namespace quorate::cmd
