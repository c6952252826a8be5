#include "mvcc/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/test_seed.h"
#include "mvcc/store_harness_test.h"

namespace quorate::mvcc {
namespace {

const std::string kOpen(1, '\0');

int64_t PutOne(Store& store, std::string_view key, std::string_view value, int64_t lease = 0) {
  WriteTxn txn = store.BeginWrite();
  txn.Put(key, value, lease);
  return txn.End();
}

int64_t DeleteOne(Store& store, std::string_view key, std::string_view end = {}) {
  WriteTxn txn = store.BeginWrite();
  txn.DeleteRange(key, end);
  return txn.End();
}

TEST(StoreTest, RevisionsMoveOnlyWithChanges) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  Store& store = *world.store;
  EXPECT_EQ(store.current_revision(), 1);
  EXPECT_EQ(store.compacted_revision(), -1);
  EXPECT_EQ(PutOne(store, "a", "1"), 2);
  EXPECT_EQ(DeleteOne(store, "missing"), 2);
  WriteTxn txn = store.BeginWrite();
  EXPECT_EQ(txn.Put("b", "2", 0), 3);
  EXPECT_EQ(txn.Put("c", "3", 0), 3);
  EXPECT_EQ(store.current_revision(), 2);
  EXPECT_EQ(txn.DeleteRange("a", kOpen), 3);  // Its own puts as well.
  EXPECT_EQ(txn.End(), 3);
  EXPECT_EQ(store.current_revision(), 3);
  EXPECT_EQ(store.Range({.key = "a", .range_end = kOpen})->count, 0);
  EXPECT_EQ(store.Range({.key = "a", .range_end = kOpen, .revision = 2})->count, 1);
}

TEST(StoreTest, EventsAreTheWireBytes) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  std::vector<std::tuple<EventType, bool, std::string, int64_t, int64_t, int64_t>> events;
  world.store->set_observer([&](const EventBatch& batch) {
    EXPECT_EQ(batch.revision, world.store->current_revision());
    for (const Event& event : batch.events) {
      KeyValue kv;
      ASSERT_TRUE(Decode(event.key_value, &kv));
      EXPECT_EQ(kv.key, event.key);
      EXPECT_EQ(kv.mod_revision, event.revision.main);
      events.emplace_back(event.type, event.create, std::string(kv.key), event.revision.main,
                          event.revision.sub, kv.create_revision);
    }
  });
  PutOne(*world.store, "a", "1");
  DeleteOne(*world.store, "none");
  WriteTxn txn = world.store->BeginWrite();
  txn.Put("a", "2", 0);
  txn.Put("b", "", 0);
  txn.DeleteRange("a", "c");
  txn.End();
  using E = EventType;
  const std::vector<std::tuple<EventType, bool, std::string, int64_t, int64_t, int64_t>> expected = {
      {E::kPut, true, "a", 2, 0, 2},
      {E::kPut, false, "a", 3, 0, 2},
      {E::kPut, true, "b", 3, 1, 3},
      {E::kDelete, false, "a", 3, 2, 0},
      {E::kDelete, false, "b", 3, 3, 0}};
  EXPECT_EQ(events, expected);

  events.clear();
  const auto collect = [&](const Event& event) {
    KeyValue kv;
    EXPECT_TRUE(Decode(event.key_value, &kv));
    EXPECT_EQ(kv.mod_revision, event.revision.main);
    events.emplace_back(event.type, event.create, std::string(event.key), event.revision.main,
                        event.revision.sub, kv.create_revision);
    return true;
  };
  ASSERT_TRUE(world.store->History().Scan(2, 4, collect).ok());
  EXPECT_EQ(events, expected);
}

TEST(StoreTest, LeasesFollowTheKeys) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  PutOne(*world.store, "a", "1", 7);
  PutOne(*world.store, "b", "1", 7);
  PutOne(*world.store, "c", "1", 8);
  PutOne(*world.store, "b", "2", 8);
  PutOne(*world.store, "c", "2", 0);
  EXPECT_EQ(world.leases.bound, (std::map<std::string, int64_t>{{"a", 7}, {"b", 8}}));
  DeleteOne(*world.store, "a");
  EXPECT_EQ(world.leases.bound, (std::map<std::string, int64_t>{{"b", 8}}));
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.leases.bound, (std::map<std::string, int64_t>{{"b", 8}}));
}

