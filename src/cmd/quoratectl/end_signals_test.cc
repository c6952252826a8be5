#include "cmd/quoratectl/end_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace quorate::cmd {
namespace {

TEST(EndSignalsTest, ASignalAsksToStop) {
  const EndSignals signals;
  EXPECT_FALSE(signals.stop().stop_requested());
  ASSERT_EQ(kill(getpid(), SIGTERM), 0);
  EXPECT_TRUE(WaitForEither(signals.stop(), std::stop_token()));
}

TEST(EndSignalsTest, LostBeforeStopped) {
  const EndSignals signals;
  std::stop_source lost;
  lost.request_stop();
  EXPECT_FALSE(WaitForEither(signals.stop(), lost.get_token()));
}

TEST(EndSignalsTest, WithoutASignalNothingStopsAndItEnds) {
  std::stop_token stop;
  {
    const EndSignals signals;
    stop = signals.stop();
  }
  EXPECT_FALSE(stop.stop_requested());
}

}  // namespace
}  // namespace quorate::cmd
