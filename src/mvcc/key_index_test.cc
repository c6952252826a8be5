#include "mvcc/key_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/test_seed.h"

namespace quorate::mvcc {
namespace {

// etcd's keyIndex, word for word and without any thrift: a list of generations for each key.
class Model {
 public:
  struct Generation {
    int64_t created = 0;
    int64_t version = 0;
    std::vector<std::pair<Revision, bool>> records;
  };

  void Put(const std::string& key, Revision rev) {
    auto& generations = keys_[key];
    if (generations.empty()) generations.emplace_back();
    Generation& g = generations.back();
    if (g.records.empty()) g.created = rev.main;
    g.records.push_back({rev, false});
    ++g.version;
  }

  bool Tombstone(const std::string& key, Revision rev) {
    auto found = keys_.find(key);
    if (found == keys_.end() || found->second.back().records.empty()) return false;
    Generation& g = found->second.back();
    g.records.push_back({rev, true});
    ++g.version;
    found->second.emplace_back();
    return true;
  }

  std::optional<KeyVersion> Get(const std::string& key, int64_t at) const {
    auto found = keys_.find(key);
    if (found == keys_.end()) return std::nullopt;
    const auto& generations = found->second;
    for (size_t i = generations.size(); i-- > 0;) {
      const Generation& g = generations[i];
      if (g.records.empty()) continue;
      if (i + 1 != generations.size() && g.records.back().first.main <= at) return std::nullopt;
      if (g.records.front().first.main > at) continue;
      for (size_t n = g.records.size(); n-- > 0;) {
        if (g.records[n].first.main > at) continue;
        return KeyVersion{g.records[n].first, g.created,
                          g.version - static_cast<int64_t>(g.records.size() - n - 1)};
      }
    }
    return std::nullopt;
  }

  // Deletes as etcd 3.4.23 does, or (keep_tombstone) as 3.4.34 does. Returns what is gone.
  std::set<Revision> Compact(int64_t at, bool keep_tombstone) {
    std::set<Revision> gone;
    for (auto it = keys_.begin(); it != keys_.end();) {
      auto& generations = it->second;
      size_t first = 0;
      while (first + 1 < generations.size()) {
        const int64_t tombstone = generations[first].records.back().first.main;
        if (tombstone > at || (keep_tombstone && tombstone >= at)) break;
        for (const auto& record : generations[first].records) gone.insert(record.first);
        ++first;
      }
      generations.erase(generations.begin(), generations.begin() + static_cast<int64_t>(first));
      auto& records = generations.front().records;
      size_t newest = 0;
      while (newest < records.size() && records[newest].first.main <= at) ++newest;
      for (size_t i = 0; i + 1 < newest; ++i) gone.insert(records[i].first);
      if (newest > 1) records.erase(records.begin(), records.begin() + static_cast<int64_t>(newest) - 1);
      it = generations.size() == 1 && records.empty() ? keys_.erase(it) : std::next(it);
    }
    return gone;
  }