struct RangeCase {
  const char* name;
  RangeOptions options;
  std::vector<std::string> keys;
  int64_t count;
  bool more;
};

// State: a (created 2, mod 7, version 2, "9"), b (3, 3, 1, "5"), c (4, 8, 2, "7"), d (5, 5, 1, "1"), e
// deleted at 9.
class RangeTest : public testing::TestWithParam<RangeCase> {};

TEST_P(RangeTest, Table) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  Store& store = *world.store;
  PutOne(store, "a", "3");
  PutOne(store, "b", "5");
  PutOne(store, "c", "4");
  PutOne(store, "d", "1");
  PutOne(store, "e", "0");
  PutOne(store, "a", "9");
  PutOne(store, "c", "7", 5);
  DeleteOne(store, "e");
  const auto result = store.Range(GetParam().options);
  ASSERT_TRUE(result.ok()) << result.status();
  std::vector<std::string> keys;
  for (const std::string_view bytes : result->kvs) {
    KeyValue kv;
    ASSERT_TRUE(Decode(bytes, &kv));
    keys.emplace_back(kv.key);
    EXPECT_EQ(kv.value.empty(), GetParam().options.keys_only);
    EXPECT_EQ(kv.lease, kv.key == "c" && kv.mod_revision == 8 ? 5 : 0);
  }
  EXPECT_EQ(keys, GetParam().keys);
  EXPECT_EQ(result->count, GetParam().count);
  EXPECT_EQ(result->more, GetParam().more);
}

RangeOptions All() { return {.key = "a", .range_end = "z"}; }
template <typename Change>
RangeOptions AllWith(Change change) {
  RangeOptions options = All();
  change(options);
  return options;
}

