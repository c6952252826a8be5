// The archived log: what is written, what a crash and a full disk leave, and how pieces go together.
#include <gmock/gmock.h>

#include <map>

#include "backup/backup_directory.h"
#include "backup/backup_fixture_test.h"
#include "backup/log_archiver.h"
#include "backup/log_chain.h"
#include "base/test_seed.h"
#include "server/member_harness_test.h"

namespace quorate::backup {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kCluster = 0xdef;

raft::Entry EntryOf(uint64_t index, const std::string& data, uint64_t term = 1) {
  raft::Entry entry;
  entry.index = index;
  entry.term = term;
  entry.data = raft::Payload(data);
  return entry;
}

std::vector<raft::Entry> Entries(uint64_t first, uint64_t last) {
  std::vector<raft::Entry> entries;
  for (uint64_t i = first; i <= last; ++i) entries.push_back(EntryOf(i, "data" + std::to_string(i)));
  return entries;
}

SegmentName NameAt(uint64_t first, int second, uint64_t member = 1) {
  return {SimClock::kWallStartNanos + second * int64_t{1'000'000'000}, first, member, kCluster};
}

BackupNote BaseAt(uint64_t index) {
  BackupNote base;
  base.name = {SimClock::kWallStartNanos, 1, 1, kCluster};
  base.raft_index = index;
  base.raft_term = 1;
  base.entry_crc = MarkOf(EntryOf(index, "data" + std::to_string(index))).crc;
  return base;
}

class SegmentsTest : public testing::Test {
 protected:
  SegmentsTest() : disk_(1) { MakeBackupDirectory(disk_); }

  void Write(const SegmentName& name, const std::vector<raft::Entry>& entries, bool knows_before,
             const std::optional<IndexRow>& row = {}) {
    SegmentHeader header{name, {}};
    const uint64_t before = name.first_index - 1;
    if (knows_before) header.before = MarkOf(EntryOf(before, "data" + std::to_string(before)));
    auto writer = SegmentWriter::Create(&disk_, kDir, header);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->Append(entries, row).ok());
  }
  // The indexes that the chain gives, and what is missing at its end.
  std::pair<std::vector<uint64_t>, std::string> Chain(const BackupNote& base, int64_t until = INT64_MAX) {
    std::pair<std::vector<uint64_t>, std::string> out;
    auto chain = LogChain::Begin(&disk_, kDir, base, until);
    EXPECT_TRUE(chain.ok()) << chain.status();
    for (;;) {
      const auto piece = chain->Next();
      EXPECT_TRUE(piece.ok()) << piece.status();
      if (!piece.ok() || !*piece) break;
      for (const raft::Entry& entry : (*piece)->entries) out.first.push_back(entry.index);
    }
    out.second = chain->WhatIsMissing();
    return out;
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> range;
    for (uint64_t i = first; i <= last; ++i) range.push_back(i);
    return range;
  }

  static inline const std::string kDir{kBackups};
  SimFileSystem disk_;
};

TEST_F(SegmentsTest, ComeOutAsTheyWentIn) {
  const SegmentName name = NameAt(11, 5);
  const IndexRow row{SimClock::kWallStartNanos + 5'250'000'000, 14, 9};
  Write(name, Entries(11, 15), true, row);
  EXPECT_EQ(SegmentStem(name), "log-20260101T000005.000Z-i11-m1-cdef");
  EXPECT_EQ(ParseSegmentName(SegmentStem(name) + ".log", kLogSuffix), name);
  const auto segment = ReadSegment(&disk_, kDir, name);
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->entries, Entries(11, 15));
  EXPECT_THAT(segment->rows, testing::ElementsAre(row));
  EXPECT_EQ(segment->damage, "");
  ASSERT_TRUE(segment->header.before.has_value());
  EXPECT_TRUE(segment->header.before->Matches(MarkOf(EntryOf(10, "data10"))));
  EXPECT_FALSE(segment->header.before->Matches(MarkOf(EntryOf(10, "other"))));
  EXPECT_EQ(*disk_.ReadAll(kDir + "/" + SegmentStem(name) + ".index"), EncodeRow(row));
  EXPECT_THAT(EncodeRow(row), HasSubstr("2026-01-01T00:00:05.250Z 14 9 "));
  for (const char* bad :
       {"log-.log", "log-20260101T000005.000Z-i11-m1.log", "log-x-i11-m1-cdef.log",
        "log-20260101T000005.000Z-i011-m1-cdef.log", "backup-20260101T000005.000Z-i1-m1-c1.log"}) {
    EXPECT_FALSE(ParseSegmentName(bad, kLogSuffix).has_value()) << bad;
  }
}

// Cut at every byte: what is read is a prefix, and never an error once the header is whole.
TEST_F(SegmentsTest, EveryPrefixReadsAsFarAsItGoes) {
  const SegmentName name = NameAt(1, 0);
  Write(name, Entries(1, 5), false, IndexRow{SimClock::kWallStartNanos, 5, 3});
  const std::string path = kDir + "/" + SegmentStem(name);
  const std::string log = *disk_.ReadAll(path + ".log");
  const std::string index = *disk_.ReadAll(path + ".index");
  size_t whole = 0;
  for (size_t cut = 0; cut <= log.size(); ++cut) {
    ASSERT_TRUE(disk_.WriteAtomically(path + ".log", log.substr(0, cut), 0600).ok());
    const auto segment = ReadSegment(&disk_, kDir, name);
    if (!segment.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(segment.status()));
      EXPECT_EQ(whole, 0u);
      continue;
    }
    EXPECT_EQ(segment->lost_until, segment->entries.size() == 5 ? 0u : 5u);
    EXPECT_GE(segment->entries.size(), whole);
    whole = segment->entries.size();
    EXPECT_EQ(segment->rows.size(), whole == 5 ? 1u : 0u) << "a row without its entries";
  }
  EXPECT_EQ(whole, 5u);
  for (size_t cut = 0; cut < index.size(); ++cut) {
    ASSERT_TRUE(disk_.WriteAtomically(path + ".index", index.substr(0, cut), 0600).ok());
    EXPECT_THAT(ReadSegment(&disk_, kDir, name)->rows, IsEmpty());
  }
}

TEST_F(SegmentsTest, ADamagedByteIsNoticed) {
  const SegmentName name = NameAt(1, 0);
  Write(name, Entries(1, 5), false, IndexRow{SimClock::kWallStartNanos, 5, 3});
  const std::string path = kDir + "/" + SegmentStem(name) + ".log";
  const uint64_t size = disk_.Stat(path)->size;
  for (uint64_t offset = 0; offset < size; ++offset) {
    ASSERT_TRUE(disk_.FlipBit(path, offset, static_cast<int>(offset % 8)).ok());
    const auto segment = ReadSegment(&disk_, kDir, name);
    EXPECT_TRUE(!segment.ok() || !segment->damage.empty()) << offset;
    ASSERT_TRUE(disk_.FlipBit(path, offset, static_cast<int>(offset % 8)).ok());
  }
}

TEST_F(SegmentsTest, PiecesGoTogether) {
  Write(NameAt(1, 0), Entries(1, 10), false);
  Write(NameAt(11, 10), Entries(11, 20), true);
  Write(NameAt(16, 15, 2), Entries(16, 30), false);  // Another member's, which began later.
  EXPECT_EQ(Chain(BaseAt(5)), std::pair(Range(6, 30), std::string()));
  EXPECT_EQ(Chain(BaseAt(10)), std::pair(Range(11, 30), std::string()));
  EXPECT_EQ(Chain(BaseAt(30)), std::pair(std::vector<uint64_t>(), std::string()));
  EXPECT_EQ(Chain(BaseAt(5), SimClock::kWallStartNanos).first, Range(6, 10));
}

TEST_F(SegmentsTest, WhatIsMissingIsNamed) {
  Write(NameAt(1, 0), Entries(1, 10), false);
  Write(NameAt(15, 10), Entries(15, 20), true);
  const auto [indexes, missing] = Chain(BaseAt(5));
  EXPECT_EQ(indexes, Range(6, 10));
  EXPECT_THAT(missing, HasSubstr("raft index 11 to 14 are missing"));
  // One that follows right away and can't show it.
  Write(NameAt(11, 10), Entries(11, 12), false);
  EXPECT_THAT(Chain(BaseAt(5)).second, HasSubstr("can't be shown"));
}

// The log of a cluster that was restored to an earlier state has the same ID and other entries.
TEST_F(SegmentsTest, AnotherHistoryIsNotTaken) {
  std::vector<raft::Entry> other;
  for (uint64_t i = 1; i <= 30; ++i) other.push_back(EntryOf(i, "other" + std::to_string(i)));
  Write(NameAt(1, 20), other, false);
  EXPECT_THAT(Chain(BaseAt(5)).first, IsEmpty());
  Write(NameAt(6, 0), Entries(6, 9), true);
  EXPECT_EQ(Chain(BaseAt(5)).first, Range(6, 9));
}

TEST_F(SegmentsTest, OldOnesGoWithTheBackupsTheyFollow) {
  const auto left = [&] {
    std::vector<uint64_t> firsts;
    const auto names = *ListSegments(&disk_, kDir, kCluster);
    for (const SegmentName& name : names) firsts.push_back(name.first_index);
    return firsts;
  };
  Write(NameAt(1, 0), Entries(1, 10), false);
  Write(NameAt(11, 100), Entries(11, 20), true);
  Write(NameAt(21, 200), Entries(21, 30), true);
  Write(NameAt(5, 50, 2), Entries(5, 25), false);
  // Nobody has a backup: what ended before that moment goes.
  ASSERT_TRUE(RemoveOldSegments(&disk_, kDir, kCluster, {NameAt(0, 150).started_unix_nanos}).ok());
  EXPECT_EQ(left(), (std::vector<uint64_t>{5, 11, 21}));
  // A backup of index 15, taken later than all began.
  BackupNote note = BaseAt(15);
  note.name.taken_unix_nanos = NameAt(0, 300).started_unix_nanos;
  ASSERT_TRUE(disk_.WriteAtomically(kDir + "/" + Stem(note.name) + ".db", "x", 0600).ok());
  ASSERT_TRUE(disk_.WriteAtomically(kDir + "/" + Stem(note.name) + ".json", EncodeNote(note), 0600).ok());
  ASSERT_TRUE(RemoveOldSegments(&disk_, kDir, kCluster, {INT64_MAX}).ok());
  EXPECT_EQ(left(), (std::vector<uint64_t>{5, 11, 21}));
  // Others have newer backups: what follows from this one is not kept for ever.
  ASSERT_TRUE(RemoveOldSegments(&disk_, kDir, kCluster, {NameAt(0, 400).started_unix_nanos, true}).ok());
  EXPECT_EQ(left(), (std::vector<uint64_t>{5, 21}));
}

// Then the time in the name has to do, and a log that grows for ever is not the answer.
TEST_F(SegmentsTest, OldOnesGoAlthoughANoteIsDamaged) {
  constexpr int kHour = 3600;
  Write(NameAt(1, 0), Entries(1, 10), false);
  Write(NameAt(11, kHour), Entries(11, 20), true);
  Write(NameAt(21, 10 * kHour), Entries(21, 30), true);
  BackupNote note = BaseAt(25);
  note.name.taken_unix_nanos = NameAt(0, 11 * kHour).started_unix_nanos;
  ASSERT_TRUE(disk_.WriteAtomically(kDir + "/" + Stem(note.name) + ".db", "x", 0600).ok());
  for (const bool there : {false, true}) {
    if (there) {
      ASSERT_TRUE(disk_.WriteAtomically(kDir + "/" + Stem(note.name) + ".json", "{", 0600).ok());
    }
    ASSERT_TRUE(RemoveOldSegments(&disk_, kDir, kCluster, {INT64_MAX}).ok());
    EXPECT_EQ(ListSegments(&disk_, kDir, kCluster)->size(), 1u);
  }
}

// A member with an archiver, on disks of their own.
class ArchiverTest : public testing::Test {
 protected:
  ArchiverTest() : member_(5), disk_(6) {
    MakeBackupDirectory(disk_);
    member_.config.on_applied = [this](const raft::Entry& entry) {
      applied_[entry.index] = entry;
      if (archiver_ != nullptr) archiver_->OnApplied(entry);
    };
  }
  ~ArchiverTest() override { archiver_.reset(); }

