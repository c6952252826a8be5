#include "cmd/quoratectl/perf_verdict.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace quorate::cmd {
namespace {

constexpr double kThroughputShare = 0.9;
constexpr double kSlowestSeconds = 0.5;
constexpr double kDeviationSeconds = 0.1;

std::string WithSeconds(const char* text, double seconds) {
  char number[64];
  std::snprintf(number, sizeof number, "%fs\n", seconds);
  return std::string(text) + number;
}

}  // namespace

PutStatistics StatisticsOf(const PutLoadResult& result) {
  PutStatistics statistics;
  const auto count = static_cast<double>(result.seconds.size());
  if (count == 0) return statistics;
  if (result.total_seconds > 0) statistics.per_second = count / result.total_seconds;
  double sum = 0;
  for (const double seconds : result.seconds) sum += seconds;
  double squares = 0;
  for (const double seconds : result.seconds) squares += std::pow(seconds - sum / count, 2);
  statistics.slowest_seconds = *std::max_element(result.seconds.begin(), result.seconds.end());
  statistics.deviation_seconds = std::sqrt(squares / count);
  return statistics;
}

std::string ErrorLines(const PutLoadResult& result) {
  if (result.errors.empty()) return "";
  std::string text = "FAIL: too many errors\n";
  for (const auto& [error, count] : result.errors) {
    text += "FAIL: ERROR(" + error + ") -> " + std::to_string(count) + "\n";
  }
  return text;
}

PerfVerdict JudgePerf(const PutLoadResult& result, uint64_t wanted_per_second) {
  const PutStatistics statistics = StatisticsOf(result);
  const std::string rate = std::to_string(static_cast<int64_t>(statistics.per_second) + 1) + " writes/s\n";
  PerfVerdict verdict{.text = ErrorLines(result), .passed = result.errors.empty()};
  const auto judge = [&](bool good, const std::string& pass, const std::string& fail) {
    verdict.text += good ? pass : fail;
    verdict.passed &= good;
  };
  judge(statistics.per_second / static_cast<double>(wanted_per_second) > kThroughputShare,
        "PASS: Throughput is " + rate, "FAIL: Throughput too low: " + rate);
  judge(statistics.slowest_seconds <= kSlowestSeconds,
        WithSeconds("PASS: Slowest request took ", statistics.slowest_seconds),
        WithSeconds("Slowest request took too long: ", statistics.slowest_seconds));
  judge(statistics.deviation_seconds <= kDeviationSeconds,
        WithSeconds("PASS: Stddev is ", statistics.deviation_seconds),
        WithSeconds("Stddev too high: ", statistics.deviation_seconds));
  verdict.text += verdict.passed ? "PASS\n" : "FAIL\n";
  return verdict;
}

}  // namespace quorate::cmd
