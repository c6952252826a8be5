#include "server/txn_check.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/hash.h"
#include "server/errors.h"

namespace quorate::server {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;
using KeySet = absl::flat_hash_set<std::string_view, StringHash, StringEq>;

// Two levels of messages for each level of nested transactions; the default limit of operations allows 128 of
// those.
constexpr int kTxnRecursionLimit = 300;

Status CheckOp(const RequestOp& op, size_t ops_max);

Status CheckShape(const TxnRequest& txn, size_t ops_max) {
  const size_t longest =
      static_cast<size_t>(std::max({txn.compare_size(), txn.success_size(), txn.failure_size()}));
  if (longest > ops_max) return ErrTooManyOps();
  for (const auto& compare : txn.compare()) {
    if (compare.key().empty()) return ErrEmptyKey();
  }
  for (const auto& op : txn.success()) QUORATE_RETURN_IF_ERROR(CheckOp(op, ops_max - longest));
  for (const auto& op : txn.failure()) QUORATE_RETURN_IF_ERROR(CheckOp(op, ops_max - longest));
  return absl::OkStatus();
}

Status CheckOp(const RequestOp& op, size_t ops_max) {
  switch (op.request_case()) {
    case RequestOp::kRequestRange:
      return CheckRange(op.request_range().key(), op.request_range().sort_order(),
                        op.request_range().sort_target());
    case RequestOp::kRequestPut: {
      const auto& put = op.request_put();
      if (put.key().empty()) return ErrEmptyKey();
      if (put.ignore_value() && !put.value().empty()) return ErrValueProvided();
      if (put.ignore_lease() && put.lease() != 0) return ErrLeaseProvided();
      return absl::OkStatus();
    }
    case RequestOp::kRequestDeleteRange:
      return op.request_delete_range().key().empty() ? ErrEmptyKey() : absl::OkStatus();
    case RequestOp::kRequestTxn:
      return CheckShape(op.request_txn(), ops_max);
    case RequestOp::REQUEST_NOT_SET:
      return ErrKeyNotFound();
  }
  return ErrKeyNotFound();
}

// The union of half-open key intervals. An end of "\0" stands literally for itself, as in the original's
// check: a delete "from key" therefore never counts as an overlap.
class IntervalSet {
 public:
  void Add(std::string_view begin, std::string_view end) {
    if (!(begin < end)) return;
    auto it = starts_.upper_bound(begin);
    if (it != starts_.begin() && std::prev(it)->second >= begin) --it;
    while (it != starts_.end() && it->first <= end) {
      begin = std::min<std::string_view>(begin, it->first);
      end = std::max<std::string_view>(end, it->second);
      it = starts_.erase(it);
    }
    starts_.emplace(begin, end);
  }
  void AddPoint(std::string_view key) { points_.insert(key); }
  void AddAll(const IntervalSet& other) {
    for (const auto& [begin, end] : other.starts_) Add(begin, end);
    points_.insert(other.points_.begin(), other.points_.end());
  }
  bool Contains(std::string_view key) const {
    if (points_.contains(key)) return true;
    auto it = starts_.upper_bound(key);
    return it != starts_.begin() && std::prev(it)->second > key;
  }

 private:
  std::map<std::string_view, std::string_view> starts_;  // Disjoint: begin -> end.
  KeySet points_;
};

struct Touched {
  KeySet puts;
  IntervalSet deletes;
};

Status CollectTouched(const Operations& ops, Touched* out);

// A key put in both branches of one nested transaction is fine: only one of them runs.
Status CollectNested(const TxnRequest& txn, Touched* out) {
  Touched then_branch, else_branch;
  QUORATE_RETURN_IF_ERROR(CollectTouched(txn.success(), &then_branch));
  QUORATE_RETURN_IF_ERROR(CollectTouched(txn.failure(), &else_branch));
  for (std::string_view key : then_branch.puts) {
    if (!out->puts.insert(key).second || out->deletes.Contains(key)) return ErrDuplicateKey();
  }
  for (std::string_view key : else_branch.puts) {
    if (!out->puts.insert(key).second && !then_branch.puts.contains(key)) return ErrDuplicateKey();
    if (out->deletes.Contains(key)) return ErrDuplicateKey();
  }
  out->deletes.AddAll(then_branch.deletes);
  out->deletes.AddAll(else_branch.deletes);
  return absl::OkStatus();
}

Status CollectTouched(const Operations& ops, Touched* out) {
  for (const auto& op : ops) {
    if (op.request_case() != RequestOp::kRequestDeleteRange) continue;
    const auto& del = op.request_delete_range();
    if (del.range_end().empty()) {
      out->deletes.AddPoint(del.key());
    } else {
      out->deletes.Add(del.key(), del.range_end());
    }
  }
  for (const auto& op : ops) {
    if (op.request_case() == RequestOp::kRequestTxn)
      QUORATE_RETURN_IF_ERROR(CollectNested(op.request_txn(), out));
  }
  for (const auto& op : ops) {
    if (op.request_case() != RequestOp::kRequestPut) continue;
    const std::string& key = op.request_put().key();
    if (!out->puts.insert(key).second || out->deletes.Contains(key)) return ErrDuplicateKey();
  }
  return absl::OkStatus();
}

bool AllRanges(const Operations& ops, bool serializable_only) {
  return std::all_of(ops.begin(), ops.end(), [&](const RequestOp& op) {
    return op.request_case() == RequestOp::kRequestRange &&
           (!serializable_only || op.request_range().serializable());
  });
}

}  // namespace

bool ParseTxn(std::string_view bytes, TxnRequest* txn) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(kTxnRecursionLimit);
  return txn->ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

Status CheckRange(std::string_view key, int32_t sort_order, int32_t sort_target) {
  if (key.empty()) return ErrEmptyKey();
  if (!etcdserverpb::RangeRequest::SortOrder_IsValid(sort_order)) return ErrInvalidSortOption();
  if (!etcdserverpb::RangeRequest::SortTarget_IsValid(sort_target)) return ErrInvalidSortOption();
  return absl::OkStatus();
}

Status CheckTxn(const TxnRequest& txn, size_t ops_max) {
  QUORATE_RETURN_IF_ERROR(CheckShape(txn, ops_max));
  Touched then_branch, else_branch;
  QUORATE_RETURN_IF_ERROR(CollectTouched(txn.success(), &then_branch));
  return CollectTouched(txn.failure(), &else_branch);
}

bool IsReadOnly(const TxnRequest& txn) {
  return AllRanges(txn.success(), false) && AllRanges(txn.failure(), false);
}
bool IsSerializable(const TxnRequest& txn) {
  return AllRanges(txn.success(), true) && AllRanges(txn.failure(), true);
}

}  // namespace quorate::server
