#include "backup/disk_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

namespace quorate::backup {
namespace {

TEST(DiskExecutor, LanesDoNotWaitForEachOther) {
  std::promise<void> release;
  std::promise<void> archived;
  std::atomic<int> wakes = 0;
  DiskExecutor executor([&] { ++wakes; }, nullptr);
  bool disk_done = false;
  bool log_done = false;
  executor.Submit(
      Lane::kBackground, [held = release.get_future().share()] { held.wait(); }, [&] { disk_done = true; });
  executor.Submit(
      Lane::kLog, [&] { archived.set_value(); }, [&] { log_done = true; });
  archived.get_future().wait();
  while (!log_done) {
    executor.RunCompletions();
    std::this_thread::yield();
  }
  EXPECT_FALSE(disk_done);
  release.set_value();
  while (!disk_done) {
    executor.RunCompletions();
    std::this_thread::yield();
  }
  EXPECT_GE(wakes, 1);
}

TEST(DiskExecutor, OneLaneKeepsItsOrder) {
  DiskExecutor executor({}, nullptr);
  std::vector<int> worked;
  std::vector<int> heard;
  for (int i = 0; i < 100; ++i) {
    executor.Submit(
        Lane::kRead, [&worked, i] { worked.push_back(i); }, [&heard, i] { heard.push_back(i); });
  }
  while (heard.size() < 100) {
    executor.RunCompletions();
    std::this_thread::yield();
  }
  EXPECT_EQ(worked, heard);
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
}

// A disk that never answers: the owner ends, and what the thread uses lives on until it comes back.
TEST(DiskExecutor, AThreadThatHangsIsLeftBehind) {
  std::promise<void> release;
  const auto gone = std::make_shared<std::promise<void>>();  // Used by a thread that nobody joins.
  std::promise<void> begun;
  std::atomic<int> wakes = 0;
  bool heard = false;
  std::weak_ptr<int> watched;
  {
    // Says when it goes.
    const std::shared_ptr<int> used(new int(7), [gone](int* number) {
      delete number;
      gone->set_value();
    });
    watched = used;
    DiskExecutor executor([&] { ++wakes; }, used);
    executor.Submit(
        Lane::kBackground,
        [&begun, held = release.get_future().share()] {
          begun.set_value();
          held.wait();
        },
        [&] { heard = true; });
    executor.Submit(Lane::kBackground, [] { ADD_FAILURE() << "it had not begun"; }, {});
    begun.get_future().wait();
  }
  EXPECT_FALSE(watched.expired());
  release.set_value();
  gone->get_future().wait();
  EXPECT_EQ(wakes, 0);
  EXPECT_FALSE(heard);
}

}  // namespace
}  // namespace quorate::backup
