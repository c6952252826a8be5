#include "cmd/procedures/state_reader.h"

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <tuple>
#include <variant>

#include "cmd/procedures/clock_ahead.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kRefused = "Connection refused";
// What `etcdctl endpoint health` reads: the key need not be there.
constexpr char kHealthKey[] = "health";

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

std::string Why(const Status& status) { return std::string(Message(status)); }

// A quarantined member refuses every request, and says its ID in doing so.
bool SaysQuarantined(const std::string& text, uint64_t member) {
  return text.find("member " + HexId(member) + " is quarantined, its log went back in time") !=
         std::string::npos;
}

// The server has decided on the read, so it could have answered it: this user may not have it.
bool IsDenial(const Status& status) {
  return absl::IsPermissionDenied(status) || Message(status).find("permission denied") != std::string::npos;
}

// Users are in the way of knowing anything.
bool IsAboutUsers(const Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status) ||
         Message(status).find("user name is empty") != std::string_view::npos;
}

void Append(const std::string& text, std::string* to) { *to += (to->empty() ? "" : "; ") + text; }

void AddNew(const std::vector<std::string>& more, std::vector<std::string>* to) {
  for (const std::string& one : more) {
    if (std::find(to->begin(), to->end(), one) == to->end()) to->push_back(one);
  }
}

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

StatusOr<ClusterState> StateReader::ListAnywhere() {
  auto listed = ListMembers();
  if (listed.ok()) return listed;
  // Those that served when it was asked last do so no more: perhaps one of the others does again.
  UseAllEndpoints();
  return ListMembers();
}

StatusOr<ClusterState> StateReader::Read() {
  QUORATE_ASSIGN_OR_RETURN(ClusterState state, ListAnywhere());
  if (cluster_id_ == 0) cluster_id_ = state.id;
  if (state.id != cluster_id_) {
    return FailedPrecondition("the endpoints belong to two clusters, " + HexId(cluster_id_) + " and " +
                              HexId(state.id) + ": give those of one");
  }
  advertised_.clear();
  for (const MemberState& member : state.members) AddNew(member.client_urls, &advertised_);
  std::vector<std::thread> threads;
  threads.reserve(state.members.size());
  for (MemberState& member : state.members) {
    threads.emplace_back([this, &state, &member] { AskMember(state.id, &member); });
  }
  for (std::thread& thread : threads) thread.join();
  UseEndpointsOf(state);
  AskCluster(&state);
  return state;
}

void StateReader::UseEndpointsOf(const ClusterState& state) {
  std::vector<std::string> urls;
  for (const MemberState& member : state.members) {
    // A learner answers hardly anything.
    if (member.serving && member.voter() && member.id != avoided_) urls.push_back(member.url);
  }
  if (urls.empty()) return UseAllEndpoints();
  std::vector<std::string> now = client_.endpoints();
  std::sort(urls.begin(), urls.end());
  std::sort(now.begin(), now.end());
  // A URL that the client can't use was not answered at.
  if (urls != now) static_cast<void>(client_.SetEndpoints(urls));
}

void StateReader::UseAllEndpoints() {
  std::vector<std::string> urls = given_;
  AddNew(advertised_, &urls);
  // One of the advertised may be none at all (members of old clusters); the given ones were taken already.
  if (!client_.SetEndpoints(urls).ok()) static_cast<void>(client_.SetEndpoints(given_));
}

void StateReader::AskCluster(ClusterState* state) {
  const auto alarms = client_.maintenance().ListAlarms(Call(""));
  if (!alarms.ok()) {
    state->alarms_trouble = Why(alarms.status());
  } else {
    for (const auto& alarm : alarms->alarms()) {
      state->alarms.push_back({alarm.memberid(), std::string(AlarmName(alarm.alarm()))});
    }
  }
  const auto version = client_.cluster().Version(Call(""));
  if (version.ok()) {
    state->version = version->cluster_version();
  } else if (!absl::IsUnimplemented(version.status())) {  // etcd has no such call.
    state->version_trouble = Why(version.status());
  }
}

