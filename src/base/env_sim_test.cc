#include "base/env_sim.h"

#include <gtest/gtest.h>

#include <set>

#include "base/test_seed.h"

namespace quorate {
namespace {

using absl::StatusCode;

constexpr OpenOptions kCreate{.write = true, .create = true};

std::unique_ptr<File> MustOpen(SimFileSystem& files, const std::string& path) {
  auto file = files.Open(path, kCreate);
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  return *std::move(file);
}

TEST(SimFileSystem, WhatIsSyncedSurvivesAndHandlesDie) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimFileSystem files(seed);
    auto file = MustOpen(files, "/f");
    ASSERT_TRUE(file->WriteAt(0, "durable").ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    files.Crash();
    char byte;
    EXPECT_EQ(file->ReadAt(0, &byte, 1).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(file->WriteAt(0, "x").code(), StatusCode::kUnavailable);
    EXPECT_EQ(file->Sync().code(), StatusCode::kUnavailable);
    EXPECT_EQ(*files.ReadAll("/f"), "durable");
  }
}

TEST(SimFileSystem, AnUnsyncedWriteSurvivesWhollyInPartOrNotAtAll) {
  const std::string old(3000, 'o');
  const std::string fresh(3000, 'n');
  int whole = 0;
  int none = 0;
  int torn = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SimFileSystem files(seed);
    auto file = MustOpen(files, "/f");
    ASSERT_TRUE(file->WriteAt(0, old).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    ASSERT_TRUE(file->WriteAt(0, fresh).ok());
    EXPECT_EQ(*files.ReadAll("/f"), fresh);
    files.Crash();
    const std::string after = *files.ReadAll("/f");
    ASSERT_EQ(after.size(), old.size());
    if (after == fresh) {
      ++whole;
    } else if (after == old) {
      ++none;
    } else {
      ++torn;
      // One range of new bytes.
      const size_t start = after.find('n');
      const size_t end = std::min(after.find('o', start), after.size());
      EXPECT_EQ(after.find('n', end), std::string::npos);
    }
  }
  EXPECT_GT(whole, 30);
  EXPECT_GT(none, 30);
  EXPECT_GT(torn, 30);
}

TEST(SimFileSystem, UnsyncedWritesSurviveIndependently) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SimFileSystem files(seed);
    auto file = MustOpen(files, "/f");
    ASSERT_TRUE(file->Allocate(2).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    ASSERT_TRUE(file->WriteAt(0, "a").ok());
    ASSERT_TRUE(file->WriteAt(1, "b").ok());
    files.Crash();
    seen.insert(*files.ReadAll("/f"));
  }
  EXPECT_EQ(seen, (std::set<std::string>{std::string("\0\0", 2), std::string("a\0", 2), std::string("\0b", 2),
                                         "ab"}));
}

TEST(SimFileSystem, NamesNeedTheirDirectorySynced) {
  std::set<std::vector<std::string>> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SimFileSystem files(seed);
    MustOpen(files, "/kept");
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    MustOpen(files, "/new");
    ASSERT_TRUE(files.Rename("/kept", "/moved").ok());
    files.Crash();
    seen.insert(*files.List("/"));
  }
  // A prefix of the changes; the renamed file is always there, under one name.
  EXPECT_EQ(seen, (std::set<std::vector<std::string>>{{"kept"}, {"kept", "new"}, {"moved", "new"}}));
}

