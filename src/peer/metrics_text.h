// The figures of the peer layer as GET /metrics shows them: the original's etcd_network_* families. Loop's
// thread.
#pragma once

#include <string>

#include "peer/metrics.h"

namespace quorate::peer {

// Prometheus text format 0.0.4, families in order of name; labels and their capital letters are the
// original's.
std::string MetricsText(const Metrics& metrics);

}  // namespace quorate::peer
