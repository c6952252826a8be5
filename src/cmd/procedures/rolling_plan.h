// Which member a rolling restart takes next. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "cmd/procedures/cluster_state.h"

namespace quorate::cmd {

// Of those not in `done`: first the ones that do not serve, since they cost nothing, then learners and
// followers, the leader last. Members that were never started are left out.
std::vector<uint64_t> RestartOrder(const ClusterState& state, const std::set<uint64_t>& done);

// Whether a member is as it should be after its restart: it serves, and has applied what the cluster had come
// to. `why`: what is missing.
bool CaughtUp(const ClusterState& state, uint64_t member, uint64_t index, std::string* why);

}  // namespace quorate::cmd