  void Start() { StartOn(&member_.executor); }
  void StartOn(Executor* executor) {
    ASSERT_TRUE(member_.Open().ok());
    archiver_ = std::make_unique<LogArchiver>(
        member_.member.get(), Env{&disk_, &member_.clock, &member_.random, executor}, std::string(kBackups));
    ASSERT_TRUE(member_.BecomeReady());
  }
  void Tick(int count) {
    for (; count > 0; --count) {
      member_.Tick();
      archiver_->Tick();
      member_.RunUntilIdle();
    }
  }
  void Put(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(member_.Put("key" + std::to_string(i % 7), "value" + std::to_string(i)).ok());
      Tick(1);
    }
  }
  // All that is readable, checked against what was applied.
  std::map<uint64_t, raft::Entry> Archived() {
    std::map<uint64_t, raft::Entry> entries;
    const auto names = *ListSegments(&disk_, std::string(kBackups), 0);
    for (const SegmentName& name : names) {
      const auto segment = ReadSegment(&disk_, std::string(kBackups), name);
      if (!segment.ok()) continue;
      for (const raft::Entry& entry : segment->entries) {
        EXPECT_EQ(entry, applied_[entry.index]);
        entries[entry.index] = entry;
      }
    }
    return entries;
  }

  server::MemberHarness member_;
  SimFileSystem disk_;
  std::map<uint64_t, raft::Entry> applied_;
  std::unique_ptr<LogArchiver> archiver_;
};

