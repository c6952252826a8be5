// alarm, compaction, defrag, move-leader, downgrade.
#include <cstdio>
#include <memory>

#include "cmd/cli/go_syntax.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/hex_id.h"
#include "cmd/session/error_text.h"

namespace quorate::cmd {
namespace {

// alarm

std::string AlarmLines(const client::AlarmResponse& response) {
  std::string text;
  for (const auto& alarm : response.alarms()) {
    if (alarm.memberid() != 0) text += "memberID:" + std::to_string(alarm.memberid()) + " ";
    if (alarm.alarm() != etcdserverpb::NONE) {
      text += "alarm:" + etcdserverpb::AlarmType_Name(alarm.alarm()) + " ";
    }
    text += "\n";
  }
  return text;
}

std::string AlarmFields(const client::AlarmResponse& response, bool hex) {
  std::string text = HeaderFields(response.header(), hex);
  for (const auto& alarm : response.alarms()) {
    text += IdField("MemberID", alarm.memberid(), hex) +
            FieldLine("AlarmType", etcdserverpb::AlarmType_Name(alarm.alarm())) + "\n";
  }
  return text;
}

int ShowAlarms(CtlSession* session, const StatusOr<client::AlarmResponse>& response) {
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return AlarmLines(*response); },
                        .fields = [&] { return AlarmFields(*response, session->hex()); },
                        .message = &*response});
}

int ListAlarms(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) {
    return Fail(ExitCode::kBadArguments, "alarm list command accepts no arguments");
  }
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  return ShowAlarms(session, client->maintenance().ListAlarms(session->Call()));
}

int DisarmAlarms(CtlSession* session, const Arguments& arguments) {
  if (!arguments.values.empty()) {
    return Fail(ExitCode::kBadArguments, "alarm disarm command accepts no arguments");
  }
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  auto response = client->maintenance().Disarm(0, etcdserverpb::NONE, session->Call());
  // Each alarm is disarmed by a request of its own, so that etcd's client shows no header.
  if (response.ok()) response->clear_header();
  return ShowAlarms(session, response);
}

// compaction

int Compact(CtlSession* session, bool physical, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "compaction command needs 1 argument");
  }
  const auto revision = ParseGoDecimal(arguments.values[0]);
  if (!revision.ok()) return Fail(revision.status());
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->kv().Compact(*revision, physical, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  Print("compacted revision " + std::to_string(*revision) + "\n");
  return 0;
}

// move-leader

int MoveLeader(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "move-leader command needs 1 argument");
  }
  const auto target = ParseHex(arguments.values[0]);
  if (!target.ok()) return Fail(ExitCode::kBadArguments, Message(target.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  Status failed;
  std::string endpoints;
  for (const std::string& endpoint : client->endpoints()) {
    endpoints += (endpoints.empty() ? "" : " ") + endpoint;
    const auto status = client->maintenance().Status(session->CallAt(endpoint));
    if (!status.ok()) failed = status.status();
    if (!status.ok() || status->leader() != status->header().member_id()) continue;
    const auto moved = client->maintenance().MoveLeader(*target, session->CallAt(endpoint));
    if (!moved.ok()) return session->Fail(moved.status());
    return session->Show({.simple =
                              [&] {
                                return "Leadership transferred from " + HexId(status->leader()) + " to " +
                                       HexId(*target) + "\n";
                              },
                          .message = &*moved});
  }
  if (!failed.ok()) return session->Fail(failed);
  return Fail(ExitCode::kBadArguments, "no leader endpoint given at [" + endpoints + "]");
}

// downgrade

using Action = client::DowngradeRequest::DowngradeAction;

int AskDowngrade(CtlSession* session, Action action, const char* name, const std::string& version) {
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->maintenance().Downgrade(action, version, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple =
                            [&] {
                              return "Downgrade " + std::string(name) + " success, cluster version " +
                                     response->version() + "\n";
                            },
                        .message = &*response});
}

int Downgrade(CtlSession* session, Action action, const char* name, const Arguments& arguments) {
  if (arguments.values.empty()) return Fail(ExitCode::kBadArguments, "TARGET_VERSION not provided");
  if (arguments.values.size() > 1) return Fail(ExitCode::kBadArguments, "too many arguments");
  if (arguments.values[0].empty()) return Fail(ExitCode::kBadArguments, "target version not provided");
  return AskDowngrade(session, action, name, arguments.values[0]);
}

}  // namespace

void AddAlarmCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* alarm = tree->Add(tree->root(), "alarm", "Alarm related commands", "", {});
  tree->Add(alarm, "disarm", "Disarms all alarms", "",
            [=](const Arguments& arguments) { return DisarmAlarms(session, arguments); });
  tree->Add(alarm, "list", "Lists all alarms", "",
            [=](const Arguments& arguments) { return ListAlarms(session, arguments); });
}

void AddCompactionCommand(CommandTree* tree, CtlSession* session) {
  const auto physical = std::make_shared<bool>(false);
  CLI::App* command =
      tree->Add(tree->root(), "compaction", "Compacts the event history in etcd", "[options] <revision>",
                [=](const Arguments& arguments) { return Compact(session, *physical, arguments); });
  command->add_flag("--physical", *physical,
                    "'true' to wait for compaction to physically remove all old revisions");
}

void AddMoveLeaderCommand(CommandTree* tree, CtlSession* session) {
  tree->Add(tree->root(), "move-leader", "Transfers leadership to another etcd cluster member.",
            "<transferee-member-id>",
            [=](const Arguments& arguments) { return MoveLeader(session, arguments); });
}

void AddDowngradeCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* downgrade = tree->Add(tree->root(), "downgrade", "Downgrade related commands", "", {});
  tree->Add(downgrade, "validate", "Validate downgrade capability before starting downgrade",
            "<TARGET_VERSION>", [=](const Arguments& arguments) {
              return Downgrade(session, client::DowngradeRequest::VALIDATE, "validate", arguments);
            });
  tree->Add(downgrade, "enable", "Start a downgrade action to cluster", "<TARGET_VERSION>",
            [=](const Arguments& arguments) {
              return Downgrade(session, client::DowngradeRequest::ENABLE, "enable", arguments);
            });
  tree->Add(downgrade, "cancel", "Cancel the ongoing downgrade action to cluster", "", [=](const Arguments&) {
    return AskDowngrade(session, client::DowngradeRequest::CANCEL, "cancel", "");
  });
}

}  // namespace quorate::cmd
