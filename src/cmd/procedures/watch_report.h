// What `cluster watch` shows of two looks at a cluster, one after the other. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cmd/procedures/cluster_state.h"
#include "cmd/procedures/findings.h"

namespace quorate::cmd {

struct Look {
  ClusterState state;
  int64_t at_nanos = 0;   // Of a clock that only goes forward.
  int64_t unix_time = 0;  // Seconds.
};

// Changes of the store a second between two looks; 0 without an earlier one.
int64_t RevisionsPerSecond(const Look* before, const Look& now);

// For a terminal: as many lines as it takes.
std::string WatchScreen(const Look* before, const Look& now, const std::vector<Finding>& findings);
// For everything else: one line.
std::string WatchLine(const Look* before, const Look& now, const std::vector<Finding>& findings);

}  // namespace quorate::cmd
