#include "wal/snap_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/env_sim.h"

namespace quorate::wal {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SnapFilesTest : public testing::Test {
 protected:
  SnapFilesTest() { EXPECT_TRUE(files_.CreateDirectories("/snap", 0700).ok()); }

  static raft::Snapshot Make(raft::Term term, raft::Index index) {
    return {{{{1, 2}, {3}, {}, {}, false}, index, term}, "{\"Root\":" + std::to_string(index) + "}"};
  }
  void Touch(const std::string& name) {
    EXPECT_TRUE(files_.WriteAtomically("/snap/" + name, "x", 0600).ok());
  }

  SimFileSystem files_{1};
  SnapshotFiles snapshots_{&files_, "/snap"};
};

TEST_F(SnapFilesTest, NewestValidWins) {
  for (const raft::Index index : {5, 9, 20}) ASSERT_TRUE(snapshots_.Save(Make(2, index)).ok());
  EXPECT_THAT(*snapshots_.List(),
              ElementsAre("0000000000000002-0000000000000014.snap", "0000000000000002-0000000000000009.snap",
                          "0000000000000002-0000000000000005.snap"));
  const std::vector<WalSnapshot> valid = {{5, 2, {}}, {9, 2, {}}, {20, 1, {}}};
  EXPECT_EQ(**snapshots_.LoadNewest(valid), Make(2, 9)) << "20 was written in another term";
  EXPECT_FALSE(snapshots_.LoadNewest({})->has_value());
}

TEST_F(SnapFilesTest, DamagedFileIsSetAside) {
  ASSERT_TRUE(snapshots_.Save(Make(1, 5)).ok());
  ASSERT_TRUE(snapshots_.Save(Make(1, 9)).ok());
  ASSERT_TRUE(files_.FlipBit("/snap/" + SnapshotName(1, 9), 30, 2).ok());
  Touch(SnapshotName(1, 7));
  const std::vector<WalSnapshot> valid = {{5, 1, {}}, {9, 1, {}}};
  EXPECT_EQ(**snapshots_.LoadNewest(valid), Make(1, 5));
  EXPECT_TRUE(files_.Exists("/snap/" + SnapshotName(1, 9) + ".broken"));
  EXPECT_TRUE(files_.Exists("/snap/" + SnapshotName(1, 7) + ".broken"));
  EXPECT_FALSE(files_.Exists("/snap/" + SnapshotName(1, 9)));
}

TEST_F(SnapFilesTest, AnUnreadableDiskIsNotADamagedFile) {
  ASSERT_TRUE(snapshots_.Save(Make(1, 5)).ok());
  files_.InjectError(SimOperation::kRead, 1);
  const std::vector<WalSnapshot> valid = {{5, 1, {}}};
  EXPECT_FALSE(snapshots_.LoadNewest(valid).ok());
  EXPECT_TRUE(files_.Exists("/snap/" + SnapshotName(1, 5)));
}

TEST_F(SnapFilesTest, EveryBitFlipIsFound) {
  ASSERT_TRUE(snapshots_.Save(Make(1, 5)).ok());
  const std::string path = "/snap/" + SnapshotName(1, 5);
  const uint64_t size = files_.Stat(path)->size;
  for (uint64_t bit = 0; bit < size * 8; ++bit) {
    ASSERT_TRUE(files_.FlipBit(path, bit / 8, static_cast<int>(bit % 8)).ok());
    EXPECT_EQ(ReadSnapshotFile(&files_, path).status().code(), absl::StatusCode::kDataLoss) << bit;
    ASSERT_TRUE(files_.FlipBit(path, bit / 8, static_cast<int>(bit % 8)).ok());
  }
}

TEST_F(SnapFilesTest, PurgeKeepsTheNewestOfEachKind) {
  for (const raft::Index index : {1, 2, 3, 4}) ASSERT_TRUE(snapshots_.Save(Make(1, index)).ok());
  Touch("0000000000000001.snap.db");
  Touch("0000000000000003.snap.db");
  Touch("db");
  EXPECT_THAT(*PurgeSnap(&files_, "/snap", 0), IsEmpty());
  EXPECT_THAT(*PurgeSnap(&files_, "/snap", 3), ElementsAre("/snap/" + SnapshotName(1, 1)));
  EXPECT_THAT(*PurgeSnap(&files_, "/snap", 1),
              ElementsAre("/snap/" + SnapshotName(1, 2), "/snap/" + SnapshotName(1, 3),
                          "/snap/0000000000000001.snap.db"));
  EXPECT_TRUE(files_.Exists("/snap/db"));
}

TEST_F(SnapFilesTest, LeftoversGo) {
  for (const char* name : {"db", "db.tmp.123", "tmp456", "tmp-0000000000000001-0000000000000001.snap",
                           "0000000000000003.snap.db", "0000000000000005.snap.db"}) {
    Touch(name);
  }
  ASSERT_TRUE(snapshots_.RemoveTemporary().ok());
  ASSERT_TRUE(snapshots_.ReleaseDatabasesBefore(5).ok());
  EXPECT_THAT(*files_.List("/snap"), ElementsAre("0000000000000005.snap.db", "db"));
  EXPECT_EQ(snapshots_.DatabasePath(5), "/snap/0000000000000005.snap.db");
}

}  // namespace
}  // namespace quorate::wal
