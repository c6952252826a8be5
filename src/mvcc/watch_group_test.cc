#include "mvcc/watch_group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "base/test_seed.h"

namespace quorate::mvcc {
namespace {

std::string RandomKey(std::mt19937_64& random) {
  std::string key;
  for (uint64_t n = random() % 4; n > 0; --n) key += static_cast<char>('a' + random() % 4);
  return key;
}

bool Holds(const WatchRangeGroup& group, const std::string& point) {
  return group.key <= point && (group.unbounded || point < group.end);
}

TEST(WatchRangeTree, AgreesWithALinearScan) {
  const uint64_t seed = TestSeed();
  std::mt19937_64 random(seed);
  WatchRangeTree<WatchRangeGroup> tree;
  std::vector<std::unique_ptr<WatchRangeGroup>> all;
  for (int step = 0; step < 4000; ++step) {
    if (all.empty() || random() % 5 < 3) {
      auto group = std::make_unique<WatchRangeGroup>();
      group->key = RandomKey(random);
      group->end = RandomKey(random);
      group->unbounded = random() % 5 == 0;
      if (group->unbounded) group->end.clear();
      const auto same = std::find_if(all.begin(), all.end(), [&](const auto& other) {
        return other->key == group->key && other->end == group->end && other->unbounded == group->unbounded;
      });
      WatchRangeGroup* found = tree.Find(group->key, group->end, group->unbounded);
      ASSERT_EQ(found, same == all.end() ? nullptr : same->get());
      if (found != nullptr) continue;
      tree.Insert(group.get());
      all.push_back(std::move(group));
    } else {
      const size_t at = random() % all.size();
      tree.Erase(all[at].get());
      all.erase(all.begin() + static_cast<ptrdiff_t>(at));
    }
    if (step % 50 == 0) tree.CheckInvariants();
    ASSERT_EQ(tree.size(), all.size());
    const std::string point = RandomKey(random);
    std::vector<const WatchRangeGroup*> hit;
    tree.Stab(point, [&](WatchRangeGroup* group) { hit.push_back(group); });
    std::vector<const WatchRangeGroup*> expected;
    for (const auto& group : all)
      if (Holds(*group, point)) expected.push_back(group.get());
    ASSERT_EQ(hit.size(), expected.size());
    std::sort(hit.begin(), hit.end());
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(hit, expected);
  }
  while (!all.empty()) {
    tree.Erase(all.back().get());
    all.pop_back();
  }
  EXPECT_EQ(tree.size(), 0u);
}

TEST(WatchRangeTree, StaysShallowWhenKeysComeInOrder) {
  WatchRangeTree<WatchRangeGroup> tree;
  std::vector<std::unique_ptr<WatchRangeGroup>> all;
  for (int i = 0; i < 20000; ++i) {
    auto group = std::make_unique<WatchRangeGroup>();
    group->key = std::to_string(100000 + i);
    group->end = group->key + "x";
    tree.Insert(group.get());
    all.push_back(std::move(group));
  }
  tree.CheckInvariants();
  const auto depth = [](auto&& self, const WatchRangeGroup* node) -> int {
    return node == nullptr ? 0 : 1 + std::max(self(self, node->left), self(self, node->right));
  };
  const WatchRangeGroup* root = all.front().get();
  for (const auto& group : all)
    if (group->priority > root->priority) root = group.get();
  EXPECT_LT(depth(depth, root), 60);
}

TEST(WatchRangeTree, IdleWatcherIsSmall) {
  // A watcher of a key of its own: itself, its group, its slot in the map of keys and in its stream's map.
  EXPECT_LE(sizeof(Watcher) + sizeof(WatchGroup) + 2 * sizeof(void*) + 2 * 2 * sizeof(void*), 200u);
}

}  // namespace
}  // namespace quorate::mvcc
