#include "mvcc/file_copy.h"

#include <utility>

#include "base/logging.h"

namespace quorate::mvcc {
namespace {

// How many pairs are copied between two looks at the clock.
constexpr size_t kPairsPerLook = 64;
constexpr uint64_t kMemoryPageBytes = 4096;

// Calls fn(name, bucket, cursor) for each bucket from the position on, the cursor at its first pair from
// there; false ends it.
Status ForEachBucketFrom(
    const bolt::ReadTx& from, const CopyPosition& position,
    const std::function<StatusOr<bool>(std::string_view, const bolt::Bucket&, bolt::Cursor&)>& fn) {
  QUORATE_ASSIGN_OR_RETURN(const bolt::Bucket root, from.Root());
  bolt::Cursor names = root.NewCursor();
  QUORATE_RETURN_IF_ERROR(names.Seek(position.bucket));
  for (; names.Valid();) {
    const std::string_view name = names.key();
    QUORATE_ASSIGN_OR_RETURN(const std::optional<bolt::Bucket> bucket, root.FindBucket(name));
    if (bucket) {
      bolt::Cursor cursor = bucket->NewCursor();
      QUORATE_RETURN_IF_ERROR(cursor.Seek(name == position.bucket ? position.key : std::string_view()));
      QUORATE_ASSIGN_OR_RETURN(const bool more, fn(name, *bucket, cursor));
      if (!more) return {};
    }
    QUORATE_RETURN_IF_ERROR(names.Next());
  }
  return {};
}

}  // namespace

FileCopy::FileCopy(FileSystem* files, std::string path, std::string copy_path, const bolt::Options& options)
    : files_(files), path_(std::move(path)), copy_path_(std::move(copy_path)), options_(options) {
  options_.shown_path = path_;
}

Status FileCopy::Follow(const bolt::ReadTx& from, const Batch& batch, bool write_term, const Share& share) {
  if (db_ == nullptr) {
    options_.page_size = from.pages().page_size;
    QUORATE_ASSIGN_OR_RETURN(db_, bolt::Db::Open(*files_, copy_path_, options_));
  }
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::WriteTx> tx, db_->BeginWrite());
  QUORATE_RETURN_IF_ERROR(WriteBatch(batch, write_term, &position_, *tx));
  QUORATE_RETURN_IF_ERROR(CopyPiece(from, *tx, share));
  tx->LowerHighWater();
  QUORATE_RETURN_IF_ERROR(tx->Commit());
  // What was reserved for growth is given back: nothing reads beyond the high-water mark of a copy.
  return complete_ ? db_->CutFile(UINT64_MAX).status() : Status();
}

Status FileCopy::CopyPiece(const bolt::ReadTx& from, bolt::WriteTx& tx, const Share& share) {
  uint64_t bytes = 0;
  size_t pairs = 0;
  CopyPosition reached = position_;
  bool all = true;
  const auto copy = [&](std::string_view name, const bolt::Bucket& bucket,
                        bolt::Cursor& cursor) -> StatusOr<bool> {
    QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * target, tx.CreateBucketIfMissing(name));
    target->set_fill_percent(kSequentialFill);
    if (bucket.sequence() != 0) target->set_sequence(bucket.sequence());
    while (cursor.Valid()) {
      const bool look = bytes >= share.bytes_min && pairs % kPairsPerLook == kPairsPerLook - 1;
      if (bytes >= share.bytes_max || (look && share.enough())) {
        reached = {std::string(name), std::string(cursor.key())};
        all = false;
        return false;
      }
      if (cursor.is_bucket()) {
        return FailedPrecondition("cannot defragment " + path_ + ": bucket '" + std::string(name) +
                                  "' holds a nested bucket, which etcd never makes");
      }
      QUORATE_RETURN_IF_ERROR(target->Put(cursor.key(), cursor.value()));
      bytes += bolt::kElementBytes + cursor.key().size() + cursor.value().size();
      ++pairs;
      QUORATE_RETURN_IF_ERROR(cursor.Next());
    }
    // The least name after this one.
    reached = {std::string(name) + '\0', {}};
    return true;
  };
  QUORATE_RETURN_IF_ERROR(ForEachBucketFrom(from, position_, copy));
  position_ = std::move(reached);
  complete_ = all;
  return {};
}

Status FileCopy::Switch() {
  QUORATE_RETURN_IF_ERROR(files_->Rename(copy_path_, path_));
  replaced_ = true;
  const size_t slash = path_.rfind('/');
  return files_->SyncDirectory(slash == std::string::npos ? "." : path_.substr(0, slash));
}

void FileCopy::Discard() {
  if (!replaced_) std::call_once(discarded_, [this] { Remove(); });
}

void FileCopy::Remove() {
  db_ = nullptr;
  // Its creation may have stopped at either name.
  for (const std::string& path : {copy_path_, copy_path_ + ".tmp"}) {
    if (!files_->Exists(path)) continue;
    const Status removed = files_->Remove(path);
    if (!removed.ok()) LOG_WARN("failed to remove a copy of the db file", {"error", Message(removed)});
  }
}

Status TouchAhead(const bolt::ReadTx& from, const CopyPosition& position, uint64_t bytes_max) {
  uint64_t bytes = 0;
  const auto touch = [&](std::string_view, const bolt::Bucket&, bolt::Cursor& cursor) -> StatusOr<bool> {
    volatile char sink = 0;
    while (cursor.Valid() && bytes < bytes_max) {
      const std::string_view value = cursor.value();
      for (size_t at = 0; at < value.size(); at += kMemoryPageBytes) sink = value[at];
      bytes += bolt::kElementBytes + cursor.key().size() + value.size();
      QUORATE_RETURN_IF_ERROR(cursor.Next());
    }
    static_cast<void>(sink);
    return bytes < bytes_max;
  };
  return ForEachBucketFrom(from, position, touch);
}

}  // namespace quorate::mvcc
