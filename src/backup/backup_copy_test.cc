#include "backup/backup_copy.h"

#include <gmock/gmock.h>

#include "backup/backup_fixture_test.h"
#include "base/test_seed.h"

namespace quorate::backup {
namespace {

using testing::HasSubstr;

constexpr Retention kNewestOnly = {1, 0, 0};

TEST(BackupCopy, IsThePagesAndTheirDigest) {
  Source source(1);
  SimFileSystem disk(2);
  MakeBackupDirectory(disk);
  const auto snapshot = source.Snapshot();
  const std::string pages = Source::Bytes(*snapshot);
  source.Fill(100);  // Not in it any more.
  ASSERT_TRUE(TakeBackup(disk, NameOf(0), snapshot).ok());
  const auto good = GoodBackups(disk);
  ASSERT_EQ(good.size(), 1u);
  const std::string& bytes = good.begin()->second;
  EXPECT_EQ(bytes.substr(0, pages.size()), pages);
  EXPECT_EQ(bytes.size(), pages.size() + kDigestBytes);
  const auto note = ReadNote(&disk, std::string(kBackups), NameOf(0));
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(note->name, NameOf(0));
  EXPECT_EQ(note->raft_index, 77u);
  EXPECT_EQ(note->sha256, Hex(bytes.substr(pages.size())));
  EXPECT_EQ(disk.List(std::string(kBackups))->size(), 2u);
  // For its owner alone.
  EXPECT_EQ(disk.Stat(std::string(kBackups) + "/" + good.begin()->first + ".db")->mode & 0777, 0600u);
}

// The power goes at every operation of the disk, while a backup is taken and older ones are removed: what is
// left are good backups only, the newest old one or the new one among them, and the next attempt succeeds.
TEST(BackupCopy, ACrashAtEveryOperationLeavesGoodBackups) {
  const uint64_t seed = TestSeed();
  Source source(seed);
  int crashes = 0;
  for (uint64_t crash_at = 1;; ++crash_at) {
    SCOPED_TRACE("crash at operation " + std::to_string(crash_at));
    SimFileSystem disk(seed + crash_at);
    MakeBackupDirectory(disk);
    ASSERT_TRUE(TakeBackup(disk, NameOf(0), source.Snapshot()).ok());
    ASSERT_TRUE(TakeBackup(disk, NameOf(1), source.Snapshot()).ok());
    uint64_t operations = 0;
    bool crashed = false;
    disk.set_before_operation([&](SimOperation op, const std::string&) -> Status {
      if (!Changes(op) || crashed || ++operations < crash_at) return absl::OkStatus();
      crashed = true;
      disk.Crash();
      return Unavailable("the power is gone");
    });
    const auto die = [&] { return crashed ? Unavailable("the power is gone") : absl::OkStatus(); };
    // As long as the process lives; what it would do after the crash does not happen.
    bool published = false;
    bool removed = false;
    {
      SnapshotReader reader(source.Snapshot(), mvcc::CheckSnapshot);
      BackupCopy copy(&disk, std::string(kBackups), NameOf(2), reader.size_bytes());
      Status status = WriteBackup(copy, reader);
      BackupNote note;
      note.name = NameOf(2);
      if (status.ok()) status = copy.Publish(note);
      published = status.ok() && die().ok();
      if (published) removed = RemoveOld(&disk, std::string(kBackups), 0xdef, kNewestOnly).ok();
    }
    disk.set_before_operation({});
    if (!crashed) {
      EXPECT_TRUE(published && removed);
      EXPECT_EQ(GoodBackups(disk).size(), 1u);
      break;
    }
    ++crashes;
    auto good = GoodBackups(disk);
    const bool has_new = good.contains(Stem(NameOf(2)));
    EXPECT_TRUE(has_new || good.contains(Stem(NameOf(1))));
    EXPECT_TRUE(has_new || !published) << "what was published is durable";
    EXPECT_TRUE(has_new || (good.contains(Stem(NameOf(0))) && good.contains(Stem(NameOf(1)))));
    // The next start.
    ASSERT_TRUE(RemoveLeftovers(&disk, std::string(kBackups), 0xabc, NameOf(3).taken_unix_nanos).ok());
    ASSERT_TRUE(TakeBackup(disk, NameOf(3), source.Snapshot()).ok());
    ASSERT_TRUE(RemoveOld(&disk, std::string(kBackups), 0xdef, kNewestOnly).ok());
    good = GoodBackups(disk);
    EXPECT_EQ(good.size(), 1u);
    EXPECT_TRUE(good.contains(Stem(NameOf(3))));
  }
  EXPECT_GT(crashes, 15);
}

// Each operation of each kind fails once: the backup fails, nothing of it is left, and the next one succeeds.
TEST(BackupCopy, AFailureAtEveryOperationFailsTheBackupOnly) {
  Source source(TestSeed());
  for (const SimOperation op :
       {SimOperation::kOpen, SimOperation::kWrite, SimOperation::kSync, SimOperation::kRead,
        SimOperation::kSize, SimOperation::kRename, SimOperation::kSyncDirectory}) {
    uint64_t failed = 0;
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE("operation " + std::to_string(static_cast<int>(op)) + ", number " + std::to_string(nth));
      SimFileSystem disk(nth);
      MakeBackupDirectory(disk);
      ASSERT_TRUE(TakeBackup(disk, NameOf(0), source.Snapshot()).ok());
      const uint64_t used = disk.used_bytes();
      disk.InjectError(op, nth);
      if (TakeBackup(disk, NameOf(1), source.Snapshot()).ok()) break;
      ++failed;
      EXPECT_EQ(disk.used_bytes(), used);
      EXPECT_EQ(disk.List(std::string(kBackups))->size(), 2u);
      ASSERT_TRUE(TakeBackup(disk, NameOf(2), source.Snapshot()).ok());
      EXPECT_EQ(GoodBackups(disk).size(), 2u);
    }
    EXPECT_GT(failed, 0u) << static_cast<int>(op);
  }
}

TEST(BackupCopy, AFullDiskFailsTheBackupOnly) {
  Source source(3);
  const uint64_t size = Source::Bytes(*source.Snapshot()).size();
  for (const uint64_t room :
       {uint64_t{0}, uint64_t{1}, uint64_t{4096}, size / 2, size, size + kDigestBytes}) {
    SimFileSystem disk(room);
    MakeBackupDirectory(disk);
    ASSERT_TRUE(TakeBackup(disk, NameOf(0), source.Snapshot()).ok());
    const uint64_t used = disk.used_bytes();
    disk.set_capacity_bytes(used + room);
    const Status full = TakeBackup(disk, NameOf(1), source.Snapshot());
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
    EXPECT_EQ(disk.used_bytes(), used);
    EXPECT_EQ(GoodBackups(disk).size(), 1u);
  }
}

TEST(BackupCopy, BytesThatChangeOnTheDiskAreNoticed) {
  Source source(4);
  const uint64_t size = Source::Bytes(*source.Snapshot()).size();
  const std::string part = std::string(kBackups) + "/" + Stem(NameOf(0)) + ".db.part";
  for (const uint64_t offset : {uint64_t{0}, size / 2, size - 1, size, size + kDigestBytes - 1}) {
    SimFileSystem disk(offset);
    MakeBackupDirectory(disk);
    bool flipped = false;
    const Status status = TakeBackup(disk, NameOf(0), source.Snapshot(), [&] {
      const auto info = disk.Stat(part);
      if (flipped || !info.ok() || info->size != size + kDigestBytes) return;
      flipped = true;
      ASSERT_TRUE(disk.FlipBit(part, offset, 3).ok());
    });
    EXPECT_TRUE(flipped);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("does not read back"));
    EXPECT_TRUE(GoodBackups(disk).empty());
    EXPECT_EQ(disk.used_bytes(), 0u);
  }
}

