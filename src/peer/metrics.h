// The figures of the peer layer; rpc turns them into the original's etcd_network_* metrics (surface.md 6).
// Loop's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "server/metrics.h"

namespace quorate::peer {

struct SnapshotMetrics {
  uint64_t success = 0;                    // etcd_network_snapshot_{send,receive}_success
  uint64_t failures = 0;                   // ..._failures
  int64_t inflights = 0;                   // ..._inflights_total
  server::Histogram<10> duration{0.1, 2};  // ..._total_duration_seconds
};

// Probes of one other member and what they took, in milliseconds.
struct RoundTrips {
  uint64_t count = 0;
  uint64_t failures = 0;
  double last = 0;
  double min = 0;
  double max = 0;
  double sum = 0;
  double square_sum = 0;

  void Observe(double millis) {
    min = count == 0 || millis < min ? millis : min;
    max = millis > max ? millis : max;
    last = millis;
    sum += millis;
    square_sum += millis * millis;
    ++count;
  }
};

// Of one other member.
struct PeerMetrics {
  bool known = false;                           // etcd_network_known_peers: it is in the configuration now.
  bool active = false;                          // etcd_network_active_peers {Local,Remote}
  uint64_t disconnected = 0;                    // etcd_network_disconnected_peers_total {Local,Remote}
  uint64_t sent_bytes = 0;                      // etcd_network_peer_sent_bytes_total {To}
  uint64_t sent_failures = 0;                   // etcd_network_peer_sent_failures_total {To}
  uint64_t received_bytes = 0;                  // etcd_network_peer_received_bytes_total {From}
  server::Histogram<16> round_trip{0.0001, 2};  // etcd_network_peer_round_trip_time_seconds {To}
  RoundTrips probes;                            // /v2/stats/leader
  SnapshotMetrics snapshot_send;                // {To}
  SnapshotMetrics snapshot_receive;             // {From}
};

struct Metrics {
  uint64_t local_id = 0;  // Label Local.
  // By the other's ID (labels are hex). Members that were removed stay; at most kPeersMax, so that forged
  // senders can't fill the memory: what is beyond goes to ID 0.
  static constexpr size_t kPeersMax = 256;
  std::map<uint64_t, PeerMetrics> peers;
  // Messages of the kind that carries entries (/v2/stats/self).
  uint64_t appends_sent = 0;
  uint64_t appends_received = 0;
  // etcd_network_peer_received_failures_total {From}: by address of the sender, without port; bounded
  // likewise.
  std::map<std::string, uint64_t> received_failures;
  // etcd_network_snapshot_receive_failures {From="UNKNOWN_SNAPSHOT_SENDER"}
  uint64_t unknown_snapshot_senders = 0;

  PeerMetrics& Of(uint64_t id) {
    const auto it = peers.find(id);
    if (it != peers.end()) return it->second;
    return peers[peers.size() < kPeersMax ? id : 0];
  }
  void CountReceivedFailure(const std::string& from) {
    const bool room = received_failures.size() < kPeersMax || received_failures.contains(from);
    ++received_failures[room ? from : "other"];
  }
};

}  // namespace quorate::peer