using R = RangeOptions;
INSTANTIATE_TEST_SUITE_P(
    Options, RangeTest,
    testing::Values(
        RangeCase{"one", {.key = "b"}, {"b"}, 1, false}, RangeCase{"missing", {.key = "bb"}, {}, 0, false},
        RangeCase{"deleted", {.key = "e"}, {}, 0, false},
        RangeCase{"all", All(), {"a", "b", "c", "d"}, 4, false},
        RangeCase{"open", {.key = "c", .range_end = kOpen}, {"c", "d"}, 2, false},
        RangeCase{"everything", {.key = kOpen, .range_end = kOpen}, {"a", "b", "c", "d"}, 4, false},
        RangeCase{"backwards", {.key = "c", .range_end = "a"}, {}, 0, false},
        RangeCase{"empty", {.key = "c", .range_end = "c"}, {}, 0, false},
        RangeCase{"limit", AllWith([](R& o) { o.limit = 2; }), {"a", "b"}, 4, true},
        RangeCase{"limit hit", AllWith([](R& o) { o.limit = 4; }), {"a", "b", "c", "d"}, 4, false},
        RangeCase{"limit of an old revision",
                  AllWith([](R& o) { o.limit = 2, o.revision = 6; }),
                  {"a", "b"},
                  5,
                  true},
        RangeCase{"negative limit", AllWith([](R& o) { o.limit = -1; }), {"a", "b", "c", "d"}, 4, false},
        RangeCase{"old", AllWith([](R& o) { o.revision = 3; }), {"a", "b"}, 2, false},
        RangeCase{"count", AllWith([](R& o) { o.count_only = true, o.limit = 1; }), {}, 4, false},
        RangeCase{"count old", AllWith([](R& o) { o.count_only = true, o.revision = 6; }), {}, 5, false},
        RangeCase{"keys", AllWith([](R& o) { o.keys_only = true, o.limit = 3; }), {"a", "b", "c"}, 4, true},
        RangeCase{"descending",
                  AllWith([](R& o) { o.sort_order = SortOrder::kDescend; }),
                  {"d", "c", "b", "a"},
                  4,
                  false},
        RangeCase{"descending, cut",
                  AllWith([](R& o) { o.sort_order = SortOrder::kDescend, o.limit = 1; }),
                  {"d"},
                  4,
                  true},
        RangeCase{"ascending, cut",
                  AllWith([](R& o) { o.sort_order = SortOrder::kAscend, o.limit = 1; }),
                  {"a"},
                  4,
                  true},
        RangeCase{"by version",
                  AllWith([](R& o) { o.sort_target = SortTarget::kVersion; }),
                  {"b", "d", "a", "c"},
                  4,
                  false},
        RangeCase{
            "by version down",
            AllWith([](R& o) { o.sort_target = SortTarget::kVersion, o.sort_order = SortOrder::kDescend; }),
            {"a", "c", "b", "d"},
            4,
            false},
        RangeCase{
            "by creation down",
            AllWith([](R& o) { o.sort_target = SortTarget::kCreate, o.sort_order = SortOrder::kDescend; }),
            {"d", "c", "b", "a"},
            4,
            false},
        RangeCase{"by modification",
                  AllWith([](R& o) { o.sort_target = SortTarget::kMod; }),
                  {"b", "d", "a", "c"},
                  4,
                  false},
        RangeCase{"by value",
                  AllWith([](R& o) { o.sort_target = SortTarget::kValue; }),
                  {"d", "b", "c", "a"},
                  4,
                  false},
        RangeCase{"by value, keys only",
                  AllWith([](R& o) {
                    o.sort_target = SortTarget::kValue, o.sort_order = SortOrder::kAscend, o.keys_only = true,
                    o.limit = 2;
                  }),
                  {"d", "b"},
                  4,
                  true},
        // Without an order the limit, and one key more, cuts first, in order of keys; then what is left is
        // sorted.
        RangeCase{"by value, no order, limit",
                  AllWith([](R& o) { o.sort_target = SortTarget::kValue, o.limit = 2; }),
                  {"b", "c"},
                  4,
                  true},
        RangeCase{"min mod", AllWith([](R& o) { o.min_mod_revision = 5; }), {"a", "c", "d"}, 4, false},
        RangeCase{"max mod", AllWith([](R& o) { o.max_mod_revision = 5; }), {"b", "d"}, 4, false},
        RangeCase{"min create", AllWith([](R& o) { o.min_create_revision = 4; }), {"c", "d"}, 4, false},
        RangeCase{"max create, cut",
                  AllWith([](R& o) { o.max_create_revision = 4, o.limit = 2; }),
                  {"a", "b"},
                  4,
                  true},
        RangeCase{"filtered to the limit",
                  AllWith([](R& o) { o.max_create_revision = 3, o.limit = 2; }),
                  {"a", "b"},
                  4,
                  false}),
    [](const testing::TestParamInfo<RangeCase>& range_case) {
      std::string name = range_case.param.name;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == ' ' || c == ','; }, '_');
      return name;
    });

// The leader of an election is the oldest of its keys: one value is fetched.
TEST(StoreTest, FewOfManyArePickedByTheIndex) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  for (int i = 100; i < 200; ++i) PutOne(*world.store, "k" + std::to_string(i), "v");
  RangeOptions options = AllWith([](RangeOptions& o) {
    o.sort_target = SortTarget::kCreate, o.sort_order = SortOrder::kDescend, o.limit = 3;
    o.max_create_revision = 50;
  });
  const auto plan = world.store->PlanRange(options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->fetches(), 3U);
  EXPECT_EQ(plan->count(), 100);
  EXPECT_TRUE(plan->Resident());
  options.sort_target = SortTarget::kValue;
  EXPECT_EQ(world.store->PlanRange(options)->fetches(), 100U);
}

