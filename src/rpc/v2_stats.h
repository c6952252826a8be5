// /v2/stats: what etcd 3.4 says of a member to clients of the second generation. Core thread only.
// Source of the fields: etcd's etcdserver/api/v2stats.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "server/member.h"

namespace quorate::rpc {

// Of one follower, as its leader sees it.
struct FollowerStats {
  double current_millis = 0;
  double average_millis = 0;
  double deviation_millis = 0;
  double min_millis = 0;
  double max_millis = 0;
  uint64_t failures = 0;
  uint64_t successes = 0;
};
// Of the traffic with the other members, which rpc does not know by itself.
struct PeerStats {
  uint64_t appends_received = 0;
  uint64_t appends_sent = 0;
  std::map<uint64_t, FollowerStats> followers;  // All other members.
};
using PeerStatsSource = std::function<PeerStats()>;

class V2Stats {
 public:
  // `peers` may be empty.
  V2Stats(server::Member* member, PeerStatsSource peers);

  // Who leads is looked at when this is called; the time since when is as good as its calls are frequent.
  void Observe();

  std::string SelfJson();
  // Empty when this member does not lead.
  std::string LeaderJson();
  // The counters of the store of v2 keys, which is not served: nobody has read or written it.
  static std::string StoreJson();

 private:
  server::Member& member_;
  const PeerStatsSource peers_;
  const int64_t started_wall_nanos_;
  uint64_t leader_ = 0;
  int64_t leader_since_nanos_;
  int64_t leader_since_wall_nanos_;
};

}  // namespace quorate::rpc
