// The db file as one of its commits left it: a counted bolt read transaction with its buckets looked up.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bolt/db.h"
#include "mvcc/backend.h"

namespace quorate::mvcc {

// Immutable; any thread. Keeps the file open and its pages from being used again.
class CommittedFile {
 public:
  // Pins the newest commit. The buckets must exist.
  static StatusOr<std::shared_ptr<const CommittedFile>> Pin(std::shared_ptr<bolt::Db> db);

  // The views live as long as this object.
  StatusOr<std::optional<std::string_view>> Get(Bucket bucket, std::string_view key) const {
    return buckets_[static_cast<size_t>(bucket)]->Get(key);
  }
  bolt::Cursor NewCursor(Bucket bucket) const { return buckets_[static_cast<size_t>(bucket)]->NewCursor(); }
  bool Resident(Bucket bucket, std::string_view key) const;

  const bolt::ReadTx& tx() const { return tx_; }

  // CRC-32C over everything; see Backend::Snapshot.
  StatusOr<uint32_t> Hash(const std::vector<std::string>& ignored_meta_keys) const;

 private:
  CommittedFile(std::shared_ptr<bolt::Db> db, bolt::ReadTx tx) : db_(std::move(db)), tx_(std::move(tx)) {}

  std::shared_ptr<bolt::Db> db_;  // Before tx_: it must be closed after it.
  bolt::ReadTx tx_;
  std::array<std::optional<bolt::Bucket>, kBucketCount> buckets_;
};

}  // namespace quorate::mvcc
