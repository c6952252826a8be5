#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/commands.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

// Members that have entries of the old kind behind their newest snapshot make one first.
constexpr auto kRaiseMax = std::chrono::minutes(2);

struct RaiseFlags {
  bool yes = false;
  bool dry_run = false;
};

std::vector<std::vector<std::string>> Rows(const quorate::VersionResponse& version) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& member : version.members()) {
    // A member that is no Quorate says by its own version what it supports.
    std::string supports = member.newest_cluster_version();
    if (supports.empty() && member.reachable()) supports = "(no Quorate)";
    rows.push_back({HexId(member.id()), member.name(), member.reachable() ? "true" : "false",
                    member.server_version(), supports, member.v2_entries_covered() ? "true" : "false"});
  }
  return rows;
}

std::string Lines(const quorate::VersionResponse& version) {
  std::string out =
      "cluster version: " + (version.cluster_version().empty() ? "not decided" : version.cluster_version()) +
      "\n";
  out += "newest supported: " + version.newest_cluster_version() + "\n";
  if (!version.downgrade_target().empty())
    out += "downgrade under way to: " + version.downgrade_target() + "\n";
  for (const auto& member : version.members()) {
    out += "member " + HexId(member.id()) + " " + member.name() + ": ";
    if (!member.reachable()) {
      out += "not reachable\n";
      continue;
    }
    out += "reports " + member.server_version();
    out += member.newest_cluster_version().empty() ? ", no Quorate"
                                                   : ", supports up to " + member.newest_cluster_version();
    out += "\n";
  }
  return out;
}

int ShowVersion(CtlSession* session) {
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto version = client->cluster().Version(session->Call());
  if (!version.ok()) return session->Fail(version.status());
  return session->Show({.simple = [&] { return Lines(*version); },
                        .table =
                            [&] {
                              return Table{
                                  {"ID", "NAME", "REACHABLE", "SERVER VERSION", "SUPPORTS", "READY TO RAISE"},
                                  Rows(*version)};
                            },
                        .message = &*version});
}

// What the operator should know before he says yes. `from` and `to` are "3.4" and "3.5".
std::vector<std::string> Meaning(const std::string& from, const std::string& to) {
  std::vector<std::string> lines = {
      "This raises the cluster's version from " + from + " to " + to + ".",
      "- Members of etcd " + from + " can no longer join, nor be started on these members' directories.",
      "- Clients see the version " + to + " and may use what is new in it."};
  // Only from 3.6 on can etcd go down again, and to 3.5 at the lowest.
  if (from == "3.4") {
    lines.push_back("- There is no way back to " + from +
                    " but to restore a snapshot taken before: take one now (snapshot save FILE).");
  } else {
    lines.push_back("- The way back is a downgrade: 'downgrade enable " + from + "'.");
  }
  return lines;
}

int Raise(CtlSession* session, const RaiseFlags& flags, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments,
                "cluster version raise needs the version, one minor up: cluster version raise X.Y");
  }
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const std::string& target = arguments.values[0];
  client::CallOptions call = session->Call();
  const auto possible = client->cluster().RaiseVersion(target, true, call);
  if (!possible.ok()) return session->Fail(possible.status());
  for (const std::string& line : Meaning(possible->cluster_version(), target)) Say(line);
  if (flags.dry_run) {
    Say("It could be done now. Nothing was done (--dry-run).");
    return 0;
  }
  if (const Status confirmed = Confirm("Raise it?", flags.yes); !confirmed.ok()) return Fail(confirmed);
  call.timeout = kRaiseMax;
  const auto raised = client->cluster().RaiseVersion(target, false, call);
  if (!raised.ok()) return session->Fail(raised.status());
  Say("The cluster's version is " + raised->cluster_version() + ".");
  return 0;
}

}  // namespace

void AddVersionCommands(CommandTree* tree, CLI::App* cluster, CtlSession* session) {
  CLI::App* const version =
      tree->Add(cluster, "version", "Shows the cluster's version, and what each member supports", "",
                [session](const Arguments&) { return ShowVersion(session); });
  auto flags = std::make_shared<RaiseFlags>();
  CLI::App* const raise =
      tree->Add(version, "raise", "Raises the cluster's version by one minor", "<X.Y>",
                [session, flags](const Arguments& arguments) { return Raise(session, *flags, arguments); });
  raise->add_flag("--yes", flags->yes, "do not ask");
  raise->add_flag("--dry-run", flags->dry_run, "only say whether it could be done, and what it means");
}

}  // namespace quorate::cmd
