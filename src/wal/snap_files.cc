#include "wal/snap_files.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "base/crc32c.h"
#include "base/logging.h"
#include "base/wire.h"

namespace quorate::wal {
namespace {

constexpr std::string_view kSnapSuffix = ".snap";
constexpr std::string_view kDatabaseSuffix = ".snap.db";
// etcd leaves .snap files to the umask (0666); what is in them is nobody else's business.
constexpr uint32_t kSnapMode = 0600;

StatusOr<raft::Snapshot> DecodeSnapshotFile(std::string_view contents) {
  uint64_t crc = 0;
  std::string_view data;
  wire::Reader reader(contents);
  while (reader.Next()) {
    if (reader.Is(1, wire::Type::kVarint)) crc = reader.varint();
    if (reader.Is(2, wire::Type::kBytes)) data = reader.bytes();
  }
  if (!reader.ok()) return DataLoss("the file cannot be parsed");
  if (crc == 0 || data.empty()) return DataLoss("the file is empty");
  if (crc32c::Value(data) != crc) return DataLoss("checksum mismatch");
  return DecodeSnapshot(data);
}

StatusOr<std::vector<std::string>> NamesEndingIn(FileSystem* files, const std::string& dir,
                                                 std::string_view suffix) {
  QUORATE_ASSIGN_OR_RETURN(std::vector<std::string> names, files->List(dir));
  std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
  return names;
}

}  // namespace

std::string SnapshotName(raft::Term term, raft::Index index) {
  char name[64];
  std::snprintf(name, sizeof name, "%016" PRIx64 "-%016" PRIx64 ".snap", term, index);
  return name;
}

std::string EncodeSnapshotFile(const raft::Snapshot& snapshot) {
  std::string data;
  AppendSnapshot(data, snapshot);
  std::string out;
  wire::AppendVarintField(out, 1, crc32c::Value(data));
  wire::AppendBytesField(out, 2, data);
  return out;
}

StatusOr<raft::Snapshot> ReadSnapshotFile(FileSystem* files, const std::string& path) {
  QUORATE_ASSIGN_OR_RETURN(const std::string contents, files->ReadAll(path));
  auto snapshot = DecodeSnapshotFile(contents);
  if (!snapshot.ok())
    return DataLoss("snapshot file " + path + " is damaged: " + std::string(Message(snapshot.status())));
  return snapshot;
}

Status SnapshotFiles::Save(const raft::Snapshot& snapshot) {
  const std::string path = dir_ + "/" + SnapshotName(snapshot.metadata.term, snapshot.metadata.index);
  // Every version of etcd removes names with this beginning when it starts.
  const std::string aside = dir_ + "/tmp-" + SnapshotName(snapshot.metadata.term, snapshot.metadata.index);
  {
    OpenOptions open;
    open.write = open.create = open.truncate = true;
    open.mode = kSnapMode;
    QUORATE_ASSIGN_OR_RETURN(const auto file, files_->Open(aside, open));
    QUORATE_RETURN_IF_ERROR(file->WriteAt(0, EncodeSnapshotFile(snapshot)));
    QUORATE_RETURN_IF_ERROR(file->Sync());
  }
  QUORATE_RETURN_IF_ERROR(files_->Rename(aside, path));
  return files_->SyncDirectory(dir_);
}

StatusOr<std::vector<std::string>> SnapshotFiles::List() {
  QUORATE_ASSIGN_OR_RETURN(std::vector<std::string> names, NamesEndingIn(files_, dir_, kSnapSuffix));
  std::erase_if(names, [](const std::string& name) { return name.starts_with("tmp"); });
  std::reverse(names.begin(), names.end());
  return names;
}

StatusOr<std::optional<raft::Snapshot>> SnapshotFiles::LoadNewest(std::span<const WalSnapshot> valid) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names, List());
  for (const std::string& name : names) {
    const std::string path = dir_ + "/" + name;
    QUORATE_ASSIGN_OR_RETURN(const std::string contents, files_->ReadAll(path));
    auto snapshot = DecodeSnapshotFile(contents);
    if (!snapshot.ok()) {
      LOG_WARN("failed to read a snap file", {"path", path}, {"error", Message(snapshot.status())});
      QUORATE_RETURN_IF_ERROR(files_->Rename(path, path + ".broken"));
      LOG_WARN("renamed to a broken snap file", {"path", path}, {"broken-path", path + ".broken"});
      continue;
    }
    const bool known = std::any_of(valid.begin(), valid.end(), [&](const WalSnapshot& s) {
      return s.index == snapshot->metadata.index && s.term == snapshot->metadata.term;
    });
    if (known) return std::optional<raft::Snapshot>(*std::move(snapshot));
  }
  return std::optional<raft::Snapshot>();
}

Status SnapshotFiles::RemoveTemporary() {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(dir_));
  for (const std::string& name : names) {
    if (!name.starts_with("tmp") && !name.starts_with("db.tmp")) continue;
    LOG_INFO("found orphaned temporary file; deleting", {"path", dir_ + "/" + name});
    QUORATE_RETURN_IF_ERROR(files_->Remove(dir_ + "/" + name));
  }
  return absl::OkStatus();
}

std::string SnapshotFiles::DatabasePath(raft::Index index) const {
  char name[64];
  std::snprintf(name, sizeof name, "/%016" PRIx64 ".snap.db", index);
  return dir_ + name;
}

Status SnapshotFiles::ReleaseDatabasesBefore(raft::Index index) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           NamesEndingIn(files_, dir_, kDatabaseSuffix));
  for (const std::string& name : names) {
    // Fixed width: the names sort as their numbers do.
    const std::string path = dir_ + "/" + name;
    if (path.size() != DatabasePath(index).size() || path >= DatabasePath(index)) continue;
    LOG_INFO("found orphaned .snap.db file; deleting", {"path", path});
    QUORATE_RETURN_IF_ERROR(files_->Remove(path));
  }
  return absl::OkStatus();
}

StatusOr<std::vector<std::string>> PurgeSnap(FileSystem* files, const std::string& dir, size_t count_max) {
  std::vector<std::string> removed;
  if (count_max == 0) return removed;
  for (const std::string_view suffix : {kSnapSuffix, kDatabaseSuffix}) {
    QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesEndingIn(files, dir, suffix));
    for (size_t i = 0; i + count_max < names.size(); ++i) {
      const std::string path = dir + "/" + names[i];
      QUORATE_RETURN_IF_ERROR(files->Remove(path));
      LOG_INFO("purged", {"path", path});
      removed.push_back(path);
    }
  }
  return removed;
}

}  // namespace quorate::wal
