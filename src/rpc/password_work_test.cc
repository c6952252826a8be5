#include "rpc/password_work.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/env_sim.h"

namespace quorate::rpc {
namespace {

TEST(PasswordWorkTest, AFewAtATimeInTheirOrderWithoutThoseNobodyWaitsFor) {
  InlineExecutor executor(InlineExecutor::Mode::kQueued);
  PasswordWork work(&executor);
  std::vector<int> begun, done;
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(work.Submit({.peer = "192.0.2.1:1",
                             .wanted = [i] { return i != 3; },
                             .work = [i, &begun] { begun.push_back(i); },
                             .done = [i, &done] { done.push_back(i); }}));
  }
  EXPECT_EQ(work.waiting(), 6 - PasswordWork::kAtOnceMax);
  while (executor.Step()) executor.RunCompletions();
  EXPECT_EQ(begun, (std::vector<int>{0, 1, 2, 4, 5}));
  EXPECT_EQ(done, begun);
  EXPECT_EQ(work.waiting(), 0u);
}

TEST(PasswordWorkTest, MoreThanCanBeDoneIsRefused) {
  InlineExecutor executor(InlineExecutor::Mode::kQueued);
  PasswordWork work(&executor);
  size_t done = 0;
  const auto submit = [&](const std::string& peer) {
    return work.Submit(
        {.peer = peer, .wanted = [] { return true; }, .work = [] {}, .done = [&done] { ++done; }});
  };
  // One host gets half of the room, the next half of the rest.
  size_t taken = 0;
  for (; submit("192.0.2.1:" + std::to_string(taken)); ++taken) ASSERT_LT(taken, PasswordWork::kWaitingMax);
  EXPECT_EQ(taken, PasswordWork::kWaitingMax / 2 + PasswordWork::kAtOnceMax);
  size_t others = 0;
  for (; submit("192.0.2.2:1"); ++others) ASSERT_LT(others, PasswordWork::kWaitingMax);
  EXPECT_EQ(others, PasswordWork::kWaitingMax / 4);
  EXPECT_FALSE(submit("192.0.2.1:1"));
  EXPECT_TRUE(submit("[2001:db8::1]:1"));
  EXPECT_LE(work.waiting(), PasswordWork::kWaitingMax);
  while (executor.Step()) executor.RunCompletions();
  EXPECT_EQ(done, taken + others + 1);
  EXPECT_EQ(work.waiting(), 0u);
  EXPECT_TRUE(submit("192.0.2.1:1"));
}

// Whoever guesses passwords waits behind those who log in once.
TEST(PasswordWorkTest, HostsAndTheirConnectionsTakeTurns) {
  InlineExecutor executor(InlineExecutor::Mode::kQueued);
  PasswordWork work(&executor);
  std::string begun;
  const auto submit = [&](const char* peer, char name) {
    ASSERT_TRUE(work.Submit({.peer = peer,
                             .wanted = [] { return true; },
                             .work = [&begun, name] { begun += name; },
                             .done = [] {}}));
  };
  for (int i = 0; i < 5; ++i) submit("192.0.2.1:1", 'a');
  for (int i = 0; i < 2; ++i) submit("192.0.2.1:2", 'b');
  for (int i = 0; i < 3; ++i) submit("192.0.2.2:1", 'c');
  submit("unix:1", 'd');
  while (executor.Step()) executor.RunCompletions();
  EXPECT_EQ(begun, "aaacdbcacba");
}

TEST(PasswordWorkTest, WhatEndsAfterItsOwnerIsDropped) {
  InlineExecutor executor(InlineExecutor::Mode::kQueued);
  bool done = false;
  {
    PasswordWork work(&executor);
    ASSERT_TRUE(work.Submit({.peer = "192.0.2.1:1",
                             .wanted = [] { return true; },
                             .work = [] {},
                             .done = [&done] { done = true; }}));
  }
  while (executor.Step()) executor.RunCompletions();
  EXPECT_FALSE(done);
}

}  // namespace
}  // namespace quorate::rpc
