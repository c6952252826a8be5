// One backup on its way to the disk of backups, in pieces: the pages and their digest are written to a file
// aside, synced piece by piece, and read back; then the file gets its name. Whoever drives it checks the
// state that the pages come from meanwhile, page for page and key for key (snapshot_reader.h): equal digests
// say that both are the same, and a disk of backups that fails under a mapped file would end the process.
//
// Made on the core's thread. It holds nothing but what it is given, since each of its calls may never return:
// they run on the thread of the disk of backups, one after the other. Invariants:
//   1. A file named *.db holds exactly the pages of one committed state and their digest, and is durable.
//   2. Its note is durable before it has its name.
//   3. A failed sync fails the backup: nothing written before is trusted, nothing is tried again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "backup/backup_file.h"
#include "backup/sha256.h"
#include "base/env.h"
#include "base/status.h"

namespace quorate::backup {

class BackupCopy {
 public:
  // `files` must outlive it. `pages_bytes`: of the state.
  BackupCopy(FileSystem* files, std::string directory, const BackupName& name, uint64_t pages_bytes);
  BackupCopy(const BackupCopy&) = delete;
  BackupCopy& operator=(const BackupCopy&) = delete;

  // The pages in order; with the last ones goes the digest. After an error only Abandon.
  Status Write(std::string_view piece);
  // When all is written: reads at most about so much back. True: it is what was written, and only the name is
  // missing.
  StatusOr<bool> ReadBack(uint64_t bytes_max);
  // After ReadBack said true. size_bytes and sha256 of the note are filled in.
  Status Publish(BackupNote note);
  // Removes what an error left, as far as that goes.
  void Abandon();

  // Of the file, digest included.
  uint64_t size_bytes() const { return size_bytes_; }
  // Where it will be.
  std::string path() const { return Path(kBackupSuffix); }

 private:
  enum class Phase { kOpen, kCopy, kReadBack, kVerified };

  std::string Path(std::string_view suffix) const { return stem_ + std::string(suffix); }
  std::string PartPath() const { return Path(kBackupSuffix) + std::string(kPartSuffix); }
  Status Open();
  Status Finish();
  Status Compare();

  FileSystem* const files_;
  const std::string directory_;
  const std::string stem_;
  const uint64_t pages_bytes_;
  const uint64_t size_bytes_;

  Phase phase_ = Phase::kOpen;
  std::unique_ptr<File> file_;
  uint64_t at_ = 0;  // Written, or read back.
  Sha256 written_;
  Sha256 read_;
  std::string digest_;       // Of the pages, when they are all written.
  bool opened_ = false;      // The part is there.
  bool publishing_ = false;  // The other names may be.
};

}  // namespace quorate::backup
