#include "auth/range_permissions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/env_sim.h"
#include "base/test_seed.h"

namespace quorate::auth {
namespace {

const std::string kOpen(1, '\0');

RangeSet SetOf(const std::vector<std::pair<std::string, std::string>>& ranges) {
  RangeSet set;
  for (const auto& [key, end] : ranges) set.Add(key, end);
  set.Finish();
  return set;
}

TEST(RangeSet, Cases) {
  const struct {
    std::vector<std::pair<std::string, std::string>> granted;
    std::string key;
    std::string range_end;
    bool covered;
  } cases[] = {
      {{}, "a", "", false},
      {{{"a", ""}}, "a", "", true},
      {{{"a", ""}}, "a", kOpen, false},
      {{{"a", ""}}, "a", "b", false},
      {{{"a", ""}}, "a", std::string("a\0", 2), true},
      {{{"a", "c"}}, "b", "c", true},
      {{{"a", "c"}}, "c", "", false},
      {{{"a", "c"}}, "b", "d", false},
      {{{"a", "c"}, {"c", "e"}}, "b", "d", true},   // They touch.
      {{{"a", "c"}, {"d", "f"}}, "b", "e", false},  // A gap.
      {{{"a", "f"}, {"b", "c"}}, "b", "e", true},   // One within the other.
      {{{"a", kOpen}}, "zz", kOpen, true},
      {{{"b", kOpen}}, "a", kOpen, false},
      {{{"a", "z"}}, "b", kOpen, false},
      {{{kOpen, kOpen}}, kOpen, kOpen, true},  // All keys.
      {{{kOpen, kOpen}}, "", kOpen, false},    // The empty key is none.
      {{{"", kOpen}}, "a", "", false},
      {{{"c", "a"}}, "c", "", false},  // Upside down, from a time when that was not refused.
      {{{"a", "c"}, {"b", kOpen}}, "a", kOpen, true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(SetOf(c.granted).Covers(c.key, c.range_end), c.covered)
        << testing::PrintToString(c.granted) << " " << c.key << " " << c.range_end;
  }
}

// The keys "b" to "k", one between each two of them, and one beyond all ends that are no open end: a range is
// covered when all of these that lie in it are.
TEST(RangeSet, AgainstASetOfKeys) {
  const uint64_t seed = TestSeed(6);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  std::vector<std::string> universe = {"zz"};
  for (char c = 'b'; c <= 'k'; ++c)
    universe.insert(universe.end(), {std::string(1, c), std::string(1, c) + "5"});
  const auto keys_of = [&](const std::string& key, const std::string& end) {
    std::set<std::string> keys;
    for (const std::string& k : universe) {
      if (end.empty() ? k == key : k >= key && (end == kOpen || k < end)) keys.insert(k);
    }
    return keys;
  };
  const auto letter = [&] { return std::string(1, static_cast<char>('b' + random.Below(10))); };
  const auto random_end = [&] { return random.Below(3) == 0 ? "" : random.Below(5) == 0 ? kOpen : letter(); };
  int covered = 0;
  for (int round = 0; round < 5000; ++round) {
    RangeSet set;
    std::set<std::string> model;
    for (uint64_t n = random.Below(6); n > 0; --n) {
      const std::string key = letter();
      const std::string end = random_end();
      set.Add(key, end);
      model.merge(keys_of(key, end));
    }
    set.Finish();
    const std::string key = letter();
    const std::string end = random_end();
    const std::set<std::string> asked = keys_of(key, end);
    if (asked.empty()) continue;
    const bool expected = std::includes(model.begin(), model.end(), asked.begin(), asked.end());
    ASSERT_EQ(set.Covers(key, end), expected) << key << " " << end;
    covered += expected;
  }
  EXPECT_GT(covered, 500);
}

TEST(RangePermissions, ValidRanges) {
  const struct {
    std::string key;
    std::string range_end;
    bool valid;
  } cases[] = {{"", "", false},      {"", "a", false},  {"", kOpen, false}, {"a", "", true},
               {"a", "b", true},     {"a", "a", false}, {"b", "a", false},  {"b", kOpen, true},
               {kOpen, kOpen, true}, {kOpen, "a", true}};
  for (const auto& c : cases)
    EXPECT_EQ(IsValidPermissionRange(c.key, c.range_end), c.valid) << c.key << c.range_end;
}

}  // namespace
}  // namespace quorate::auth
