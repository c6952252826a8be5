// Collects metric families for one scrape.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/metrics.h"

namespace quorate::rpc {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class MetricFamilies {
 public:
  void Counter(const std::string& name, const std::string& help, double value,
               const MetricLabels& labels = {}) {
    Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
  }
  void Gauge(const std::string& name, const std::string& help, double value,
             const MetricLabels& labels = {}) {
    Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
  }
  template <size_t Count>
  void Histogram(const std::string& name, const std::string& help,
                 const server::Histogram<Count>& histogram) {
    auto& out = Add(name, help, prometheus::MetricType::Histogram, {}).histogram;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < Count; ++i) {
      cumulative += histogram.counts()[i];
      out.bucket.push_back({cumulative, histogram.bounds()[i]});
    }
    out.sample_count = cumulative + histogram.counts()[Count];
    out.sample_sum = histogram.sum();
  }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  // Rows of one family are added one after the other.
  prometheus::ClientMetric& Add(const std::string& name, const std::string& help, prometheus::MetricType type,
                                const MetricLabels& labels) {
    if (families_.empty() || families_.back().name != name) families_.push_back({name, help, type, {}});
    auto& metric = families_.back().metric.emplace_back();
    for (const auto& [key, value] : labels) metric.label.push_back({key, value});
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace quorate::rpc