  std::map<std::string, std::vector<Generation>> keys_;
};

struct Pair {
  std::string key;
  Revision modified;
  int64_t created;
  int64_t version;
  bool operator==(const Pair&) const = default;
};

std::vector<Pair> IndexRange(const KeyIndex& index, std::string_view key, std::string_view end, int64_t at) {
  std::vector<Pair> result;
  index.Range(key, end, at, [&](std::string_view found, const KeyVersion& v) {
    result.push_back({std::string(found), v.modified, v.created, v.version});
    return true;
  });
  return result;
}

std::vector<Pair> ModelRange(const Model& model, std::string_view key, std::string_view end, int64_t at) {
  std::vector<Pair> result;
  for (const auto& [name, generations] : model.keys_) {
    const bool inside = end.empty() ? name == key : name >= key && (IsOpenEnd(end) || name < end);
    if (!inside) continue;
    if (auto v = model.Get(name, at)) result.push_back({name, v->modified, v->created, v->version});
  }
  return result;
}

std::string RandomKey(std::mt19937_64& random, uint64_t variety) {
  static const char* const kPrefixes[] = {"", "/registry/pods/", "/registry/pods/default-", "k",
                                          std::string_view("\0", 1).data()};
  std::string key = kPrefixes[random() % 5];
  key += std::to_string(random() % variety);
  if (random() % 8 == 0) key += std::string(random() % 12, '\0');
  return key;
}

TEST(KeyIndexTest, ExampleOfEtcd) {
  KeyIndex index;
  index.Put("foo", {1, 0});
  index.Put("foo", {2, 0});
  ASSERT_TRUE(index.Tombstone("foo", {3, 0}));
  EXPECT_FALSE(index.Tombstone("foo", {3, 1}));
  index.Put("foo", {4, 0});
  ASSERT_TRUE(index.Tombstone("foo", {5, 0}));
  KeyVersion v;
  ASSERT_TRUE(index.Get("foo", 2, &v));
  EXPECT_EQ(v.modified, (Revision{2, 0}));
  EXPECT_EQ(v.created, 1);
  EXPECT_EQ(v.version, 2);
  EXPECT_FALSE(index.Get("foo", 3, &v));
  ASSERT_TRUE(index.Get("foo", 4, &v));
  EXPECT_EQ(v.created, 4);
  EXPECT_EQ(v.version, 1);
  EXPECT_FALSE(index.Get("foo", 5, &v));

  std::vector<DroppedRecord> dropped;
  for (int64_t at : {2, 4, 5}) {
    KeyIndex::Pass pass;
    index.CompactStep(&pass, at, false, 100, &dropped);
    EXPECT_TRUE(pass.done);
    EXPECT_EQ(dropped.size(), at == 2 ? 1u : at == 4 ? 3u : 5u);
  }
  EXPECT_EQ(index.size(), 0u);
}

struct RandomCase {
  bool keep_tombstone;
  uint64_t variety;
};

class KeyIndexRandomTest : public testing::TestWithParam<RandomCase> {};

TEST_P(KeyIndexRandomTest, EqualsTheModel) {
  std::mt19937_64 random(TestSeed());
  KeyIndex index;
  Model model;
  int64_t revision = 1;
  int64_t compacted = 0;
  const auto check = [&] {
    ASSERT_EQ(index.CheckInvariants(), "");
    for (int64_t at :
         {revision, compacted, compacted + static_cast<int64_t>(random() % (revision - compacted + 1))}) {
      if (at <= 0) continue;
      std::string key = RandomKey(random, GetParam().variety);
      std::string end = random() % 3 == 0 ? std::string("\0", 1) : RandomKey(random, GetParam().variety);
      if (random() % 5 == 0) end.clear();
      ASSERT_EQ(IndexRange(index, key, end, at), ModelRange(model, key, end, at));
      ASSERT_EQ(index.Count(key, end, at), static_cast<int64_t>(ModelRange(model, key, end, at).size()));
    }
  };
  for (int round = 0; round < 6000; ++round) {
    const uint64_t what = random() % 100;
    if (what < 97) {
      ++revision;
      const int64_t changes = 1 + (random() % 4 == 0 ? static_cast<int64_t>(random() % 5) : 0);
      std::set<std::string> changed;  // No request changes a key twice: etcd refuses it.
      for (int64_t sub = 0; sub < changes; ++sub) {
        const std::string key = RandomKey(random, GetParam().variety);
        if (!changed.insert(key).second) continue;
        if (random() % 3 != 0) {
          const auto before = model.Get(key, revision);
          model.Put(key, {revision, sub});
          const KeyIndex::PutResult put = index.Put(key, {revision, sub});
          ASSERT_EQ(put.existed, before.has_value());
          const auto after = model.Get(key, revision);
          ASSERT_EQ(put.version, after->version);
          ASSERT_EQ(put.created, after->created);
        } else {
          ASSERT_EQ(index.Tombstone(key, {revision, sub}), model.Tombstone(key, {revision, sub}));
        }
      }
    } else if (what == 97) {
      const int64_t at =
          compacted + 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(revision - compacted + 1));
      if (at > revision) continue;
      compacted = at;
      std::vector<DroppedRecord> dropped;
      KeyIndex::Pass pass;
      while (!pass.done) index.CompactStep(&pass, at, GetParam().keep_tombstone, 1 + random() % 50, &dropped);
      std::set<Revision> gone;
      for (const DroppedRecord& record : dropped) ASSERT_TRUE(gone.insert(record.revision()).second);
      ASSERT_EQ(gone, model.Compact(at, GetParam().keep_tombstone));
      ASSERT_EQ(index.size(), model.keys_.size());
    } else {
      ASSERT_NO_FATAL_FAILURE(check());
    }
  }
  ASSERT_NO_FATAL_FAILURE(check());
}

INSTANTIATE_TEST_SUITE_P(All, KeyIndexRandomTest,
                         testing::Values(RandomCase{false, 20}, RandomCase{true, 20}, RandomCase{false, 2000},
                                         RandomCase{true, 2000}));

// Keys dying in masses take leaves and levels of the tree with them.
TEST(KeyIndexTest, GrowsAndShrinks) {
  std::mt19937_64 random(TestSeed());
  KeyIndex index;
  std::set<std::string> keys;
  int64_t revision = 1;
  for (int round = 0; round < 4; ++round) {
    while (keys.size() < 20000) {
      const std::string key = RandomKey(random, 1'000'000);
      keys.insert(key);
      index.Put(key, {++revision, 0});
    }
    ASSERT_EQ(index.CheckInvariants(), "");
    ASSERT_EQ(index.alive(), static_cast<int64_t>(keys.size()));
    std::vector<std::string> dying(keys.begin(), keys.end());
    std::shuffle(dying.begin(), dying.end(), random);
    const size_t left = round % 2 == 0 ? 0 : 100;
    dying.resize(dying.size() - left);
    for (const std::string& key : dying) {
      ASSERT_TRUE(index.Tombstone(key, {++revision, 0}));
      keys.erase(key);
    }
    KeyIndex::Pass pass;
    std::vector<DroppedRecord> dropped;
    while (!pass.done) index.CompactStep(&pass, revision, false, 777, &dropped);
    ASSERT_EQ(index.CheckInvariants(), "");
    ASSERT_EQ(index.size(), left);
    ASSERT_EQ(index.alive(), static_cast<int64_t>(keys.size()));
  }
}

TEST(KeyIndexTest, KeepNamesWhatACompactionWouldKeep) {
  KeyIndex index;
  index.Put("a", {2, 0});
  index.Put("a", {5, 0});
  index.Put("b", {3, 0});
  index.Tombstone("b", {4, 0});
  index.Put("c", {6, 0});
  std::vector<Revision> kept;
  bool any = false;
  KeyIndex::Pass pass;
  while (!pass.done) index.KeepStep(&pass, 4, 4, false, 1, &kept, &any);
  EXPECT_EQ(kept, (std::vector<Revision>{{2, 0}}));
  EXPECT_TRUE(any);
}

TEST(KeyIndexTest, BuilderGivesTheSameIndex) {
  std::mt19937_64 random(TestSeed());
  for (uint64_t variety : {1u, 30u, 5000u}) {
    KeyIndex index;
    KeyIndex built;
    KeyIndex::Builder builder(&built);
    std::map<std::string, int64_t> leases;
    std::vector<std::string> names;  // The builder borrows the keys.
    names.reserve(20000);
    for (int64_t revision = 2; revision < 20000; ++revision) {
      const std::string& key = names.emplace_back(RandomKey(random, variety));
      KeyVersion before;
      if (random() % 4 == 0 && index.Get(key, revision, &before)) {
        index.Tombstone(key, {revision, 0});
        builder.Add({key, {revision, 0}, true, 0, 0, 0});
        leases.erase(key);
        continue;
      }
      const KeyIndex::PutResult put = index.Put(key, {revision, 0});
      const int64_t lease = static_cast<int64_t>(random() % 3);
      builder.Add({key, {revision, 0}, false, put.created, put.version, lease});
      leases.erase(key);
      if (lease != 0) leases[key] = lease;
    }
    std::vector<std::pair<std::string, int64_t>> found;
    builder.Finish([&](std::string_view key, int64_t lease) { found.emplace_back(key, lease); });
    EXPECT_EQ(found, (std::vector<std::pair<std::string, int64_t>>(leases.begin(), leases.end())));
    ASSERT_EQ(built.CheckInvariants(), "");
    for (int64_t at : {19999, 10000, 77}) {
      ASSERT_EQ(IndexRange(index, "", std::string("\0", 1), at),
                IndexRange(built, "", std::string("\0", 1), at));
    }
    ASSERT_EQ(index.Count("/", "0", 19999), built.Count("/", "0", 19999));
    index.Put("zzz", {20000, 0});
    built.Put("zzz", {20000, 0});
    ASSERT_EQ(built.CheckInvariants(), "");
  }
}

// The budget of the design: 100 bytes a key beyond its own, 24 a further revision.
TEST(KeyIndexTest, KeepsItsMemoryBudget) {
  std::mt19937_64 random(7);
  KeyIndex index;
  int64_t revision = 1;
  size_t key_bytes = 0;
  std::vector<std::string> keys;
  for (int i = 0; i < 100'000; ++i) {
    keys.push_back("/registry/" + std::to_string(random()));
    key_bytes += keys.back().size();
    index.Put(keys.back(), {++revision, 0});
  }
  const size_t single = index.bytes();
  EXPECT_LT(single - key_bytes, 100u * keys.size());
  for (int round = 0; round < 10; ++round) {
    for (const std::string& key : keys) index.Put(key, {++revision, 0});
  }
  EXPECT_LT(index.bytes() - single, 24u * 10 * keys.size());
}

}  // namespace
}  // namespace quorate::mvcc
