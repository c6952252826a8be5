#include <algorithm>
#include <memory>

#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/procedures/findings.h"
#include "cmd/procedures/replacement.h"

namespace quorate::cmd {
namespace {

Status ReplaceOne(ClusterAccess* access, const ReplacementFlags& flags, const std::string& member) {
  QUORATE_ASSIGN_OR_RETURN(const ClusterState state, access->Read());
  Replacement replacement(access, flags.options(), member);
  QUORATE_RETURN_IF_ERROR(replacement.Prepare(state));
  replacement.SayPlan();
  if (flags.dry_run) {
    Say("Nothing was done (--dry-run).");
    return absl::OkStatus();
  }
  QUORATE_RETURN_IF_ERROR(Confirm("Go on?", flags.yes));
  return replacement.Run();
}

// One at a time: while one is replaced, the cluster has one vote less to lose.
Status Heal(ClusterAccess* access, const ReplacementFlags& flags) {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, access->Read());
  // Those that were removed and not added again yet are seen in the notes only.
  std::vector<std::string> members = InterruptedProcedures(flags.state_dir, state.id, "replace-");
  const std::vector<uint64_t> broken = Broken(state);
  if (broken.empty() && members.empty()) {
    Say("No member is quarantined or corrupt.");
    return absl::OkStatus();
  }
  for (const uint64_t id : broken) {
    const MemberState* const member = state.Find(id);
    // By name: an interrupted replacement is noted under it.
    const std::string name = member->started() ? member->name : HexId(id);
    if (std::find(members.begin(), members.end(), name) == members.end()) members.push_back(name);
    Say(Label(*member) + (member->quarantined ? " is quarantined: its log went back in time"
                                              : " is corrupt: its data differs from the others'"));
  }
  for (const std::string& member : members) {
    Replacement replacement(access, flags.options(), member);
    QUORATE_RETURN_IF_ERROR(replacement.Prepare(state));
    replacement.SayPlan();
  }
  if (flags.dry_run) {
    Say("Nothing was done (--dry-run).");
    return absl::OkStatus();
  }
  QUORATE_RETURN_IF_ERROR(Confirm("Go on?", flags.yes));
  for (const std::string& member : members) {
    QUORATE_ASSIGN_OR_RETURN(state, access->Read());
    Replacement replacement(access, flags.options(), member);
    QUORATE_RETURN_IF_ERROR(replacement.Prepare(state));
    QUORATE_RETURN_IF_ERROR(replacement.Run());
  }
  return absl::OkStatus();
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
  CLI::App* const command =
      tree->Add(cluster, "heal", "Replaces every member that is quarantined or corrupt, one at a time", "",
                [session, flags](const Arguments&) {
                  return WithAccess(session, [&](ClusterAccess* access) { return Heal(access, *flags); });
                });
  AddReplacementFlags(command, flags.get());
}

}  // namespace quorate::cmd