TEST(SimFileSystem, ARemovedFileMayComeBackUntilTheDirectoryIsSynced) {
  std::set<bool> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/d", 0700).ok());
    ASSERT_TRUE(files.WriteAtomically("/d/f", "text", 0600).ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    ASSERT_TRUE(files.Remove("/d/f").ok());
    if (seed % 2 == 1) {
      ASSERT_TRUE(files.SyncDirectory("/d").ok());
    }
    files.Crash();
    const bool back = files.Exists("/d/f");
    if (back) {
      EXPECT_EQ(*files.ReadAll("/d/f"), "text");
    }
    if (seed % 2 == 1) {
      EXPECT_FALSE(back);
    } else {
      seen.insert(back);
    }
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST(SimFileSystem, ARenameBetweenDirectoriesIsAtomic) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SimFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/a", 0700).ok());
    ASSERT_TRUE(files.CreateDirectories("/b", 0700).ok());
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    ASSERT_TRUE(files.WriteAtomically("/a/f", "1", 0600).ok());
    MustOpen(files, "/b/other");
    ASSERT_TRUE(files.Rename("/a/f", "/b/f").ok());
    if (seed % 3 == 0) {
      ASSERT_TRUE(files.SyncDirectory(seed % 2 == 0 ? "/a" : "/b").ok());
    }
    files.Crash();
    EXPECT_NE(files.Exists("/a/f"), files.Exists("/b/f"));
    if (seed % 3 == 0) {
      EXPECT_TRUE(files.Exists("/b/f") && files.Exists("/b/other"));
    }
  }
}

TEST(SimFileSystem, KillLosesNothingButHandlesAndLocks) {
  SimFileSystem files(1);
  OpenOptions locked = kCreate;
  locked.lock = LockKind::kFlock;
  auto file = files.Open("/f", locked);
  ASSERT_TRUE((*file)->WriteAt(0, "unsynced").ok());
  EXPECT_FALSE(files.Open("/f", locked).ok());
  files.Kill();
  EXPECT_FALSE((*file)->WriteAt(0, "x").ok());
  auto again = files.Open("/f", locked);
  EXPECT_TRUE(again.ok());
  file->reset();  // The dead handle's end must not free the new lock.
  EXPECT_FALSE(files.Open("/f", locked).ok());
  EXPECT_EQ(*files.ReadAll("/f"), "unsynced");
}

