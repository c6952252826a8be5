#include "backup/backup_copy.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/disk.h"
#include "base/logging.h"

namespace quorate::backup {
namespace {

// Keys and values of the whole cluster: for its owner alone.
constexpr uint32_t kFileMode = 0600;
constexpr size_t kReadBytes = 1024 * 1024;

}  // namespace

BackupCopy::BackupCopy(FileSystem* files, std::string directory, const BackupName& name, uint64_t pages_bytes)
    : files_(files),
      directory_(std::move(directory)),
      stem_(directory_ + "/" + Stem(name)),
      pages_bytes_(pages_bytes),
      size_bytes_(pages_bytes_ + kDigestBytes) {}

Status BackupCopy::Write(std::string_view piece) {
  QUORATE_CHECK(phase_ == Phase::kOpen || phase_ == Phase::kCopy);
  QUORATE_CHECK(piece.size() <= pages_bytes_ - at_);
  if (phase_ == Phase::kOpen) QUORATE_RETURN_IF_ERROR(Open());
  phase_ = Phase::kCopy;
  QUORATE_RETURN_IF_ERROR(file_->WriteAt(at_, piece));
  written_.Update(piece);
  at_ += piece.size();
  // Piece by piece, so that no mountain of unwritten pages stands before other writes of the machine; nor
  // does it take the memory that pages of the database are in.
  if (at_ == pages_bytes_) return Finish();
  QUORATE_RETURN_IF_ERROR(file_->Sync());
  DropPageCache(files_, PartPath());
  return absl::OkStatus();
}

Status BackupCopy::Open() {
  OpenOptions open;
  open.write = open.create = open.exclusive = true;
  open.mode = kFileMode;
  if (files_->Exists(path())) return AlreadyExists(path() + " is there already");
  // What is known not to fit does not take the last bytes from the archived log.
  const auto free = FreeBytes(files_, directory_);
  if (free.ok() && *free < size_bytes_) {
    return ResourceExhausted(directory_ + " has " + std::to_string(*free) +
                             " bytes of free space, and the backup needs " + std::to_string(size_bytes_) +
                             "; make room, or keep fewer with --backup-retention");
  }
  QUORATE_ASSIGN_OR_RETURN(file_, files_->Open(PartPath(), open));
  opened_ = true;
  return absl::OkStatus();
}

Status BackupCopy::Finish() {
  QUORATE_ASSIGN_OR_RETURN(digest_, written_.Finish());
  QUORATE_RETURN_IF_ERROR(file_->WriteAt(pages_bytes_, digest_));
  QUORATE_RETURN_IF_ERROR(file_->Sync());
  // Read back from the disk, and through another handle: by the name, as everybody will.
  DropPageCache(files_, PartPath());
  file_ = nullptr;
  QUORATE_ASSIGN_OR_RETURN(file_, files_->Open(PartPath(), {}));
  at_ = 0;
  phase_ = Phase::kReadBack;
  return absl::OkStatus();
}

StatusOr<bool> BackupCopy::ReadBack(uint64_t bytes_max) {
  QUORATE_CHECK(phase_ == Phase::kReadBack);
  const uint64_t end = at_ + std::min(bytes_max, pages_bytes_ - at_);
  std::string buffer(std::min<uint64_t>(kReadBytes, end - at_), '\0');
  while (at_ < end) {
    const size_t want = std::min<uint64_t>(buffer.size(), end - at_);
    QUORATE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(at_, buffer.data(), want));
    if (got == 0) return DataLoss(PartPath() + " is shorter than what was written");
    read_.Update(std::string_view(buffer).substr(0, got));
    at_ += got;
  }
  DropPageCache(files_, PartPath());
  if (at_ < pages_bytes_) return false;
  QUORATE_RETURN_IF_ERROR(Compare());
  phase_ = Phase::kVerified;
  return true;
}

Status BackupCopy::Compare() {
  std::string stored(kDigestBytes, '\0');
  QUORATE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(pages_bytes_, stored.data(), stored.size()));
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  QUORATE_ASSIGN_OR_RETURN(const std::string read, read_.Finish());
  if (got != stored.size() || size != size_bytes_ || stored != digest_ || read != digest_) {
    return DataLoss(PartPath() + " does not read back as it was written: the disk can't be trusted");
  }
  file_ = nullptr;
  return absl::OkStatus();
}

Status BackupCopy::Publish(BackupNote note) {
  QUORATE_CHECK(phase_ == Phase::kVerified);
  publishing_ = true;
  note.size_bytes = size_bytes_;
  note.sha256 = Hex(digest_);
  const std::string note_part = Path(kNoteSuffix) + std::string(kPartSuffix);
  {
    OpenOptions open;
    open.write = open.create = open.truncate = true;
    open.mode = kFileMode;
    QUORATE_ASSIGN_OR_RETURN(const auto file, files_->Open(note_part, open));
    QUORATE_RETURN_IF_ERROR(file->WriteAt(0, EncodeNote(note)));
    QUORATE_RETURN_IF_ERROR(file->Sync());
  }
  QUORATE_RETURN_IF_ERROR(files_->Rename(note_part, Path(kNoteSuffix)));
  QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(directory_));
  QUORATE_RETURN_IF_ERROR(files_->Rename(PartPath(), path()));
  return files_->SyncDirectory(directory_);
}

void BackupCopy::Abandon() {
  file_ = nullptr;
  std::vector<std::string> left;
  if (opened_) left.push_back(PartPath());
  // The last sync of the directory may be what failed: then the file has its name already.
  if (publishing_) {
    left.insert(left.end(), {path(), Path(kNoteSuffix), Path(kNoteSuffix) + std::string(kPartSuffix)});
  }
  for (const std::string& path : left) {
    const Status removed = files_->Remove(path);
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      LOG_WARN("failed to remove what a failed backup left", {"path", path}, {"error", Message(removed)});
    }
  }
}

}  // namespace quorate::backup
