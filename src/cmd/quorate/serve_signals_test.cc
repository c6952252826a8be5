#include "cmd/quorate/serve_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <thread>

namespace quorate::cmd {
namespace {

TEST(SignalWaiter, TakesTheFirstSignal) {
  SignalWaiter waiter;
  std::promise<int> seen;
  waiter.Start([&seen](int signal) { seen.set_value(signal); });
  ASSERT_EQ(kill(getpid(), SIGINT), 0);
  EXPECT_EQ(seen.get_future().get(), SIGINT);
  EXPECT_EQ(waiter.Stop(), SIGINT);
  EXPECT_EQ(waiter.Stop(), SIGINT);
}

TEST(SignalWaiter, StopsWithoutASignal) {
  SignalWaiter waiter;
  waiter.Start([](int signal) { ADD_FAILURE() << "signal " << signal; });
  EXPECT_EQ(waiter.Stop(), 0);
}

// A server that starts anew is told to end while its first run is taken down.
TEST(SignalWaiter, FindsWhatCameAfterTheOneBefore) {
  {
    SignalWaiter before;
    before.Start([](int signal) { ADD_FAILURE() << "signal " << signal; });
    EXPECT_EQ(before.Stop(), 0);
    ASSERT_EQ(kill(getpid(), SIGTERM), 0);
  }
  SignalWaiter waiter;
  std::promise<int> seen;
  waiter.Start([&seen](int signal) { seen.set_value(signal); });
  EXPECT_EQ(seen.get_future().get(), SIGTERM);
  EXPECT_EQ(waiter.Stop(), SIGTERM);
}

// Whichever is first: the signal is taken by the one or found by the next, but never lost.
TEST(SignalWaiter, LosesNoSignalThatComesWhileItStops) {
  for (int round = 0; round < 200; ++round) {
    int taken = 0;
    {
      SignalWaiter waiter;
      waiter.Start([](int) {});
      std::thread sender([] { kill(getpid(), SIGTERM); });
      taken = waiter.Stop();
      sender.join();
    }
    if (taken != 0) continue;
    SignalWaiter next;
    std::promise<int> seen;
    next.Start([&seen](int signal) { seen.set_value(signal); });
    ASSERT_EQ(seen.get_future().get(), SIGTERM);
  }
}

}  // namespace
}  // namespace quorate::cmd
