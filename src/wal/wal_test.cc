#include "wal/wal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/env_posix.h"
#include "wal/frame.h"
#include "wal/wal_fixture.h"

namespace quorate::wal {
namespace {

using raft::HardState;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kFirst = std::string(kDir) + "/0000000000000000-0000000000000000.wal";

class WalTest : public testing::Test {
 protected:
  SimFileSystem files_{1};
  LogContents contents_;
};

std::string Text(const Status& status) { return std::string(Message(status)); }

TEST_F(WalTest, NewLogHoldsCrcMetadataAndSnapshotZero) {
  auto wal = CreateLog(&files_);
  ASSERT_TRUE(wal.ok()) << wal.status();
  EXPECT_THAT(Names(files_), ElementsAre("0000000000000000-0000000000000000.wal"));
  EXPECT_EQ(files_.Stat(kFirst)->size, 4096u);
  const std::string bytes = *files_.ReadAll(kFirst);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x04\0\0\0\0\0\0\x84", 8))
      << "crc record of 4 bytes, padded by 4";
  ASSERT_TRUE((*wal)->Close().ok());

  auto again = OpenLog(&files_, &contents_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(contents_.metadata, (WalMetadata{11, 22}));
  EXPECT_TRUE(contents_.entries.empty());
  EXPECT_TRUE(contents_.hard_state.empty());
  EXPECT_THAT(contents_.snapshots, ElementsAre(WalSnapshot{}));
}

TEST_F(WalTest, CreateRefusesADirectoryInUse) {
  ASSERT_TRUE(CreateLog(&files_).ok());
  EXPECT_EQ(CreateLog(&files_).status().code(), absl::StatusCode::kAlreadyExists);

  ASSERT_TRUE(files_.CreateDirectories("/other", 0700).ok());
  ASSERT_TRUE(files_.WriteAtomically("/other/letter", "x", 0600).ok());
  EXPECT_EQ(Wal::Create(&files_, "/other", {1, 2}, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(files_.Exists("/other/letter"));
}

TEST_F(WalTest, EntriesAndLastStateComeBack) {
  auto wal = *CreateLog(&files_);
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 3), {1, 11, 0}).ok());
  ASSERT_TRUE(Save(*wal, {}, {1, 11, 3}).ok());
  ASSERT_TRUE(Save(*wal, {MakeEntry(2, 4, "")}, {2, 11, 3}).ok());
  ASSERT_TRUE(wal->Close().ok());
  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  EXPECT_EQ(contents_.hard_state, (HardState{2, 11, 3}));
  ASSERT_EQ(contents_.entries.size(), 4u);
  EXPECT_EQ(contents_.entries[1], MakeEntries(1, 1, 3)[1]);
  EXPECT_EQ(contents_.entries[3], MakeEntry(2, 4, ""));
  EXPECT_EQ(contents_.last_index, 4u);
}

TEST_F(WalTest, AppendsGoOnAfterReopenWithTheSameChecksumChain) {
  {
    auto wal = *CreateLog(&files_);
    ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 3), {1, 11, 0}).ok());
  }
  {
    auto wal = *OpenLog(&files_, &contents_);
    ASSERT_TRUE(Save(*wal, MakeEntries(1, 4, 3), {1, 11, 4}).ok());
  }
  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  EXPECT_EQ(contents_.entries.size(), 6u);
  EXPECT_EQ(contents_.hard_state.commit, 4u);
}

TEST_F(WalTest, LaterEntriesReplaceEarlierOnesAndAllBehindThem) {
  auto wal = *CreateLog(&files_);
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 5), {1, 0, 0}).ok());
  ASSERT_TRUE(Save(*wal, MakeEntries(2, 3, 1), {2, 0, 0}).ok());
  wal.reset();
  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  ASSERT_EQ(contents_.entries.size(), 3u);
  EXPECT_EQ(contents_.entries[2].term, 2u);
  EXPECT_EQ(contents_.last_index, 3u);
}

TEST_F(WalTest, GapInTheEntriesIsRefused) {
  auto wal = *CreateLog(&files_);
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 2)).ok());
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 4, 1)).ok());
  wal.reset();
  const Status status = OpenLog(&files_, &contents_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Text(status), HasSubstr("index 4 follows 2"));
  EXPECT_THAT(Text(status), HasSubstr("0000000000000000-0000000000000000.wal at offset"));
}

