// lease grant, keep-alive, list, revoke, timetolive.
#include <cstdio>
#include <memory>

#include "cmd/cli/go_syntax.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/hex_id.h"
#include "cmd/session/error_text.h"
#include "cmd/session/message_json.h"

namespace quorate::cmd {
namespace {

std::string LeaseText(int64_t id) { return "lease " + HexId16(static_cast<uint64_t>(id)); }

// "failed to grant lease (WHY)", with the advice that belongs to the error.
Status Wrapped(const char* what, const Status& status) {
  return MakeStatus(status.code(), std::string(what) + " (" + EtcdText(status) + ")");
}

int Grant(CtlSession* session, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "lease grant command needs TTL argument");
  }
  const auto ttl = ParseGoDecimal(arguments.values[0]);
  if (!ttl.ok()) {
    return Fail(ExitCode::kBadArguments, "bad TTL (" + std::string(Message(ttl.status())) + ")");
  }
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto lease = client->leases().Grant(std::chrono::seconds(*ttl), 0, session->Call());
  if (!lease.ok()) return session->Fail(Wrapped("failed to grant lease", lease.status()));
  return session->Show(
      {.simple =
           [&] {
             return LeaseText(lease->id()) + " granted with TTL(" + std::to_string(lease->ttl()) + "s)\n";
           },
       .fields =
           [&] {
             return HeaderFields(lease->header(), session->hex()) +
                    LeaseField("ID", lease->id(), session->hex()) + FieldLine("TTL", lease->ttl());
           },
       .json =
           [&] {
             return JsonObject()
                 .AddFields(lease->header())
                 .AddNumber("ID", lease->id())
                 .AddNumber("TTL", lease->ttl())
                 .AddString("Error", lease->error())
                 .Text();
           },
       .message = &*lease});
}

// The lease that a command is about; nothing after an error.
std::optional<int64_t> OneLease(const Arguments& arguments, const char* usage) {
  if (arguments.values.size() != 1) {
    Fail(ExitCode::kBadArguments, usage);
    return std::nullopt;
  }
  const auto id = ParseLeaseArgument(arguments.values[0]);
  if (id.ok()) return *id;
  Fail(ExitCode::kBadArguments, Message(id.status()));
  return std::nullopt;
}

int Revoke(CtlSession* session, const Arguments& arguments) {
  const auto id = OneLease(arguments, "lease revoke command needs 1 argument");
  if (!id) return static_cast<int>(ExitCode::kBadArguments);
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto revoked = client->leases().Revoke(*id, session->Call());
  if (!revoked.ok()) return session->Fail(Wrapped("failed to revoke lease", revoked.status()));
  return session->Show({.simple = [&] { return LeaseText(*id) + " revoked\n"; },
                        .fields = [&] { return HeaderFields(revoked->header(), session->hex()); },
                        .message = &*revoked});
}

std::string TimeToLiveLines(const client::LeaseTimeToLiveResponse& lease, bool keys) {
  if (lease.grantedttl() == 0 && lease.ttl() == -1) return LeaseText(lease.id()) + " already expired\n";
  std::string text = LeaseText(lease.id()) + " granted with TTL(" + std::to_string(lease.grantedttl()) +
                     "s), remaining(" + std::to_string(lease.ttl()) + "s)";
  if (!keys) return text + "\n";
  std::string names;
  for (const std::string& key : lease.keys()) names += (names.empty() ? "" : " ") + key;
  return text + ", attached keys([" + names + "])\n";
}

std::string TimeToLiveFields(const client::LeaseTimeToLiveResponse& lease, bool hex) {
  std::string text = HeaderFields(lease.header(), hex) + LeaseField("ID", lease.id(), hex) +
                     FieldLine("TTL", lease.ttl()) + FieldLine("GrantedTTL", lease.grantedttl());
  for (const std::string& key : lease.keys()) text += FieldLine("Key", key, true);
  return text;
}

std::string TimeToLiveJson(const client::LeaseTimeToLiveResponse& lease) {
  std::string keys;
  for (const std::string& key : lease.keys()) keys += (keys.empty() ? "" : ",") + JsonBytes(key);
  return JsonObject()
      .AddFields(lease.header())
      .AddNumber("id", lease.id())
      .AddNumber("ttl", lease.ttl())
      .AddNumber("granted-ttl", lease.grantedttl())
      .Add("keys", keys.empty() ? "null" : "[" + keys + "]")
      .Text();
}

