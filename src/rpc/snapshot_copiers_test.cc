#include "rpc/snapshot_copiers.h"

#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <string>

namespace quorate::rpc {
namespace {

// Callers are letters; `turns` is the order in which they came to their turn.
struct Order {
  std::string turns;
  const char names[6] = {'a', 'b', 'c', 'd', 'e', 'f'};

  void Request(SnapshotCopiers& copiers, int i) {
    copiers.Request(&names[i], [this, i] { turns += names[i]; });
  }
};

TEST(SnapshotCopiers, TurnsAreBoundedAndInOrder) {
  SnapshotCopiers copiers(2);
  Order order;
  for (int i = 0; i < 6; ++i) order.Request(copiers, i);
  EXPECT_EQ(order.turns, "ab");
  EXPECT_EQ(copiers.waiting(), 4u);
  copiers.GiveBack(&order.names[3]);  // Went away while it waited.
  copiers.GiveBack(&order.names[1]);
  EXPECT_EQ(order.turns, "abc");
  copiers.GiveBack(&order.names[1]);  // A second time: nothing.
  EXPECT_EQ(order.turns, "abc");
  copiers.GiveBack(&order.names[0]);
  copiers.GiveBack(&order.names[2]);
  EXPECT_EQ(order.turns, "abcef");
  EXPECT_EQ(copiers.running(), 2u);
  EXPECT_EQ(copiers.waiting(), 0u);
  copiers.GiveBack(&order.names[4]);
  copiers.GiveBack(&order.names[5]);
  EXPECT_EQ(copiers.running(), 0u);
}

TEST(SnapshotCopiers, CopiesRunSideBySide) {
  SnapshotCopiers copiers(3);
  Order order;
  for (int round = 0; round < 20; ++round) {
    // A copy may still be leaving the latch when the round is over.
    const auto together = std::make_shared<std::latch>(4);
    for (int i = 0; i < 3; ++i) {
      order.Request(copiers, i);
      copiers.Run([together] { together->arrive_and_wait(); });
    }
    together->arrive_and_wait();
    for (int i = 0; i < 3; ++i) copiers.GiveBack(&order.names[i]);
  }
}

TEST(SnapshotCopiers, ACopyThatStillEndsOnlyDelaysTheNext) {
  SnapshotCopiers copiers(1);
  Order order;
  std::latch release(1);
  std::latch done(1);
  order.Request(copiers, 0);
  copiers.Run([&release] { release.wait(); });
  copiers.GiveBack(&order.names[0]);
  order.Request(copiers, 1);
  copiers.Run([&done] { done.count_down(); });
  EXPECT_FALSE(done.try_wait());
  release.count_down();
  done.wait();
  copiers.GiveBack(&order.names[1]);
}

}  // namespace
}  // namespace quorate::rpc
