// What there is to say about a cluster's health. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/procedures/cluster_state.h"

namespace quorate::cmd {

enum class Severity {
  kNote,     // Good to know.
  kWarning,  // Works, and will not for ever.
  kProblem,  // Is not as it should be: the cluster is not healthy.
};
std::string_view SeverityText(Severity severity);

struct Finding {
  Severity severity;
  uint64_t member;  // 0: of the cluster.
  std::string text;
};

// When something is worth a word.
struct HealthLimits {
  int64_t certificate_warning_seconds = int64_t{30} * 24 * 3600;
  int64_t certificate_problem_seconds = int64_t{3} * 24 * 3600;
  uint64_t lag_entries_max = 5000;  // Behind the furthest log.
  int64_t quota_percent_max = 80;
  int64_t clock_seconds_max = 1;
};

// Problems first. `now` is in Unix seconds.
std::vector<Finding> Examine(const ClusterState& state, int64_t now, const HealthLimits& limits);
bool HasProblem(const std::vector<Finding>& findings);

// "cluster is healthy", "cluster is degraded" or "cluster is unavailable": the words of etcd's
// cluster-health.
std::string_view Verdict(const ClusterState& state, const std::vector<Finding>& findings);

}  // namespace quorate::cmd
