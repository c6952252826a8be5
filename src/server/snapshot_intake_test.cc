#include "server/snapshot_intake.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "base/env_sim.h"
#include "bolt/check.h"
#include "bolt/db.h"
#include "bolt/meta.h"
#include "mvcc/backend.h"
#include "server/database_check.h"

namespace quorate::server {
namespace {

constexpr size_t kPageBytes = 4096;

class IntakeTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(files_.CreateDirectories("/snap", 0700).ok()); }

  // A whole db file that stands at raft index 77.
  std::string Database(uint64_t consistent_index = 77) {
    InlineExecutor executor;
    static_cast<void>(files_.Remove("/db"));
    auto backend = mvcc::Backend::Open({&files_, &clock_, &random_, &executor}, "/db", {}).value();
    if (consistent_index > 0) backend->SetConsistentIndex(consistent_index, 1);
    for (int i = 0; i < 500; ++i)
      backend->Put(mvcc::Bucket::kLease, std::to_string(i), std::string(1000, 'x'));
    EXPECT_TRUE(backend->Close().ok());
    return files_.ReadAll("/db").value();
  }
  std::unique_ptr<SnapshotIntake> Begin() {
    return std::make_unique<SnapshotIntake>(Env{&files_, &clock_, &random_, &executor_}, snapshots_, 77);
  }
  void Finish(SnapshotIntake& intake) {
    intake.Finish([this](const Status& status) { result_ = status; });
  }
  // Empty: it was taken.
  std::string Send(const std::string& database) {
    const auto intake = Begin();
    intake->Append(database);
    Finish(*intake);
    executor_.RunUntilIdle();
    EXPECT_TRUE(result_ && (result_->ok() || absl::IsDataLoss(*result_)));
    return result_->ok() ? "" : std::string(Message(*result_));
  }
  // In the bucket that Database() fills, of the one that was taken.
  size_t Records() {
    InlineExecutor executor;
    const auto backend =
        mvcc::Backend::Open({&files_, &clock_, &random_, &executor}, snapshots_.DatabasePath(77), {});
    size_t records = 0;
    EXPECT_TRUE(backend.ok() &&
                (*backend)->ForEach(mvcc::Bucket::kLease, [&](auto, auto) { ++records; }).ok());
    return records;
  }
  size_t FileCount() { return files_.List("/snap").value().size(); }

  SimFileSystem files_{1};
  SimClock clock_;
  SeededRandom random_{1};
  InlineExecutor executor_{InlineExecutor::Mode::kQueued};
  wal::SnapshotFiles snapshots_{&files_, "/snap"};
  std::optional<Status> result_;
};

TEST_F(IntakeTest, TheFileAppearsWholeAndDurable) {
  const std::string database = Database();
  const auto intake = Begin();
  for (size_t i = 0; i < database.size(); i += 1000)
    intake->Append(std::string_view(database).substr(i, 1000));
  Finish(*intake);
  EXPECT_FALSE(files_.Exists(snapshots_.DatabasePath(77)));
  executor_.RunUntilIdle();
  ASSERT_TRUE(result_ && result_->ok()) << *result_;
  files_.Crash();
  EXPECT_EQ(database, files_.ReadAll(snapshots_.DatabasePath(77)).value());
  EXPECT_EQ(1u, FileCount());
  EXPECT_EQ(database.size(), intake->received_bytes());
}

