#include "mvcc/batch_writer.h"

#include "base/endian.h"
#include "mvcc/backend.h"

namespace quorate::mvcc {
namespace {

bool Wanted(const CopyPosition* copied, std::string_view bucket, std::string_view key) {
  return copied == nullptr || copied->Covers(bucket, key);
}

Status WriteRecords(const Batch& batch, const CopyPosition* copied, bolt::WriteTx& tx) {
  const std::string_view name = BucketName(Bucket::kKey);
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * bucket, tx.CreateBucketIfMissing(name));
  bucket->set_fill_percent(kSequentialFill);
  for (size_t i = 0; i < batch.records(); ++i) {
    const BatchRecord& record = batch.RecordAt(i);
    const RevisionKey key = EncodeRevision(record.revision, record.tombstone);
    if (Wanted(copied, name, key.view())) QUORATE_RETURN_IF_ERROR(bucket->Put(key.view(), record.value));
  }
  for (const RevisionKey& key : batch.deleted_records()) {
    if (Wanted(copied, name, key.view())) QUORATE_RETURN_IF_ERROR(bucket->Delete(key.view()));
  }
  return {};
}

Status WriteSmall(const Batch& batch, Bucket which, const CopyPosition* copied, bolt::WriteTx& tx) {
  const Batch::SmallBucket& changes = batch.small(static_cast<size_t>(which));
  if (changes.empty()) return {};
  const std::string_view name = BucketName(which);
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * bucket, tx.CreateBucketIfMissing(name));
  for (const auto& [key, value] : changes) {
    if (!Wanted(copied, name, key)) continue;
    QUORATE_RETURN_IF_ERROR(value ? bucket->Put(key, *value) : bucket->Delete(key));
  }
  return {};
}

Status WriteIndex(const Batch& batch, bool write_term, const CopyPosition* copied, bolt::WriteTx& tx) {
  if (!batch.has_consistent_index()) return {};
  const std::string_view name = BucketName(Bucket::kMeta);
  QUORATE_ASSIGN_OR_RETURN(bolt::WriteBucket * meta, tx.CreateBucketIfMissing(name));
  const auto write = [&](std::string_view key, uint64_t value) -> Status {
    char number[8];
    StoreBig64(number, value);
    return Wanted(copied, name, key) ? meta->Put(key, {number, sizeof number}) : Status();
  };
  QUORATE_RETURN_IF_ERROR(write(kConsistentIndexKey, batch.consistent_index()));
  return write_term ? write(kTermKey, batch.consistent_term()) : Status();
}

}  // namespace

Status WriteBatch(const Batch& batch, bool write_term, const CopyPosition* copied, bolt::WriteTx& tx) {
  QUORATE_RETURN_IF_ERROR(WriteRecords(batch, copied, tx));
  for (size_t i = 0; i < kBucketCount; ++i) {
    QUORATE_RETURN_IF_ERROR(WriteSmall(batch, static_cast<Bucket>(i), copied, tx));
  }
  return WriteIndex(batch, write_term, copied, tx);
}

}  // namespace quorate::mvcc
