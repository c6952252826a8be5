#include "backup/backup_directory.h"

#include <algorithm>

namespace quorate::backup {
namespace {

// Nobody takes that long.
constexpr int64_t kLeftoverNanos = int64_t{24} * 3'600 * 1'000'000'000;

Status WithDirectory(const std::string& directory, const Status& status) {
  return MakeStatus(status.code(), "backup directory " + directory + ": " + std::string(Message(status)));
}

std::optional<BackupName> ParsePart(std::string_view file_name) {
  if (!file_name.ends_with(kPartSuffix)) return std::nullopt;
  file_name.remove_suffix(kPartSuffix.size());
  const auto backup = ParseName(file_name, kBackupSuffix);
  return backup ? backup : ParseName(file_name, kNoteSuffix);
}

// Those that are not kept. Members that share the directory may do the same at the same time.
StatusOr<std::vector<std::string>> RemoveOthers(FileSystem* files, const std::string& directory,
                                                const std::vector<BackupName>& backups,
                                                const std::vector<bool>& kept) {
  std::vector<std::string> removed;
  for (size_t i = 0; i < backups.size(); ++i) {
    if (kept[i]) continue;
    const std::string stem = directory + "/" + Stem(backups[i]);
    const std::string path = stem + std::string(kBackupSuffix);
    for (const std::string& name : {path, stem + std::string(kNoteSuffix)}) {
      const Status gone = files->Remove(name);
      if (!gone.ok() && !absl::IsNotFound(gone)) return gone;
    }
    removed.push_back(path);
  }
  return removed;
}

}  // namespace

StatusOr<std::vector<BackupName>> ListBackups(FileSystem* files, const std::string& directory,
                                              uint64_t cluster_id) {
  const auto names = files->List(directory);
  if (!names.ok()) return WithDirectory(directory, names.status());
  std::vector<BackupName> backups;
  for (const std::string& file_name : *names) {
    const auto backup = ParseName(file_name, kBackupSuffix);
    if (backup && (cluster_id == 0 || backup->cluster_id == cluster_id)) backups.push_back(*backup);
  }
  std::sort(backups.begin(), backups.end(), [](const BackupName& a, const BackupName& b) {
    return std::tie(a.taken_unix_nanos, a.revision, a.member_id) <
           std::tie(b.taken_unix_nanos, b.revision, b.member_id);
  });
  return backups;
}

StatusOr<std::vector<std::string>> RemoveLeftovers(FileSystem* files, const std::string& directory,
                                                   uint64_t member_id, int64_t now_unix_nanos) {
  const auto names = files->List(directory);
  if (!names.ok()) return WithDirectory(directory, names.status());
  std::vector<std::string> removed;
  for (const std::string& file_name : *names) {
    const auto part = ParsePart(file_name);
    if (!part) continue;
    if (part->member_id != member_id && now_unix_nanos - part->taken_unix_nanos < kLeftoverNanos) continue;
    const std::string path = directory + "/" + file_name;
    QUORATE_RETURN_IF_ERROR(files->Remove(path));
    removed.push_back(path);
  }
  return removed;
}

StatusOr<std::vector<std::string>> RemoveOld(FileSystem* files, const std::string& directory,
                                             uint64_t cluster_id, const Retention& retention) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<BackupName> backups, ListBackups(files, directory, cluster_id));
  std::vector<int64_t> taken;
  taken.reserve(backups.size());
  for (const BackupName& backup : backups) taken.push_back(backup.taken_unix_nanos);
  return RemoveOthers(files, directory, backups, Kept(retention, taken));
}

StatusOr<std::vector<std::string>> RemoveBackupsBefore(FileSystem* files, const std::string& directory,
                                                       uint64_t cluster_id, int64_t unix_nanos) {
  QUORATE_ASSIGN_OR_RETURN(const std::vector<BackupName> backups, ListBackups(files, directory, cluster_id));
  std::vector<bool> kept;
  for (const BackupName& backup : backups) kept.push_back(backup.taken_unix_nanos >= unix_nanos);
  if (!kept.empty()) kept.back() = true;
  return RemoveOthers(files, directory, backups, kept);
}

StatusOr<BackupNote> ReadNote(FileSystem* files, const std::string& directory, const BackupName& name) {
  const std::string path = directory + "/" + Stem(name) + std::string(kNoteSuffix);
  QUORATE_ASSIGN_OR_RETURN(const std::string text, files->ReadAll(path));
  auto note = DecodeNote(text);
  if (!note.ok()) return MakeStatus(note.status().code(), path + " " + std::string(Message(note.status())));
  return note;
}

}  // namespace quorate::backup
