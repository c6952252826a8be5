#include "cmd/session/session.h"

#include <gtest/gtest.h>

namespace quorate::cmd {
namespace {

using std::chrono::milliseconds;

class CtlSessionTest : public testing::Test {
 protected:
  CtlSessionTest() : tree_("quoratectl", "Asks."), session_(&tree_) {}
  void Give(const std::string& flag, const std::string& value) {
    const Status given = SetOption(tree_.root()->get_option(flag), value);
    ASSERT_TRUE(given.ok()) << given;
  }

  CommandTree tree_;
  CtlSession session_;
};

TEST_F(CtlSessionTest, ACommandHasAMillisecondAtLeast) {
  const struct {
    const char* given;
    milliseconds time;
  } cases[] = {{"5s", milliseconds(5000)}, {"1500us", milliseconds(2)}, {"1ms", milliseconds(1)},
               {"500us", milliseconds(1)}, {"1ns", milliseconds(1)},    {"0s", milliseconds(1)},
               {"-3s", milliseconds(1)}};
  for (const auto& c : cases) {
    Give("--command-timeout", c.given);
    EXPECT_EQ(session_.CommandTimeout(), c.time) << c.given;
    EXPECT_EQ(session_.Call().timeout, c.time) << c.given;
  }
}

// Zero is "none" to the client, and less than a millisecond is not.
TEST_F(CtlSessionTest, ShortTimesAreNotNone) {
  for (const char* flag :
       {"--dial-timeout", "--command-timeout", "--keepalive-time", "--keepalive-timeout"}) {
    Give(flag, "500us");
  }
  const auto options = session_.ClientOptions();
  ASSERT_TRUE(options.ok()) << options.status();
  for (const milliseconds time : {options->dial_timeout, options->request_timeout, options->keepalive_time,
                                  options->keepalive_timeout}) {
    EXPECT_EQ(time, milliseconds(1));
  }
  Give("--dial-timeout", "0s");
  EXPECT_EQ(session_.ClientOptions()->dial_timeout, milliseconds(0));
}

}  // namespace
}  // namespace quorate::cmd
