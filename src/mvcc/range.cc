#include "mvcc/range.h"

#include <algorithm>
#include <utility>

#include "mvcc/fetcher.h"
#include "mvcc/key_index.h"
#include "mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

constexpr std::string_view kMissing = "is missing, though the index knows it";

struct Pair {
  KeyValue kv;
  std::string_view bytes;
};

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

int Compare(const KeyValue& a, const KeyValue& b, SortTarget target) {
  switch (target) {
    case SortTarget::kKey:
      return a.key.compare(b.key);
    case SortTarget::kVersion:
      return Order(a.version, b.version);
    case SortTarget::kCreate:
      return Order(a.create_revision, b.create_revision);
    case SortTarget::kMod:
      return Order(a.mod_revision, b.mod_revision);
    case SortTarget::kValue:
      return a.value.compare(b.value);
  }
  return 0;
}

Status Damaged(Revision revision, std::string_view what) {
  return DataLoss("revision " + std::to_string(revision.main) + "/" + std::to_string(revision.sub) +
                  " in bucket 'key' of the db file " + std::string(what) +
                  "; restore the member from a snapshot or from another member");
}

}  // namespace

bool RangePlan::Resident() const {
  if (revisions_.size() > kResidentFetchesMax) return false;
  return std::all_of(revisions_.begin(), revisions_.end(),
                     [this](Revision revision) { return view_.Resident(revision); });
}

void RangePlan::Take(const RangeOptions& options) {
  limit_ = options.limit;
  sort_order_ = options.sort_order;
  sort_target_ = options.sort_target;
  keys_only_ = options.keys_only;
  min_mod_revision_ = options.min_mod_revision;
  max_mod_revision_ = options.max_mod_revision;
  min_create_revision_ = options.min_create_revision;
  max_create_revision_ = options.max_create_revision;
  if (sort_target_ == SortTarget::kKey) {
    if (sort_order_ == SortOrder::kAscend) sort_order_ = SortOrder::kNone;  // They come in that order.
  } else if (sort_order_ == SortOrder::kNone) {
    sort_order_ = SortOrder::kAscend;
  }
}

bool RangePlan::Filters() const {
  return min_mod_revision_ != 0 || max_mod_revision_ != 0 || min_create_revision_ != 0 ||
         max_create_revision_ != 0;
}

bool RangePlan::Passes(int64_t create_revision, int64_t mod_revision) const {
  return (max_mod_revision_ == 0 || mod_revision <= max_mod_revision_) &&
         (min_mod_revision_ == 0 || mod_revision >= min_mod_revision_) &&
         (max_create_revision_ == 0 || create_revision <= max_create_revision_) &&
         (min_create_revision_ == 0 || create_revision >= min_create_revision_);
}

bool RangePlan::PicksByIndex() const {
  return !InOrder() && limit_ > 0 && limit_ <= kPicksMax && sort_target_ != SortTarget::kValue;
}

void RangePlan::PickByIndex(const KeyIndex& index, const RangeOptions& options, int64_t at) {
  struct Candidate {
    KeyVersion version;
    int64_t place = 0;  // Among the keys.
  };
  const auto order = [this](const Candidate& a, const Candidate& b) {
    if (sort_order_ == SortOrder::kNone) return 0;
    const int sign = sort_order_ == SortOrder::kAscend ? 1 : -1;
    switch (sort_target_) {
      case SortTarget::kVersion:
        return sign * Order(a.version.version, b.version.version);
      case SortTarget::kCreate:
        return sign * Order(a.version.created, b.version.created);
      case SortTarget::kMod:
        return sign * Order(a.version.modified.main, b.version.modified.main);
      default:
        return sign * Order(a.place, b.place);
    }
  };
  // What is equal stays in order of keys: see Shape.
  const auto before = [&order](const Candidate& a, const Candidate& b) {
    const int ordered = order(a, b);
    return ordered != 0 ? ordered < 0 : a.place < b.place;
  };
  std::vector<Candidate> best;  // A heap; its first is the last of them.
  int64_t passed = 0;
  index.Range(options.key, options.range_end, at, [&](std::string_view, const KeyVersion& version) {
    ++count_;
    if (!Passes(version.created, version.modified.main)) return true;
    const Candidate candidate{version, ++passed};
    if (passed > limit_) {
      if (!before(candidate, best.front())) return true;
      std::pop_heap(best.begin(), best.end(), before);
      best.back() = candidate;
    } else {
      best.push_back(candidate);
    }
    std::push_heap(best.begin(), best.end(), before);
    return true;
  });
  std::sort_heap(best.begin(), best.end(), before);
  for (const Candidate& candidate : best) revisions_.push_back(candidate.version.modified);
  more_ = passed > limit_;
  // Nothing of this is left to Finish.
  sort_order_ = SortOrder::kNone;
  limit_ = min_mod_revision_ = max_mod_revision_ = min_create_revision_ = max_create_revision_ = 0;
}

StatusOr<RangeResult> RangePlan::Finish() const {
  RangeResult result;
  result.count = count_;
  result.more = more_;
  if (revisions_.empty()) return result;
  if (revisions_.size() == 1) {
    QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string_view> bytes,
                             view_.GetKeyValue(revisions_.front()));
    if (!bytes) return Damaged(revisions_.front(), kMissing);
    result.kvs.push_back(*bytes);
  } else {
    result.kvs.reserve(revisions_.size());
    ReadView::Fetcher fetcher(&view_);
    for (const Revision revision : revisions_) {
      QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string_view> bytes, fetcher.Get(revision));
      if (!bytes) return Damaged(revision, kMissing);
      result.kvs.push_back(*bytes);
    }
  }
  if (Decodes()) QUORATE_RETURN_IF_ERROR(Shape(&result));
  result.view = view_;
  return result;
}

Status RangePlan::Shape(RangeResult* result) const {
  std::vector<Pair> pairs;
  pairs.reserve(result->kvs.size());
  for (size_t i = 0; i < result->kvs.size(); ++i) {
    Pair pair;
    pair.bytes = result->kvs[i];
    if (!Decode(pair.bytes, &pair.kv)) return Damaged(revisions_[i], "is no KeyValue");
    if (Passes(pair.kv.create_revision, pair.kv.mod_revision)) pairs.push_back(pair);
  }
  // What is equal stays in order of keys. (etcd's sort is unstable for more than 12 pairs: there the order of
  // equals is whatever its sorting algorithm made of it, and no client can rely on it.)
  if (sort_order_ != SortOrder::kNone) {
    const int sign = sort_order_ == SortOrder::kAscend ? 1 : -1;
    std::stable_sort(pairs.begin(), pairs.end(), [this, sign](const Pair& a, const Pair& b) {
      return sign * Compare(a.kv, b.kv, sort_target_) < 0;
    });
  }
  if (limit_ > 0 && pairs.size() > static_cast<uint64_t>(limit_)) {
    pairs.resize(static_cast<size_t>(limit_));
    result->more = true;
  }
  result->kvs.clear();
  if (!keys_only_) {
    for (const Pair& pair : pairs) result->kvs.push_back(pair.bytes);
    return {};
  }
  size_t bytes = 0;
  for (Pair& pair : pairs) {
    pair.kv.value = {};
    bytes += EncodedSize(pair.kv);
  }
  result->rewritten = std::make_shared<std::string>(bytes, '\0');
  char* out = result->rewritten->data();
  for (const Pair& pair : pairs) {
    char* end = Encode(pair.kv, out);
    result->kvs.push_back({out, static_cast<size_t>(end - out)});
    out = end;
  }
  return {};
}

}  // namespace quorate::mvcc
