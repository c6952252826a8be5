// The scheduler, the network, the executor, the plans, the shrinking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim/disk_executor.h"
#include "sim/faults.h"
#include "sim/network.h"
#include "sim/runner.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace quorate::sim {
namespace {

using testing::ElementsAre;

TEST(SimScheduler, RunsInOrderOfTimeThenOfAsking) {
  Scheduler scheduler;
  std::vector<int> ran;
  scheduler.At(20, [&] { ran.push_back(3); });
  scheduler.At(10, [&] {
    ran.push_back(1);
    scheduler.At(5, [&] { ran.push_back(2); });  // Past: now.
  });
  scheduler.At(20, [&] { ran.push_back(4); });
  scheduler.At(40, [&] { ran.push_back(5); });
  while (scheduler.RunNext(30)) {
  }
  EXPECT_THAT(ran, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(scheduler.now(), 30);
}

class NetworkTest : public testing::Test {
 protected:
  void RunAll() {
    while (scheduler_.RunNext(scheduler_.now() + kSecond)) {
    }
  }
  Scheduler scheduler_;
  SeededRandom random_{1};
  Network network_{&scheduler_, &random_};
};

TEST_F(NetworkTest, AChannelKeepsItsOrder) {
  std::vector<int> got;
  for (int i = 0; i < 100; ++i) network_.Send(0, 1, 1, [&got, i] { got.push_back(i); });
  RunAll();
  ASSERT_EQ(got.size(), 100u);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST_F(NetworkTest, LossDuplicatesAndReordering) {
  network_.conditions().loss = network_.conditions().duplication = network_.conditions().reordering = 200;
  std::vector<int> got;
  for (int i = 0; i < 1000; ++i) network_.Send(0, 1, 1, [&got, i] { got.push_back(i); });
  RunAll();
  EXPECT_FALSE(std::is_sorted(got.begin(), got.end()));
  std::sort(got.begin(), got.end());
  const auto distinct = std::unique(got.begin(), got.end()) - got.begin();
  EXPECT_LT(distinct, 900);
  EXPECT_GT(distinct, 700);
  EXPECT_GT(got.size(), static_cast<size_t>(distinct) + 50);
}

TEST_F(NetworkTest, ACutLineLosesWhatIsSentAndWhatIsUnderWay) {
  int got = 0;
  int lost = 0;
  network_.Send(0, 1, 1, [&] { ++got; });
  network_.Block(0, 1);
  network_.Send(
      0, 1, 1, [&] { ++got; }, [&] { ++lost; });
  network_.Send(1, 0, 1, [&] { got += 10; });
  RunAll();
  EXPECT_EQ(got, 10);
  EXPECT_EQ(lost, 1);
  network_.Block(0, 1);
  network_.Unblock(0, 1);
  EXPECT_TRUE(network_.blocked(0, 1));
  network_.Unblock(0, 1);
  network_.SendReliably(0, 1, 1, 0, [&] { got = 100; });
  RunAll();
  EXPECT_EQ(got, 100);
}

TEST(SimDiskExecutor, ALaneKeepsItsOrderAndADropForgets) {
  Scheduler scheduler;
  SeededRandom random(1);
  DiskExecutor executor(
      &scheduler, &random, [] {}, [] {});
  std::vector<int> ran;
  for (int i = 0; i < 10; ++i) {
    executor.Submit(
        Lane::kLog, [&ran, i] { ran.push_back(i); }, [&ran, i] { ran.push_back(100 + i); });
  }
  while (scheduler.RunNext(kSecond)) {
  }
  EXPECT_THAT(ran, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_EQ(executor.RunCompletions(), 10u);
  EXPECT_EQ(ran.size(), 20u);
  executor.Submit(Lane::kDb, [&] { ran.clear(); }, {});
  executor.Drop();
  while (scheduler.RunNext(2 * kSecond)) {
  }
  EXPECT_EQ(ran.size(), 20u);
}

TEST(SimDiskExecutor, AStoppedProcessFinishesNothing) {
  Scheduler scheduler;
  SeededRandom random(1);
  DiskExecutor executor(
      &scheduler, &random, [] {}, [] {});
  int ran = 0;
  executor.Submit(Lane::kLog, [&] { ++ran; }, {});
  executor.set_paused(true);
  while (scheduler.RunNext(kSecond)) {
  }
  EXPECT_EQ(ran, 0);
  executor.set_paused(false);
  EXPECT_EQ(ran, 1);
}

TEST(SimFaults, APlanComesFromItsSeedAndStaysInItsBounds) {
  PlanOptions options;
  options.begin = kSecond;
  options.end = 60 * kSecond;
  options.interval = 100 * kMillisecond;
  options.member_changes = options.disks_set_back = true;
  options.seed = 4;
  const std::vector<Fault> plan = MakePlan(options);
  EXPECT_EQ(plan, MakePlan(options));
  options.seed = 5;
  EXPECT_NE(plan, MakePlan(options));
  ASSERT_GT(plan.size(), 300u);
  for (const Fault& fault : plan) {
    EXPECT_GE(fault.at, options.begin) << Describe(fault);
    EXPECT_LE(fault.at, options.end) << Describe(fault);
    EXPECT_GE(fault.duration, 0) << Describe(fault);
    EXPECT_TRUE(fault.a >= 0 && fault.a < options.members) << Describe(fault);
  }
}

TEST(SimRunner, ShrinkingLeavesWhatIsNeeded) {
  std::vector<Fault> plan(40);
  for (size_t i = 0; i < plan.size(); ++i) plan[i].at = static_cast<int64_t>(i);
  const auto has = [](const std::vector<Fault>& faults, int64_t at) {
    return std::any_of(faults.begin(), faults.end(), [at](const Fault& fault) { return fault.at == at; });
  };
  const auto fails = [&](const std::vector<Fault>& faults) { return has(faults, 7) && has(faults, 31); };
  const std::vector<Fault> small = Shrink(plan, fails, 1000);
  ASSERT_EQ(small.size(), 2u);
  EXPECT_EQ(small[0].at, 7);
  EXPECT_EQ(small[1].at, 31);
  EXPECT_TRUE(fails(Shrink(plan, fails, 5)));
}

TEST(SimRunner, AChildThatDiesOrHangsIsAResult) {
  Outcome good;
  good.trace_hash = 77;
  good.virtual_nanos = 5;
  good.trace = {"a", "b"};
  const RunResult result = RunInChild([&] { return good; }, 10);
  EXPECT_TRUE(result.ok);
  EXPECT_EQ(result.trace_hash, 77u);
  EXPECT_THAT(result.trace, ElementsAre("a", "b"));
  EXPECT_EQ(RunInChild([]() -> Outcome { _exit(3); }, 10).check, "crash");
  EXPECT_EQ(RunInChild(
                []() -> Outcome {
                  for (;;) pause();
                },
                1)
                .check,
            "timeout");
}

TEST(SimTrace, KeepsTheLastLinesAndTheFirstFailure) {
  Scheduler scheduler;
  Trace trace(&scheduler, true, 3);
  for (int i = 0; i < 5; ++i) trace.Note(i, "step", {{"number", i}, {"text", "t"}});
  EXPECT_THAT(trace.Lines(),
              ElementsAre("    0.000000 m2 step number=2 text=t", "    0.000000 m3 step number=3 text=t",
                          "    0.000000 m4 step number=4 text=t"));
  trace.Fail("first", "one");
  trace.Fail("second", "two");
  EXPECT_EQ(trace.failed_check(), "first");
  EXPECT_EQ(trace.failure(), "one");
}

}  // namespace
}  // namespace quorate::sim
