// A frozen batch into a transaction of the db file.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "bolt/db.h"
#include "mvcc/batch.h"

namespace quorate::mvcc {

// Bucket `key` only grows at its end: nearly full pages are not split again (etcd: UnsafeSeqPut).
constexpr double kSequentialFill = 0.9;

// How far a copy in order of buckets and keys has come: what lies before is in it.
struct CopyPosition {
  std::string bucket;
  std::string key;

  bool Covers(std::string_view in_bucket, std::string_view at_key) const {
    return in_bucket < bucket || (in_bucket == bucket && at_key < key);
  }
};

// Makes the changes of the batch; with `copied` only those before that position.
Status WriteBatch(const Batch& batch, bool write_term, const CopyPosition* copied, bolt::WriteTx& tx);

}  // namespace quorate::mvcc
