#include "server/auto_defrag.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/env_sim.h"

namespace quorate::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr uint64_t kMebibyte = uint64_t{1} << 20;

struct World {
  explicit World(int percent, uint64_t seed = 1)
      : random(seed),
        defrag(
            {percent, 10 * kMinute}, &random, [this] { return use; },
            [this](std::function<void(const Status&)> finished) {
              begun.push_back(now);
              done = std::move(finished);
            }) {}

  void Run(int64_t nanos) {
    for (const int64_t end = now + nanos; now < end; now += kSecond) defrag.Tick(now);
  }
  void Finish(uint64_t left_bytes) {
    use.size_bytes -= use.free_bytes - left_bytes;
    use.free_bytes = left_bytes;
    std::exchange(done, nullptr)(absl::OkStatus());
  }

  SeededRandom random;
  AutoDefrag::Use use;
  int64_t now = kMinute;
  std::vector<int64_t> begun;
  std::function<void(const Status&)> done;
  AutoDefrag defrag;
};

TEST(AutoDefragTest, BeginsAboveTheThresholdOnly) {
  struct Case {
    int percent;
    uint64_t size, free;
    bool begins;
  };
  const Case cases[] = {
      {0, 1000, 900, false},   // Off.
      {50, 1000, 501, true},   //
      {50, 1000, 499, false},  //
      {1, 1000, 15, false},    // Too little to matter.
      {1, 1000, 17, true},     //
      {100, 1000, 1000, false},
  };
  for (const Case& c : cases) {
    World world(c.percent);
    world.use = {c.size * kMebibyte, c.free * kMebibyte};
    world.Run(60 * kMinute);
    EXPECT_EQ(world.begun.size(), c.begins ? 1u : 0u) << c.percent << " " << c.free;
  }
}

TEST(AutoDefragTest, OneAtATimeAndAgainWhenItIsWorthIt) {
  World world(20);
  world.use = {100 * kMebibyte, 50 * kMebibyte};
  world.Run(60 * kMinute);
  ASSERT_EQ(world.begun.size(), 1u);
  // What could not be returned does not make it run for ever.
  world.Finish(30 * kMebibyte);
  world.Run(60 * kMinute);
  EXPECT_EQ(world.begun.size(), 1u);
  world.use.free_bytes = 60 * kMebibyte;
  world.Run(60 * kMinute);
  EXPECT_EQ(world.begun.size(), 2u);
  world.Finish(0);
  world.use = {100 * kMebibyte, 25 * kMebibyte};
  world.Run(60 * kMinute);
  EXPECT_EQ(world.begun.size(), 3u);
}

TEST(AutoDefragTest, TriesAgainAfterAFailure) {
  World world(20);
  world.use = {100 * kMebibyte, 50 * kMebibyte};
  world.Run(60 * kMinute);
  ASSERT_EQ(world.begun.size(), 1u);
  std::exchange(world.done, nullptr)(Unavailable("no space"));
  world.Run(60 * kMinute);
  EXPECT_EQ(world.begun.size(), 2u);
}

TEST(AutoDefragTest, PausesWhereTheDiskHasNoRoom) {
  World world(20);
  world.use = {100 * kMebibyte, 50 * kMebibyte};
  world.Run(60 * kMinute);
  ASSERT_EQ(world.begun.size(), 1u);
  std::exchange(world.done, nullptr)(ResourceExhausted("no space"));
  world.Run(50 * kMinute);
  EXPECT_EQ(world.begun.size(), 1u);
  world.Run(40 * kMinute);
  EXPECT_EQ(world.begun.size(), 2u);
}

TEST(AutoDefragTest, MembersLookApart) {
  std::vector<int64_t> first;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    World world(20, seed);
    world.use = {100 * kMebibyte, 50 * kMebibyte};
    world.Run(11 * kMinute);
    ASSERT_EQ(world.begun.size(), 1u);
    first.push_back(world.begun[0]);
  }
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[1], first[2]);
}

}  // namespace
}  // namespace quorate::server
