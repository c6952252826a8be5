#include "peer/receiving_snapshots.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace quorate::peer {
namespace {

using Id = ReceivingSnapshots::Id;

class ReceivingTest : public testing::Test {
 protected:
  static constexpr int64_t kMinute = ReceivingSnapshots::kSlowNanos;

  Id Enter(bool member) {
    const auto id = std::make_shared<Id>(0);
    *id = receiving_.Enter(member, now_, [this, id](ReceivingSnapshots::Cause cause) {
      causes_.push_back(cause);
      evicted_.push_back(*id);
      receiving_.Leave(*id);
    });
    return *id;
  }
  std::vector<Id> Fill(bool member) {
    std::vector<Id> all;
    for (size_t i = 0; i < ReceivingSnapshots::kMax; ++i) all.push_back(Enter(member));
    return all;
  }

  ReceivingSnapshots receiving_;
  std::vector<Id> evicted_;
  std::vector<ReceivingSnapshots::Cause> causes_;
  int64_t now_ = 1'000;
};

TEST_F(ReceivingTest, OnlySoManyAtOnce) {
  const std::vector<Id> all = Fill(true);
  for (const Id id : all) EXPECT_NE(id, 0u);
  EXPECT_EQ(Enter(true), 0u);
  EXPECT_EQ(Enter(false), 0u);
  receiving_.Leave(all[1]);
  EXPECT_NE(Enter(false), 0u);
  EXPECT_EQ(receiving_.count(), ReceivingSnapshots::kMax);
  EXPECT_TRUE(evicted_.empty());
}

TEST_F(ReceivingTest, StrangersMakeRoomForMembersAtOnce) {
  const std::vector<Id> all = Fill(false);
  EXPECT_EQ(Enter(false), 0u);
  EXPECT_NE(Enter(true), 0u);
  EXPECT_EQ(evicted_, (std::vector<Id>{all[0]}));
  EXPECT_EQ(receiving_.count(), ReceivingSnapshots::kMax);
}

TEST_F(ReceivingTest, TheSlowMakeRoomForAnybody) {
  const std::vector<Id> all = Fill(true);
  // One moves a little more than a MiB a minute; the rest a byte.
  for (int second = 0; second < 60; ++second) {
    now_ += kMinute / 60;
    receiving_.Progress(all[0], 20'000, now_);
  }
  for (const Id id : {all[1], all[2], all[3]}) receiving_.Progress(id, 1, now_);
  EXPECT_NE(Enter(false), 0u);
  EXPECT_NE(Enter(true), 0u);
  EXPECT_NE(Enter(true), 0u);
  EXPECT_EQ(evicted_, (std::vector<Id>{all[1], all[2], all[3]}));
}

TEST_F(ReceivingTest, WhatHasComeWholeWaitsForOurDisk) {
  const std::vector<Id> all = Fill(true);
  for (const Id id : all) receiving_.Complete(id);
  now_ += 100 * kMinute;
  EXPECT_EQ(Enter(true), 0u);
  EXPECT_TRUE(evicted_.empty());
}

TEST_F(ReceivingTest, AtTheEndAllLeave) {
  const std::vector<Id> all = Fill(true);
  receiving_.Complete(all[2]);
  receiving_.Stop();
  EXPECT_EQ(evicted_, all);
  for (const auto cause : causes_) EXPECT_EQ(cause, ReceivingSnapshots::Cause::kStop);
  EXPECT_EQ(receiving_.count(), 0u);
}

}  // namespace
}  // namespace quorate::peer
