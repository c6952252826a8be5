// Moving pages towards the start of the file, and cutting it, among random changes and readers.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/env_sim.h"
#include "bolt/db_model.h"
#include "bolt/defrag_steps_test.h"
#include "bolt/page_fill.h"
#include "bolt/tail_pages.h"

namespace quorate::bolt {
namespace {

// Thinned by it, a range keeps nothing but key 0.
constexpr int kFew = 1'000'000;

std::string Value(size_t size, int n) { return std::string(size, static_cast<char>('a' + n % 26)); }

struct Harness {
  explicit Harness(uint64_t seed, uint32_t page_size = 1024) : files(seed) {
    Options options;
    options.page_size = page_size;
    options.map_bytes = 64 << 10;
    db = *Db::Open(files, "db", options);
  }

  void Fill(int begin, int end, size_t value_bytes) {
    auto tx = *db->BeginWrite();
    WriteBucket* const bucket = *tx->CreateBucketIfMissing("b");
    for (int n = begin; n < end; ++n) {
      ASSERT_EQ(bucket->Put(NumberedKey(static_cast<uint64_t>(n)), Value(value_bytes, n)), absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  // All but every `keep`th.
  void Thin(int begin, int end, int keep) {
    auto tx = *db->BeginWrite();
    WriteBucket* const bucket = *tx->FindBucket("b");
    for (int n = begin; n < end; ++n) {
      if (n % keep == 0) continue;
      ASSERT_EQ(bucket->Delete(NumberedKey(static_cast<uint64_t>(n))), absl::OkStatus());
    }
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }

  SimFileSystem files;
  std::unique_ptr<Db> db;
};

TEST(DefragTest, FreeSpaceGoesBack) {
  Harness h(1);
  h.Fill(0, 4000, 100);
  h.Thin(0, 2000, kFew);
  h.Thin(2000, 4000, 100);
  const BucketModel before = *ReadModel(*h.db);
  const Stats stats = h.db->stats();
  EXPECT_EQ(DefragmentWhole(*h.db), absl::OkStatus());
  EXPECT_EQ(*ReadModel(*h.db), before);
  ExpectSound(*h.db);
  const Stats after = h.db->stats();
  const uint64_t free = stats.pages_free + stats.pages_pending;
  EXPECT_GE(stats.pages_total - after.pages_total, free * 9 / 10) << "of " << free;
  EXPECT_EQ(after.file_bytes, after.pages_total * after.page_size);
  EXPECT_EQ(h.files.Stat("db")->size, after.file_bytes);
}

TEST(DefragTest, ALongReaderDelaysTheCutNotTheMoves) {
  Harness h(2);
  h.Fill(0, 2000, 100);
  h.Thin(0, 1500, kFew);
  h.Fill(2000, 2001, 1);
  std::optional<ReadTx> reader(*h.db->BeginRead());
  const BucketModel seen = *ReadModel(*reader);
  const Stats stats = h.db->stats();
  EXPECT_EQ(DefragmentWhole(*h.db), absl::OkStatus());
  EXPECT_GE(h.db->stats().file_bytes, reader->size_bytes());
  EXPECT_EQ(*ReadModel(*reader), seen);
  // The pages of the newest state are low already: what is left to do needs no moves.
  EXPECT_TRUE((*FindTailPages(*h.db->BeginRead(), stats.pages_total / 2, 100)).empty());
  reader.reset();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(LowerAndCut(*h.db).status(), absl::OkStatus());
  EXPECT_LE(h.db->stats().pages_total, stats.pages_total / 2);
  EXPECT_EQ(h.db->stats().file_bytes, h.db->stats().pages_total * 1024);
}

// A cut waits until the older meta lies below it, too: the newer may be the one that a crash tears.
TEST(DefragTest, BothMetasLieBelowTheCut) {
  Harness h(3);
  h.Fill(0, 1000, 100);
  h.Thin(0, 1000, kFew);
  const uint64_t before = h.db->stats().pages_total;
  CutResult cut;
  for (bool lowered = false; !lowered;) {
    cut = *LowerAndCut(*h.db);
    lowered = h.db->stats().pages_total < before;
    EXPECT_GE(h.db->stats().file_bytes, before * 1024);
  }
  EXPECT_TRUE(cut.owed);
  cut = *LowerAndCut(*h.db);
  EXPECT_LT(h.db->stats().file_bytes, before * 1024);
}

TEST(DefragTest, ACutIsAsLongAsAllowed) {
  Harness h(4);
  h.Fill(0, 1000, 100);
  h.Thin(0, 1000, kFew);
  for (int i = 0; i < 4; ++i) {
    auto tx = *h.db->BeginWrite();
    tx->LowerHighWater();
    ASSERT_EQ(tx->Commit(), absl::OkStatus());
  }
  const uint64_t before = h.db->stats().file_bytes;
  const CutResult cut = *h.db->CutFile(5000);
  EXPECT_EQ(cut.cut_bytes, 5000u);
  EXPECT_TRUE(cut.owed);
  EXPECT_EQ(h.db->stats().file_bytes, before - 5000);
  EXPECT_FALSE((*h.db->CutFile(UINT64_MAX)).owed);
  h.Fill(0, 1000, 100);  // And it grows again.
  ExpectSound(*h.db);
}

TEST(DefragTest, AnOverflowPageNeedsARunBelow) {
  Harness h(5);
  h.Fill(0, 60, 2500);
  const auto highest = [&h] {
    const ReadTx tx = *h.db->BeginRead();
    const std::vector<TailPage> tail = *FindTailPages(tx, 2, 1000);
    return *std::find_if(tail.begin(), tail.end(),
                         [&tx](const TailPage& page) { return *TouchTailPage(tx, page) > 2000; });
  };
  const auto move = [&h](const TailPage& page) {
    auto tx = *h.db->BeginWrite();
    const WriteTx::MoveResult result = *tx->Move(page);
    EXPECT_EQ(tx->Commit(), absl::OkStatus());
    return result;
  };
  const TailPage before = highest();
  EXPECT_EQ(move(before), WriteTx::MoveResult::kNoRoom);
  h.Thin(0, 20, kFew);
  EXPECT_EQ(move(before), WriteTx::MoveResult::kMoved);
  EXPECT_EQ(move(before), WriteTx::MoveResult::kGone);
  TailPage wrong = highest();
  wrong.bucket = "none";
  EXPECT_EQ(move(wrong), WriteTx::MoveResult::kGone);
  ExpectSound(*h.db);
}

// A transaction that is dropped gives back what its moves had reserved.
TEST(DefragTest, ADroppedMoveCostsNothing) {
  Harness h(6);
  h.Fill(0, 1000, 100);
  h.Thin(0, 900, kFew);
  h.Fill(1000, 1001, 10);
  const uint64_t free = h.db->stats().pages_free;
  {
    const std::vector<TailPage> tail = *FindTailPages(*h.db->BeginRead(), h.db->stats().pages_total / 2, 50);
    auto tx = *h.db->BeginWrite();
    size_t moved = 0;
    for (const TailPage& page : tail) moved += *tx->Move(page) == WriteTx::MoveResult::kMoved;
    EXPECT_GT(moved, 0u);
  }
  EXPECT_GE(h.db->stats().pages_free, free);
  ExpectSound(*h.db);
}

TEST(DefragTest, TellsHowFullTheLeavesAre) {
  Harness h(7);
  h.Fill(0, 4000, 100);
  const uint64_t size = h.db->stats().pages_total * 1024;
  // Filled to the half when they were split.
  const uint64_t packable = *PackableBytes(*h.db->BeginRead(), 0.9, 100);
  EXPECT_GT(packable, size / 4);
  EXPECT_LT(packable, size / 2);
  const auto every = *PackableBytes(*h.db->BeginRead(), 0.9, 1'000'000);
  EXPECT_NEAR(static_cast<double>(packable), static_cast<double>(every), static_cast<double>(size) / 20);
  EXPECT_EQ(*PackableBytes(*h.db->BeginRead(), 0.1, 100), 0u);
}

// Values of up to some pages, every other one gone: what is left fits into what was between.
TEST(DefragTest, FreeRunsOfAllLengthsGoBack) {
  const uint64_t first_seed = TestSeed(1);
  for (const uint64_t value_bytes_max : {900, 6'000, 12'000}) {
    Harness h(first_seed, 4096);
    SeededRandom random(first_seed);
    constexpr int kCount = 600;
    for (int n = 0; n < kCount; ++n) h.Fill(n, n + 1, 100 + random.Below(value_bytes_max));
    {
      auto tx = *h.db->BeginWrite();
      WriteBucket* const bucket = *tx->FindBucket("b");
      for (int n = 0; n < kCount; ++n) {
        if (random.Below(2) == 0) continue;
        ASSERT_EQ(bucket->Delete(NumberedKey(static_cast<uint64_t>(n))), absl::OkStatus());
      }
      ASSERT_EQ(tx->Commit(), absl::OkStatus());
    }
    ASSERT_EQ(LowerAndCut(*h.db).status(), absl::OkStatus());
    const BucketModel before = *ReadModel(*h.db);
    const Stats stats = h.db->stats();
    EXPECT_EQ(DefragmentWhole(*h.db), absl::OkStatus());
    EXPECT_EQ(*ReadModel(*h.db), before);
    ExpectSound(*h.db);
    EXPECT_LE(h.db->stats().pages_total, stats.pages_total - stats.pages_free * 9 / 10)
        << "values of up to " << value_bytes_max << ", " << stats.pages_free << " pages were free";
  }
}

// Random changes, moves, cuts and readers; each reader goes on seeing what it saw at first.
void PlayRandom(uint64_t seed) {
  Harness h(seed);
  RandomChanges::Weights weights;
  weights.bucket_depth_max = 1 + static_cast<int>(seed % 2);
  RandomChanges changes(seed, weights);
  BucketModel model;
  std::deque<std::pair<ReadTx, BucketModel>> readers;
  std::vector<TailPage> plan;
  for (int i = 0; i < 300; ++i) {
    if (plan.empty() || changes.Below(4) == 0) {
      const Stats stats = h.db->stats();
      const ReadTx tx = *h.db->BeginRead();
      plan = *FindTailPages(tx, stats.pages_total - stats.pages_free + changes.Below(20), 64);
      for (const TailPage& page : plan) EXPECT_GT(*TouchTailPage(tx, page), 0u);
    }
    auto tx = *h.db->BeginWrite();
    BucketModel changed = model;
    const auto move = [&] {
      for (uint64_t n = changes.Below(20); n > 0 && !plan.empty(); --n) {
        const auto result = tx->Move(plan.front());
        ASSERT_EQ(result.status(), absl::OkStatus());
        plan.erase(plan.begin());
      }
    };
    // Before the changes and after them: a moved page may grow, shrink, merge or go.
    if (changes.Below(2) == 0) move();
    for (uint64_t n = changes.Below(30); n > 0; --n) changes.Change(tx->root(), changed);
    if (changes.Below(2) == 0) move();
    if (changes.Below(3) != 0) tx->LowerHighWater();
    if (changes.Below(10) != 0) {
      ASSERT_EQ(tx->Commit(), absl::OkStatus());
      model = std::move(changed);
    }
    tx.reset();
    const uint64_t cut_max = changes.Below(2) * changes.Below(100'000);
    ASSERT_EQ(h.db->CutFile(cut_max).status(), absl::OkStatus());
    if (changes.Below(4) == 0) readers.emplace_back(*h.db->BeginRead(), model);
    if (readers.size() > changes.Below(6)) {
      const auto& [reader, seen] = readers[changes.Below(readers.size())];
      const auto read = ReadModel(reader);
      ASSERT_EQ(read.status(), absl::OkStatus());
      ASSERT_TRUE(*read == seen);
      readers.pop_front();
    }
    ExpectSound(*h.db);
    ASSERT_FALSE(testing::Test::HasFailure()) << "step " << i;
  }
  readers.clear();
  EXPECT_EQ(DefragmentWhole(*h.db), absl::OkStatus());
  ExpectSound(*h.db);
  EXPECT_TRUE(*ReadModel(*h.db) == model);
  const Stats stats = h.db->stats();
  EXPECT_EQ(stats.file_bytes, stats.pages_total * stats.page_size);
  EXPECT_EQ(h.files.Stat("db")->size, stats.file_bytes);
}

TEST(DefragTest, RandomAgainstTheModel) {
  const uint64_t first_seed = TestSeed(1);
  for (uint64_t seed = first_seed; seed < first_seed + 12; ++seed) {
    PlayRandom(seed);
    ASSERT_FALSE(testing::Test::HasFailure()) << "QUORATE_TEST_SEED=" << seed;
  }
}

}  // namespace
}  // namespace quorate::bolt
