// Clusters as tests make them up.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cmd/procedures/cluster_state.h"

namespace quorate::cmd {

inline MemberState Serving(uint64_t id, uint64_t leader = 1) {
  MemberState member;
  member.id = id;
  member.name = "m" + std::to_string(id);
  member.peer_urls = {"http://10.0.0." + std::to_string(id) + ":2380"};
  member.client_urls = {"http://10.0.0." + std::to_string(id) + ":2379"};
  member.reachable = member.serving = true;
  member.version = "3.4.45";
  member.leader = leader;
  member.last_index = member.applied_index = 100;
  return member;
}

inline MemberState Down(uint64_t id) {
  MemberState member = Serving(id);
  member.reachable = member.serving = false;
  member.down = true;
  member.leader = 0;
  member.last_index = member.applied_index = 0;
  member.trouble = "connection refused";
  return member;
}

inline ClusterState Cluster(std::vector<MemberState> members) {
  ClusterState state;
  state.id = 0xabc;
  state.version = "3.4";
  state.members = std::move(members);
  return state;
}

// It hangs, or its host is off: nothing is known of it.
inline MemberState Silent(uint64_t id) {
  MemberState member = Down(id);
  member.down = false;
  member.trouble = "context deadline exceeded";
  return member;
}

}  // namespace quorate::cmd
