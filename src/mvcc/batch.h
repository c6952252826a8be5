// The changes that the db file lacks, in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mvcc/revision.h"

namespace quorate::mvcc {

// One record of bucket `key`; the value lies in the batch's arena.
struct BatchRecord {
  Revision revision;
  std::string_view value;
  bool tombstone;
};

// The core fills it, then freezes it by handing it on; nothing in it ever moves. So a reader on another
// thread may use the records that were there when it was given the batch (ReadView counts them) while the
// core appends more; all else is the core's until the batch is frozen.
class Batch {
 public:
  using SmallBucket = std::map<std::string, std::optional<std::string>, std::less<>>;  // Nothing: deleted.

  explicit Batch(size_t small_buckets) : small_(small_buckets) {}

  // Bytes that live as long as the batch.
  char* Allocate(size_t bytes);

  // Revisions ascend.
  void AddRecord(Revision revision, bool tombstone, std::string_view value);
  size_t records() const { return records_; }
  const BatchRecord& RecordAt(size_t i) const;
  // The first of the first `limit` records with a revision >= `revision`.
  size_t LowerBound(Revision revision, size_t limit) const;
  // The value of the put at `revision` among the first `limit` records.
  std::optional<std::string_view> Find(Revision revision, size_t limit) const;

  // A record of the file that is to go.
  void DeleteRecord(Revision revision, bool tombstone) {
    deleted_records_.push_back(EncodeRevision(revision, tombstone));
    ++operations_;
    bytes_ += sizeof(RevisionKey);
  }
  const std::vector<RevisionKey>& deleted_records() const { return deleted_records_; }

  void Put(size_t bucket, std::string_view key, std::optional<std::string_view> value);
  const SmallBucket& small(size_t bucket) const { return small_[bucket]; }

  void SetConsistentIndex(uint64_t index, uint64_t term) {
    has_index_ = true;
    index_ = index;
    term_ = term;
  }
  bool has_consistent_index() const { return has_index_; }
  uint64_t consistent_index() const { return index_; }
  uint64_t consistent_term() const { return term_; }

  // Changes, the consistent index not counted.
  size_t operations() const { return operations_; }
  // Memory in use.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kArenaChunkBytes = 256 * 1024;
  static constexpr size_t kFirstRun =
      256;  // Records of run 0; each run has twice the room of the one before.
  static constexpr size_t kRunsMax = 40;

  size_t operations_ = 0;
  size_t bytes_ = 0;

  std::vector<std::unique_ptr<char[]>> arena_;
  char* bump_ = nullptr;
  size_t bump_left_ = 0;

  size_t records_ = 0;
  std::array<std::unique_ptr<BatchRecord[]>, kRunsMax> runs_;

  std::vector<RevisionKey> deleted_records_;
  std::vector<SmallBucket> small_;
  bool has_index_ = false;
  uint64_t index_ = 0;
  uint64_t term_ = 0;
};

}  // namespace quorate::mvcc
