#include "rpc/v2_stats.h"

#include <array>
#include <charconv>
#include <ctime>
#include <string_view>
#include <utility>

#include "base/go_json.h"
#include "base/logging.h"
#include "cluster/member.h"

namespace quorate::rpc {
namespace {

// RFC 3339 with nanoseconds, as Go writes a time in UTC.
std::string TimeText(int64_t wall_nanos) {
  constexpr int64_t kSecond = 1'000'000'000;
  const time_t seconds = wall_nanos / kSecond;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(text.data(), size);
  std::string fraction = std::to_string(kSecond + wall_nanos % kSecond).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return out + (fraction.empty() ? "" : "." + fraction) + "Z";
}

std::string Number(double value) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

std::string FollowerJson(const FollowerStats& f) {
  return "{\"latency\":{\"current\":" + Number(f.current_millis) +
         ",\"average\":" + Number(f.average_millis) + ",\"standardDeviation\":" + Number(f.deviation_millis) +
         ",\"minimum\":" + Number(f.min_millis) + ",\"maximum\":" + Number(f.max_millis) +
         "},\"counts\":{\"fail\":" + std::to_string(f.failures) +
         ",\"success\":" + std::to_string(f.successes) + "}}";
}

}  // namespace

V2Stats::V2Stats(server::Member* member, PeerStatsSource peers)
    : member_(*member),
      peers_(std::move(peers)),
      started_wall_nanos_(member->env().clock->WallNanos()),
      leader_since_nanos_(member->now()),
      leader_since_wall_nanos_(started_wall_nanos_) {}

void V2Stats::Observe() {
  if (member_.leader() == 0 || member_.leader() == leader_) return;
  leader_ = member_.leader();
  leader_since_nanos_ = member_.now();
  leader_since_wall_nanos_ = member_.env().clock->WallNanos();
}

std::string V2Stats::SelfJson() {
  Observe();
  const PeerStats peers = peers_ ? peers_() : PeerStats{};
  std::string out = "{\"name\":";
  AppendGoString(out, member_.config().name);
  out += ",\"id\":\"" + cluster::IdText(member_.id()) + "\",\"state\":";
  out += member_.is_leader() ? "\"StateLeader\"" : "\"StateFollower\"";
  out += ",\"startTime\":\"" + TimeText(started_wall_nanos_) + "\",\"leaderInfo\":{\"leader\":\"";
  if (leader_ != 0) out += cluster::IdText(leader_);
  out += "\",\"uptime\":" + log::Duration({}, member_.now() - leader_since_nanos_).json;
  out += ",\"startTime\":\"" + TimeText(leader_since_wall_nanos_) + "\"},\"recvAppendRequestCnt\":";
  out += std::to_string(peers.appends_received);
  out += ",\"sendAppendRequestCnt\":" + std::to_string(peers.appends_sent) + "}";
  return out;
}

std::string V2Stats::LeaderJson() {
  if (!member_.is_leader()) return {};
  std::string out = "{\"leader\":\"" + cluster::IdText(member_.id()) + "\",\"followers\":{";
  bool first = true;
  const PeerStats peers = peers_ ? peers_() : PeerStats{};
  for (const auto& [id, follower] : peers.followers) {
    if (!std::exchange(first, false)) out += ',';
    out += "\"" + cluster::IdText(id) + "\":" + FollowerJson(follower);
  }
  return out + "}}";
}

std::string V2Stats::StoreJson() {
  constexpr std::string_view kCounters[] = {"getsSuccess",
                                            "getsFail",
                                            "setsSuccess",
                                            "setsFail",
                                            "deleteSuccess",
                                            "deleteFail",
                                            "updateSuccess",
                                            "updateFail",
                                            "createSuccess",
                                            "createFail",
                                            "compareAndSwapSuccess",
                                            "compareAndSwapFail",
                                            "compareAndDeleteSuccess",
                                            "compareAndDeleteFail",
                                            "expireCount",
                                            "watchers"};
  std::string out;
  for (const std::string_view counter : kCounters) {
    out.append(out.empty() ? "{" : ",").append("\"").append(counter).append("\":0");
  }
  return out + "}";
}

}  // namespace quorate::rpc