TEST_F(IntakeTest, WhatIsNoWholeDatabaseIsRefused) {
  const std::string database = Database();
  std::string damaged = database;
  damaged[20] ^= 1;
  for (const std::string& bytes : {std::string(), std::string("x"), std::string(100'000, 'x'), damaged,
                                   database.substr(0, 4096), database.substr(0, database.size() / 2)}) {
    const auto intake = Begin();
    if (!bytes.empty()) intake->Append(bytes);
    Finish(*intake);
    executor_.RunUntilIdle();
    ASSERT_TRUE(result_ && absl::IsDataLoss(*result_)) << bytes.size();
    EXPECT_EQ(0u, FileCount());
  }
}

// Each page but the metas, which may be a free one, is damaged in turn: what is taken nevertheless has the
// same contents.
TEST_F(IntakeTest, ADamagedPageIsFound) {
  const std::string database = Database();
  size_t refused = 0;
  for (size_t page = 2; page < database.size() / kPageBytes; ++page) {
    std::string damaged = database;
    damaged.replace(page * kPageBytes, 64, 64, '\xaa');
    const std::string why = Send(damaged);
    refused += why.empty() ? 0 : 1;
    if (why.empty()) {
      EXPECT_EQ(Records(), 500u) << page;
      EXPECT_TRUE(files_.Remove(snapshots_.DatabasePath(77)).ok());
      continue;
    }
    EXPECT_TRUE(why.find("is damaged: db file /snap/tmp-intake-") != std::string::npos) << why;
    EXPECT_TRUE(why.ends_with("; the sender will be asked again")) << why;
    EXPECT_EQ(why.find("restore this member"), std::string::npos) << why;
    EXPECT_EQ(FileCount(), 0u);
  }
  EXPECT_GT(refused, database.size() / kPageBytes / 2);
}

TEST_F(IntakeTest, ADatabaseOlderThanItsSnapshotIsRefused) {
  for (const uint64_t stands_at : {0, 1, 35, 76}) {
    const std::string why = Send(Database(stands_at));
    EXPECT_NE(why.find("stands at raft index " + std::to_string(stands_at) + ": it is older"),
              std::string::npos)
        << why;
    EXPECT_EQ(FileCount(), 0u);
  }
  // That of a member which replays its log at a start.
  for (const uint64_t stands_at : {77, 78, 100'000}) {
    EXPECT_EQ(Send(Database(stands_at)), "");
    EXPECT_TRUE(files_.Remove(snapshots_.DatabasePath(77)).ok());
  }
}

// As bbolt and etcd leave them behind.
TEST_F(IntakeTest, WhatOthersWriteDifferentlyIsTaken) {
  const std::string with_term = [&] {
    InlineExecutor executor;
    auto backend = mvcc::Backend::Open({&files_, &clock_, &random_, &executor}, "/etcd36", {}).value();
    backend->set_write_term(true);
    backend->SetConsistentIndex(77, 3);
    backend->Put(mvcc::Bucket::kMeta, "storageVersion", "3.6.0");
    backend->Put(mvcc::Bucket::kAlarm, "\x08\x01", "");
    EXPECT_TRUE(backend->Close().ok());
    return files_.ReadAll("/etcd36").value();
  }();
  EXPECT_EQ(Send(with_term), "");
  // Nothing but the index: no members, no users; and a bucket that we don't know.
  {
    const auto db = bolt::Db::Open(files_, "/bare", {}).value();
    auto tx = db->BeginWrite().value();
    EXPECT_TRUE(tx->CreateBucketIfMissing("meta")
                    .value()
                    ->Put("consistent_index", std::string(7, '\0') + "\x4d")
                    .ok());
    EXPECT_TRUE(tx->CreateBucketIfMissing("lessor_v9").value()->Put("a", "b").ok());
    EXPECT_TRUE(tx->Commit().ok());
  }
  EXPECT_EQ(Send(files_.ReadAll("/bare").value()), "");
}

// bbolt is known to lose free pages: neither in use nor in its free list.
TEST_F(IntakeTest, AFreeListThatLacksPagesIsNoDamage) {
  std::string database = Database();
  bolt::Meta meta = *bolt::Meta::Parse(database.data() + kPageBytes);
  if (const auto first = bolt::Meta::Parse(database.data()); first->txid > meta.txid) meta = *first;
  database.resize(meta.high_water * kPageBytes);
  std::string page(kPageBytes, '\0');
  bolt::PageHeader{meta.high_water, bolt::kFreelistPage, 0, 0}.Store(page.data());
  database += page;
  meta.freelist = meta.high_water++;
  for (bolt::PageId id = 0; id < 2; ++id) meta.Store(database.data() + id * kPageBytes, id);
  ASSERT_TRUE(files_.WriteAtomically("/lossy", database, 0600).ok());
  bolt::Options read_only;
  read_only.read_only = true;
  {
    const auto db = bolt::Db::Open(files_, "/lossy", read_only).value();
    ASSERT_FALSE(bolt::Check(*db->BeginRead()).ok());
  }
  EXPECT_EQ(Send(database), "");
}

TEST_F(IntakeTest, WhatWaitsForTheDiskIsCounted) {
  const auto intake = Begin();
  for (int i = 0; i < 100; ++i) intake->Append(std::string(100'000, 'x'));
  EXPECT_EQ(10'000'000u, intake->pending_bytes());
  int drained = 0;
  intake->OnDrained([&] { ++drained; });
  executor_.RunUntilIdle();
  EXPECT_EQ(1, drained);
  EXPECT_LT(intake->pending_bytes(), SnapshotIntake::kPendingLow);
}

TEST_F(IntakeTest, AnUnfinishedOneLeavesNothing) {
  auto intake = Begin();
  intake->Append(std::string(1'000'000, 'x'));
  executor_.RunUntilIdle();
  EXPECT_EQ(1u, FileCount());
  intake.reset();
  executor_.RunUntilIdle();
  EXPECT_EQ(0u, FileCount());
}

TEST_F(IntakeTest, TheDisksErrorsComeBack) {
  for (const SimOperation operation : {SimOperation::kWrite, SimOperation::kSync, SimOperation::kRename}) {
    const std::string database = Database();
    const auto intake = Begin();
    files_.InjectError(operation, 1, "/snap");
    intake->Append(database);
    Finish(*intake);
    executor_.RunUntilIdle();
    ASSERT_TRUE(result_ && !result_->ok());
    EXPECT_FALSE(files_.Exists(snapshots_.DatabasePath(77)));
  }
}

// The end of the process waits for what runs.
TEST_F(IntakeTest, TheCheckEndsWhenItsResultIsNotWanted) {
  ASSERT_TRUE(files_.WriteAtomically("/snap/received", Database(), 0600).ok());
  int pages = 0;
  const auto wanted = [&] { return ++pages < 10; };
  EXPECT_TRUE(absl::IsCancelled(CheckReceivedDatabase(&files_, "/snap/received", 77, wanted)));
  EXPECT_EQ(pages, 10);
}

TEST_F(IntakeTest, NobodyIsToldAfterItIsGone) {
  auto intake = Begin();
  intake->Append(Database());
  Finish(*intake);
  intake.reset();
  executor_.RunUntilIdle();
  EXPECT_FALSE(result_);
  EXPECT_EQ(FileCount(), 0u);
}

}  // namespace
}  // namespace quorate::server
