#include "offline/kv_hash.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/crc32c.h"
#include "mvcc/backend.h"
#include "mvcc/key_value.h"
#include "mvcc/revision.h"
#include "offline/db_file.h"

namespace quorate::offline {
namespace {

StatusOr<int64_t> ReadRevision(const bolt::Bucket& meta, std::string_view key) {
  QUORATE_ASSIGN_OR_RETURN(const auto row, meta.Get(key));
  if (!row) return -1;
  mvcc::Revision revision;
  bool tombstone = false;
  if (!mvcc::DecodeRevision(*row, &revision, &tombstone)) {
    return DataLoss("meta/" + std::string(key) + " is no revision; use another snapshot");
  }
  return revision.main;
}

// fn(revision, tombstone, key of the row, value) for each record.
template <typename Fn>
Status ForEachRecord(const bolt::Bucket& bucket, Fn fn) {
  bolt::Cursor cursor = bucket.NewCursor();
  QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    mvcc::Revision revision;
    bool tombstone = false;
    if (!mvcc::DecodeRevision(cursor.key(), &revision, &tombstone)) {
      return DataLoss("bucket 'key' holds a row that is no revision; use another snapshot");
    }
    QUORATE_RETURN_IF_ERROR(fn(revision, tombstone, cursor.key(), cursor.value()));
    QUORATE_RETURN_IF_ERROR(cursor.Next());
  }
  return absl::OkStatus();
}

// etcd's own texts; what clients of a server get has "etcdserver: " before it.
constexpr std::string_view kCompactedText = "mvcc: required revision has been compacted";
constexpr std::string_view kFutureText = "mvcc: required revision is a future revision";

struct Latest {
  mvcc::Revision revision;
  bool tombstone = false;
};

// What a compaction at `revision` would keep: of each key the newest record, unless it is a tombstone.
class Kept {
 public:
  Status Find(const bolt::Bucket& bucket, int64_t revision) {
    absl::flat_hash_map<std::string, Latest> newest;
    QUORATE_RETURN_IF_ERROR(ForEachRecord(
        bucket, [&](mvcc::Revision at, bool tombstone, std::string_view, std::string_view value) -> Status {
          mvcc::KeyValue kv;
          if (!mvcc::Decode(value, &kv)) {
            return DataLoss("the record at revision " + std::to_string(at.main) +
                            " can't be read; use another snapshot");
          }
          if (at.main <= revision) newest[std::string(kv.key)] = {at, tombstone};
          return absl::OkStatus();
        }));
    for (const auto& [key, latest] : newest) {
      if (!latest.tombstone) revisions_.insert({latest.revision.main, latest.revision.sub});
    }
    return absl::OkStatus();
  }
  bool any() const { return !revisions_.empty(); }
  bool Has(mvcc::Revision at) const { return revisions_.contains({at.main, at.sub}); }

 private:
  absl::flat_hash_set<std::pair<int64_t, int64_t>> revisions_;
};

// CRC-32C of "key" and of each key and value up to the revision. What lies at or below the compacted revision
// counts only if it is kept; when nothing is kept at all, etcd forgets to look, and so do we.
StatusOr<uint32_t> HashRecords(const bolt::Bucket& bucket, const KvHash& at) {
  Kept kept;
  QUORATE_RETURN_IF_ERROR(kept.Find(bucket, at.hash_revision));
  uint32_t crc = crc32c::Value(mvcc::BucketName(mvcc::Bucket::kKey));
  QUORATE_RETURN_IF_ERROR(ForEachRecord(
      bucket,
      [&](mvcc::Revision revision, bool tombstone, std::string_view row, std::string_view value) -> Status {
        if (revision.main > at.hash_revision) return absl::OkStatus();
        if (revision.main <= at.compact_revision && kept.any() && !kept.Has(revision))
          return absl::OkStatus();
        if (tombstone && revision.main == at.compact_revision) return absl::OkStatus();
        crc = crc32c::Extend(crc, row);
        crc = crc32c::Extend(crc, value);
        return absl::OkStatus();
      }));
  return crc;
}

StatusOr<int64_t> NewestRevision(const bolt::Bucket& bucket) {
  bolt::Cursor cursor = bucket.NewCursor();
  QUORATE_RETURN_IF_ERROR(cursor.SeekLast());
  if (!cursor.Valid()) return 1;
  mvcc::Revision revision;
  bool tombstone = false;
  if (!mvcc::DecodeRevision(cursor.key(), &revision, &tombstone)) {
    return DataLoss("bucket 'key' ends in a row that is no revision; use another snapshot");
  }
  return revision.main;
}

}  // namespace

StatusOr<KvHash> ComputeKvHash(FileSystem* files, const std::string& path, int64_t revision,
                               const ReportFn& report) {
  QUORATE_ASSIGN_OR_RETURN(const auto db, OpenDb(files, path, false));
  QUORATE_RETURN_IF_ERROR(ReadAhead(files, path, report));
  QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
  QUORATE_RETURN_IF_ERROR(CheckDb(tx, path, report));
  QUORATE_ASSIGN_OR_RETURN(const auto records, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kKey)));
  QUORATE_ASSIGN_OR_RETURN(const auto meta, tx.FindBucket(mvcc::BucketName(mvcc::Bucket::kMeta)));
  QUORATE_ASSIGN_OR_RETURN(const int64_t finished, ReadRevision(*meta, mvcc::kFinishedCompactKey));
  QUORATE_ASSIGN_OR_RETURN(const int64_t scheduled, ReadRevision(*meta, mvcc::kScheduledCompactKey));
  KvHash hash;
  hash.compact_revision = std::max(finished, scheduled);
  QUORATE_ASSIGN_OR_RETURN(const int64_t newest, NewestRevision(*records));
  const int64_t current = std::max(newest, hash.compact_revision);
  if (revision > 0 && revision < hash.compact_revision) return OutOfRange(kCompactedText);
  if (revision > current) return OutOfRange(kFutureText);
  hash.hash_revision = revision <= 0 ? current : revision;
  QUORATE_ASSIGN_OR_RETURN(hash.hash, HashRecords(*records, hash));
  return hash;
}

}  // namespace quorate::offline
