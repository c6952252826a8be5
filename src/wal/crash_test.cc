// Power loss at every operation that changes something: what was reported synced is there afterwards.
#include <gtest/gtest.h>

#include <algorithm>

#include "wal/snap_files.h"
#include "wal/wal_fixture.h"

namespace quorate::wal {
namespace {

// What the owner was told before the crash.
struct Told {
  bool created = false;
  raft::Index durable = 0;
  raft::HardState state;
  raft::Index snapshot = 0;
};

constexpr uint64_t kReadyCount = 24;

// The owner's life: Readys of a few entries, several in a batch, cuts (a segment is 2 KB), snapshots, purge.
void Live(SimFileSystem& files, uint64_t seed, Told& told) {
  std::mt19937_64 random(seed);
  auto created = CreateLog(&files, SmallSegments(2048));
  if (!created.ok()) return;
  told.created = true;
  Wal& wal = **created;
  raft::Index index = 0;
  raft::Index marked = 0;  // The newest snapshot in the log.
  raft::HardState state{1, 11, 0};
  for (uint64_t i = 0; i < kReadyCount; ++i) {
    const uint64_t count = random() % 4;
    wal.Append(MakeEntries(state.term, index + 1, count, random() % 300), state);
    index += count;
    if (random() % 3 == 0) continue;
    // Never a second one at an index, perhaps with another term: an entry has one, and such a log is refused.
    const raft::Index snapshot = random() % 4 == 0 && state.commit > marked ? state.commit : 0;
    if (snapshot != 0) wal.SaveSnapshotRecord({snapshot, state.term, {}});
    marked = std::max(marked, snapshot);
    if (random() % 4 == 0 && !wal.PrepareSpare().ok()) return;
    const bool synced = wal.pending_must_sync();
    if (!wal.WriteAndSync(wal.TakeBatch()).ok()) return;
    if (synced) {
      told.durable = index;
      told.state = state;
      told.snapshot = std::max(told.snapshot, snapshot);
    }
    state.commit = index;
    if (random() % 8 == 0) ++state.term;
    if (snapshot != 0 && random() % 2 == 0) {
      if (!wal.ReleaseTo(told.snapshot).ok() || !PurgeWal(&files, std::string(kDir), 1).ok()) return;
    }
  }
  (void)wal.Close();
}

// The newest snapshot a start may use; the .snap files are taken to be there.
WalSnapshot NewestValid(SimFileSystem& files) {
  const auto valid = ValidSnapshots(&files, std::string(kDir));
  EXPECT_TRUE(valid.ok()) << valid.status();
  WalSnapshot newest;
  for (const WalSnapshot& s : *valid) {
    if (s.index >= newest.index) newest = s;
  }
  return newest;
}

void ExpectTold(const LogContents& contents, const WalSnapshot& start, const Told& told) {
  EXPECT_GE(start.index + contents.entries.size(), told.durable);
  EXPECT_GE(contents.hard_state.term, told.state.term);
  if (contents.hard_state.term == told.state.term) {
    EXPECT_GE(contents.hard_state.commit, told.state.commit);
  }
  for (size_t i = 0; i < contents.entries.size(); ++i)
    EXPECT_EQ(contents.entries[i].index, start.index + i + 1);
}

// The simulated disk may also tear a write at any byte, which real disks don't (the original takes that for
// damage when no sector is zero, and so do we). Then at least everything told must still be readable.
void ExpectToldReadable(SimFileSystem& files, const Told& told) {
  auto reader = *WalReader::Open(&files, std::string(kDir));
  Record record;
  raft::Index last = 0;
  for (;;) {
    const auto more = reader->Next(&record);
    if (!more.ok() || !*more) break;
    if (record.type == kEntryRecord) last = DecodeEntry(record.data)->index;
  }
  EXPECT_GE(last, told.durable);
}

TEST(CrashTest, WhatWasSyncedIsThere) {
  const uint64_t first_seed = TestSeed();
  size_t opened = 0;
  size_t refused = 0;
  bool finished = false;
  for (uint64_t at = 1; !finished; ++at) {
    const uint64_t seed = first_seed + at;
    SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(first_seed) + ", crash at change " +
                 std::to_string(at));
    SimFileSystem files(seed);
    uint64_t changes = 0;
    finished = true;
    files.set_before_operation([&](SimOperation op, const std::string&) {
      if (Changes(op) && ++changes == at) {
        files.Crash();
        finished = false;
      }
      return changes >= at ? Unavailable("power lost") : absl::OkStatus();
    });
    Told told;
    Live(files, first_seed % 1000, told);
    files.set_before_operation(nullptr);
    if (!*LogExists(&files, std::string(kDir))) {
      EXPECT_FALSE(told.created);
      continue;
    }
    LogContents contents;
    const auto valid = ValidSnapshots(&files, std::string(kDir));
    const WalSnapshot start = valid.ok() ? NewestValid(files) : WalSnapshot{};
    auto wal = valid.ok() ? OpenLog(&files, &contents, SmallSegments(2048), start) : valid.status();
    if (!wal.ok()) {
      ++refused;
      EXPECT_EQ(wal.status().code(), absl::StatusCode::kDataLoss) << wal.status();
      ExpectToldReadable(files, told);
      continue;
    }
    ++opened;
    ExpectTold(contents, start, told);
    // And the log can be used: what follows is there after the next start.
    const raft::Index next = start.index + contents.entries.size() + 1;
    ASSERT_TRUE(Save(**wal, MakeEntries(99, next, 30, 100), {99, 11, next}).ok());
    wal->reset();
    files.Crash();
    ASSERT_TRUE(OpenLog(&files, &contents, SmallSegments(2048), start).ok());
    EXPECT_EQ(start.index + contents.entries.size(), next + 29);
  }
  EXPECT_GT(opened, refused * 2);
}

// Repair and clean-up at start can be interrupted anywhere.
TEST(CrashTest, DuringRepair) {
  for (uint64_t at = 1; at < 20; ++at) {
    SCOPED_TRACE(at);
    SimFileSystem files(at);
    {
      auto wal = *CreateLog(&files);
      ASSERT_TRUE(Save(*wal, MakeEntries(1, 1, 3, 600), {1, 11, 0}).ok());
    }
    const std::string path = std::string(kDir) + "/" + SegmentName(0, 0);
    const uint64_t end = ReadLog(&files, std::string(kDir), {})->good_offset;
    {
      OpenOptions open;
      open.write = true;
      auto file = *files.Open(path, open);
      ASSERT_TRUE(file->Truncate(end - 200).ok());
      ASSERT_TRUE(file->Sync().ok());
    }
    uint64_t changes = 0;
    files.set_before_operation([&](SimOperation op, const std::string&) {
      if (Changes(op) && ++changes == at) files.Crash();
      return changes >= at ? Unavailable("power lost") : absl::OkStatus();
    });
    LogContents contents;
    (void)OpenLog(&files, &contents);
    files.set_before_operation(nullptr);
    files.Crash();
    const auto wal = OpenLog(&files, &contents);
    ASSERT_TRUE(wal.ok()) << wal.status();
    EXPECT_LE(contents.entries.size(), 2u);
    EXPECT_EQ(contents.hard_state.commit, 0u);
  }
}

raft::Snapshot MakeSnapshot(raft::Index index, char fill) {
  raft::Snapshot snapshot;
  snapshot.metadata.conf_state.voters.push_back(11);
  snapshot.metadata.index = index;
  snapshot.metadata.term = 1;
  snapshot.data.assign(3000, fill);
  return snapshot;
}

TEST(CrashTest, SnapshotFileIsThereWholeOrNotAtAll) {
  for (uint64_t seed = 1; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    SimFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/snap", 0700).ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    SnapshotFiles snapshots(&files, "/snap");
    const raft::Snapshot older = MakeSnapshot(5, 'o');
    const raft::Snapshot newer = MakeSnapshot(9, 'n');
    ASSERT_TRUE(snapshots.Save(older).ok());
    uint64_t changes = 0;
    const uint64_t at = seed % 6 + 1;
    files.set_before_operation([&](SimOperation op, const std::string&) {
      if (Changes(op) && ++changes == at) files.Crash();
      return changes >= at ? Unavailable("power lost") : absl::OkStatus();
    });
    const bool saved = snapshots.Save(newer).ok();
    files.set_before_operation(nullptr);
    files.Crash();
    ASSERT_TRUE(snapshots.RemoveTemporary().ok());
    const std::vector<WalSnapshot> valid = {{5, 1, {}}, {9, 1, {}}};
    const auto loaded = snapshots.LoadNewest(valid);
    ASSERT_TRUE(loaded.ok() && *loaded);
    if (saved) {
      EXPECT_EQ(**loaded, newer);
    }
    EXPECT_TRUE(**loaded == older || **loaded == newer);
    const auto names = *files.List("/snap");
    for (const std::string& name : names) EXPECT_FALSE(name.ends_with(".broken")) << name;
  }
}

}  // namespace
}  // namespace quorate::wal
