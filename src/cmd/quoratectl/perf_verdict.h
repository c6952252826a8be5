// What `check perf` says of a load that was run. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "cmd/quoratectl/put_load.h"

namespace quorate::cmd {

struct PutStatistics {
  double per_second = 0;
  double slowest_seconds = 0;
  double deviation_seconds = 0;  // Standard deviation.
};
PutStatistics StatisticsOf(const PutLoadResult& result);

struct PerfVerdict {
  std::string text;  // Whole lines.
  bool passed = false;
};
// Passes with nine tenths of the wanted throughput, no Put slower than 500 ms, a standard deviation of at
// most 100 ms, and no error: etcd's criteria and words.
PerfVerdict JudgePerf(const PutLoadResult& result, uint64_t wanted_per_second);

// "FAIL: too many errors" and each of them; empty without errors.
std::string ErrorLines(const PutLoadResult& result);

}  // namespace quorate::cmd