TEST_F(WalTest, SyncsForEntriesTermAndVoteButNotForCommit) {
  auto wal = *CreateLog(&files_);
  EXPECT_FALSE(wal->has_pending());
  wal->Append({}, {});
  EXPECT_FALSE(wal->has_pending());
  wal->Append({}, {1, 0, 0});
  EXPECT_TRUE(wal->pending_must_sync()) << "term";
  EXPECT_TRUE(wal->WriteAndSync(wal->TakeBatch()).ok());
  wal->Append({}, {1, 11, 0});
  EXPECT_TRUE(wal->pending_must_sync()) << "vote";
  EXPECT_TRUE(wal->WriteAndSync(wal->TakeBatch()).ok());
  wal->Append({}, {1, 11, 1});
  EXPECT_FALSE(wal->pending_must_sync()) << "commit alone";
  EXPECT_TRUE(wal->has_pending());
  const auto entries = MakeEntries(1, 1, 2);
  wal->Append(entries, {});
  EXPECT_TRUE(wal->pending_must_sync()) << "entries";
  const WalBatch batch = wal->TakeBatch();
  EXPECT_EQ(batch.last_index, 2u);
  EXPECT_EQ(batch.last_term, 1u);
  EXPECT_TRUE(wal->WriteAndSync(batch).ok());
  wal->SaveSnapshotRecord({1, 1, {}});
  EXPECT_TRUE(wal->pending_must_sync()) << "snapshot";
}

TEST_F(WalTest, SegmentsAreCutNamedAndChained) {
  auto wal = *CreateLog(&files_);
  for (uint64_t i = 1; i <= 200; ++i) ASSERT_TRUE(Save(*wal, MakeEntries(1, i, 1, 100), {1, 11, i}).ok());
  ASSERT_TRUE(wal->Close().ok());
  const auto segments = *ListSegments(&files_, std::string(kDir));
  ASSERT_GT(segments.size(), 5u);
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    EXPECT_EQ(segments[i + 1].sequence, i + 1);
    const uint64_t size = files_.Stat(std::string(kDir) + "/" + segments[i].name)->size;
    EXPECT_GE(size, 4096u);
    EXPECT_LT(size, 4096u + 300);
  }
  EXPECT_EQ(files_.Stat(std::string(kDir) + "/" + segments.back().name)->size, 4096u) << "preallocated";

  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  EXPECT_EQ(contents_.entries.size(), 200u);
  EXPECT_EQ(contents_.hard_state, (HardState{1, 11, 200}));

  const std::string second = *files_.ReadAll(std::string(kDir) + "/" + segments[1].name);
  EXPECT_EQ(segments[1].first_index, contents_.entries[segments[1].first_index - 1].index);
  EXPECT_EQ(second[8 + 1], kCrcRecord) << "a segment begins with the chain";
}

// One batch may hold several Readys and run over several segments.
TEST_F(WalTest, OneBatchMayCutSeveralTimes) {
  auto wal = *CreateLog(&files_);
  for (uint64_t i = 1; i <= 120; ++i) wal->Append(MakeEntries(1, i, 1, 100), {1, 11, i});
  const WalBatch batch = wal->TakeBatch();
  EXPECT_GE(batch.cuts.size(), 3u);
  ASSERT_TRUE(wal->WriteAndSync(batch).ok());
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 121, 1)).ok());
  wal.reset();
  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  EXPECT_EQ(contents_.entries.size(), 121u);
}

TEST_F(WalTest, SpareIsUsedByTheNextCutAndRemovedAtClose) {
  WalOptions options = SmallSegments();
  options.zero_spare = true;
  auto wal = *CreateLog(&files_, options);
  ASSERT_TRUE(wal->PrepareSpare().ok());
  ASSERT_TRUE(wal->PrepareSpare().ok());
  EXPECT_THAT(Names(files_), ElementsAre("0.tmp", "0000000000000000-0000000000000000.wal"));
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 1, 5000)).ok());
  EXPECT_THAT(Names(files_),
              ElementsAre("0000000000000000-0000000000000000.wal", "0000000000000001-0000000000000002.wal"));
  ASSERT_TRUE(wal->PrepareSpare().ok());
  EXPECT_TRUE(files_.Exists(std::string(kDir) + "/1.tmp"));
  ASSERT_TRUE(wal->Close().ok());
  EXPECT_FALSE(files_.Exists(std::string(kDir) + "/1.tmp"));
}

