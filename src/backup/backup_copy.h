// One backup on its way to the disk, in pieces: the pages and their digest are written to a file aside,
// synced piece by piece, and read back; the state they were copied from is checked, page for page and key for
// key; then the file gets its name.
//
// The check walks the state that the pages come from and not the copy: equal digests say that both are the
// same, and a disk of backups that fails under a mapped file would end the process.
//
// Made on the core's thread. Step, Publish and Abandon run on any thread, one after the other. Invariants:
//   1. A file named *.db holds exactly the pages of one committed state and their digest, and is durable.
//   2. Its note is durable before it has its name.
//   3. A failed sync fails the backup: nothing written before is trusted, nothing is tried again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "backup/backup_file.h"
#include "backup/sha256.h"
#include "base/env.h"
#include "base/status.h"
#include "mvcc/backend.h"

namespace quorate::backup {

class BackupCopy {
 public:
  // Says whether the state is sound: mvcc::CheckSnapshot.
  using CheckFn = std::function<Status(const mvcc::Backend::Snapshot&)>;

  // `files` must outlive it.
  BackupCopy(FileSystem* files, std::string directory, const BackupName& name,
             std::shared_ptr<mvcc::Backend::Snapshot> snapshot, CheckFn check);
  BackupCopy(const BackupCopy&) = delete;
  BackupCopy& operator=(const BackupCopy&) = delete;

  // Does a part of the work: copies or reads back at most about `bytes_max`, but checks the state at once.
  // True: all is there and verified, and only the name is missing. Not after an error.
  StatusOr<bool> Step(uint64_t bytes_max);
  // After Step said true. size_bytes and sha256 of the note are filled in.
  Status Publish(BackupNote note);
  // Removes what an error left, as far as that goes.
  void Abandon();

  // Of the file, digest included.
  uint64_t size_bytes() const { return size_bytes_; }
  // Where it will be.
  std::string path() const { return Path(kBackupSuffix); }

 private:
  enum class Phase { kOpen, kCopy, kCheck, kReadBack, kVerified };

  std::string Path(std::string_view suffix) const { return stem_ + std::string(suffix); }
  std::string PartPath() const { return Path(kBackupSuffix) + std::string(kPartSuffix); }
  Status Open();
  Status CopyPiece(uint64_t bytes_max);
  Status WriteChunk(std::string_view chunk);
  Status Finish();
  Status ReadBackPiece(uint64_t bytes_max);
  Status Compare();

  FileSystem* const files_;
  const std::string directory_;
  const std::string stem_;
  std::shared_ptr<mvcc::Backend::Snapshot> snapshot_;  // Until it is copied and checked.
  const CheckFn check_;
  const uint64_t pages_bytes_;
  const uint64_t size_bytes_;

  Phase phase_ = Phase::kOpen;
  std::unique_ptr<File> file_;
  uint64_t at_ = 0;  // Copied, or read back.
  Sha256 written_;
  Sha256 read_;
  std::string digest_;       // Of the pages, when they are all written.
  bool opened_ = false;      // The part is there.
  bool publishing_ = false;  // The other names may be.
};

}  // namespace quorate::backup
