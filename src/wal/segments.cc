#include "wal/segments.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/logging.h"

namespace quorate::wal {
namespace {

constexpr size_t kZeroWriteBytes = 1 << 20;
// Zeros are synced this often, so that no log sync has to wait behind a long queue of them.
constexpr size_t kZeroSyncBytes = 4 << 20;
// etcd's warnSyncDuration.
constexpr int64_t kSlowSyncNanos = 1'000'000'000;

}  // namespace

Status Wal::Segments::Sync(File& file) {
  unsynced_ = false;
  unsynced_bytes_.clear();
  if (!options_.sync) return absl::OkStatus();
  const int64_t start = options_.clock != nullptr ? options_.clock->MonotonicNanos() : 0;
  QUORATE_RETURN_IF_ERROR(file.Sync());
  if (options_.clock == nullptr) return absl::OkStatus();
  const int64_t took = options_.clock->MonotonicNanos() - start;
  if (took > kSlowSyncNanos) {
    LOG_WARN("slow fdatasync", log::Duration("took", took),
             log::Duration("expected-duration", kSlowSyncNanos));
  }
  if (options_.on_sync) options_.on_sync(took);
  return absl::OkStatus();
}

Status Wal::Segments::WriteAndSync(const WalBatch& batch) {
  if (!failure_.ok()) return failure_;
  failure_ = Write(batch);
  if (!failure_.ok() && !locked_.empty()) {
    // The file's own path is the one it was opened under: that of the spare.
    const auto& tail = locked_.back();
    failure_ = MakeStatus(failure_.code(), "write-ahead log " + dir_ + "/" +
                                               SegmentName(tail.sequence, tail.first_index) + ": " +
                                               std::string(Message(failure_)));
  }
  return failure_;
}

Status Wal::Segments::Write(const WalBatch& batch) {
  QUORATE_CHECK(!locked_.empty());
  const std::string_view bytes = batch.bytes;
  size_t from = 0;
  uint64_t offset = batch.offset;
  for (const WalBatch::Cut& cut : batch.cuts) {
    if (cut.at > from) QUORATE_RETURN_IF_ERROR(WriteTail(offset, bytes.substr(from, cut.at - from)));
    QUORATE_RETURN_IF_ERROR(Cut(batch, cut, offset + (cut.at - from)));
    from = cut.at + cut.head;
    offset = cut.head;
  }
  if (from < bytes.size()) {
    QUORATE_RETURN_IF_ERROR(WriteTail(offset, bytes.substr(from)));
    unsynced_ = true;
    if (!batch.must_sync) unsynced_bytes_.append(bytes.substr(from));
  }
  if (batch.must_sync && unsynced_) return Sync(tail());
  return absl::OkStatus();
}

// What was written before and not synced goes out once more, in the same write: where a loss of power takes
// only the earlier of two writes, the log would have a hole in it.
Status Wal::Segments::WriteTail(uint64_t offset, std::string_view bytes) {
  if (unsynced_bytes_.empty()) return tail().WriteAt(offset, bytes);
  const std::string joined = unsynced_bytes_ + std::string(bytes);
  return tail().WriteAt(offset - unsynced_bytes_.size(), joined);
}

// Each step is durable before the next: the old segment whole, the new one with its head, its name. A crash
// in between leaves the old segment as the tail, over-full, or the new one complete.
Status Wal::Segments::Cut(const WalBatch& batch, const WalBatch::Cut& cut, uint64_t old_bytes) {
  QUORATE_RETURN_IF_ERROR(tail().Truncate(old_bytes));
  QUORATE_RETURN_IF_ERROR(Sync(tail()));

  Spare spare;
  {
    hurry_ = true;
    const std::lock_guard lock(spare_mutex_);
    hurry_ = false;
    if (spare_.file == nullptr) QUORATE_RETURN_IF_ERROR(MakeSpare());
    spare = std::exchange(spare_, {});
  }
  QUORATE_RETURN_IF_ERROR(spare.file->WriteAt(0, std::string_view(batch.bytes).substr(cut.at, cut.head)));
  QUORATE_RETURN_IF_ERROR(Sync(*spare.file));
  const std::string path = dir_ + "/" + SegmentName(cut.sequence, cut.first_index);
  QUORATE_RETURN_IF_ERROR(files_->Rename(spare.path, path));
  if (options_.sync) QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(dir_));
  locked_.push_back({std::move(spare.file), cut.sequence, cut.first_index});
  LOG_INFO("created a new WAL segment", {"path", path});
  return absl::OkStatus();
}

Status Wal::Segments::ReleaseTo(raft::Index index) {
  size_t below = 0;
  while (below < locked_.size() && locked_[below].first_index < index) ++below;
  // The newest segment below index may hold the entries that follow it.
  if (below > 1) locked_.erase(locked_.begin(), locked_.begin() + static_cast<std::ptrdiff_t>(below - 1));
  return absl::OkStatus();
}

Status Wal::Segments::Close() {
  Status status = failure_;
  if (status.ok() && !locked_.empty() && unsynced_) status = Sync(tail());
  {
    hurry_ = true;
    const std::lock_guard lock(spare_mutex_);
    if (spare_.file != nullptr) {
      status.Update(files_->Remove(spare_.path));
      spare_ = {};
    }
  }
  locked_.clear();
  if (failure_.ok()) failure_ = FailedPrecondition("the write-ahead log in " + dir_ + " is closed");
  return status;
}

Status Wal::Segments::PrepareSpare() {
  const std::lock_guard lock(spare_mutex_);
  if (spare_.file != nullptr) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(MakeSpare());
  if (!options_.zero_spare) return absl::OkStatus();
  return ZeroSpare();
}

// Truncated first: what an earlier process left under that name must not show behind our records.
Status Wal::Segments::MakeSpare() {
  Spare spare;
  spare.path = dir_ + "/" + std::to_string(spare_count_ % 2) + ".tmp";
  OpenOptions open;
  open.write = open.create = open.truncate = true;
  open.lock = LockKind::kOpenFileDescription;
  QUORATE_ASSIGN_OR_RETURN(spare.file, files_->Open(spare.path, open));
  QUORATE_RETURN_IF_ERROR(spare.file->Allocate(options_.segment_bytes));
  ++spare_count_;
  spare_ = std::move(spare);
  return absl::OkStatus();
}

Status Wal::Segments::ZeroSpare() {
  const std::string zeros(kZeroWriteBytes, '\0');
  for (uint64_t at = 0; at < options_.segment_bytes && !hurry_; at += zeros.size()) {
    const size_t length = std::min<uint64_t>(zeros.size(), options_.segment_bytes - at);
    QUORATE_RETURN_IF_ERROR(spare_.file->WriteAt(at, std::string_view(zeros).substr(0, length)));
    if ((at + length) % kZeroSyncBytes == 0) QUORATE_RETURN_IF_ERROR(spare_.file->Sync());
  }
  return spare_.file->Sync();
}

}  // namespace quorate::wal
