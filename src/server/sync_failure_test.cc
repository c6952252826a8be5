#include "server/sync_failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/env_sim.h"

namespace quorate::server {
namespace {

using testing::HasSubstr;

LostLogOptions Options(const std::string& run_dir, const std::string& boot_id) {
  LostLogOptions options;
  options.run_dir = run_dir;
  options.boot_id = boot_id;
  return options;
}

std::string Content(FileSystem& files, const std::string& path) { return files.ReadAll(path).value_or("?"); }

TEST(SyncFailureMark, IsOfOneBootAndOneDataDirectory) {
  for (const std::string run_dir : {"run", ""}) {
    SimFileSystem files(1);
    SyncFailureMark mark(&files, "data", Options(run_dir, "boot-1"));
    EXPECT_EQ(mark.Read(), "");
    mark.Set("data/member/wal/1 2.wal");
    mark.Set("another");
    EXPECT_EQ(mark.Read(), "data/member/wal/1 2.wal");
    EXPECT_EQ(SyncFailureMark(&files, "data", Options(run_dir, "boot-1")).Read(), "data/member/wal/1 2.wal");
    EXPECT_EQ(SyncFailureMark(&files, "data", Options(run_dir, "boot-2")).Read(), "");
    EXPECT_EQ(SyncFailureMark(&files, "other", Options(run_dir, "boot-1")).Read(), "");
    EXPECT_TRUE(mark.Clear().ok());
    EXPECT_EQ(mark.Read(), "");
    EXPECT_TRUE(mark.Clear().ok());
  }
}

TEST(SyncFailureMark, WithoutABootIdEveryMarkCounts) {
  SimFileSystem files(1);
  SyncFailureMark(&files, "data", Options("run", "")).Set("x");
  EXPECT_EQ(SyncFailureMark(&files, "data", Options("run", "")).Read(), "x");
}

TEST(SyncFailureMark, ADamagedMarkIsAMark) {
  for (const std::string_view text :
       {"", "rubbish", "quorate-sync-failed 1 ", "quorate-sync-failed 1 boot-1 x"}) {
    SimFileSystem files(1);
    ASSERT_TRUE(files.CreateDirectories("data/quorate", 0700).ok());
    ASSERT_TRUE(files.WriteAtomically("data/quorate/sync-failed", text, 0600).ok());
    EXPECT_THAT(SyncFailureMark(&files, "data", Options("", "boot-1")).Read(), HasSubstr("does not name"));
  }
}

// The story that it is for: a failed sync, a new process on what the cache shows, a loss of power.
TEST(SyncFailure, WhatTheCacheShowedIsThereAfterThePowerWasLost) {
  int saved = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    for (const bool marked : {false, true}) {
      SimFileSystem files(seed);
      SyncFailureMark mark(&files, "data", Options("run", "boot-1"));
      if (marked) files.set_on_failed_sync([&](const std::string& path) { mark.Set(path); });
      ASSERT_TRUE(files.CreateDirectories("data/wal", 0700).ok());
      for (const char* directory : {".", "data", "data/wal"})
        ASSERT_TRUE(files.SyncDirectory(directory).ok());
      const OpenOptions open{.write = true, .create = true};
      {
        const auto file = *files.Open("data/wal/1.wal", open);
        ASSERT_TRUE(files.SyncDirectory("data/wal").ok());
        ASSERT_TRUE(file->WriteAt(0, "first ").ok());
        ASSERT_TRUE(file->Sync().ok());
        ASSERT_TRUE(file->WriteAt(6, "second ").ok());
        files.InjectError(SimOperation::kSync, 1, ".wal");
        ASSERT_FALSE(file->Sync().ok());
      }
      files.Kill();
      SyncFailureMark next(&files, "data", Options("run", "boot-1"));
      EXPECT_EQ(next.Read(), marked ? "data/wal/1.wal" : "");
      ASSERT_TRUE(
          RepairAfterFailedSync(&files, next, {"data/wal", "data/db", "data/quorate/peer-memory"}).ok());
      EXPECT_EQ(next.Read(), "");
      const std::string seen = Content(files, "data/wal/1.wal");
      {
        const auto file = *files.Open("data/wal/1.wal", open);
        ASSERT_TRUE(file->WriteAt(seen.size(), "third").ok());
        ASSERT_TRUE(file->Sync().ok());
      }
      files.Crash();
      const std::string left = Content(files, "data/wal/1.wal");
      if (marked) {
        EXPECT_EQ(left, seen + "third") << "seed " << seed;
      } else {
        saved += left != seen + "third";
      }
    }
  }
  // Without it the hole is real.
  EXPECT_GT(saved, 5);
}

TEST(SyncFailure, ADiskThatFailsAgainEndsTheStart) {
  SimFileSystem files(1);
  ASSERT_TRUE(files.CreateDirectories("data/wal", 0700).ok());
  ASSERT_TRUE(files.WriteAtomically("data/wal/1.wal", "log", 0600).ok());
  SyncFailureMark mark(&files, "data", Options("run", "boot-1"));
  mark.Set("data/wal/1.wal");
  files.InjectError(SimOperation::kSync, 1, ".wal");
  const Status status = RepairAfterFailedSync(&files, mark, {"data/wal", "data/db", "data/memory"});
  EXPECT_THAT(std::string(Message(status)), HasSubstr("look at the disk, or replace this member"));
  EXPECT_EQ(mark.Read(), "data/wal/1.wal");
}

TEST(SyncFailure, AnotherProcessKeepsItsFiles) {
  SimFileSystem files(1);
  ASSERT_TRUE(files.CreateDirectories("data", 0700).ok());
  ASSERT_TRUE(files.WriteAtomically("data/db", "database", 0600).ok());
  SyncFailureMark mark(&files, "data", Options("run", "boot-1"));
  mark.Set("data/db");
  const auto held = files.Open("data/db", {.write = true, .lock = LockKind::kFlock});
  ASSERT_TRUE(held.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      RepairAfterFailedSync(&files, mark, {"data/wal", "data/db", "data/memory"})));
}

}  // namespace
}  // namespace quorate::server
