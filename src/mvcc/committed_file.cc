#include "mvcc/committed_file.h"

#include <algorithm>
#include <utility>

#include "base/crc32c.h"

namespace quorate::mvcc {

StatusOr<std::shared_ptr<const CommittedFile>> CommittedFile::Pin(std::shared_ptr<bolt::Db> db) {
  QUORATE_ASSIGN_OR_RETURN(bolt::ReadTx tx, db->BeginRead());
  std::shared_ptr<CommittedFile> file(new CommittedFile(std::move(db), std::move(tx)));
  for (size_t i = 0; i < kBucketCount; ++i) {
    const std::string_view name = BucketName(static_cast<Bucket>(i));
    QUORATE_ASSIGN_OR_RETURN(file->buckets_[i], file->tx_.FindBucket(name));
    if (!file->buckets_[i]) return Internal("the db file has no bucket '" + std::string(name) + "'");
  }
  return file;
}

bool CommittedFile::Resident(Bucket bucket, std::string_view key) const {
  return tx_.ResidentOnPath(*buckets_[static_cast<size_t>(bucket)], key);
}

StatusOr<uint32_t> CommittedFile::Hash(const std::vector<std::string>& ignored_meta_keys) const {
  uint32_t crc = 0;
  Status status = tx_.ForEachBucket([&](std::string_view name, const bolt::Bucket& bucket) -> Status {
    crc = crc32c::Extend(crc, name);
    const bool meta = name == BucketName(Bucket::kMeta);
    bolt::Cursor cursor = bucket.NewCursor();
    Status walked = cursor.SeekFirst();
    for (; walked.ok() && cursor.Valid(); walked = cursor.Next()) {
      const std::string_view key = cursor.key();
      if (meta &&
          std::find(ignored_meta_keys.begin(), ignored_meta_keys.end(), key) != ignored_meta_keys.end())
        continue;
      crc = crc32c::Extend(crc, key);
      crc = crc32c::Extend(crc, cursor.value());
    }
    return walked;
  });
  if (!status.ok()) return status;
  return crc;
}

}  // namespace quorate::mvcc
