#include "base/logging.h"
#include "wal/wal.h"

namespace quorate::wal {

StatusOr<std::vector<std::string>> PurgeWal(FileSystem* files, const std::string& dir, size_t count_max) {
  std::vector<std::string> removed;
  if (count_max == 0) return removed;
  QUORATE_ASSIGN_OR_RETURN(const std::vector<SegmentFile> segments, ListSegments(files, dir));
  for (size_t i = 0; i + count_max < segments.size(); ++i) {
    const std::string path = dir + "/" + segments[i].name;
    OpenOptions open;
    open.write = true;
    open.lock = LockKind::kOpenFileDescription;
    // Whoever still needs the segment holds its lock, and then needs all later ones, too.
    const auto lock = files->Open(path, open);
    if (absl::IsFailedPrecondition(lock.status())) break;
    if (!lock.ok()) return lock.status();
    QUORATE_RETURN_IF_ERROR(files->Remove(path));
    LOG_INFO("purged", {"path", path});
    removed.push_back(path);
  }
  return removed;
}

}  // namespace quorate::wal