int TimeToLive(CtlSession* session, bool keys, const Arguments& arguments) {
  const auto id = OneLease(arguments, "lease timetolive command needs lease ID as argument");
  if (!id) return static_cast<int>(ExitCode::kBadArguments);
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto lease = client->leases().TimeToLive(*id, keys, session->Call());
  if (!lease.ok()) return session->Fail(lease.status(), ExitCode::kBadConnection);
  return session->Show({.simple = [&] { return TimeToLiveLines(*lease, keys); },
                        .fields = [&] { return TimeToLiveFields(*lease, session->hex()); },
                        .json = [&] { return TimeToLiveJson(*lease); },
                        .message = &*lease});
}

int List(CtlSession* session) {
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto leases = client->leases().List(session->Call());
  if (!leases.ok()) return session->Fail(leases.status(), ExitCode::kBadConnection);
  const auto lines = [&] {
    std::string text = "found " + std::to_string(leases->leases_size()) + " leases\n";
    for (const auto& lease : leases->leases()) text += HexId16(static_cast<uint64_t>(lease.id())) + "\n";
    return text;
  };
  const auto fields = [&] {
    std::string text = HeaderFields(leases->header(), session->hex());
    for (const auto& lease : leases->leases()) text += LeaseField("ID", lease.id(), session->hex());
    return text;
  };
  const auto json = [&] {
    std::string ids;
    for (const auto& lease : leases->leases()) {
      ids += (ids.empty() ? "" : ",") + JsonObject().AddNumber("id", lease.id()).Text();
    }
    return JsonObject().AddFields(leases->header()).Add("leases", "[" + ids + "]").Text();
  };
  return session->Show({.simple = lines, .fields = fields, .json = json, .message = &*leases});
}

int ShowRenewal(CtlSession* session, const client::LeaseKeepAliveResponse& lease) {
  const int shown = session->Show(
      {.simple =
           [&] {
             return LeaseText(lease.id()) + " keepalived with TTL(" + std::to_string(lease.ttl()) + ")\n";
           },
       .fields =
           [&] {
             return HeaderFields(lease.header(), session->hex()) +
                    LeaseField("ID", lease.id(), session->hex()) + FieldLine("TTL", lease.ttl());
           },
       .json =
           [&] {
             return JsonObject()
                 .AddFields(lease.header())
                 .AddNumber("ID", lease.id())
                 .AddNumber("TTL", lease.ttl())
                 .Text();
           },
       .message = &lease});
  std::fflush(stdout);
  return shown;
}

int KeepAlive(CtlSession* session, bool once, const Arguments& arguments) {
  const auto id = OneLease(arguments, "lease keep-alive command needs lease ID as argument");
  if (!id) return static_cast<int>(ExitCode::kBadArguments);
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  if (once) {
    const auto renewed = client->leases().KeepAliveOnce(*id, session->Call());
    if (!renewed.ok()) return session->Fail(renewed.status(), ExitCode::kBadConnection);
    return ShowRenewal(session, *renewed);
  }
  const auto keeper = client->leases().KeepAlive(
      *id, [session](const client::LeaseKeepAliveResponse& renewed) { ShowRenewal(session, renewed); });
  const Status ended = keeper->Wait();
  if (!client::IsLeaseNotFound(ended)) std::fprintf(stderr, "%s\n", std::string(Message(ended)).c_str());
  if (session->format() == OutputFormat::kSimple) Print(LeaseText(*id) + " expired or revoked.\n");
  return 0;
}

}  // namespace

void AddLeaseCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* lease = tree->Add(tree->root(), "lease", "Lease related commands", "", {});
  const auto keys = std::make_shared<bool>(false);
  const auto once = std::make_shared<bool>(false);
  tree->Add(lease, "grant", "Creates leases", "<ttl>",
            [=](const Arguments& arguments) { return Grant(session, arguments); });
  tree->Add(lease, "revoke", "Revokes leases", "<leaseID>",
            [=](const Arguments& arguments) { return Revoke(session, arguments); });
  CLI::App* time_to_live =
      tree->Add(lease, "timetolive", "Get lease information", "<leaseID> [options]",
                [=](const Arguments& arguments) { return TimeToLive(session, *keys, arguments); });
  time_to_live->add_flag("--keys", *keys, "Get keys attached to this lease");
  tree->Add(lease, "list", "List all active leases", "", [=](const Arguments&) { return List(session); });
  CLI::App* keep_alive =
      tree->Add(lease, "keep-alive", "Keeps leases alive (renew)", "[options] <leaseID>",
                [=](const Arguments& arguments) { return KeepAlive(session, *once, arguments); });
  keep_alive->add_flag("--once", *once,
                       "Resets the keep-alive time to its original value and exits immediately");
}

}  // namespace quorate::cmd