TEST_F(WalTest, SnapshotRecordMustBeThereWithItsTerm) {
  auto wal = *CreateLog(&files_);
  ASSERT_TRUE(Save(*wal, MakeEntries(3, 1, 5), {3, 11, 5}).ok());
  wal->SaveSnapshotRecord({4, 3, raft::ConfState{{11}, {}, {}, {}, false}});
  ASSERT_TRUE(wal->WriteAndSync(wal->TakeBatch()).ok());
  wal.reset();
  EXPECT_THAT(Text(OpenLog(&files_, &contents_, SmallSegments(), {4, 2, {}}).status()),
              HasSubstr("snapshot mismatch"));
  EXPECT_THAT(Text(OpenLog(&files_, &contents_, SmallSegments(), {3, 3, {}}).status()),
              HasSubstr("no record of the snapshot"));
  ASSERT_TRUE(OpenLog(&files_, &contents_, SmallSegments(), {4, 3, {}}).ok());
  ASSERT_EQ(contents_.entries.size(), 1u);
  EXPECT_EQ(contents_.entries[0].index, 5u);
}

TEST_F(WalTest, ValidSnapshotsAreThoseCommitted) {
  auto wal = *CreateLog(&files_);
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 9), {1, 11, 5}).ok());
  for (const uint64_t index : {3, 5, 7}) wal->SaveSnapshotRecord({index, 1, {}});
  ASSERT_TRUE(wal->WriteAndSync(wal->TakeBatch()).ok());
  EXPECT_THAT(*ValidSnapshots(&files_, std::string(kDir)),
              ElementsAre(WalSnapshot{}, WalSnapshot{3, 1, {}}, WalSnapshot{5, 1, {}}));
}

TEST_F(WalTest, SecondOpenIsRefusedWhileLocked) {
  auto wal = *CreateLog(&files_);
  const Status status = OpenLog(&files_, &contents_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(status), HasSubstr("another process"));
  EXPECT_TRUE(ReadLog(&files_, std::string(kDir), {}).ok()) << "inspection needs no lock";
}

TEST_F(WalTest, MissingSegmentIsRefused) {
  auto wal = *CreateLog(&files_);
  for (uint64_t i = 1; i <= 150; ++i) ASSERT_TRUE(Save(*wal, MakeEntries(1, i, 1, 100)).ok());
  wal.reset();
  const auto segments = *ListSegments(&files_, std::string(kDir));
  ASSERT_TRUE(files_.Remove(std::string(kDir) + "/" + segments[1].name).ok());
  EXPECT_THAT(Text(OpenLog(&files_, &contents_).status()), HasSubstr("missing"));
  ASSERT_TRUE(files_.Remove(std::string(kDir) + "/" + segments[0].name).ok());
  EXPECT_THAT(Text(OpenLog(&files_, &contents_).status()), HasSubstr("reaches back"));
}

TEST_F(WalTest, PurgeTakesReleasedSegmentsOnly) {
  auto wal = *CreateLog(&files_);
  for (uint64_t i = 1; i <= 300; ++i) ASSERT_TRUE(Save(*wal, MakeEntries(1, i, 1, 100), {1, 11, i}).ok());
  const auto segments = *ListSegments(&files_, std::string(kDir));
  ASSERT_GE(segments.size(), 7u);
  EXPECT_TRUE(PurgeWal(&files_, std::string(kDir), 2)->empty()) << "all are locked";
  EXPECT_TRUE(PurgeWal(&files_, std::string(kDir), 0)->empty()) << "0 keeps all";
  // Needed from segments[3] on.
  const raft::Index index = segments[4].first_index - 1;
  wal->SaveSnapshotRecord({index, 1, {}});
  ASSERT_TRUE(wal->WriteAndSync(wal->TakeBatch()).ok());
  ASSERT_TRUE(wal->ReleaseTo(index).ok());
  EXPECT_EQ(PurgeWal(&files_, std::string(kDir), 2)->size(), 3u);
  ASSERT_TRUE(wal->Close().ok());
  ASSERT_TRUE(OpenLog(&files_, &contents_, SmallSegments(), {index, 1, {}}).ok());
  EXPECT_EQ(contents_.entries.size(), 300 - index);
}

