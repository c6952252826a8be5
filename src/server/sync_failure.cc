#include "server/sync_failure.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "server/own_directory.h"

namespace quorate::server {
namespace {

constexpr std::string_view kMagic = "quorate-sync-failed 1 ";
constexpr std::string_view kName = "sync-failed";
constexpr size_t kMarkBytesMax = 16 * 1024;
constexpr size_t kRewriteBytes = 1 << 20;
// Two meta pages, of the largest pages that there are.
constexpr uint64_t kMetaBytesMax = 2 * 65536;

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The first `bytes_max` bytes, or all.
Status Rewrite(FileSystem* files, const std::string& path, LockKind lock, uint64_t bytes_max) {
  OpenOptions options;
  options.write = true;
  options.lock = lock;
  const auto opened = files->Open(path, options);
  if (absl::IsNotFound(opened.status())) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(opened.status());
  File& file = **opened;
  QUORATE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  const uint64_t end = std::min(size, bytes_max);
  std::string bytes(std::min<uint64_t>(end, kRewriteBytes), '\0');
  for (uint64_t at = 0; at < end;) {
    QUORATE_ASSIGN_OR_RETURN(const size_t read,
                             file.ReadAt(at, bytes.data(), std::min<uint64_t>(bytes.size(), end - at)));
    if (read == 0) break;
    QUORATE_RETURN_IF_ERROR(file.WriteAt(at, std::string_view(bytes).substr(0, read)));
    at += read;
  }
  QUORATE_RETURN_IF_ERROR(file.Sync());
  LOG_INFO("written anew after a failed sync", {"path", path}, {"bytes", end});
  return files->SyncDirectory(DirectoryOf(path));
}

Status RewriteAll(FileSystem* files, const UnsyncedFiles& unsynced) {
  const auto names = files->List(unsynced.wal_dir);
  if (!names.ok() && !absl::IsNotFound(names.status())) return names.status();
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (!name.ends_with(".wal")) continue;
    QUORATE_RETURN_IF_ERROR(
        Rewrite(files, unsynced.wal_dir + "/" + name, LockKind::kOpenFileDescription, UINT64_MAX));
  }
  QUORATE_RETURN_IF_ERROR(Rewrite(files, unsynced.database, LockKind::kFlock, kMetaBytesMax));
  return Rewrite(files, unsynced.peer_memory, LockKind::kNone, UINT64_MAX);
}

}  // namespace

SyncFailureMark::SyncFailureMark(FileSystem* files, const std::string& data_dir,
                                 const LostLogOptions& options)
    : files_(files),
      boot_id_(options.boot_id),
      directory_(options.run_dir.empty() || boot_id_.empty() ? OwnDirectory(data_dir) : options.run_dir),
      path_(directory_ + "/" +
            (directory_ == options.run_dir ? cluster::IdText(crc32c::Value(OwnDirectory(data_dir))) + "."
                                           : "") +
            std::string(kName)) {}

void SyncFailureMark::Set(const std::string& path) {
  if (set_.exchange(true)) return;
  const Status written = Write(path);
  if (written.ok()) {
    LOG_ERROR("a sync has failed; the next start writes the log anew", {"path", path}, {"mark", path_});
  } else {
    LOG_ERROR(
        "a sync has failed, and no mark of it could be left: boot the machine before this member is started",
        {"path", path}, {"mark", path_}, {"error", Message(written)});
  }
}

Status SyncFailureMark::Write(const std::string& path) {
  QUORATE_RETURN_IF_ERROR(files_->CreateDirectories(directory_, 0700));
  OpenOptions options;
  options.write = options.create = options.truncate = true;
  QUORATE_ASSIGN_OR_RETURN(const auto file, files_->Open(path_, options));
  return file->WriteAt(0, std::string(kMagic) + boot_id_ + " " + path + "\n");
}

// A mark that can't be read is one all the same.
std::string SyncFailureMark::Read() const {
  if (!files_->Exists(path_)) return "";
  const auto text = files_->ReadAll(path_);
  const std::string unknown = "a file that the mark " + path_ + " does not name";
  if (!text.ok() || text->size() > kMarkBytesMax || !text->starts_with(kMagic)) return unknown;
  const std::string_view rest = std::string_view(*text).substr(kMagic.size());
  const size_t space = rest.find(' ');
  if (space == std::string_view::npos || !rest.ends_with('\n')) return unknown;
  const std::string_view boot = rest.substr(0, space);
  if (!boot.empty() && !boot_id_.empty() && boot != boot_id_) return "";
  const std::string_view path = rest.substr(space + 1, rest.size() - space - 2);
  return path.empty() ? unknown : std::string(path);
}

Status SyncFailureMark::Clear() const {
  if (!files_->Exists(path_)) return absl::OkStatus();
  return files_->Remove(path_);
}

Status RepairAfterFailedSync(FileSystem* files, const SyncFailureMark& mark, const UnsyncedFiles& unsynced) {
  const std::string failed = mark.Read();
  if (failed.empty()) return mark.Clear();
  LOG_WARN("a sync had failed when this member ran last: writing anew what the disk may not hold",
           {"path", failed});
  if (const Status status = RewriteAll(files, unsynced); !status.ok()) {
    return MakeStatus(status.code(),
                      "a sync of " + failed +
                          " had failed, and what it was to make durable can't be written again: " +
                          std::string(Message(status)) + "; look at the disk, or replace this member");
  }
  return mark.Clear();
}

}  // namespace quorate::server
