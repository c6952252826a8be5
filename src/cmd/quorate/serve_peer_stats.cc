#include "cmd/quorate/serve_peer_stats.h"

#include <algorithm>
#include <cmath>

namespace quorate::cmd {

rpc::PeerStats ToPeerStats(const peer::Metrics& metrics) {
  rpc::PeerStats stats;
  stats.appends_received = metrics.appends_received;
  stats.appends_sent = metrics.appends_sent;
  for (const auto& [id, peer] : metrics.peers) {
    if (id == 0 || !peer.known) continue;
    const peer::RoundTrips& probes = peer.probes;
    rpc::FollowerStats& follower = stats.followers[id];
    follower.current_millis = probes.last;
    follower.min_millis = probes.min;
    follower.max_millis = probes.max;
    follower.failures = probes.failures;
    follower.successes = probes.count;
    if (probes.count == 0) continue;
    const auto count = static_cast<double>(probes.count);
    follower.average_millis = probes.sum / count;
    const double variance = probes.square_sum / count - follower.average_millis * follower.average_millis;
    follower.deviation_millis = std::sqrt(std::max(variance, 0.0));
  }
  return stats;
}

}  // namespace quorate::cmd
