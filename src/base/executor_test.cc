#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "base/env_sim.h"
#include "base/thread_executor.h"

namespace quorate {
namespace {

// Counts wakes and lets the owner wait for the next one, as a loop with an eventfd does.
class Doorbell {
 public:
  void Ring() {
    std::lock_guard lock(mutex_);
    ++rings_;
    rung_.notify_one();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    rung_.wait(lock, [&] { return rings_ > seen_; });
    seen_ = rings_;
  }
  size_t rings() {
    std::lock_guard lock(mutex_);
    return rings_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable rung_;
  size_t rings_ = 0;
  size_t seen_ = 0;
};

TEST(ThreadExecutor, EachLaneKeepsItsOrderAndDoneRunsOnTheOwner) {
  constexpr int kJobs = 500;
  Doorbell bell;
  ThreadExecutor executor(3, [&] { bell.Ring(); });
  const std::thread::id owner = std::this_thread::get_id();
  std::map<Lane, std::vector<int>> worked;  // Each lane's list is touched by its one thread alone.
  worked[Lane::kLog];
  worked[Lane::kDb];
  worked[Lane::kBackground];
  std::map<Lane, std::vector<int>> done;
  for (int i = 0; i < kJobs; ++i) {
    for (const Lane lane : {Lane::kLog, Lane::kDb, Lane::kRead, Lane::kBackground}) {
      executor.Submit(
          lane,
          [&worked, lane, i] {
            if (lane != Lane::kRead) worked.find(lane)->second.push_back(i);
          },
          [&done, lane, i, owner] {
            EXPECT_EQ(std::this_thread::get_id(), owner);
            done[lane].push_back(i);
          });
    }
  }
  size_t completed = 0;
  while (completed < 4 * kJobs) {
    bell.Wait();
    completed += executor.RunCompletions();
  }
  EXPECT_EQ(completed, size_t{4 * kJobs});
  std::vector<int> expected(kJobs);
  for (int i = 0; i < kJobs; ++i) expected[static_cast<size_t>(i)] = i;
  for (const Lane lane : {Lane::kLog, Lane::kDb, Lane::kBackground}) {
    EXPECT_EQ(worked[lane], expected);
    EXPECT_EQ(done[lane], expected);
  }
  EXPECT_EQ(done[Lane::kRead].size(), size_t{kJobs});
}

TEST(ThreadExecutor, OneWakeWhileCompletionsWait) {
  Doorbell bell;
  ThreadExecutor executor(1, [&] { bell.Ring(); });
  for (int i = 0; i < 5; ++i)
    executor.Submit(
        Lane::kLog, [] {}, [] {});
  // The log lane is in order: when this job runs, the five before it are complete.
  std::mutex reached;
  reached.lock();
  std::condition_variable_any ran;
  bool last_ran = false;
  executor.Submit(
      Lane::kLog,
      [&] {
        std::lock_guard lock(reached);
        last_ran = true;
        ran.notify_one();
      },
      nullptr);
  ran.wait(reached, [&] { return last_ran; });
  reached.unlock();
  EXPECT_EQ(bell.rings(), 1u);
  EXPECT_GE(executor.RunCompletions(), 5u);
}

TEST(ThreadExecutor, ShutdownDropsWhatHasNotBegun) {
  Doorbell begun;
  Doorbell gate;
  bool first_worked = false;
  bool second_worked = false;
  ThreadExecutor executor(1, nullptr);
  executor.Submit(
      Lane::kDb,
      [&] {
        begun.Ring();
        gate.Wait();
        first_worked = true;
      },
      nullptr);
  executor.Submit(
      Lane::kDb, [&] { second_worked = true; }, nullptr);
  begun.Wait();
  gate.Ring();
  // The second may begin before Shutdown is seen: only that the first ends is certain.
  executor.Shutdown();
  EXPECT_TRUE(first_worked);
  EXPECT_EQ(executor.RunCompletions(), second_worked ? 2u : 1u);
  executor.Submit(
      Lane::kDb, [] { ADD_FAILURE(); }, nullptr);
  executor.Shutdown();
}

TEST(InlineExecutor, ImmediateWorksAtOnceAndDoneWaits) {
  InlineExecutor executor;
  std::vector<std::string> order;
  executor.Submit(
      Lane::kDb, [&] { order.push_back("work"); },
      [&] {
        order.push_back("done");
        executor.Submit(
            Lane::kDb, [&] { order.push_back("work2"); }, [&] { order.push_back("done2"); });
      });
  EXPECT_EQ(order, (std::vector<std::string>{"work"}));
  EXPECT_EQ(executor.RunCompletions(), 1u);
  EXPECT_EQ(order, (std::vector<std::string>{"work", "done", "work2"}));
  executor.RunUntilIdle();
  EXPECT_EQ(order.back(), "done2");
}

TEST(InlineExecutor, QueuedRunsByStepInOrderOfEachLane) {
  SeededRandom random(7);
  InlineExecutor executor(InlineExecutor::Mode::kQueued, &random);
  std::map<Lane, std::vector<int>> worked;
  for (int i = 0; i < 50; ++i) {
    for (const Lane lane : {Lane::kLog, Lane::kDb, Lane::kRead}) {
      executor.Submit(
          lane, [&worked, lane, i] { worked[lane].push_back(i); }, nullptr);
    }
  }
  EXPECT_TRUE(worked.empty());
  EXPECT_TRUE(executor.Step(Lane::kDb));
  EXPECT_FALSE(executor.Step(Lane::kBackground));
  EXPECT_EQ(worked[Lane::kDb], std::vector<int>{0});
  executor.RunUntilIdle();
  for (const Lane lane : {Lane::kLog, Lane::kDb}) {
    EXPECT_TRUE(std::is_sorted(worked[lane].begin(), worked[lane].end()));
    EXPECT_EQ(worked[lane].size(), 50u);
  }
  EXPECT_FALSE(std::is_sorted(worked[Lane::kRead].begin(), worked[Lane::kRead].end()));
  executor.Submit(
      Lane::kLog, [] { ADD_FAILURE(); }, nullptr);
  executor.Drop();
  EXPECT_FALSE(executor.Step());
}

}  // namespace
}  // namespace quorate