TEST_F(WalTest, FailedSyncIsLatched) {
  auto wal = *CreateLog(&files_);
  files_.InjectError(SimOperation::kSync, 1);
  const Status first = Save(*wal, MakeEntries(1, 1, 1));
  EXPECT_EQ(first.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Text(first), HasSubstr(kFirst));
  EXPECT_EQ(Save(*wal, MakeEntries(1, 2, 1)), first);
  EXPECT_EQ(wal->Close(), first);
}

TEST_F(WalTest, FullDiskAtACutIsLatched) {
  auto wal = *CreateLog(&files_);
  files_.set_capacity_bytes(files_.used_bytes() + 2000);
  Status status = absl::OkStatus();
  uint64_t index = 0;
  while (status.ok() && index < 1000) {
    ++index;
    status = Save(*wal, MakeEntries(1, index, 1, 100));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  wal.reset();
  files_.set_capacity_bytes(UINT64_MAX);
  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  EXPECT_GE(contents_.entries.size(), index - 1);
}

TEST_F(WalTest, BatchBuffersAreReused) {
  auto wal = *CreateLog(&files_);
  WalBatch batch = wal->TakeBatch();
  batch.bytes.reserve(100'000);
  const void* buffer = batch.bytes.data();
  wal->Recycle(std::move(batch));
  (void)wal->TakeBatch();
  const auto entries = MakeEntries(1, 1, 1);
  wal->Append(entries, {});
  EXPECT_EQ(wal->TakeBatch().bytes.data(), buffer);
}

TEST_F(WalTest, GarbageBehindTheEndIsErased) {
  auto wal = *CreateLog(&files_);
  ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 2)).ok());
  wal.reset();
  {
    OpenOptions open;
    open.write = true;
    auto file = *files_.Open(kFirst, open);
    ASSERT_TRUE(file->WriteAt(2000, std::string(100, '\xab')).ok());
  }
  ASSERT_TRUE(OpenLog(&files_, &contents_).ok());
  EXPECT_EQ(contents_.entries.size(), 2u);
  const std::string bytes = *files_.ReadAll(kFirst);
  EXPECT_EQ(bytes.size(), 4096u);
  EXPECT_EQ(bytes.find_first_not_of('\0', contents_.good_offset), std::string::npos);
}

// The real file system: locks between descriptors, rename of a directory with an open file, preallocation.
TEST(WalPosixTest, LivesOnARealDisk) {
  PosixFileSystem files;
  const std::string root = testing::TempDir() + "/wal_test_" + std::to_string(TestSeed());
  const std::string dir = root + "/member/wal";
  ASSERT_TRUE(files.CreateDirectories(root + "/member", 0700).ok());
  {
    auto wal = Wal::Create(&files, dir + "/", {11, 22}, SmallSegments(65536));
    ASSERT_TRUE(wal.ok()) << wal.status();
    EXPECT_FALSE(files.Exists(dir + ".tmp"));
    ASSERT_TRUE((*wal)->PrepareSpare().ok());
    for (uint64_t i = 1; i <= 200; ++i) ASSERT_TRUE(Save(**wal, MakeEntries(1, i, 1, 1000), {1, 11, i}).ok());
    LogContents contents;
    EXPECT_EQ(Wal::Open(&files, dir, {}, {}, &contents).status().code(),
              absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(PurgeWal(&files, dir, 1)->empty());
    ASSERT_TRUE((*wal)->Close().ok());
  }
  LogContents contents;
  auto wal = Wal::Open(&files, dir, {}, SmallSegments(65536), &contents);
  ASSERT_TRUE(wal.ok()) << wal.status();
  EXPECT_EQ(contents.entries.size(), 200u);
  EXPECT_TRUE(files.RemoveAll(root).ok());
}

}  // namespace
}  // namespace quorate::wal
