#include "net/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace quorate::net {
namespace {

TEST(BlockPool, BlocksKeepTheirBytesThroughGrowthAndReuse) {
  const char* env = std::getenv("QUORATE_TEST_SEED");
  const uint64_t seed = env != nullptr ? std::strtoull(env, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  BlockPool pool;
  struct Held {
    char* block;
    std::string expected;
  };
  std::vector<Held> held;
  const auto fill = [&](Held* h) {
    for (char& c : h->expected) c = static_cast<char>(random());
    std::memcpy(h->block, h->expected.data(), h->expected.size());
  };
  for (int step = 0; step < 20'000; ++step) {
    const size_t size = random() % 4 == 0 ? random() % 5000 : random() % 300;
    const uint64_t what = random() % 5;
    if (what < 2 || held.empty()) {
      Held h{static_cast<char*>(what == 0 ? pool.Allocate(size) : pool.AllocateZeroed(1, size)),
             std::string(size, '\0')};
      ASSERT_EQ(0u, reinterpret_cast<uintptr_t>(h.block) % alignof(std::max_align_t));
      if (what == 1) {
        ASSERT_EQ(0, std::memcmp(h.block, h.expected.data(), size));
      }
      fill(&h);
      held.push_back(h);
      continue;
    }
    const size_t i = random() % held.size();
    ASSERT_EQ(0, std::memcmp(held[i].block, held[i].expected.data(), held[i].expected.size()));
    if (what == 2) {
      held[i].block = static_cast<char*>(pool.Reallocate(held[i].block, size));
      const size_t kept = std::min(size, held[i].expected.size());
      ASSERT_EQ(0, std::memcmp(held[i].block, held[i].expected.data(), kept));
      held[i].expected.resize(size);
      fill(&held[i]);
    } else {
      pool.Free(held[i].block);
      held[i] = held.back();
      held.pop_back();
    }
  }
  for (const Held& h : held) pool.Free(h.block);
  pool.Free(nullptr);
  EXPECT_EQ(nullptr, pool.AllocateZeroed(SIZE_MAX, 2));
}

}  // namespace
}  // namespace quorate::net
