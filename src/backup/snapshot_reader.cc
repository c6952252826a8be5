#include "backup/snapshot_reader.h"

#include <algorithm>
#include <utility>

#include "mvcc/snapshot_parts.h"

namespace quorate::backup {

SnapshotReader::SnapshotReader(std::shared_ptr<mvcc::Backend::Snapshot> snapshot, CheckFn check)
    : snapshot_(std::move(snapshot)), check_(std::move(check)), size_bytes_(snapshot_->size_bytes()) {}

StatusOr<std::string> SnapshotReader::Next(uint64_t bytes_max) {
  const uint64_t wanted = std::min(bytes_max, size_bytes_ - at_);
  std::string piece;
  piece.reserve(wanted);
  const Status copied = mvcc::CopySnapshotFrom(*snapshot_, at_, [&](std::string_view chunk) -> Status {
    piece.append(chunk.substr(0, wanted - piece.size()));
    if (piece.size() < wanted) return absl::OkStatus();
    return MakeStatus(absl::StatusCode::kCancelled, "the piece is copied");
  });
  if (piece.size() < wanted) return copied.ok() ? Internal("a snapshot is shorter than its size") : copied;
  at_ += piece.size();
  return piece;
}

}  // namespace quorate::backup