// A check of a large database does not keep the process from ending.
TEST(BackupCopy, ACheckCanBeEnded) {
  Source source(9);
  SnapshotReader reader(source.Snapshot(), mvcc::CheckSnapshot);
  EXPECT_TRUE(reader.Check().ok());
  reader.Stop();
  EXPECT_TRUE(absl::IsCancelled(reader.Check()));
}

// A state that is damaged is found before its copy gets a name.
TEST(BackupCopy, ADamagedStateIsNoBackup) {
  Source source(9);
  SimFileSystem disk(5);
  MakeBackupDirectory(disk);
  const Status status = TakeBackup(
      disk, NameOf(0), source.Snapshot(), {},
      [](const mvcc::Backend::Snapshot&, const std::atomic<bool>&) { return DataLoss("page 2 is damaged"); });
  EXPECT_THAT(std::string(Message(status)), HasSubstr("page 2 is damaged"));
  EXPECT_TRUE(disk.List(std::string(kBackups))->empty());
}

TEST(BackupFile, NamesComeOutAsTheyWentIn) {
  const BackupName name = NameOf(5);
  EXPECT_EQ(Stem(name), "backup-20260101T050000.000Z-r105-mabc-cdef");
  EXPECT_EQ(ParseStem(Stem(name)), name);
  EXPECT_EQ(ParseName(Stem(name) + ".db", kBackupSuffix), name);
  for (const char* bad :
       {"", "backup-", "db", "backup-20260101T050000.000Z-r105-mabc",
        "backup-20260101T050000.000Z-r105-mabc-c", "backup-20260101T050000.000Z-r105-mabc-cdef-x",
        "backup-20260101T050000.000Z-r-mabc-cdef", "backup-20260101T050000.000Z-r0105-mabc-cdef",
        "backup-2026-r105-mabc-cdef", "backup-20260101T050000.000Z-mabc-r105-cdef",
        "Backup-20260101T050000.000Z-r105-mabc-cdef",
        "backup-20260101T050000.000Z-r99999999999999999999-mabc-cdef"}) {
    EXPECT_FALSE(ParseStem(bad).has_value()) << bad;
  }
}

