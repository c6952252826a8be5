// The store against a model that answers every question by walking all records.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/test_seed.h"
#include "mvcc/store.h"
#include "mvcc/store_harness_test.h"

namespace quorate::mvcc {
namespace {

const std::string kOpen(1, '\0');

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

}  // namespace
}  // namespace quorate::mvcc
