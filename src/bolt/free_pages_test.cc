#include "bolt/free_pages.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "bolt/db_model.h"
#include "bolt/pending_pages.h"

namespace quorate::bolt {
namespace {

// The lowest run in a set, the slow way.
std::optional<PageId> LowestRun(const std::set<PageId>& pages, uint64_t count) {
  PageId start = 0;
  uint64_t length = 0;
  for (const PageId id : pages) {
    if (length == 0 || id != start + length) {
      start = id;
      length = 0;
    }
    if (++length == count) return start;
  }
  return std::nullopt;
}

TEST(FreePagesTest, PropertyTakesTheLowestRun) {
  const uint64_t seed = TestSeed(77);
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    const uint64_t space = 50 + random() % 1000;
    FreePages free;
    std::set<PageId> model;
    for (int step = 0; step < 1000; ++step) {
      if (random() % 2 == 0) {
        const PageId start = 2 + random() % space;
        PageId end = start;
        while (end - start < random() % 100 && !model.contains(end)) model.insert(end++);
        if (end > start) free.Add(start, end - start);
      } else {
        const uint64_t count = random() % 4 == 0 ? 1 + random() % 150 : 1 + random() % 4;
        const auto expected = LowestRun(model, count);
        ASSERT_EQ(free.Take(count), expected);
        for (PageId id = expected.value_or(0); expected && id < *expected + count; ++id) model.erase(id);
      }
      ASSERT_EQ(free.count(), model.size());
      ASSERT_EQ(free.end(), model.empty() ? 0 : *model.rbegin() + 1);
    }
    for (PageId id = 0; id < space + 200; ++id) ASSERT_EQ(free.Contains(id), model.contains(id));
  }
}

TEST(FreePagesTest, TakesBelowALimitAndAtTheEnd) {
  FreePages free;
  free.Add(10, 2);
  free.Add(20, 5);
  EXPECT_EQ(free.TakeBelow(3, 22), std::nullopt);
  EXPECT_EQ(free.TakeBelow(3, 23), 20u);
  EXPECT_EQ(free.TakeBelow(1, 10), std::nullopt);
  EXPECT_EQ(free.TakeBelow(1, 11), 10u);
  EXPECT_EQ(free.RunStartBefore(25), 23u);
  EXPECT_EQ(free.TakeTail(26), 26u);
  EXPECT_EQ(free.TakeTail(25), 23u);
  EXPECT_EQ(free.TakeTail(25), 25u);
  EXPECT_EQ(free.count(), 1u);
  EXPECT_EQ(free.Take(1), 11u);
}

TEST(PendingPagesTest, CountsTheRunAtTheEnd) {
  FreePages free;
  PendingPages pending;
  free.Add(10, 2);
  free.Add(15, 3);
  pending.Freed({12, 3}, 1);
  pending.Freed({18, 2}, 2);
  pending.Freed({5, 1}, 3);
  EXPECT_EQ(pending.CountTail(20, free), 10u);
  EXPECT_EQ(pending.CountTail(19, free), 0u);
  EXPECT_EQ(pending.CountTail(21, free), 0u);
}

TEST(PendingPagesTest, FreesWhatNoReaderSees) {
  struct Case {
    uint64_t allocated;
    uint64_t freed;
    std::vector<uint64_t> readers;
    bool released;
  };
  const Case cases[] = {
      {0, 5, {}, true},       // Nobody reads.
      {0, 5, {4}, false},     // The state before the freeing has it.
      {0, 5, {5, 9}, true},   // Newer states do not.
      {3, 5, {2}, true},      // Older than its allocation.
      {3, 5, {3}, false},     // It is of the very state that allocated it.
      {3, 5, {2, 5}, true},   // On either side.
      {3, 5, {2, 4}, false},  // Between.
  };
  for (const Case& c : cases) {
    PendingPages pending;
    FreePages free;
    if (c.allocated != 0) pending.Allocated(10, c.allocated);
    pending.Freed({10, 3}, c.freed);
    EXPECT_EQ(pending.count(), 3u);
    pending.Release(c.readers, &free);
    EXPECT_EQ(free.count(), c.released ? 3u : 0u);
    EXPECT_EQ(pending.count(), c.released ? 0u : 3u);
    pending.Release({}, &free);
    EXPECT_EQ(free.count(), 3u);
  }
}

TEST(PendingPagesTest, AReaderThatLeavesFreesItsPages) {
  PendingPages pending;
  FreePages free;
  pending.Freed({10, 1}, 5);
  pending.Freed({20, 1}, 8);
  pending.Release({4, 7}, &free);
  EXPECT_EQ(free.count(), 0u);
  pending.Release({7, 9}, &free);
  EXPECT_TRUE(free.Contains(10));
  EXPECT_FALSE(free.Contains(20));
  pending.Freed({30, 1}, 10);
  pending.Release({9}, &free);
  EXPECT_TRUE(free.Contains(20));
  EXPECT_FALSE(free.Contains(30));
}

}  // namespace
}  // namespace quorate::bolt
