#include "cmd/session/child_process.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace quorate::cmd {
namespace {

TEST(ChildProcessTest, HowItEnds) {
  const auto exited = RunChild({"sh", "-c", "exit 3"}, {});
  ASSERT_TRUE(exited.ok());
  EXPECT_EQ(ChildEndText(*exited), "exit status 3");
  EXPECT_EQ(ChildExitCode(*exited), 3);
  const auto killed = RunChild({"sh", "-c", "kill -9 $$"}, {});
  ASSERT_TRUE(killed.ok());
  EXPECT_EQ(ChildEndText(*killed), "signal: killed");
  EXPECT_EQ(ChildExitCode(*killed), 255);
}

TEST(ChildProcessTest, ItsEnvironmentAndInput) {
  ASSERT_EQ(setenv("QUORATE_CHILD_TEST", "inherited", 1), 0);
  const auto ended = RunChild({"sh", "-c", "test \"$QUORATE_CHILD_TEST\" = ours && test -z \"$(cat)\""},
                              {{"QUORATE_CHILD_TEST", "ours"}});
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(*ended, 0);
}

TEST(ChildProcessTest, NotStarted) {
  EXPECT_EQ(Message(RunChild({"no-such-program"}, {}).status()),
            "exec: \"no-such-program\": executable file not found in $PATH");
  EXPECT_EQ(Message(RunChild({"/no/such/program"}, {}).status()),
            "fork/exec /no/such/program: no such file or directory");
}

}  // namespace
}  // namespace quorate::cmd
