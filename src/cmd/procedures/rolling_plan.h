// Which member a rolling restart takes next. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cmd/procedures/cluster_state.h"

namespace quorate::cmd {

// Of those not in `done`: first the ones that do not serve, since they cost nothing, then learners and
// followers, the leader last. Members that were never started are left out.
std::vector<uint64_t> RestartOrder(const ClusterState& state, const std::set<uint64_t>& done);

// What shows that a member is another process than before the command that was to restart it.
class RestartProof {
 public:
  // `member`: before the command. `assumed`: the command's word is enough.
  RestartProof(const MemberState& member, bool assumed);

  // To be shown the cluster while the command runs, and afterwards.
  void Look(const ClusterState& now);
  // `why`: what is missing.
  bool Given(const MemberState& now, std::string* why) const;

 private:
  const uint64_t id_;
  const std::optional<double> started_at_;
  bool given_;
};

// Whether a member is as it should be after its restart: it serves, and has applied what the cluster had come
// to. `why`: what is missing.
bool CaughtUp(const ClusterState& state, uint64_t member, uint64_t index, std::string* why);

}  // namespace quorate::cmd
