// The figures of the core, as plain numbers on the core thread; rpc turns them into the original's metrics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace quorate::server {

// Exponential buckets as Prometheus has them: `start`, `factor`, Count bounds, and the rest.
template <size_t Count>
class Histogram {
 public:
  constexpr Histogram(double start, double factor) {
    double bound = start;
    for (double& b : bounds_) {
      b = bound;
      bound *= factor;
    }
  }
  void Observe(double value) {
    size_t i = 0;
    while (i < Count && value > bounds_[i]) ++i;
    ++counts_[i];
    sum_ += value;
  }
  void ObserveNanos(int64_t nanos) { Observe(static_cast<double>(nanos) / 1e9); }

  const std::array<double, Count>& bounds() const { return bounds_; }
  const std::array<uint64_t, Count + 1>& counts() const { return counts_; }  // Not cumulative.
  double sum() const { return sum_; }

 private:
  std::array<double, Count> bounds_{};
  std::array<uint64_t, Count + 1> counts_{};
  double sum_ = 0;
};

struct Metrics {
  uint64_t leader_changes_seen = 0;
  uint64_t proposals_failed = 0;
  uint64_t slow_apply = 0;
  uint64_t snapshots_applied = 0;  // Received from a leader.
  uint64_t slow_read_indexes = 0;
  uint64_t read_indexes_failed = 0;
  uint64_t leases_expired = 0;
  uint64_t learners_promoted = 0;
  uint64_t wal_write_bytes = 0;
  Histogram<14> wal_fsync{0.001, 2};
  Histogram<14> backend_commit{0.001, 2};
  Histogram<17> backend_snapshot{0.01, 2};
  Histogram<13> backend_defrag{0.1, 2};
  Histogram<15> hash{0.01, 2};
  Histogram<15> hash_rev{0.01, 2};
  Histogram<24> lease_ttl_seconds{1, 2};
  Histogram<14> snapshot_file_fsync{0.001, 2};
};

}  // namespace quorate::server