TEST(StoreTest, RangeAtBoundsOfHistory) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  Store& store = *world.store;
  for (int i = 0; i < 8; ++i) PutOne(store, "a", std::to_string(i));
  EXPECT_EQ(store.Range({.key = "a", .revision = 10}).status(), FutureRevisionError());
  EXPECT_EQ(store.Compact(10, {}), FutureRevisionError());
  bool done = false;
  ASSERT_TRUE(store.Compact(5, [&done] { done = true; }).ok());
  EXPECT_EQ(store.compacted_revision(), 5);
  EXPECT_EQ(store.Range({.key = "a", .revision = 4}).status(), CompactedError());
  EXPECT_EQ(store.Range({.key = "a", .revision = 5})->count, 1);
  bool second_done = false;
  EXPECT_EQ(store.Compact(5, [&second_done] { second_done = true; }), CompactedError());
  EXPECT_FALSE(done);
  world.Settle();
  EXPECT_TRUE(done);
  EXPECT_TRUE(second_done);
  EXPECT_EQ(store.Range({.key = "a", .revision = 5})->count, 1);
  EXPECT_EQ(world.HashKv(4).status(), CompactedError());
  EXPECT_EQ(world.HashKv(5).status(), CompactedError());
  EXPECT_TRUE(world.HashKv(6).ok());
  EXPECT_EQ(world.HashKv(10).status(), FutureRevisionError());
  EXPECT_TRUE(IsCompacted(CompactedError()));
  EXPECT_FALSE(IsCompacted(FutureRevisionError()));
}

// --- hashes of compactions

TEST(StoreTest, CompactionsAreHashed) {
  World world(1);
  world.store_options.hash_compactions = true;
  world.store_options.keep_tombstone_at_compaction = true;
  ASSERT_TRUE(world.Open().ok());
  Store& store = *world.store;
  for (int i = 0; i < 8; ++i) PutOne(store, i % 2 == 0 ? "a" : "b", std::to_string(i));  // Revisions 2 to 9.
  const uint32_t first = world.HashKv(5)->hash;
  ASSERT_TRUE(store.Compact(5, {}).ok());
  // The next begins before this one has ended: who knows what it finds.
  ASSERT_TRUE(store.Compact(6, {}).ok());
  world.Settle();
  EXPECT_EQ(store.CompactionHashes(), (std::vector<CompactionHash>{{5, -1, first}}));
  const uint32_t second = world.HashKv(8)->hash;
  ASSERT_TRUE(store.Compact(8, {}).ok());
  world.Settle();
  EXPECT_EQ(store.CompactionHashes(), (std::vector<CompactionHash>{{5, -1, first}, {8, 6, second}}));
  // Asked for that very revision, the store answers with what is kept, and still knows what is compacted.
  const auto kept = world.HashKv(8);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->hash, second);
  EXPECT_EQ(kept->compact_revision, 6);
  EXPECT_EQ(kept->current_revision, 9);
  EXPECT_EQ(world.HashKv(7).status(), CompactedError());
  for (int i = 0; i < 20; ++i) {
    PutOne(store, "c", "");
    ASSERT_TRUE(store.Compact(store.current_revision(), {}).ok());
    world.Settle();
  }
  EXPECT_EQ(store.CompactionHashes().size(), Store::kCompactionHashesMax);
  EXPECT_EQ(store.CompactionHashes().back().revision, store.current_revision());
}

// etcd keeps the tombstone at the compacted revision, so what lies below counts as compacted, even where the
// compaction leaves no living key.
TEST(StoreTest, ACompactionAtTheLastDeletionHashesWhatItKeeps) {
  World world(1);
  world.store_options.hash_compactions = true;
  world.store_options.keep_tombstone_at_compaction = true;
  ASSERT_TRUE(world.Open().ok());
  Store& store = *world.store;
  PutOne(store, "a", "1");  // 2
  ASSERT_TRUE(store.Compact(2, {}).ok());
  world.Settle();
  DeleteOne(store, "a");  // 3
  ASSERT_TRUE(store.Compact(3, {}).ok());
  world.Settle();
  uint32_t crc = crc32c::Value("key");
  crc = crc32c::Extend(crc, EncodeRevision({3, 0}, true).view());
  KeyValue deleted;
  deleted.key = "a";
  std::string bytes(EncodedSize(deleted), '\0');
  Encode(deleted, bytes.data());
  crc = crc32c::Extend(crc, bytes);
  EXPECT_EQ(store.CompactionHashes().back(), (CompactionHash{3, 2, crc}));
}

