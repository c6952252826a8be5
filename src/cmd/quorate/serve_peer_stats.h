// The peer layer's figures in the form in which /v2/stats shows them.
#pragma once

#include "peer/metrics.h"
#include "rpc/v2_stats.h"

namespace quorate::cmd {

rpc::PeerStats ToPeerStats(const peer::Metrics& metrics);

}  // namespace quorate::cmd
