// The state of a cluster and what there is to say about it, as text and as JSON. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cmd/procedures/cluster_state.h"
#include "cmd/procedures/findings.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {

// A line for the cluster as a whole.
std::string Headline(const ClusterState& state);
// A row for each member.
Table MemberTable(const ClusterState& state, int64_t now);
// The lines of etcd's cluster-health: one for each member, and the verdict.
std::string HealthLines(const ClusterState& state, const std::vector<Finding>& findings);
// "problem: ...", a line each.
std::string FindingLines(const std::vector<Finding>& findings);
std::string HealthJson(const ClusterState& state, const std::vector<Finding>& findings);

}  // namespace quorate::cmd
