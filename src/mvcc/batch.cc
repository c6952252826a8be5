#include "mvcc/batch.h"

#include <bit>

#include "base/check.h"

namespace quorate::mvcc {

char* Batch::Allocate(size_t bytes) {
  if (bytes > bump_left_) {
    // A large value gets a chunk of its own, so that the rest of the present one is not lost.
    const bool own = bytes > kArenaChunkBytes / 4;
    const size_t size = own ? bytes : kArenaChunkBytes;
    arena_.emplace_back(new char[size]);
    bytes_ += size;
    if (own) return arena_.back().get();
    bump_ = arena_.back().get();
    bump_left_ = size;
  }
  char* result = bump_;
  bump_ += bytes;
  bump_left_ -= bytes;
  return result;
}

// Run r begins at record kFirstRun * (2^r - 1). Here `run` is 2^r.
const BatchRecord& Batch::RecordAt(size_t i) const {
  const size_t run = std::bit_floor(i / kFirstRun + 1);
  return runs_[static_cast<size_t>(std::countr_zero(run))][i - kFirstRun * (run - 1)];
}

void Batch::AddRecord(Revision revision, bool tombstone, std::string_view value) {
  QUORATE_CHECK(records_ == 0 || RecordAt(records_ - 1).revision < revision);
  const size_t run = std::bit_floor(records_ / kFirstRun + 1);
  const size_t begin = kFirstRun * (run - 1);
  std::unique_ptr<BatchRecord[]>& records = runs_[static_cast<size_t>(std::countr_zero(run))];
  if (records_ == begin) {
    const size_t room = kFirstRun * run;
    records = std::make_unique_for_overwrite<BatchRecord[]>(room);
    bytes_ += room * sizeof(BatchRecord);
  }
  records[records_ - begin] = {revision, value, tombstone};
  ++records_;
  ++operations_;
}

size_t Batch::LowerBound(Revision revision, size_t limit) const {
  if (limit == 0) return 0;
  // Most transactions make one change: then the position is the distance from the first revision.
  const int64_t distance = revision.main - RecordAt(0).revision.main;
  if (distance >= 0 && static_cast<uint64_t>(distance) < limit &&
      RecordAt(static_cast<size_t>(distance)).revision == revision) {
    return static_cast<size_t>(distance);
  }
  size_t low = 0;
  size_t high = limit;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (RecordAt(middle).revision < revision) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::optional<std::string_view> Batch::Find(Revision revision, size_t limit) const {
  const size_t i = LowerBound(revision, limit);
  if (i == limit) return std::nullopt;
  const BatchRecord& record = RecordAt(i);
  if (record.revision != revision || record.tombstone) return std::nullopt;
  return record.value;
}

void Batch::Put(size_t bucket, std::string_view key, std::optional<std::string_view> value) {
  ++operations_;
  bytes_ += key.size() + (value ? value->size() : 0);
  SmallBucket& pairs = small_[bucket];
  auto found = pairs.find(key);
  if (found == pairs.end()) {
    bytes_ += sizeof(SmallBucket::value_type);
    found = pairs.emplace(key, std::nullopt).first;
  }
  if (value) {
    found->second.emplace(*value);
  } else {
    found->second.reset();
  }
}

}  // namespace quorate::mvcc
