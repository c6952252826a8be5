#include "cmd/quoratectl/perf_verdict.h"

#include <gtest/gtest.h>

namespace quorate::cmd {
namespace {

TEST(PerfVerdictTest, Passes) {
  const PutLoadResult result{.seconds = {0.25, 0.25, 0.25, 0.25}, .errors = {}, .total_seconds = 1};
  const PerfVerdict verdict = JudgePerf(result, 4);
  EXPECT_TRUE(verdict.passed);
  EXPECT_EQ(verdict.text,
            "PASS: Throughput is 5 writes/s\nPASS: Slowest request took 0.250000s\n"
            "PASS: Stddev is 0.000000s\nPASS\n");
}

TEST(PerfVerdictTest, FailsForEachReason) {
  const PutLoadResult result{.seconds = {0.1, 0.9}, .errors = {{"no", 3}}, .total_seconds = 2};
  const PerfVerdict verdict = JudgePerf(result, 100);
  EXPECT_FALSE(verdict.passed);
  EXPECT_EQ(verdict.text,
            "FAIL: too many errors\nFAIL: ERROR(no) -> 3\nFAIL: Throughput too low: 2 writes/s\n"
            "Slowest request took too long: 0.900000s\nStddev too high: 0.400000s\nFAIL\n");
}

TEST(PerfVerdictTest, NothingSucceeded) {
  const PutStatistics none = StatisticsOf({});
  EXPECT_EQ(none.per_second, 0);
  EXPECT_EQ(none.deviation_seconds, 0);
  EXPECT_FALSE(JudgePerf({}, 1).passed);
}

}  // namespace
}  // namespace quorate::cmd
