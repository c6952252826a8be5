#include "cmd/procedures/state_reader.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>
#include <variant>

namespace quorate::cmd {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kQuarantined = "is quarantined, its log went back in time";

Json ParseJson(const std::string& text) { return Json::parse(text, nullptr, false); }

std::string TextOf(const Json& object, const char* name) {
  if (!object.is_object()) return "";
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

// {"health":"true"}, {"health":true} of older and {"health":"false","reason":"..."} of newer servers.
struct Health {
  bool known = false;
  bool good = false;
  std::string reason;
};

Health ReadHealth(const HttpReply& reply) {
  const Json json = ParseJson(reply.body);
  if (!json.is_object() || !json.contains("health")) return {};
  const Json& value = json["health"];
  Health health;
  health.known = true;
  health.good = value.is_boolean() ? value.get<bool>() : value == Json("true");
  health.reason = TextOf(json, "reason");
  return health;
}

// The server's Date is whole seconds, and was made between `before` and `after`.
int64_t ClockAhead(int64_t date, int64_t before, int64_t after) {
  if (date > after) return date - after;
  if (date + 1 < before) return date + 1 - before;
  return 0;
}

// The value of an unlabelled metric, as Prometheus' text form has it.
std::optional<double> MetricOf(const std::string& page, const std::string& name) {
  const std::string mark = "\n" + name + " ";
  const size_t at = page.find(mark);
  if (at == std::string::npos) return std::nullopt;
  return std::strtod(page.c_str() + at + mark.size(), nullptr);
}

std::vector<std::string> Texts(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

std::string_view AlarmName(etcdserverpb::AlarmType type) {
  switch (type) {
    case etcdserverpb::NOSPACE:
      return "NOSPACE";
    case etcdserverpb::CORRUPT:
      return "CORRUPT";
    default:
      return "UNKNOWN";
  }
}

// The error without what the client library puts around it.
std::string Why(const Status& status) { return std::string(Message(status)); }

}  // namespace

client::CallOptions StateReader::Call(const std::string& endpoint) const {
  client::CallOptions call;
  call.timeout = options_.timeout;
  call.fail_fast = true;
  call.endpoint = endpoint;
  return call;
}

StatusOr<ClusterState> StateReader::ListMembers() {
  client::CallOptions call = Call("");
  auto listed = client_.cluster().List(true, call);
  // Without a majority any member's own list is what there is.
  if (!listed.ok()) listed = client_.cluster().List(false, call);
  if (!listed.ok()) return listed.status();
  ClusterState state;
  state.id = listed->header().cluster_id();
  for (const auto& one : listed->members()) {
    MemberState member;
    member.id = one.id();
    member.name = one.name();
    member.peer_urls = Texts(one.peerurls());
    member.client_urls = Texts(one.clienturls());
    member.learner = one.islearner();
    state.members.push_back(std::move(member));
  }
  std::sort(state.members.begin(), state.members.end(), [](const MemberState& a, const MemberState& b) {
    return std::tie(a.name, a.id) < std::tie(b.name, b.id);
  });
  return state;
}

StatusOr<ClusterState> StateReader::Read() {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, ListMembers());
  std::vector<std::thread> threads;
  threads.reserve(state.members.size());
  for (MemberState& member : state.members) threads.emplace_back([this, &member] { AskMember(&member); });
  for (std::thread& thread : threads) thread.join();
  if (const auto alarms = client_.maintenance().ListAlarms(Call("")); alarms.ok()) {
    for (const auto& alarm : alarms->alarms()) {
      state.alarms.push_back({alarm.memberid(), std::string(AlarmName(alarm.alarm()))});
    }
  }
  if (const auto version = client_.cluster().Version(Call("")); version.ok())
    state.version = version->cluster_version();
  return state;
}

void StateReader::AskMember(MemberState* member) {
  if (!member->started()) return;
  if (member->client_urls.empty()) {
    member->trouble = "it publishes no client URL";
    return;
  }
  AskStatus(member->client_urls.front(), member);
  AskOverHttp(member->client_urls.front(), member);
}

void StateReader::AskStatus(const std::string& endpoint, MemberState* member) {
  const auto status = client_.maintenance().Status(Call(endpoint));
  if (!status.ok()) {
    member->trouble = Why(status.status());
    member->quarantined = member->trouble.find(kQuarantined) != std::string::npos;
    member->reachable = member->quarantined || !absl::IsUnavailable(status.status());
    return;
  }
  member->reachable = true;
  member->serving = true;
  member->version = status->version();
  member->leader = status->leader();
  member->term = status->raftterm();
  member->last_index = status->raftindex();
  member->applied_index = status->raftappliedindex();
  member->revision = status->header().revision();
  member->db_bytes = status->dbsize();
  member->db_bytes_in_use = status->dbsizeinuse();
  member->quota_bytes = status->dbsizequota();
  member->learner = status->islearner();
  member->errors = Texts(status->errors());
}

void StateReader::AskOverHttp(const std::string& url, MemberState* member) {
  if (!url.starts_with("http")) return;
  HttpClient http(options_.http);
  HttpLimits limits;
  limits.connect = options_.timeout;
  limits.answer = options_.timeout;
  const int64_t before = std::time(nullptr);
  const auto outcome = http.Do({"GET", url + "/health", std::nullopt, std::nullopt}, limits);
  const int64_t after = std::time(nullptr);
  const auto* const reply = std::get_if<HttpReply>(&outcome);
  if (reply == nullptr) {
    if (!member->reachable) member->trouble = std::get<HttpFailure>(outcome).text;
    return;
  }
  if (reply->date_seconds) member->clock_ahead = ClockAhead(*reply->date_seconds, before, after);
  if (reply->certificate) member->certificate_end = reply->certificate->end_seconds;
  // Plain HTTP may be served elsewhere (--listen-client-http-urls): no answer about health says nothing.
  const Health health = ReadHealth(*reply);
  if (health.known && !health.good) {
    member->reachable = true;
    member->quarantined = member->quarantined || health.reason.find(kQuarantined) != std::string::npos;
    // A learner answers no linearizable read, and is as it should be.
    if (!member->learner) {
      member->serving = false;
      if (!health.reason.empty() || member->trouble.empty()) {
        member->trouble = health.reason.empty() ? "/health says false" : health.reason;
      }
    }
  }
  if (!options_.with_metrics) return;
  const auto page = http.Do({"GET", url + "/metrics", std::nullopt, std::nullopt}, limits);
  const auto* const metrics = std::get_if<HttpReply>(&page);
  if (metrics == nullptr || metrics->status != 200) return;
  member->started_at = MetricOf(metrics->body, "process_start_time_seconds");
  member->program = metrics->body.find("\ngo_info") == std::string::npos ? "quorate" : "etcd";
}

}  // namespace quorate::cmd
