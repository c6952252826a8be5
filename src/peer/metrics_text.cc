#include "peer/metrics_text.h"

#include <cstdint>
#include <functional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "cluster/member.h"

namespace quorate::peer {
namespace {

class Page {
 public:
  explicit Page(const Metrics& metrics) : metrics_(metrics) {}

  void Begin(std::string_view name, std::string_view help, std::string_view type) {
    name_ = "etcd_network_" + std::string(name);
    out_ +=
        "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
  }
  void Row(const std::string& labels, uint64_t value, std::string_view suffix = {}) {
    out_ += name_ + std::string(suffix) + "{" + labels + "} " + std::to_string(value) + "\n";
  }
  void RowDouble(const std::string& labels, double value, std::string_view suffix) {
    out_ += name_ + std::string(suffix) + "{" + labels + "} " + absl::StrCat(value) + "\n";
  }
  // A row for each member; `label` is Remote (with Local), To or From.
  void Each(std::string_view name, std::string_view help, std::string_view type, std::string_view label,
            const std::function<uint64_t(const PeerMetrics&)>& value) {
    Begin(name, help, type);
    for (const auto& [id, peer] : metrics_.peers) Row(Labels(id, label), value(peer));
  }
  template <size_t Count>
  void EachHistogram(std::string_view name, std::string_view help, std::string_view label,
                     const std::function<const server::Histogram<Count>&(const PeerMetrics&)>& histogram) {
    Begin(name, help, "histogram");
    for (const auto& [id, peer] : metrics_.peers) {
      const server::Histogram<Count>& h = histogram(peer);
      const std::string labels = Labels(id, label);
      uint64_t cumulative = 0;
      for (size_t i = 0; i < Count; ++i) {
        cumulative += h.counts()[i];
        Row(labels + ",le=\"" + absl::StrCat(h.bounds()[i]) + "\"", cumulative, "_bucket");
      }
      cumulative += h.counts()[Count];
      Row(labels + ",le=\"+Inf\"", cumulative, "_bucket");
      RowDouble(labels, h.sum(), "_sum");
      Row(labels, cumulative, "_count");
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string Labels(uint64_t id, std::string_view label) const {
    const std::string own = std::string(label) + "=\"" + cluster::IdText(id) + "\"";
    return label == "Remote" ? "Local=\"" + cluster::IdText(metrics_.local_id) + "\"," + own : own;
  }

  const Metrics& metrics_;
  std::string name_;
  std::string out_;
};

using Value = const PeerMetrics&;

void Snapshots(Page& page, std::string_view verb, std::string_view label, const Metrics& metrics,
               SnapshotMetrics PeerMetrics::*side) {
  const std::string prefix = "snapshot_" + std::string(verb) + "_";
  const std::string noun = " snapshot " + std::string(verb) + "s";
  page.Each(prefix + "failures", "Total number of" + noun.substr(0, noun.size() - 1) + " failures", "counter",
            label, [&](Value p) { return (p.*side).failures; });
  if (metrics.unknown_snapshot_senders > 0 && label == "From") {
    page.Row("From=\"UNKNOWN_SNAPSHOT_SENDER\"", metrics.unknown_snapshot_senders);
  }
  page.Each(prefix + "inflights_total", "Total number of inflight" + noun, "gauge", label,
            [&](Value p) { return static_cast<uint64_t>((p.*side).inflights); });
  page.Each(prefix + "success", "Total number of successful" + noun, "counter", label,
            [&](Value p) { return (p.*side).success; });
  page.EachHistogram<10>(prefix + "total_duration_seconds", "Total latency distributions of v3" + noun, label,
                         [&](Value p) -> const server::Histogram<10>& { return (p.*side).duration; });
}

// A label's value can't end its quotes.
std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c != '\n') out += c;
  }
  return out;
}

}  // namespace

std::string MetricsText(const Metrics& metrics) {
  Page page(metrics);
  page.Each("active_peers", "The current number of active peer connections.", "gauge", "Remote",
            [](Value p) { return uint64_t{p.active}; });
  page.Each("disconnected_peers_total", "The total number of disconnected peers.", "counter", "Remote",
            [](Value p) { return p.disconnected; });
  page.Each("known_peers", "The current number of known peers.", "gauge", "Remote",
            [](Value p) { return uint64_t{p.known}; });
  page.Each("peer_received_bytes_total", "The total number of bytes received from peers.", "counter", "From",
            [](Value p) { return p.received_bytes; });
  page.Begin("peer_received_failures_total", "The total number of receive failures from peers.", "counter");
  for (const auto& [from, count] : metrics.received_failures)
    page.Row("From=\"" + Escaped(from) + "\"", count);
  page.EachHistogram<16>("peer_round_trip_time_seconds", "Round-Trip-Time histogram between peers", "To",
                         [](Value p) -> const server::Histogram<16>& { return p.round_trip; });
  page.Each("peer_sent_bytes_total", "The total number of bytes sent to peers.", "counter", "To",
            [](Value p) { return p.sent_bytes; });
  page.Each("peer_sent_failures_total", "The total number of send failures from peers.", "counter", "To",
            [](Value p) { return p.sent_failures; });
  Snapshots(page, "receive", "From", metrics, &PeerMetrics::snapshot_receive);
  Snapshots(page, "send", "To", metrics, &PeerMetrics::snapshot_send);
  return page.Take();
}

}  // namespace quorate::peer
