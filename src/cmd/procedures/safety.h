// What may be done to a cluster without losing its majority. Pure functions; every refusal names who is
// missing, and the way out.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "cmd/procedures/cluster_state.h"

namespace quorate::cmd {

// Whether the others are a serving majority while this member is stopped, or it takes part in nothing anyway.
Status CheckMayStop(const ClusterState& state, uint64_t member);
// The same, and a restart can make it serve: a quarantined one stays what it is.
Status CheckMayRestart(const ClusterState& state, uint64_t member);
// Whether this member can be removed now, the others go on without it, and it can be added again as a
// learner.
Status CheckMayReplace(const ClusterState& state, uint64_t member);
// The serving voter that has come furthest, other than `except` and the corrupt ones; 0: none.
uint64_t BestSuccessor(const ClusterState& state, uint64_t except);
// Whether it is to be replaced: quarantined, or with an alarm CORRUPT.
bool IsBroken(const ClusterState& state, const MemberState& member);
std::vector<uint64_t> Broken(const ClusterState& state);

}  // namespace quorate::cmd
