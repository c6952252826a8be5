// A running cluster as one of its members describes it to somebody who wants to join.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/member.h"

namespace quorate::cluster {

struct RemoteCluster {
  uint64_t cluster_id = 0;
  std::vector<Member> members;  // With the cluster's IDs; ascending by ID.
};

}  // namespace quorate::cluster
