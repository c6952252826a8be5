#include "rpc/password_work.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/env_sim.h"

namespace quorate::rpc {
namespace {

TEST(PasswordWorkTest, AFewAtATimeInTheirOrderWithoutThoseNobodyWaitsFor) {
  InlineExecutor executor(InlineExecutor::Mode::kQueued);
  PasswordWork work(&executor);
  std::vector<int> begun, done;
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(work.Submit({.wanted = [i] { return i != 3; },
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
  const auto submit = [&] {
    return work.Submit({.wanted = [] { return true; }, .work = [] {}, .done = [&done] { ++done; }});
  };
  constexpr size_t kTaken = PasswordWork::kWaitingMax + PasswordWork::kAtOnceMax;
  for (size_t i = 0; i < kTaken; ++i) EXPECT_TRUE(submit());
  EXPECT_FALSE(submit());
  while (executor.Step()) executor.RunCompletions();
  EXPECT_EQ(done, kTaken);
  EXPECT_TRUE(submit());
}

TEST(PasswordWorkTest, WhatEndsAfterItsOwnerIsDropped) {
  InlineExecutor executor(InlineExecutor::Mode::kQueued);
  bool done = false;
  {
    PasswordWork work(&executor);
    ASSERT_TRUE(
        work.Submit({.wanted = [] { return true; }, .work = [] {}, .done = [&done] { done = true; }}));
  }
  while (executor.Step()) executor.RunCompletions();
  EXPECT_FALSE(done);
}

}  // namespace
}  // namespace quorate::rpc
