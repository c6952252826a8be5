// The power goes at every write, truncation and sync of a history of transactions. What then stands in the
// file is the state of the last commit that returned, or of the one that was under way.
#include <gtest/gtest.h>

#include <optional>

#include "base/env_sim.h"
#include "bolt/db_model.h"
#include "bolt/defrag_steps_test.h"

namespace quorate::bolt {
namespace {

constexpr char kPath[] = "db";
constexpr int kTransactions = 6;

Options SmallMap() {
  Options options;
  options.map_bytes = 64 << 10;
  options.page_size = 1024;
  return options;
}

struct History {
  std::optional<BucketModel> committed;  // Nothing: the file may not exist yet.
  BucketModel under_way;
};

// Plays the history of `seed` until it ends or an operation fails; true when it ended. With `defragment` the
// pages are moved and the file is cut between the changes.
bool Play(FileSystem& files, uint64_t seed, History* history, bool defragment) {
  auto db = Db::Open(files, kPath, SmallMap());
  if (!db.ok()) return false;
  history->committed.emplace();
  RandomChanges::Weights weights;
  weights.key_space = 60;
  RandomChanges changes(seed, weights);
  for (int i = 0; i < kTransactions; ++i) {
    auto tx = (*db)->BeginWrite();
    if (!tx.ok()) return false;
    history->under_way = *history->committed;
    for (int n = 0; n < 20; ++n) changes.Change((*tx)->root(), history->under_way);
    if (!(*tx)->Commit().ok()) return false;
    history->committed = history->under_way;
    if (defragment && i % 2 == 1 && !DefragmentWhole(**db, 5).ok()) return false;
  }
  return true;
}

void ExpectAfterCrash(SimFileSystem& files, const History& history) {
  auto db = Db::Open(files, kPath, SmallMap());
  ASSERT_EQ(db.status(), absl::OkStatus());
  ExpectSound(**db);
  const auto seen = ReadModel(**db);
  ASSERT_EQ(seen.status(), absl::OkStatus());
  if (!history.committed) {
    EXPECT_EQ(*seen, BucketModel{});
  } else {
    EXPECT_TRUE(*seen == *history.committed || *seen == history.under_way);
  }
  // And life goes on.
  auto tx = (*db)->BeginWrite();
  ASSERT_EQ(tx.status(), absl::OkStatus());
  ASSERT_EQ((*(*tx)->CreateBucketIfMissing("after"))->Put("k", std::string(3000, 'v')), absl::OkStatus());
  ASSERT_EQ((*tx)->Commit(), absl::OkStatus());
  ExpectSound(**db);
  EXPECT_EQ(ReadModel(**db)->buckets["after"].values["k"].size(), 3000u);
}

// False when the history has fewer than `nth` changing operations.
bool CrashAt(uint64_t nth, uint64_t seed, bool defragment) {
  SimFileSystem files(seed * 1000 + nth);
  History history;
  uint64_t left = nth;
  files.set_before_operation([&](SimOperation op, const std::string&) -> Status {
    if (!Changes(op) || left == 0 || --left != 0) return absl::OkStatus();
    files.Crash();
    return Unavailable("the power is gone");
  });
  const bool ended = Play(files, seed, &history, defragment);
  files.set_before_operation({});
  if (ended) return false;
  ExpectAfterCrash(files, history);
  return true;
}

void CrashAtEveryOperation(bool defragment) {
  const uint64_t first_seed = TestSeed(1);
  for (uint64_t seed = first_seed; seed < first_seed + 8; ++seed) {
    uint64_t nth = 1;
    for (; CrashAt(nth, seed, defragment); ++nth) {
      ASSERT_FALSE(testing::Test::HasFailure()) << "QUORATE_TEST_SEED=" << seed << ", operation " << nth;
    }
    // Creation, and at least a write and a sync for pages and meta of each commit.
    EXPECT_GT(nth, 5u + 4 * kTransactions);
  }
}

TEST(CrashTest, AtEveryOperation) { CrashAtEveryOperation(false); }
TEST(CrashTest, AtEveryOperationOfADefragmentation) { CrashAtEveryOperation(true); }

// The process dies after the commit returned: nothing is missing.
TEST(CrashTest, CommittedMeansDurable) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimFileSystem files(seed);
    History history;
    ASSERT_TRUE(Play(files, seed, &history, seed % 2 == 1));
    files.Crash();
    auto db = Db::Open(files, kPath, SmallMap());
    ASSERT_EQ(db.status(), absl::OkStatus());
    EXPECT_TRUE(*ReadModel(**db) == *history.committed);
    ExpectSound(**db);
  }
}

}  // namespace
}  // namespace quorate::bolt
