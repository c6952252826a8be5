#include "peer/metrics_text.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate::peer {
namespace {

TEST(MetricsText, NamesAndLabelsAreTheOriginals) {
  Metrics metrics;
  metrics.local_id = 0xa;
  PeerMetrics& peer = metrics.Of(0xb);
  peer.active = true;
  peer.sent_bytes = 7;
  peer.round_trip.Observe(0.00015);
  peer.snapshot_send.success = 2;
  metrics.CountReceivedFailure("10.0.0.1\"");
  const std::string text = MetricsText(metrics);
  for (const char* line : {
           "# TYPE etcd_network_active_peers gauge\netcd_network_active_peers{Local=\"a\",Remote=\"b\"} 1\n",
           "etcd_network_disconnected_peers_total{Local=\"a\",Remote=\"b\"} 0\n",
           "etcd_network_peer_sent_bytes_total{To=\"b\"} 7\n",
           "etcd_network_peer_received_failures_total{From=\"10.0.0.1\\\"\"} 1\n",
           "etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"0.0001\"} 0\n",
           "etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"0.0002\"} 1\n",
           "etcd_network_peer_round_trip_time_seconds_sum{To=\"b\"} 0.00015\n",
           "# HELP etcd_network_snapshot_send_success Total number of successful snapshot sends\n",
           "# HELP etcd_network_snapshot_send_failures Total number of snapshot send failures\n",
           "# HELP etcd_network_snapshot_receive_inflights_total Total number of inflight snapshot "
           "receives\n",
           "etcd_network_snapshot_send_success{To=\"b\"} 2\n",
       }) {
    EXPECT_NE(std::string::npos, text.find(line)) << line << "\n" << text;
  }
}

TEST(Metrics, ForgedSendersDoNotFillTheMemory) {
  Metrics metrics;
  for (uint64_t i = 1; i < 10'000; ++i) {
    metrics.Of(i).received_bytes += 1;
    metrics.CountReceivedFailure(std::to_string(i));
  }
  EXPECT_LE(metrics.peers.size(), Metrics::kPeersMax + 1);
  EXPECT_LE(metrics.received_failures.size(), Metrics::kPeersMax + 1);
}

}  // namespace
}  // namespace quorate::peer