TEST(BackupFile, NotesComeOutAsTheyWentIn) {
  BackupNote note;
  note.name = NameOf(1);
  note.raft_index = 123'456'789'012;
  note.raft_term = 9;
  note.size_bytes = 4096 + 32;
  note.sha256 = std::string(64, 'a');
  for (const bool all : {false, true}) {
    if (all) {
      note.kv_hash = 4'294'967'295;
      note.entry_crc = 1;
      note.compact_revision = 50;
    }
    const auto read = DecodeNote(EncodeNote(note));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(EncodeNote(*read), EncodeNote(note));
    EXPECT_EQ(read->kv_hash, note.kv_hash);
    EXPECT_EQ(read->entry_crc, note.entry_crc);
    EXPECT_EQ(read->compact_revision, note.compact_revision);
  }
  const std::string text = EncodeNote(note);
  for (size_t cut = 0; cut + 2 < text.size(); ++cut)
    EXPECT_FALSE(DecodeNote(text.substr(0, cut)).ok()) << cut;
  for (const char* bad : {"", "[]", "{}", "null", R"({"taken":1})", R"({"taken":"2026-01-01T00:00:00Z"})"}) {
    EXPECT_FALSE(DecodeNote(bad).ok()) << bad;
  }
}

TEST(BackupDirectory, LeftoversOfOthersStayForADay) {
  SimFileSystem disk(6);
  MakeBackupDirectory(disk);
  const auto write = [&](const std::string& name) {
    ASSERT_TRUE(disk.WriteAtomically(std::string(kBackups) + "/" + name, "x", 0600).ok());
  };
  BackupName other = NameOf(0);
  other.member_id = 0x123;
  write(Stem(NameOf(0)) + ".db.part");
  write(Stem(NameOf(0)) + ".json.part");
  write(Stem(other) + ".db.part");
  write("something-else.part");
  const auto names = [&] { return *disk.List(std::string(kBackups)); };
  const int64_t hour = int64_t{3'600} * 1'000'000'000;
  ASSERT_TRUE(RemoveLeftovers(&disk, std::string(kBackups), 0xabc, other.taken_unix_nanos + hour).ok());
  EXPECT_THAT(names(), testing::ElementsAre(Stem(other) + ".db.part", "something-else.part"));
  ASSERT_TRUE(RemoveLeftovers(&disk, std::string(kBackups), 0xabc, other.taken_unix_nanos + 25 * hour).ok());
  EXPECT_THAT(names(), testing::ElementsAre("something-else.part"));
}

TEST(BackupDirectory, OtherClustersAreLeftAlone) {
  Source source(7);
  SimFileSystem disk(8);
  MakeBackupDirectory(disk);
  BackupName other = NameOf(0);
  other.cluster_id = 0x999;
  ASSERT_TRUE(TakeBackup(disk, other, source.Snapshot()).ok());
  for (const int n : {0, 1, 2}) ASSERT_TRUE(TakeBackup(disk, NameOf(n), source.Snapshot()).ok());
  EXPECT_EQ(ListBackups(&disk, std::string(kBackups), 0xdef)->size(), 3u);
  EXPECT_EQ(ListBackups(&disk, std::string(kBackups), 0)->size(), 4u);
  ASSERT_TRUE(RemoveOld(&disk, std::string(kBackups), 0xdef, kNewestOnly).ok());
  EXPECT_THAT(*ListBackups(&disk, std::string(kBackups), 0), testing::ElementsAre(other, NameOf(2)));
  EXPECT_EQ(disk.List(std::string(kBackups))->size(), 4u);
  EXPECT_TRUE(absl::IsNotFound(ListBackups(&disk, "/elsewhere", 0).status()));
}

}  // namespace
}  // namespace quorate::backup
