#include "mvcc/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <tuple>
#include <vector>

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