TEST(SimFileSystem, AFullDiskTakesWhatFits) {
  SimFileSystem files(1);
  files.set_capacity_bytes(10);
  auto file = MustOpen(files, "/f");
  ASSERT_TRUE(file->WriteAt(0, "123456").ok());
  EXPECT_EQ(file->WriteAt(6, "abcdefgh").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(*files.ReadAll("/f"), "123456abcd");
  EXPECT_TRUE(file->WriteAt(0, "x").ok());
  EXPECT_EQ(file->Truncate(11).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(file->Allocate(11).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(files.used_bytes(), 10u);
  ASSERT_TRUE(files.Remove("/f").ok());
  EXPECT_EQ(files.used_bytes(), 0u);
}

TEST(SimFileSystem, OrderedErrors) {
  SimFileSystem files(1);
  auto file = MustOpen(files, "/data");
  auto other = MustOpen(files, "/other");
  files.InjectError(SimOperation::kWrite, 2, "data");
  EXPECT_TRUE(file->WriteAt(0, "a").ok());
  EXPECT_TRUE(other->WriteAt(0, "a").ok());
  const Status failed = file->WriteAt(1, "b");
  EXPECT_EQ(failed.code(), StatusCode::kDataLoss);
  EXPECT_NE(Message(failed).find("/data"), std::string_view::npos);
  EXPECT_TRUE(file->WriteAt(1, "c").ok());
  files.InjectError(SimOperation::kRead, 1);
  EXPECT_EQ(files.ReadAll("/data").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(*files.ReadAll("/data"), "ac");
}

TEST(SimFileSystem, AFailedSyncLosesWritesThatNoLaterSyncBringsBack) {
  int lost = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SimFileSystem files(seed);
    auto file = MustOpen(files, "/f");
    ASSERT_TRUE(files.SyncDirectory("/").ok());
    ASSERT_TRUE(file->Allocate(2).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(file->WriteAt(0, "x").ok());
    files.InjectError(SimOperation::kSync, 1);
    EXPECT_EQ(file->Sync().code(), StatusCode::kDataLoss);
    EXPECT_EQ((*files.ReadAll("/f"))[0], 'x');
    ASSERT_TRUE(file->WriteAt(1, "y").ok());
    EXPECT_TRUE(file->Sync().ok());
    files.Crash();
    EXPECT_EQ((*files.ReadAll("/f"))[1], 'y');
    if ((*files.ReadAll("/f"))[0] != 'x') ++lost;
  }
  EXPECT_GT(lost, 5);
  EXPECT_LT(lost, 55);
}

TEST(SimFileSystem, FlippedBitsStay) {
  SimFileSystem files(1);
  ASSERT_TRUE(files.WriteAtomically("/f", "A", 0600).ok());
  auto file = files.Open("/f", {});
  auto mapping = (*file)->Map(1);
  ASSERT_TRUE(files.FlipBit("/f", 0, 1).ok());
  EXPECT_EQ(*files.ReadAll("/f"), "C");
  EXPECT_EQ((*mapping)->data()[0], 'C');
  files.Crash();
  EXPECT_EQ(*files.ReadAll("/f"), "C");
  EXPECT_EQ(files.FlipBit("/f", 1, 0).code(), StatusCode::kOutOfRange);
  EXPECT_EQ(files.FlipBit("/g", 0, 0).code(), StatusCode::kNotFound);
}

TEST(SimFileSystem, ResidencyIsAsTold) {
  SimFileSystem files(1);
  auto file = MustOpen(files, "/f");
  auto mapping = file->Map(100);
  EXPECT_TRUE((*mapping)->Resident(0, 100));
  files.set_residency(
      [](const std::string& path, size_t offset, size_t) { return path == "/f" && offset < 50; });
  EXPECT_TRUE((*mapping)->Resident(0, 100));
  EXPECT_FALSE((*mapping)->Resident(60, 1));
}

// The use the hook is made for: the power fails before each operation of a small protocol in turn, and what
// is found afterwards is the old state or the new one.
TEST(SimFileSystem, WriteAtomicallyHoldsAtEveryCrashPoint) {
  const uint64_t seed = TestSeed(4);
  SCOPED_TRACE(seed);
  for (uint64_t variant = 0; variant < 20; ++variant) {
    bool finished = false;
    for (uint64_t crash_at = 1; !finished; ++crash_at) {
      SimFileSystem files(seed + variant);
      ASSERT_TRUE(files.CreateDirectories("/d", 0700).ok());
      ASSERT_TRUE(files.SyncDirectory("/").ok());
      ASSERT_TRUE(files.WriteAtomically("/d/f", "old", 0600).ok());
      uint64_t count = 0;
      files.set_before_operation([&](SimOperation op, const std::string&) {
        if (Changes(op) && ++count == crash_at) files.Crash();
        return count >= crash_at ? Unavailable("the power is off") : absl::OkStatus();
      });
      finished = files.WriteAtomically("/d/f", "new", 0600).ok();
      files.set_before_operation(nullptr);
      if (finished) files.Crash();
      const std::string text = *files.ReadAll("/d/f");
      EXPECT_TRUE(text == "new" || (text == "old" && !finished)) << crash_at << " " << text;
      ASSERT_LT(crash_at, 100u);
    }
  }
}

TEST(SimFileSystem, TheSameSeedGivesTheSameWorld) {
  const auto run = [](uint64_t seed) {
    SimFileSystem files(seed);
    std::string all;
    for (int round = 0; round < 20; ++round) {
      auto file = MustOpen(files, "/f" + std::to_string(round % 3));
      EXPECT_TRUE(
          file->WriteAt(static_cast<uint64_t>(round), std::string(100, static_cast<char>('a' + round))).ok());
      files.Crash();
      const std::vector<std::string> names = *files.List("/");
      for (const std::string& name : names) all.append(name).append(*files.ReadAll("/" + name));
    }
    return all;
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

TEST(SimClock, MovesOnlyWhenTold) {
  SimClock clock;
  const int64_t start = clock.MonotonicNanos();
  EXPECT_EQ(clock.WallNanos(), SimClock::kWallStartNanos);
  clock.Advance(5);
  clock.AdvanceWall(-100);
  EXPECT_EQ(clock.MonotonicNanos(), start + 5);
  EXPECT_EQ(clock.WallNanos(), SimClock::kWallStartNanos + 5 - 100);
}

}  // namespace
}  // namespace quorate
