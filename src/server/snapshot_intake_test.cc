#include "server/snapshot_intake.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "base/env_sim.h"
#include "mvcc/backend.h"

namespace quorate::server {
namespace {

class IntakeTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(files_.CreateDirectories("/snap", 0700).ok()); }

  // A whole db file.
  std::string Database() {
    InlineExecutor executor;
    auto backend = mvcc::Backend::Open({&files_, &clock_, &random_, &executor}, "/db", {}).value();
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

TEST_F(IntakeTest, NobodyIsToldAfterItIsGone) {
  auto intake = Begin();
  intake->Append(Database());
  Finish(*intake);
  intake.reset();
  executor_.RunUntilIdle();
  EXPECT_FALSE(result_);
}

}  // namespace
}  // namespace quorate::server