TEST_F(ArchiverTest, EverythingAppliedIsArchivedWithARowASecond) {
  Start();
  Put(50);
  Tick(15);
  const auto archived = Archived();
  EXPECT_EQ(archived.size(), applied_.size());
  EXPECT_EQ(archived.rbegin()->first, member_.member->applied_index());
  EXPECT_EQ(archiver_->figures().last_index, member_.member->applied_index());
  EXPECT_EQ(archiver_->figures().last_revision, 51);
  const auto names = *ListSegments(&disk_, std::string(kBackups), 0);
  ASSERT_EQ(names.size(), 1u);
  const auto segment = *ReadSegment(&disk_, std::string(kBackups), names[0]);
  EXPECT_GE(segment.rows.size(), 5u);
  EXPECT_LE(segment.rows.size(), 8u);
  for (size_t i = 1; i < segment.rows.size(); ++i) {
    EXPECT_GE(segment.rows[i].unix_nanos - segment.rows[i - 1].unix_nanos, 1'000'000'000);
    EXPECT_GT(segment.rows[i].index, segment.rows[i - 1].index);
  }
}

// Entries that a start applies again are the same, and the chain goes on over it.
TEST_F(ArchiverTest, ARestartLeavesNoGap) {
  Start();
  Put(10);
  BackupNote base;
  base.name = {member_.clock.WallNanos(), 11, member_.member->id(), member_.member->cluster_id()};
  base.raft_index = member_.member->applied_index();
  base.raft_term = applied_[base.raft_index].term;
  base.entry_crc = archiver_->CrcAt(base.raft_index);
  ASSERT_TRUE(base.entry_crc.has_value());
  Put(10);
  for (const bool power : {false, true}) {
    archiver_.reset();
    member_.Crash(power);
    Start();
    Put(10);
  }
  Tick(15);
  auto chain = *LogChain::Begin(&disk_, std::string(kBackups), base);
  while ((*chain.Next()).has_value()) {
  }
  EXPECT_EQ(chain.WhatIsMissing(), "");
  EXPECT_EQ(chain.index(), member_.member->applied_index());
}

// A backup is being checked, for as long as that takes: its lanes are not the archive's.
TEST_F(ArchiverTest, ABackupUnderWayHoldsNothingUp) {
  class BusyExecutor final : public Executor {
   public:
    explicit BusyExecutor(Executor* executor) : executor_(*executor) {}
    void Submit(Lane lane, std::function<void()> work, std::function<void()> done) override {
      if (lane == Lane::kLog) executor_.Submit(lane, std::move(work), std::move(done));
    }

   private:
    Executor& executor_;
  } busy(&member_.executor);
  StartOn(&busy);
  const std::string value(1'000'000, 'v');
  for (int i = 0; i < 75; ++i) {
    ASSERT_TRUE(member_.Put("key" + std::to_string(i % 7), value + std::to_string(i)).ok());
    Tick(1);
  }
  Tick(15);
  EXPECT_EQ(archiver_->figures().gaps, 0u);
  EXPECT_EQ(archiver_->figures().dropped_entries, 0u);
  EXPECT_EQ(Archived().size(), applied_.size());
}

TEST_F(ArchiverTest, AFullDiskIsWaitedFor) {
  Start();
  Put(15);
  disk_.set_capacity_bytes(disk_.used_bytes());
  Put(30);
  EXPECT_GT(archiver_->figures().failures, 0u);
  EXPECT_TRUE(member_.fatal.ok());
  disk_.set_capacity_bytes(UINT64_MAX);
  Tick(120);
  EXPECT_EQ(Archived().size(), applied_.size());
  EXPECT_EQ(archiver_->figures().last_index, member_.member->applied_index());
  EXPECT_EQ(archiver_->figures().dropped_entries, 0u);
}

// What was left there before is removed, and no attempt leaves anything: the room that comes is for backups.
TEST_F(ArchiverTest, AFullDiskIsNotLittered) {
  Start();
  Put(15);
  disk_.set_capacity_bytes(disk_.used_bytes() + 100);
  const uint64_t used = disk_.used_bytes();
  const size_t files = disk_.List(std::string(kBackups))->size();
  Put(20);
  const uint64_t failures = archiver_->figures().failures;
  EXPECT_GT(failures, 0u);
  Tick(6000);
  EXPECT_LT(archiver_->figures().failures, failures + 15) << "it does not pause";
  EXPECT_EQ(disk_.List(std::string(kBackups))->size(), files);
  EXPECT_LE(disk_.used_bytes(), used);
  EXPECT_EQ(archiver_->figures().dropped_entries, 0u);

  // Half-made files of an earlier life.
  const int64_t wall = member_.clock.WallNanos();
  for (int i = 0; i < 5; ++i) {
    const SegmentName name{wall - wall % 1'000'000 + i * 1'000'000, static_cast<uint64_t>(100 + i),
                           member_.member->id(), member_.member->cluster_id()};
    for (const char* suffix : {".log", ".index"}) {
      ASSERT_TRUE(disk_.Open(std::string(kBackups) + "/" + SegmentStem(name) + suffix, {true, true}).ok());
    }
  }
  archiver_.reset();
  member_.Crash(false);
  disk_.set_capacity_bytes(UINT64_MAX);
  Start();
  Put(5);
  Tick(20);
  EXPECT_EQ(Archived().size(), applied_.size());
  const auto names = *ListSegments(&disk_, std::string(kBackups), 0);
  for (const SegmentName& name : names) {
    EXPECT_FALSE(ReadSegment(&disk_, std::string(kBackups), name)->entries.empty()) << SegmentStem(name);
  }
}

// Each operation of each kind fails once: nothing is lost in the end, and the member does not notice.
TEST_F(ArchiverTest, FailuresAreTriedAgain) {
  Start();
  for (const SimOperation op :
       {SimOperation::kOpen, SimOperation::kWrite, SimOperation::kSync, SimOperation::kSyncDirectory}) {
    for (uint64_t nth = 1; nth <= 4; ++nth) {
      disk_.InjectError(op, nth);
      archiver_->Rotate();
      Put(25);
      archiver_->Rotate();
      Put(25);
      Tick(70);
    }
  }
  Tick(200);
  EXPECT_TRUE(member_.fatal.ok());
  EXPECT_EQ(Archived().size(), applied_.size());
  EXPECT_EQ(archiver_->figures().last_revision, member_.member->store().current_revision());
}

// The machine of the archive loses its power at every operation: all that was said to be archived is there.
TEST(Archiver, ACrashAtEveryOperationKeepsWhatWasArchived) {
  const uint64_t seed = TestSeed(23);
  for (uint64_t crash_at = 1;; ++crash_at) {
    SCOPED_TRACE("crash at operation " + std::to_string(crash_at));
    SimFileSystem disk(seed + crash_at);
    MakeBackupDirectory(disk);
    uint64_t operations = 0;
    bool crashed = false;
    disk.set_before_operation([&](SimOperation op, const std::string&) -> Status {
      if (!Changes(op) || crashed || ++operations < crash_at) return absl::OkStatus();
      crashed = true;
      disk.Crash();
      return Unavailable("the power is gone");
    });
    uint64_t kept = 0;
    uint64_t rows = 0;
    for (uint64_t first = 1; first < 40 && !crashed; first += 20) {
      auto writer =
          SegmentWriter::Create(&disk, std::string(kBackups), {NameAt(first, static_cast<int>(first)), {}});
      for (uint64_t i = first; writer.ok() && i < first + 20; i += 5) {
        const IndexRow row{SimClock::kWallStartNanos, i + 4, 1};
        if (!(*writer)->Append(Entries(i, i + 4), row).ok()) break;
        kept = i + 4;
        ++rows;
      }
    }
    disk.set_before_operation({});
    uint64_t last = 0;
    uint64_t rows_left = 0;
    const auto names = *ListSegments(&disk, std::string(kBackups), 0);
    for (const SegmentName& name : names) {
      const auto segment = ReadSegment(&disk, std::string(kBackups), name);
      if (!segment.ok()) continue;
      for (const raft::Entry& entry : segment->entries) {
        EXPECT_EQ(entry, EntryOf(entry.index, "data" + std::to_string(entry.index)));
        last = entry.index;
      }
      rows_left += segment->rows.size();
    }
    EXPECT_GE(last, kept);
    EXPECT_GE(rows_left, rows);
    if (!crashed) break;
  }
}

}  // namespace
}  // namespace quorate::backup
