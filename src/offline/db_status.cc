#include "offline/db_status.h"

#include "absl/container/flat_hash_set.h"
#include "base/crc32c.h"
#include "mvcc/backend.h"
#include "mvcc/key_value.h"
#include "mvcc/revision.h"
#include "offline/db_file.h"
#include "server/storage_version.h"

namespace quorate::offline {
namespace {

// Counts what one bucket holds.
class Counter {
 public:
  Counter(DbStatus* status, const std::string& path) : status_(status), path_(path) {}

  Status AddBucket(std::string_view name, const bolt::Bucket& bucket) {
    status_->hash = crc32c::Extend(status_->hash, name);
    const bool records = name == mvcc::BucketName(mvcc::Bucket::kKey);
    bolt::Cursor cursor = bucket.NewCursor();
    QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
    for (; cursor.Valid();) {
      status_->hash = crc32c::Extend(status_->hash, cursor.key());
      // A nested bucket has no value.
      if (!cursor.is_bucket()) status_->hash = crc32c::Extend(status_->hash, cursor.value());
      ++status_->rows;
      if (records) QUORATE_RETURN_IF_ERROR(AddRecord(cursor.key(), cursor.value()));
      QUORATE_RETURN_IF_ERROR(cursor.Next());
    }
    return absl::OkStatus();
  }

  void Finish() { status_->keys_alive = alive_.size(); }

 private:
  Status AddRecord(std::string_view key, std::string_view value) {
    mvcc::Revision revision;
    bool tombstone = false;
    mvcc::KeyValue kv;
    if (!mvcc::DecodeRevision(key, &revision, &tombstone) || !mvcc::Decode(value, &kv)) {
      return DataLoss("snapshot file integrity check failed. " + path_ + " holds a record after revision " +
                      std::to_string(status_->revision) + " that can't be read; use another snapshot");
    }
    status_->revision = revision.main;
    if (tombstone) {
      alive_.erase(std::string(kv.key));
    } else {
      alive_.insert(std::string(kv.key));
    }
    return absl::OkStatus();
  }

  DbStatus* const status_;
  const std::string& path_;
  absl::flat_hash_set<std::string> alive_;
};

}  // namespace

StatusOr<DbStatus> ReadDbStatus(FileSystem* files, const std::string& path, const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, false));
  QUORATE_RETURN_IF_ERROR(ReadAhead(files, path, report));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  QUORATE_RETURN_IF_ERROR(CheckDb(tx, path, report));
  DbStatus status;
  status.size_bytes = tx.size_bytes();
  QUORATE_ASSIGN_OR_RETURN(const auto meta, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kMeta)));
  QUORATE_ASSIGN_OR_RETURN(const auto version, meta->Get(server::kStorageVersionKey));
  if (version) status.storage_version = std::string(*version);
  Counter counter(&status, path);
  QUORATE_RETURN_IF_ERROR(tx.ForEachBucket(
      [&](std::string_view name, const bolt::Bucket& bucket) { return counter.AddBucket(name, bucket); }));
  counter.Finish();
  return status;
}

}  // namespace quorate::offline
