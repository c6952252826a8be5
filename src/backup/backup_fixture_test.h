// For the tests of this folder: a database to back up, and a disk of its own for the backups.
#pragma once

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backup/backup_copy.h"
#include "backup/backup_directory.h"
#include "backup/snapshot_reader.h"
#include "base/env_sim.h"
#include "base/logging.h"
#include "mvcc/backend.h"
#include "mvcc/snapshot_parts.h"

namespace quorate::backup {

inline constexpr std::string_view kBackups = "/backups";

// Whether the bytes are pages and their digest.
inline bool IsWhole(const std::string& bytes) {
  if (bytes.size() <= kDigestBytes || (bytes.size() - kDigestBytes) % 4096 != 0) return false;
  const size_t pages = bytes.size() - kDigestBytes;
  std::string digest(kDigestBytes, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), pages,
         reinterpret_cast<unsigned char*>(digest.data()));
  return bytes.substr(pages) == digest;
}

// The whole backups there, by stem; a bad one under a good name fails the test.
inline std::map<std::string, std::string> GoodBackups(SimFileSystem& disk) {
  std::map<std::string, std::string> good;
  const auto names = disk.List(std::string(kBackups));
  EXPECT_TRUE(names.ok()) << names.status();
  if (!names.ok()) return good;
  for (const std::string& name : *names) {
    if (!name.ends_with(kBackupSuffix)) continue;
    const std::string stem = name.substr(0, name.size() - kBackupSuffix.size());
    std::string bytes = *disk.ReadAll(std::string(kBackups) + "/" + name);
    EXPECT_TRUE(IsWhole(bytes)) << name << ", " << bytes.size() << " bytes";
    const auto parsed = ParseStem(stem);
    EXPECT_TRUE(parsed.has_value()) << name;
    const auto note = ReadNote(&disk, std::string(kBackups), *parsed);
    EXPECT_TRUE(note.ok()) << note.status();
    EXPECT_EQ(note.ok() ? note->size_bytes : 0, bytes.size());
    good[stem] = std::move(bytes);
  }
  return good;
}

inline void MakeBackupDirectory(SimFileSystem& disk) {
  ASSERT_TRUE(disk.CreateDirectories(std::string(kBackups), 0700).ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
}

// A database with some rows.
class Source {
 public:
  explicit Source(uint64_t seed) : files_(seed), random_(seed + 1) {
    std::string error;
    log::Configure({.level = log::Level::kFatal}, &error);
    EXPECT_TRUE(files_.CreateDirectories("/data", 0700).ok());
    auto opened = mvcc::Backend::Open({&files_, &clock_, &random_, &executor_}, "/data/db", {});
    EXPECT_TRUE(opened.ok()) << opened.status();
    backend_ = *std::move(opened);
    Fill(40);
  }

  void Fill(int rows) {
    for (int i = 0; i < rows; ++i) {
      const std::string key = "key" + std::to_string(next_++);
      backend_->Put(mvcc::Bucket::kCluster, key, std::string(500, static_cast<char>('a' + next_ % 26)));
    }
  }
  std::shared_ptr<mvcc::Backend::Snapshot> Snapshot() {
    std::shared_ptr<mvcc::Backend::Snapshot> snapshot;
    backend_->BeginSnapshot([&](StatusOr<std::shared_ptr<mvcc::Backend::Snapshot>> made) {
      ASSERT_TRUE(made.ok()) << made.status();
      snapshot = *std::move(made);
    });
    executor_.RunUntilIdle();
    EXPECT_NE(snapshot, nullptr);
    return snapshot;
  }
  static std::string Bytes(mvcc::Backend::Snapshot& snapshot) {
    std::string bytes;
    EXPECT_TRUE(snapshot
                    .CopyTo([&](std::string_view chunk) {
                      bytes += chunk;
                      return absl::OkStatus();
                    })
                    .ok());
    return bytes;
  }

 private:
  SimFileSystem files_;
  SimClock clock_;
  SeededRandom random_;
  InlineExecutor executor_;
  std::unique_ptr<mvcc::Backend> backend_;
  int next_ = 0;
};

// The nth backup of a member, an hour after the one before.
inline BackupName NameOf(int n) {
  return {SimClock::kWallStartNanos + n * int64_t{3'600} * 1'000'000'000, 100 + n, 0xabc, 0xdef};
}

// In pieces of a few pages, as the keeper drives it; until the file is verified.
inline Status WriteBackup(BackupCopy& copy, SnapshotReader& reader,
                          const std::function<void()>& before_each_step = {}) {
  const auto before = [&] {
    if (before_each_step) before_each_step();
  };
  while (!reader.at_end()) {
    before();
    QUORATE_ASSIGN_OR_RETURN(const std::string piece, reader.Next(8192));
    QUORATE_RETURN_IF_ERROR(copy.Write(piece));
  }
  QUORATE_RETURN_IF_ERROR(reader.Check());
  for (bool ready = false; !ready;) {
    before();
    QUORATE_ASSIGN_OR_RETURN(ready, copy.ReadBack(8192));
  }
  return absl::OkStatus();
}

inline Status TakeBackup(SimFileSystem& disk, const BackupName& name,
                         std::shared_ptr<mvcc::Backend::Snapshot> snapshot,
                         const std::function<void()>& before_each_step = {},
                         SnapshotReader::CheckFn check = mvcc::CheckSnapshot) {
  SnapshotReader reader(std::move(snapshot), std::move(check));
  BackupCopy copy(&disk, std::string(kBackups), name, reader.size_bytes());
  Status status = WriteBackup(copy, reader, before_each_step);
  if (status.ok()) {
    BackupNote note;
    note.name = name;
    note.raft_index = 77;
    note.raft_term = 3;
    status = copy.Publish(note);
  }
  if (!status.ok()) copy.Abandon();
  return status;
}

}  // namespace quorate::backup