// --- the store against the model
// ---------------------------------------------------------------------------------------

class StoreModelTest : public testing::TestWithParam<std::tuple<InlineExecutor::Mode, bool>> {
 protected:
  StoreModelTest() : seed_(TestSeed()), random_(seed_), world_(seed_, std::get<0>(GetParam())) {
    world_.store_options.keep_tombstone_at_compaction = model_.keep_tombstone = std::get<1>(GetParam());
    world_.store_options.compaction_batch = 5;
    world_.backend_options.batch_operations = 20;
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  std::string Key() { return "k" + std::to_string(Below(30)); }
  std::string End() {
    const uint64_t kind = Below(4);
    return kind == 0 ? kOpen : kind == 1 ? Key() : std::string();
  }

  // One entry of the log.
  void Apply() {
    ++index_;
    world_.backend->SetConsistentIndex(index_, 1);
    if (Below(25) == 0 && model_.current > std::max<int64_t>(model_.compacted, 1)) {
      const int64_t floor = std::max<int64_t>(model_.compacted, 0);
      const int64_t at =
          floor + 1 + static_cast<int64_t>(Below(static_cast<uint64_t>(model_.current - floor)));
      ASSERT_TRUE(world_.store->Compact(at, {}).ok());
      model_.Compact(at);
    } else {
      WriteTxn txn = world_.store->BeginWrite();
      Revision revision{model_.current + 1, 0};
      std::set<std::string> put;
      for (uint64_t changes = 1 + (Below(4) == 0 ? Below(6) : 0); changes > 0; --changes) {
        const std::string key = Key();
        if (Below(3) != 0) {
          if (!put.insert(key).second) continue;
          const std::string value(Below(20) == 0 ? 5000 : Below(40), static_cast<char>('a' + Below(26)));
          const int64_t lease = Below(3) == 0 ? static_cast<int64_t>(Below(4)) : 0;
          txn.Put(key, value, lease);
          model_.Put(revision, key, value, lease);
          ++revision.sub;
        } else if (put.empty()) {  // A key is changed once a transaction.
          const std::string end = End();
          const int64_t deleted = model_.DeleteRange(revision, key, end);
          ASSERT_EQ(txn.DeleteRange(key, end), deleted);
          revision.sub += deleted;
          if (deleted > 0) break;
        }
      }
      model_.current += revision.sub > 0 ? 1 : 0;
      ASSERT_EQ(txn.End(), model_.current);
    }
    history_.push_back(model_);
    if (world_.store->busy() && Below(2) == 0) world_.store->Step(1 + Below(10));
    if (Below(5) == 0) world_.clock.Advance(50'000'000);
    world_.backend->MaybeCommit(world_.clock.MonotonicNanos());
    if (Below(30) == 0) world_.backend->Commit({});
    if (Below(100) == 0 && !world_.backend->defragmenting())
      world_.backend->Defragment([](const Status& s) { EXPECT_TRUE(s.ok()) << s; });
    if (Below(2) == 0) world_.executor.Step();
    if (Below(2) == 0) world_.executor.RunCompletions();
  }

  void Reopen() {
    if (Below(2) == 0) {
      ASSERT_TRUE(world_.Close().ok());
    } else {
      if (Below(2) == 0) {
        world_.files.Crash();
      } else {
        world_.files.Kill();
      }
      world_.Forget();
    }
    ASSERT_TRUE(world_.Open().ok());
    // What the file lacks, the log would give again: here the model goes back instead.
    index_ = world_.backend->consistent_index();
    history_.resize(index_ + 1);
    const bool keep = model_.keep_tombstone;
    model_ = history_.back();
    model_.keep_tombstone = keep;
    ASSERT_EQ(world_.leases.bound, model_.Leases());
  }

  void CheckRange() {
    RangeOptions options;
    const std::string key = Key();
    const std::string end = End();
    options.key = key;
    options.range_end = end;
    options.limit = static_cast<int64_t>(Below(6));
    const int64_t floor = std::max<int64_t>(model_.compacted, 1);
    options.revision =
        Below(2) == 0
            ? 0
            : floor + static_cast<int64_t>(Below(static_cast<uint64_t>(model_.current - floor + 1)));
    const auto result = world_.store->Range(options);
    ASSERT_TRUE(result.ok()) << result.status();
    Model::Pairs expected = model_.At(key, end, options.revision == 0 ? model_.current : options.revision);
    ASSERT_EQ(result->count, static_cast<int64_t>(expected.size()));
    if (options.limit > 0 && expected.size() > static_cast<size_t>(options.limit)) {
      expected.resize(static_cast<size_t>(options.limit));
      ASSERT_TRUE(result->more);
    } else {
      ASSERT_FALSE(result->more);
    }
    ASSERT_EQ(result->kvs.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(result->kvs[i], Model::Encoded(expected[i].first, expected[i].second));
    }
  }

  // What is picked by the index is what a range without a limit fetches, filters and sorts, cut.
  void CheckPicked() {
    RangeOptions options;
    options.key = "k";
    options.range_end = "l";
    const int64_t floor = std::max<int64_t>(model_.compacted, 1);
    const auto revision = [&] {
      return floor + static_cast<int64_t>(Below(static_cast<uint64_t>(model_.current - floor + 1)));
    };
    if (Below(2) == 0) options.revision = revision();
    options.sort_order = static_cast<SortOrder>(Below(3));
    options.sort_target = static_cast<SortTarget>(Below(5));
    options.keys_only = Below(2) == 0;
    bool bounded = false;
    for (int64_t* bound : {&options.min_mod_revision, &options.max_mod_revision, &options.min_create_revision,
                           &options.max_create_revision}) {
      if (Below(5) == 0) *bound = revision();
      bounded |= *bound != 0;
    }
    // Without an order and without bounds the limit cuts before the target sorts: a case of its own.
    if (options.sort_order == SortOrder::kNone && !bounded) options.sort_target = SortTarget::kKey;
    const auto all = world_.store->Range(options);
    ASSERT_TRUE(all.ok()) << all.status();
    options.limit = 1 + static_cast<int64_t>(Below(8));
    const auto picked = world_.store->Range(options);
    ASSERT_TRUE(picked.ok()) << picked.status();
    ASSERT_EQ(picked->count, all->count);
    const auto limit = static_cast<size_t>(options.limit);
    ASSERT_EQ(picked->more, all->kvs.size() > limit);
    ASSERT_EQ(picked->kvs.size(), std::min(all->kvs.size(), limit));
    for (size_t i = 0; i < picked->kvs.size(); ++i) ASSERT_EQ(picked->kvs[i], all->kvs[i]) << i;
  }

  void CheckAll() {
    world_.Settle();
    ASSERT_TRUE(world_.fatal.ok()) << world_.fatal;
    ASSERT_EQ(world_.store->current_revision(), model_.current);
    ASSERT_EQ(world_.store->compacted_revision(), model_.compacted);
    bool committed = false;
    world_.backend->Commit([&committed] { committed = true; });
    world_.executor.RunUntilIdle();
    ASSERT_TRUE(committed);
    ASSERT_EQ(Records(*world_.backend), Records(model_));
    ASSERT_EQ(world_.store->index().CheckInvariants(), "");
    ASSERT_EQ(world_.leases.bound, model_.Leases());
    const int64_t from = std::max<int64_t>(model_.compacted + 1, 1);
    if (from <= model_.current) {
      const int64_t at = from + static_cast<int64_t>(Below(static_cast<uint64_t>(model_.current - from + 1)));
      const auto hash = world_.HashKv(at);
      ASSERT_TRUE(hash.ok()) << hash.status();
      ASSERT_EQ(hash->hash, model_.HashKv(at));
      ASSERT_EQ(hash->compact_revision, model_.compacted);
    }
  }

  const uint64_t seed_;
  std::mt19937_64 random_;
  Model model_;
  World world_;
  uint64_t index_ = 0;
  std::vector<Model> history_ = {Model()};
};

TEST_P(StoreModelTest, RandomWalk) {
  ASSERT_TRUE(world_.Open().ok());
  history_ = {model_};
  for (int round = 0; round < 1500; ++round) {
    ASSERT_NO_FATAL_FAILURE(Apply()) << "round " << round;
    ASSERT_NO_FATAL_FAILURE(CheckRange()) << "round " << round;
    ASSERT_NO_FATAL_FAILURE(CheckPicked()) << "round " << round;
    if (Below(60) == 0) {
      ASSERT_NO_FATAL_FAILURE(CheckAll()) << "round " << round;
    }
    if (Below(80) == 0) {
      ASSERT_NO_FATAL_FAILURE(Reopen()) << "round " << round;
    }
  }
  ASSERT_NO_FATAL_FAILURE(CheckAll());
}

INSTANTIATE_TEST_SUITE_P(Modes, StoreModelTest,
                         testing::Combine(testing::Values(InlineExecutor::Mode::kImmediate,
                                                          InlineExecutor::Mode::kQueued),
                                          testing::Bool()));

// A crash at every operation that changes the disk, from the wish to compact to its end, leaves a store that
// either never heard of the compaction or carries it through.
TEST(CompactionTest, IsResumedAfterACrashAnywhere) {
  const auto fill = [](World& world, Model& model) {
    std::mt19937_64 random(99);
    for (int i = 0; i < 60; ++i) {
      const std::string key = "k" + std::to_string(random() % 8);
      const Revision revision{++model.current, 0};
      if (random() % 4 == 0 && !model.At(key, "", model.current).empty()) {
        model.DeleteRange(revision, key, "");
        DeleteOne(*world.store, key);
      } else {
        model.Put(revision, key, "v", 0);
        PutOne(*world.store, key, "v");
      }
    }
    world.backend->Commit({});
    world.executor.RunUntilIdle();
    ASSERT_EQ(world.store->current_revision(), model.current);
  };
  for (const int64_t at : {int64_t{40}, int64_t{61}}) {
    bool finished = false;
    for (uint64_t crash_at = 1; !finished; ++crash_at) {
      World world(crash_at);
      world.store_options.compaction_batch = 10;
      ASSERT_TRUE(world.Open().ok());
      Model model;
      ASSERT_NO_FATAL_FAILURE(fill(world, model));
      ASSERT_EQ(model.current, 61);
      uint64_t operations = 0;
      bool crashed = false;
      world.files.set_before_operation([&](SimOperation operation, const std::string&) -> Status {
        if (!crashed && Changes(operation) && ++operations == crash_at) {
          crashed = true;
          world.files.Crash();
        }
        return {};
      });
      ASSERT_TRUE(world.store->Compact(at, {}).ok());
      for (int i = 0; i < 100 && world.fatal.ok(); ++i) {
        world.store->Step(3);
        world.executor.RunUntilIdle();
      }
      finished = !crashed;
      world.files.set_before_operation({});
      world.Forget();
      ASSERT_TRUE(world.Open().ok());
      if (world.store->compacted_revision() == at) {
        model.Compact(at);
      } else {
        ASSERT_EQ(world.store->compacted_revision(), -1);
        ASSERT_FALSE(finished);
      }
      world.Settle();
      ASSERT_EQ(Records(*world.backend), Records(model)) << "crash at operation " << crash_at;
      ASSERT_EQ(world.store->current_revision(), 61);
      if (at < 61) {
        ASSERT_EQ(world.HashKv(61)->hash, model.HashKv(61));
      }
    }
  }
}

TEST(StoreTest, DamagedRecordsAreRefused) {
  World world(1);
  ASSERT_TRUE(world.Open().ok());
  char* bytes = world.backend->Allocate(3);
  std::copy_n("\x0a\x7fk", 3, bytes);
  world.backend->PutRecord({2, 0}, false, {bytes, 3});
  ASSERT_TRUE(world.Close().ok());
  EXPECT_EQ(world.Open().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace quorate::mvcc
