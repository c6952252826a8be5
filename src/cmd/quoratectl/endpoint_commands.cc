// endpoint health, status, hashkv.
#include <cstdio>
#include <future>
#include <memory>

#include "base/env_posix.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/human_bytes.h"
#include "cmd/quoratectl/commands.h"
#include "cmd/session/error_text.h"
#include "cmd/session/message_json.h"

namespace quorate::cmd {
namespace {

using google::protobuf::RepeatedPtrField;

std::string JoinedWith(const RepeatedPtrField<std::string>& texts, std::string_view between) {
  std::string joined;
  for (const std::string& text : texts) {
    if (!joined.empty()) joined += between;
    joined += text;
  }
  return joined;
}

std::string YesNo(bool value) { return value ? "true" : "false"; }

// health

struct Health {
  std::string endpoint;
  std::string took;   // Empty: it did not come so far.
  std::string error;  // Empty: healthy.
  std::string advice;
};

void SetError(const Status& status, Health* health) {
  health->error = EtcdText(status);
  health->advice = AdviceFor(status);
}

// An alarm makes a member unhealthy: it serves no writes then, or is damaged.
std::string AlarmError(const StatusOr<client::AlarmResponse>& alarms) {
  if (!alarms.ok()) return "Unable to fetch the alarm list";
  if (alarms->alarms().empty()) return "";
  std::string text = "Active Alarm(s): ";
  for (const auto& alarm : alarms->alarms()) {
    text += alarm.alarm() == etcdserverpb::NOSPACE   ? "NOSPACE "
            : alarm.alarm() == etcdserverpb::CORRUPT ? "CORRUPT "
                                                     : "UNKNOWN ";
  }
  return text;
}

Health AskHealth(CtlSession* session, const std::string& endpoint) {
  Health health{endpoint, "", "", ""};
  const auto client = session->ConnectTo({endpoint});
  if (!client.ok()) {
    SetError(client.status(), &health);
    return health;
  }
  const SystemClock clock;
  const int64_t start = clock.MonotonicNanos();
  // A linearizable read goes through consensus, whether the key exists or not, and whether it may be read.
  const auto read = (*client)->kv().Get("health", {}, session->Call());
  health.took = GoDuration(clock.MonotonicNanos() - start);
  if (!read.ok() && !absl::IsPermissionDenied(read.status())) {
    SetError(read.status(), &health);
    return health;
  }
  health.error = AlarmError((*client)->maintenance().ListAlarms(session->Call()));
  if (!health.error.empty()) health.advice = "see `alarm list`";
  return health;
}

// To stderr, healthy or not, as etcd's client of 3.4 has it.
std::string TellHealth(const std::vector<Health>& all) {
  for (const Health& one : all) {
    if (one.error.empty()) {
      std::fprintf(stderr, "%s is healthy: successfully committed proposal: took = %s\n",
                   one.endpoint.c_str(), one.took.c_str());
      continue;
    }
    std::fprintf(stderr, "%s is unhealthy: failed to commit proposal: %s\n", one.endpoint.c_str(),
                 one.error.c_str());
  }
  return "";
}

std::string HealthFields(const std::vector<Health>& all) {
  std::string text;
  for (const Health& one : all) {
    text += FieldLine("Endpoint", one.endpoint, true) + BoolField("Health", one.error.empty()) +
            FieldLine("Took", std::string_view(one.took)) + FieldLine("Error", std::string_view(one.error)) +
            "\n";
  }
  return text;
}

Table HealthTable(const std::vector<Health>& all) {
  Table table{{"endpoint", "health", "took", "error"}, {}};
  for (const Health& one : all) {
    table.rows.push_back({one.endpoint, YesNo(one.error.empty()), one.took, one.error});
  }
  return table;
}

std::string HealthJson(const std::vector<Health>& all) {
  std::string text;
  for (const Health& one : all) {
    JsonObject json;
    json.AddString("endpoint", one.endpoint).AddBool("health", one.error.empty()).AddString("took", one.took);
    if (!one.error.empty()) json.AddString("error", one.error);
    text += (text.empty() ? "" : ",") + json.Text();
  }
  return "[" + text + "]";
}

int ShowHealth(CtlSession* session, bool cluster) {
  const auto endpoints = session->EndpointsOf(cluster);
  if (!endpoints) return session->exit_code();
  std::vector<std::future<Health>> asked;
  for (const std::string& endpoint : *endpoints) {
    asked.push_back(std::async(std::launch::async, AskHealth, session, endpoint));
  }
  std::vector<Health> all;
  bool healthy = true;
  for (auto& one : asked) {
    all.push_back(one.get());
    healthy = healthy && all.back().error.empty();
  }
  const int shown = session->Show({.simple = [&] { return TellHealth(all); },
                                   .fields = [&] { return HealthFields(all); },
                                   .table = [&] { return HealthTable(all); },
                                   .json = [&] { return HealthJson(all); }});
  if (shown != 0 || healthy) return shown;
  const int code = Fail(ExitCode::kError, "unhealthy cluster");
  for (const Health& one : all) {
    if (!one.advice.empty()) std::fprintf(stderr, "%s: %s\n", one.endpoint.c_str(), one.advice.c_str());
  }
  return code;
}

// status and hashkv

template <typename Response>
struct FromEndpoint {
  std::string endpoint;
  Response response;
};
using Statuses = std::vector<FromEndpoint<client::StatusResponse>>;
using Hashes = std::vector<FromEndpoint<client::HashKVResponse>>;

// The answers of those that answer; the others are told on stderr. `failed` is set to the last failure.
template <typename Response, typename Ask>
std::vector<FromEndpoint<Response>> AskEach(const std::vector<std::string>& endpoints, const char* what,
                                            const Ask& ask, Status* failed) {
  std::vector<FromEndpoint<Response>> answers;
  for (const std::string& endpoint : endpoints) {
    StatusOr<Response> response = ask(endpoint);
    if (response.ok()) {
      answers.push_back({endpoint, *std::move(response)});
      continue;
    }
    *failed = response.status();
    CtlSession::TellFailure("Failed to get the " + std::string(what) + " of endpoint " + endpoint, *failed);
  }
  return answers;
}

template <typename Response>
std::string EachJson(const std::vector<FromEndpoint<Response>>& answers, std::string_view name) {
  std::string text;
  for (const auto& answer : answers) {
    JsonObject json;
    json.AddString("Endpoint", answer.endpoint).Add(name, MessageJson(answer.response));
    text += (text.empty() ? "" : ",") + json.Text();
  }
  return "[" + text + "]";
}

Table StatusTable(const Statuses& statuses) {
  Table table{{"endpoint", "ID", "version", "db size", "is leader", "is learner", "raft term", "raft index",
               "raft applied index", "errors"},
              {}};
  for (const auto& [endpoint, status] : statuses) {
    table.rows.push_back({endpoint, HexId(status.header().member_id()), status.version(),
                          HumanBytes(static_cast<uint64_t>(status.dbsize())),
                          YesNo(status.leader() == status.header().member_id()), YesNo(status.islearner()),
                          std::to_string(status.raftterm()), std::to_string(status.raftindex()),
                          std::to_string(status.raftappliedindex()), JoinedWith(status.errors(), ", ")});
  }
  return table;
}

std::string StatusFields(const Statuses& statuses, bool hex) {
  std::string text;
  for (const auto& [endpoint, status] : statuses) {
    text += HeaderFields(status.header(), hex) + FieldLine("Version", status.version(), true) +
            FieldLine("DBSize", status.dbsize()) + IdField("Leader", status.leader(), hex) +
            BoolField("IsLearner", status.islearner()) + FieldLine("RaftIndex", status.raftindex()) +
            FieldLine("RaftTerm", status.raftterm()) +
            FieldLine("RaftAppliedIndex", status.raftappliedindex()) +
            FieldLine("Errors", std::string_view("[" + JoinedWith(status.errors(), " ") + "]")) +
            FieldLine("Endpoint", endpoint, true) + "\n";
  }
  return text;
}

int ShowStatus(CtlSession* session, bool cluster) {
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto endpoints = session->EndpointsOf(cluster);
  if (!endpoints) return session->exit_code();
  Status failed;
  const Statuses statuses = AskEach<client::StatusResponse>(
      *endpoints, "status",
      [&](const std::string& endpoint) { return client->maintenance().Status(session->CallAt(endpoint)); },
      &failed);
  const int shown = session->Show({.simple = [&] { return CommaLines(StatusTable(statuses)); },
                                   .fields = [&] { return StatusFields(statuses, session->hex()); },
                                   .table = [&] { return StatusTable(statuses); },
                                   .json = [&] { return EachJson(statuses, "Status"); }});
  return shown != 0 || failed.ok() ? shown : static_cast<int>(ExitCode::kError);
}

Table HashTable(const Hashes& hashes) {
  Table table{{"endpoint", "hash"}, {}};
  for (const auto& [endpoint, hash] : hashes) table.rows.push_back({endpoint, std::to_string(hash.hash())});
  return table;
}

std::string HashFields(const Hashes& hashes, bool hex) {
  std::string text;
  for (const auto& [endpoint, hash] : hashes) {
    text += HeaderFields(hash.header(), hex) + FieldLine("Endpoint", endpoint, true) +
            FieldLine("Hash", uint64_t{hash.hash()}) + "\n";
  }
  return text;
}

int ShowHashes(CtlSession* session, bool cluster, int64_t revision) {
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto endpoints = session->EndpointsOf(cluster);
  if (!endpoints) return session->exit_code();
  Status failed;
  const Hashes hashes = AskEach<client::HashKVResponse>(
      *endpoints, "hash",
      [&](const std::string& endpoint) {
        return client->maintenance().HashKv(revision, session->CallAt(endpoint));
      },
      &failed);
  const int shown = session->Show({.simple = [&] { return CommaLines(HashTable(hashes)); },
                                   .fields = [&] { return HashFields(hashes, session->hex()); },
                                   .table = [&] { return HashTable(hashes); },
                                   .json = [&] { return EachJson(hashes, "HashKV"); }});
  return shown != 0 || failed.ok() ? shown : Fail(ExitCode::kError, EtcdText(failed));
}

}  // namespace

void AddEndpointCommands(CommandTree* tree, CtlSession* session) {
  CLI::App* endpoint = tree->Add(tree->root(), "endpoint", "Endpoint related commands", "", {});
  const auto cluster = std::make_shared<bool>(false);
  const auto revision = std::make_shared<int64_t>(0);
  session->ReadFromEnvironment(
      endpoint->add_flag("--cluster", *cluster, "use all endpoints from the cluster member list"));
  tree->Add(endpoint, "health", "Checks the healthiness of endpoints specified in `--endpoints` flag", "",
            [=](const Arguments&) { return ShowHealth(session, *cluster); });
  CLI::App* status =
      tree->Add(endpoint, "status", "Prints out the status of endpoints specified in `--endpoints` flag", "",
                [=](const Arguments&) { return ShowStatus(session, *cluster); });
  status->footer(
      "DESCRIPTION:\n\tWhen --write-out is set to simple, this command prints out comma-separated status "
      "lists "
      "for each endpoint.\n\tThe items in the lists are endpoint, ID, version, db size, is leader, is "
      "learner, raft term, raft index, raft applied index, errors.");
  CLI::App* hashkv =
      tree->Add(endpoint, "hashkv", "Prints the KV history hash for each endpoint in --endpoints", "",
                [=](const Arguments&) { return ShowHashes(session, *cluster, *revision); });
  hashkv->add_option("--rev", *revision, "maximum revision to hash (default: all revisions)");
}

}  // namespace quorate::cmd
