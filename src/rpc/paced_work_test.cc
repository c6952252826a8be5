#include "rpc/paced_work.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate::rpc {
namespace {

TEST(PacedWork, TakesAShareOfEachRoundInOrder) {
  net::Loop loop;
  PacedWork paced(&loop);
  std::string done;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    paced.Add(PacedWork::kCostPerRound / 2, [&done, name] { done += name; });
  }
  EXPECT_EQ(done, "");
  loop.RunRound(false);
  EXPECT_EQ(done, "ab");
  // What comes meanwhile waits behind the others, however little it is.
  paced.Add(1, [&done] { done += "f"; });
  loop.RunRound(false);
  EXPECT_EQ(done, "abcd");
  loop.RunRound(false);
  EXPECT_EQ(done, "abcdef");
  loop.RunRound(false);
  EXPECT_EQ(done, "abcdef");
}

TEST(PacedWork, OnePieceMayBeLargerThanARound) {
  net::Loop loop;
  PacedWork paced(&loop);
  int done = 0;
  for (int i = 0; i < 3; ++i) paced.Add(10 * PacedWork::kCostPerRound, [&done] { ++done; });
  for (int round = 1; round <= 3; ++round) {
    loop.RunRound(false);
    EXPECT_EQ(done, round);
  }
}

TEST(PacedWork, WorkMayAddWork) {
  net::Loop loop;
  PacedWork paced(&loop);
  int done = 0;
  paced.Add(1, [&] { paced.Add(1, [&done] { ++done; }); });
  loop.RunRound(false);
  loop.RunRound(false);
  EXPECT_EQ(done, 1);
}

TEST(PacedWork, FewKeysDoNotWait) {
  net::Loop loop;
  PacedWork paced(&loop);
  int done = 0;
  paced.AddForKeys(PacedWork::kKeysAtOnce, [&done] { ++done; });
  EXPECT_EQ(done, 1);
  paced.AddForKeys(PacedWork::kKeysAtOnce + 1, [&done] { ++done; });
  EXPECT_EQ(done, 1);
  loop.RunRound(false);
  EXPECT_EQ(done, 2);
}

}  // namespace
}  // namespace quorate::rpc