void StateReader::AskMember(uint64_t cluster_id, MemberState* member) {
  if (!member->started()) return;
  if (member->client_urls.empty()) {
    member->trouble = "it publishes no client URL";
    return;
  }
  bool all_refused = true;
  std::string troubles;
  for (const std::string& url : member->client_urls) {
    std::string trouble;
    bool refused = false;
    if (AskStatus(cluster_id, url, member, &trouble, &refused)) {
      member->url = url;
      break;
    }
    all_refused = all_refused && refused;
    Append(trouble, &troubles);
  }
  if (member->url.empty()) {
    member->down = all_refused;
    member->trouble = troubles;
  } else if (!member->quarantined) {
    AskRead(member->url, member);
  }
  // What answers as another member must not be taken for this one's clock and certificate.
  if (!member->url.empty()) return AskOverHttp(member->url, member);
  if (!member->reachable) return;
  AskOverHttp(member->client_urls.front(), member);
}

// Whether it was this member that answered.
bool StateReader::AskStatus(uint64_t cluster_id, const std::string& endpoint, MemberState* member,
                            std::string* trouble, bool* refused) {
  const auto status = client_.maintenance().Status(Call(endpoint));
  if (!status.ok()) {
    *trouble = Why(status.status());
    *refused = absl::IsUnavailable(status.status()) && trouble->find(kRefused) != std::string::npos;
    member->quarantined = SaysQuarantined(*trouble, member->id);
    // Some server has refused the request, by whatever ID.
    member->reachable = member->reachable || member->quarantined ||
                        (!absl::IsUnavailable(status.status()) && !absl::IsDeadlineExceeded(status.status()));
    member->wants_login = member->wants_login || IsAboutUsers(status.status());
    if (member->quarantined) member->trouble = *trouble;
    return member->quarantined;
  }
  const auto& header = status->header();
  if (header.cluster_id() != cluster_id) {
    *trouble = endpoint + " answers as a member of another cluster, " + HexId(header.cluster_id());
    return false;
  }
  if (header.member_id() != member->id) {
    *trouble = endpoint + " answers as the member " + HexId(header.member_id()) +
               ": a member must advertise a URL of its own (--advertise-client-urls)";
    return false;
  }
  member->reachable = true;
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
  return true;
}

void StateReader::AskRead(const std::string& endpoint, MemberState* member) {
  if (member->leader == 0) {
    member->trouble = "it knows no leader";
    return;
  }
  // A learner answers no such read, and is as it should be.
  const auto read = member->learner ? StatusOr<etcdserverpb::RangeResponse>(etcdserverpb::RangeResponse())
                                    : client_.kv().Get(kHealthKey, {}, Call(endpoint));
  member->serving = read.ok() || IsDenial(read.status());
  if (!member->serving) member->trouble = "it does not answer reads: " + Why(read.status());
}

void StateReader::AskOverHttp(const std::string& url, MemberState* member) {
  if (!url.starts_with("http")) return;
  HttpClient http(options_.http);
  HttpLimits limits;
  limits.connect = options_.timeout;
  limits.answer = options_.timeout;
  // Not time(2), which is behind by up to a tick.
  const auto before = std::chrono::system_clock::now();
  const auto outcome = http.Do({"GET", url + "/version", std::nullopt, std::nullopt}, limits);
  const auto after = std::chrono::system_clock::now();
  // Plain HTTP may be served elsewhere (--listen-client-http-urls): no answer says nothing.
  const auto* const reply = std::get_if<HttpReply>(&outcome);
  if (reply == nullptr) return;
  if (reply->date_seconds) member->clock_ahead = ClockAhead(*reply->date_seconds, before, after);
  if (reply->certificate) member->certificate_end = reply->certificate->end_seconds;
  if (!options_.with_metrics) return;
  const auto page = http.Do({"GET", url + "/metrics", std::nullopt, std::nullopt}, limits);
  const auto* const metrics = std::get_if<HttpReply>(&page);
  if (metrics == nullptr || metrics->status != 200) return;
  member->started_at = MetricOf(metrics->body, "process_start_time_seconds");
  member->program = metrics->body.find("\ngo_info") == std::string::npos ? "quorate" : "etcd";
  if (member->quota_bytes > 0) return;
  // Before 3.6 Status does not tell it.
  const auto quota = MetricOf(metrics->body, "etcd_server_quota_backend_bytes");
  if (quota && *quota > 0 && *quota < 9e18) member->quota_bytes = static_cast<int64_t>(*quota);
}

}  // namespace quorate::cmd
