// Range requests: what is asked, how it is found, what comes out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mvcc/one_or_many.h"
#include "mvcc/read_view.h"
#include "mvcc/revision.h"

namespace quorate::mvcc {

struct KeyValue;

enum class SortOrder : uint8_t { kNone = 0, kAscend = 1, kDescend = 2 };  // RangeRequest.SortOrder
enum class SortTarget : uint8_t {
  kKey = 0,
  kVersion = 1,
  kCreate = 2,
  kMod = 3,
  kValue = 4
};  // RangeRequest.SortTarget

class KeyIndex;

// etcdserverpb.RangeRequest without what concerns the server. The views need to live during PlanRange only.
struct RangeOptions {
  std::string_view key = {};
  std::string_view range_end = {};  // Empty: the one key. "\0": everything from key on. Else exclusive.
  int64_t limit = 0;                // <= 0: none.
  int64_t revision = 0;             // <= 0: the current one.
  SortOrder sort_order = SortOrder::kNone;
  SortTarget sort_target = SortTarget::kKey;
  bool keys_only = false;
  bool count_only = false;
  int64_t min_mod_revision = 0;  // These four: 0 is unset, bounds are inclusive.
  int64_t max_mod_revision = 0;
  int64_t min_create_revision = 0;
  int64_t max_create_revision = 0;
};

// The pairs, encoded as mvccpb.KeyValue, ready for the wire. The bytes live as long as this object.
struct RangeResult {
  OneOrMany<std::string_view> kvs;
  int64_t count = 0;  // Keys in the range at the revision, whatever the limit and the filters.
  bool more = false;  // The limit has cut something off.

  ReadView view;                           // Keeps the bytes that lie in the file or in batches.
  std::shared_ptr<std::string> rewritten;  // Keeps the bytes of pairs without their values.
};

// A range that the index has answered: revisions to be fetched. Made on the core; self-contained, so that
// Finish may run on a reader thread, once.
class RangePlan {
 public:
  int64_t count() const { return count_; }
  // Values still to be fetched.
  size_t fetches() const { return revisions_.size(); }
  // Whether Finish will touch only memory that is there. Asks the kernel, so it costs about what a fetch
  // does; plans of more than kResidentFetchesMax fetches answer false.
  bool Resident() const;
  static constexpr size_t kResidentFetchesMax = 64;

  // Fetches, filters, sorts, cuts. DataLoss when the file is damaged or lacks a revision that the index
  // knows.
  StatusOr<RangeResult> Finish() const;

 private:
  friend class Store;

  void Take(const RangeOptions& options);
  bool Filters() const;
  // Whether Finish looks into the pairs.
  bool Decodes() const { return sort_order_ != SortOrder::kNone || keys_only_ || Filters(); }
  // Whether the pairs stay in order of keys, and all of them.
  bool InOrder() const { return sort_order_ == SortOrder::kNone && !Filters(); }
  // Whether few are to be picked from among many by what the index knows of them: the values of the others
  // are not fetched then.
  bool PicksByIndex() const;
  static constexpr int64_t kPicksMax = 1000;
  void PickByIndex(const KeyIndex& index, const RangeOptions& options, int64_t at);
  bool Passes(int64_t create_revision, int64_t mod_revision) const;
  // Filters, sorts, cuts, strips the values.
  Status Shape(RangeResult* result) const;

  OneOrMany<Revision> revisions_;
  ReadView view_;
  int64_t count_ = 0;
  bool more_ = false;
  int64_t limit_ = 0;
  SortOrder sort_order_ = SortOrder::kNone;
  SortTarget sort_target_ = SortTarget::kKey;
  bool keys_only_ = false;
  int64_t min_mod_revision_ = 0;
  int64_t max_mod_revision_ = 0;
  int64_t min_create_revision_ = 0;
  int64_t max_create_revision_ = 0;
};

}  // namespace quorate::mvcc
