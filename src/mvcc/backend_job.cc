#include "mvcc/backend_job.h"

#include <utility>

#include "base/endian.h"

namespace quorate::mvcc {
namespace {

// Bucket `key` only grows at its end: nearly full pages are not split again (etcd: UnsafeSeqPut).
constexpr double kSequentialFill = 0.9;
// Pairs copied in one transaction while defragmenting (etcd: defragLimit).
constexpr size_t kCopyTransactionPairs = 10'000;

}  // namespace

void BackendJob::Run() {
  int expected = kQueued;
  if (!state_.compare_exchange_strong(expected, kRunning)) return;
  status_ = Execute();
  if (status_.ok()) {
    StatusOr<std::shared_ptr<const CommittedFile>> file = CommittedFile::Pin(db_);
    if (file.ok()) {
      file_ = *std::move(file);
    } else {
      status_ = file.status();
    }
  }
  state_.store(kFinished);
  state_.notify_all();
}

void BackendJob::RunOrWait() {
  Run();
  state_.wait(kRunning);
}

void BackendJob::CancelOrWait() {
  int expected = kQueued;
  if (state_.compare_exchange_strong(expected, kFinished)) return;
  state_.wait(kRunning);
}

Status CommitJob::Execute() {
  if (batch_->operations() == 0 && !batch_->has_consistent_index()) return {};
  wrote_ = true;
  const int64_t begin = clock_->MonotonicNanos();
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::WriteTx> tx, db_->BeginWrite());
  QUORATE_RETURN_IF_ERROR(Apply(*tx));
  QUORATE_RETURN_IF_ERROR(tx->Commit());
  nanos_ = clock_->MonotonicNanos() - begin;
  return {};
}

Status CommitJob::Apply(bolt::WriteTx& tx) const {
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * records, tx.CreateBucketIfMissing(BucketName(Bucket::kKey)));
  records->set_fill_percent(kSequentialFill);
  for (size_t i = 0; i < batch_->records(); ++i) {
    const BatchRecord& record = batch_->RecordAt(i);
    QUORATE_RETURN_IF_ERROR(
        records->Put(EncodeRevision(record.revision, record.tombstone).view(), record.value));
  }
  for (const RevisionKey& key : batch_->deleted_records()) {
    QUORATE_RETURN_IF_ERROR(records->Delete(key.view()));
  }
  for (size_t i = 0; i < kBucketCount; ++i) {
    const Batch::SmallBucket& changes = batch_->small(i);
    if (changes.empty()) continue;
    QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * bucket,
                             tx.CreateBucketIfMissing(BucketName(static_cast<Bucket>(i))));
    for (const auto& [key, value] : changes) {
      QUORATE_RETURN_IF_ERROR(value ? bucket->Put(key, *value) : bucket->Delete(key));
    }
  }
  if (!batch_->has_consistent_index()) return {};
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * meta, tx.CreateBucketIfMissing(BucketName(Bucket::kMeta)));
  char number[8];
  StoreBig64(number, batch_->consistent_index());
  QUORATE_RETURN_IF_ERROR(meta->Put(kConsistentIndexKey, {number, sizeof number}));
  if (!write_term_) return {};
  StoreBig64(number, batch_->consistent_term());
  return meta->Put(kTermKey, {number, sizeof number});
}

Status DefragmentJob::WriteCopy() const {
  QUORATE_ASSIGN_OR_RETURN(bolt::ReadTx from, db_->BeginRead());
  bolt::Options options = options_;
  options.sync = false;  // The copy counts for nothing until it is whole; then it is synced once.
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::Db> to, bolt::Db::Open(*files_, copy_path_, options));
  return from.ForEachBucket([&](std::string_view name, const bolt::Bucket& bucket) -> Status {
    bolt::Cursor cursor = bucket.NewCursor();
    QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
    do {
      QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::WriteTx> tx, to->BeginWrite());
      QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * target, tx->CreateBucketIfMissing(name));
      target->set_fill_percent(kSequentialFill);
      for (size_t copied = 0; copied < kCopyTransactionPairs && cursor.Valid(); ++copied) {
        if (cursor.is_bucket()) {
          return FailedPrecondition("cannot defragment " + path_ + ": bucket '" + std::string(name) +
                                    "' holds a nested bucket, which etcd never makes");
        }
        QUORATE_RETURN_IF_ERROR(target->Put(cursor.key(), cursor.value()));
        QUORATE_RETURN_IF_ERROR(cursor.Next());
      }
      QUORATE_RETURN_IF_ERROR(tx->Commit());
    } while (cursor.Valid());
    return {};
  });
}

Status DefragmentJob::Execute() {
  Status status = WriteCopy();
  if (status.ok() && options_.sync) {
    OpenOptions open;
    open.write = true;
    StatusOr<std::unique_ptr<File>> copy = files_->Open(copy_path_, open);
    status = copy.ok() ? (*copy)->Sync() : copy.status();
  }
  if (status.ok()) status = files_->Rename(copy_path_, path_);
  if (!status.ok()) {
    if (files_->Exists(copy_path_)) {
      const Status removed = files_->Remove(copy_path_);
      if (!removed.ok()) {
        return MakeStatus(status.code(), std::string(Message(status)) + "; and the copy is left behind: " +
                                             std::string(Message(removed)));
      }
    }
    return status;
  }
  replaced_ = true;
  const size_t slash = path_.rfind('/');
  QUORATE_RETURN_IF_ERROR(files_->SyncDirectory(slash == std::string::npos ? "." : path_.substr(0, slash)));
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::Db> db, bolt::Db::Open(*files_, path_, options_));
  db_ = std::move(db);
  return {};
}

}  // namespace quorate::mvcc
