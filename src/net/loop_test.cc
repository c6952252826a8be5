#include "net/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace quorate::net {
namespace {

using std::chrono::milliseconds;

TEST(Loop, TasksFromManyThreadsAllRunInEachThreadsOrder) {
  Loop loop;
  constexpr int kThreads = 4;
  constexpr int kTasks = 2000;
  std::vector<int> next(kThreads, 0);
  int ran = 0;
  bool ordered = true;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop.Post([&, t, i] {
          ordered = ordered && next[static_cast<size_t>(t)]++ == i && loop.InLoopThread();
          if (++ran == kThreads * kTasks) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(kThreads * kTasks, ran);
  EXPECT_TRUE(ordered);
}

TEST(Loop, StopFromAnotherThreadEndsAWaitingLoop) {
  Loop loop;
  std::atomic<bool> asked = false;
  std::thread stopper([&] {
    asked = true;
    loop.Stop();
  });
  loop.Run();
  EXPECT_TRUE(asked);  // It ends for nothing else.
  stopper.join();
}

TEST(Loop, ARoundRunsTasksThenServerHooksThenNetHooks) {
  Loop loop;
  std::string order;
  loop.AddEndOfRound(Loop::Stage::kNet, [&] { order += 'n'; });
  const Loop::HookId id = loop.AddEndOfRound(Loop::Stage::kServer, [&] { order += 's'; });
  loop.AddEndOfRound(Loop::Stage::kServer, [&] { order += 'S'; });
  loop.Post([&] { order += 't'; });
  loop.RunRound(false);
  EXPECT_EQ("tsSn", order);
  loop.RemoveEndOfRound(id);
  loop.RunRound(false);
  EXPECT_EQ("tsSnSn", order);
}

TEST(Loop, ATaskPostedByATaskOrAHookRunsWithoutWaiting) {
  Loop loop;
  int steps = 0;
  loop.Post([&] { loop.Post([&] { steps = 1; }); });
  loop.AddEndOfRound(Loop::Stage::kNet, [&] {
    if (steps == 1) loop.Post([&] { loop.Stop(); });
  });
  loop.Run();
  EXPECT_EQ(1, steps);
}

TEST(Loop, TimersFireInOrderAndCancelledOnesDoNot) {
  Loop loop;
  std::string order;
  loop.After(milliseconds(300), [&] {
    order += 'c';
    loop.Stop();
  });
  loop.After(milliseconds(150), [&] { order += 'b'; });
  const Loop::TimerId never = loop.After(milliseconds(75), [&] { order += 'x'; });
  loop.After(milliseconds(1), [&] {
    order += 'a';
    loop.Cancel(never);
  });
  loop.Run();
  EXPECT_EQ("abc", order);
  loop.Cancel(never);
  loop.Cancel(0);
}

TEST(Loop, EveryRepeatsUntilItCancelsItself) {
  Loop loop;
  int fired = 0;
  Loop::TimerId id = 0;
  id = loop.Every(milliseconds(1), [&] {
    if (++fired < 5) return;
    loop.Cancel(id);
    loop.After(milliseconds(10), [&] { loop.Stop(); });
  });
  loop.Run();
  EXPECT_EQ(5, fired);
}

}  // namespace
}  // namespace quorate::net
