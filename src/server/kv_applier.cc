#include "server/kv_applier.h"

#include <algorithm>
#include <optional>

#include "base/wire.h"
#include "mvcc/key_index.h"
#include "server/errors.h"
#include "server/txn_check.h"
#include "server/txn_compare.h"

namespace quorate::server {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;

// Field numbers of ResponseOp's union.
constexpr uint32_t kResponseRange = 1;
constexpr uint32_t kResponsePut = 2;
constexpr uint32_t kResponseDeleteRange = 3;
constexpr uint32_t kResponseTxn = 4;

bool Holds(mvcc::Store& store, const Compare& compare) {
  mvcc::RangeOptions options;
  options.key = compare.key();
  options.range_end = compare.range_end();
  const auto result = store.Range(options);
  return result.ok() && CompareHolds(compare, result->kvs);
}

const Operations& Branch(const TxnRequest& txn, bool succeeded) {
  return succeeded ? txn.success() : txn.failure();
}

}  // namespace

KeyValueView ParseKeyValue(std::string_view encoded) {
  KeyValueView kv;
  wire::Reader in(encoded);
  while (in.Next()) {
    switch (in.field()) {
      case 1:
        kv.key = in.bytes();
        break;
      case 2:
        kv.create_revision = in.int64();
        break;
      case 3:
        kv.mod_revision = in.int64();
        break;
      case 4:
        kv.version = in.int64();
        break;
      case 5:
        kv.value = in.bytes();
        break;
      case 6:
        kv.lease = in.int64();
        break;
      default:
        break;
    }
  }
  return kv;
}

mvcc::RangeOptions ToRangeOptions(const RangeRequest& r) {
  mvcc::RangeOptions o;
  o.key = r.key;
  o.range_end = r.range_end;
  o.limit = r.limit;
  o.revision = r.revision;
  o.sort_order = static_cast<mvcc::SortOrder>(r.sort_order);
  o.sort_target = static_cast<mvcc::SortTarget>(r.sort_target);
  o.keys_only = r.keys_only;
  o.count_only = r.count_only;
  o.min_mod_revision = r.min_mod_revision;
  o.max_mod_revision = r.max_mod_revision;
  o.min_create_revision = r.min_create_revision;
  o.max_create_revision = r.max_create_revision;
  return o;
}

RangeRequest ToView(const etcdserverpb::RangeRequest& r) {
  return {.key = r.key(),
          .range_end = r.range_end(),
          .limit = r.limit(),
          .revision = r.revision(),
          .sort_order = r.sort_order(),
          .sort_target = r.sort_target(),
          .serializable = r.serializable(),
          .keys_only = r.keys_only(),
          .count_only = r.count_only(),
          .min_mod_revision = r.min_mod_revision(),
          .max_mod_revision = r.max_mod_revision(),
          .min_create_revision = r.min_create_revision(),
          .max_create_revision = r.max_create_revision()};
}

PutRequest ToView(const etcdserverpb::PutRequest& r) {
  return {.key = r.key(),
          .value = r.value(),
          .lease = r.lease(),
          .prev_kv = r.prev_kv(),
          .ignore_value = r.ignore_value(),
          .ignore_lease = r.ignore_lease()};
}

DeleteRangeRequest ToView(const etcdserverpb::DeleteRangeRequest& r) {
  return {.key = r.key(), .range_end = r.range_end(), .prev_kv = r.prev_kv()};
}

// One transaction under way. All that may be refused is checked before the first change: the store has no
// rollback.
class KvApplier::TxnRun {
 public:
  TxnRun(KvApplier* applier, const TxnRequest& txn)
      : applier_(*applier), store_(*applier->store_), txn_(txn) {}

  Status Run(ResponseHeader header, std::string* out) {
    Choose(txn_);
    const bool writes = !IsReadOnly(txn_);
    const Status checked = Check(writes);
    if (!checked.ok()) store_.CountReadTxn(reads_);  // The original ends its transaction then, too.
    QUORATE_RETURN_IF_ERROR(checked);

    next_ = 0;
    std::string body;
    if (!writes) {
      QUORATE_RETURN_IF_ERROR(Execute(txn_, &body));
      store_.CountReadTxn(reads_);
      header.revision = store_.current_revision();
    } else {
      store_.CountReadTxn(reads_);  // The original compares and checks in one of its own.
      write_.emplace(store_.BeginWrite());
      wanted_ = out != nullptr;
      const Status done = Execute(txn_, &body);
      header.revision = write_->End();
      // Past the checks only a damaged database can fail, and then changes may be half made: the caller ends
      // the process.
      QUORATE_RETURN_IF_ERROR(done);
    }
    if (out == nullptr) return absl::OkStatus();
    AppendHeader(*out, header);
    out->append(body);
    return absl::OkStatus();
  }

 private:
  // All compares are evaluated first, on the state before the transaction: the branches taken, in pre-order.
  void Choose(const TxnRequest& txn) {
    const bool succeeded = std::all_of(txn.compare().begin(), txn.compare().end(), [&](const Compare& c) {
      ++reads_;
      return Holds(store_, c);
    });
    path_.push_back(succeeded);
    for (const RequestOp& op : Branch(txn, succeeded)) {
      if (op.has_request_txn()) Choose(op.request_txn());
    }
  }

  Status Check(bool writes) {
    next_ = 0;
    if (writes) QUORATE_RETURN_IF_ERROR(CheckPuts(txn_));
    next_ = 0;
    return CheckRanges(txn_);
  }

  // In the order in which they are carried out.
  Status CheckPuts(const TxnRequest& txn) {
    for (const RequestOp& op : Branch(txn, path_[next_++])) {
      if (op.has_request_txn()) QUORATE_RETURN_IF_ERROR(CheckPuts(op.request_txn()));
      if (op.has_request_delete_range()) NoteDelete(op.request_delete_range());
      if (!op.has_request_put()) continue;
      const PutRequest put = ToView(op.request_put());
      if (put.ignore_value || put.ignore_lease) {
        ++reads_;
        if (deleted_from_ && put.key >= *deleted_from_) return ErrKeyNotFound();
      }
      QUORATE_RETURN_IF_ERROR(applier_.CheckPut(put));
    }
    return absl::OkStatus();
  }

  // A key that is put lies in no range that is deleted, but for those without an end: CheckTxn overlooks
  // them, as the original does, which then ends itself half way through the transaction.
  void NoteDelete(const etcdserverpb::DeleteRangeRequest& request) {
    if (!mvcc::IsOpenEnd(request.range_end())) return;
    deleted_from_ = deleted_from_ ? std::min<std::string_view>(*deleted_from_, request.key()) : request.key();
  }

  Status CheckRanges(const TxnRequest& txn) {
    for (const RequestOp& op : Branch(txn, path_[next_++])) {
      if (op.has_request_txn()) QUORATE_RETURN_IF_ERROR(CheckRanges(op.request_txn()));
      if (!op.has_request_range()) continue;
      const int64_t revision = op.request_range().revision();
      if (revision == 0) continue;
      if (revision > store_.current_revision()) return ErrFutureRevision();
      if (revision < store_.compacted_revision()) return ErrCompacted();
    }
    return absl::OkStatus();
  }

  // Appends the fields of a TxnResponse after its header: succeeded and responses.
  Status Execute(const TxnRequest& txn, std::string* out) {
    const bool succeeded = path_[next_++];
    wire::AppendVarintFieldNonZero(*out, 2, succeeded);
    for (const RequestOp& op : Branch(txn, succeeded)) {
      std::string response;
      uint32_t field = 0;
      QUORATE_RETURN_IF_ERROR(ExecuteOp(op, &response, &field));
      if (!wanted_) continue;
      std::string wrapped;
      if (field != 0) wire::AppendBytesField(wrapped, field, response);
      wire::AppendBytesField(*out, 3, wrapped);
    }
    return absl::OkStatus();
  }

  Status ExecuteOp(const RequestOp& op, std::string* out, uint32_t* field) {
    switch (op.request_case()) {
      case RequestOp::kRequestRange:
        *field = kResponseRange;
        return Range(ToView(op.request_range()), out);
      case RequestOp::kRequestPut:
        *field = kResponsePut;
        return Put(ToView(op.request_put()), {}, out);
      case RequestOp::kRequestDeleteRange:
        *field = kResponseDeleteRange;
        return Delete(ToView(op.request_delete_range()), {}, out);
      case RequestOp::kRequestTxn:
        *field = kResponseTxn;
        AppendHeader(*out, {});  // The original leaves the header of a nested transaction empty.
        return Execute(op.request_txn(), out);
      case RequestOp::REQUEST_NOT_SET:
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  Status Range(const RangeRequest& request, std::string* out) {
    // Nobody waits and a range changes nothing.
    if (!wanted_) {
      write_->CountRange();
      return absl::OkStatus();
    }
    const auto options = ToRangeOptions(request);
    if (!write_) ++reads_;
    auto result = write_ ? write_->Range(options) : store_.Range(options);
    QUORATE_RETURN_IF_ERROR(result.status());
    const int64_t revision = write_ ? write_->revision() : store_.current_revision();
    AppendRangeResponse(*out, {.revision = revision}, result->kvs, result->more, result->count);
    return absl::OkStatus();
  }

 public:
  // Outside of a transaction request: the store's own transaction around a single change.
  Status RunPut(const PutRequest& request, ResponseHeader header, std::string* out) {
    write_.emplace(store_.BeginWrite());
    wanted_ = out != nullptr;
    const Status status = Put(request, header, out);
    write_->End();
    return status;
  }
  Status RunDelete(const DeleteRangeRequest& request, ResponseHeader header, std::string* out) {
    write_.emplace(store_.BeginWrite());
    wanted_ = out != nullptr;
    const Status status = Delete(request, header, out);
    write_->End();
    return status;
  }

 private:
  Status Put(const PutRequest& request, ResponseHeader header, std::string* out) {
    std::string_view value = request.value;
    int64_t lease = request.lease;
    std::optional<std::string_view> previous;
    if (request.prev_kv || request.ignore_value || request.ignore_lease) {
      write_->CountRange();
      QUORATE_ASSIGN_OR_RETURN(previous, write_->Get(request.key));
      if (!previous && (request.ignore_value || request.ignore_lease)) return ErrKeyNotFound();
      if (previous) {
        const KeyValueView old = ParseKeyValue(*previous);
        if (request.ignore_value) value = old.value;
        // A lease that a damaged or foreign database lacks can't be kept, and the key must not be lost over
        // it.
        if (request.ignore_lease) lease = applier_.lessor_->Exists(old.lease) ? old.lease : 0;
      }
    }
    header.revision = write_->Put(request.key, value, lease);
    if (wanted_)
      AppendPutResponse(*out, header, previous.value_or(""), request.prev_kv && previous.has_value());
    return absl::OkStatus();
  }

  Status Delete(const DeleteRangeRequest& request, ResponseHeader header, std::string* out) {
    std::optional<mvcc::RangeResult> previous;
    if (request.prev_kv && !wanted_) write_->CountRange();
    if (request.prev_kv && wanted_) {
      mvcc::RangeOptions options;
      options.key = request.key;
      options.range_end = request.range_end;
      QUORATE_ASSIGN_OR_RETURN(previous, write_->Range(options));
    }
    const int64_t deleted = write_->DeleteRange(request.key, request.range_end);
    header.revision = write_->revision();
    if (!wanted_) return absl::OkStatus();
    AppendDeleteRangeResponse(
        *out, header, deleted,
        previous ? std::span<const std::string_view>(previous->kvs) : std::span<const std::string_view>());
    return absl::OkStatus();
  }

  KvApplier& applier_;
  mvcc::Store& store_;
  const TxnRequest& txn_;
  std::vector<bool> path_;
  std::optional<std::string_view> deleted_from_;  // All keys from this one on, by an operation before.
  size_t next_ = 0;                               // Position in path_ of the walk under way.
  size_t reads_ = 0;                              // Ranges made outside of write_, for the figures.
  std::optional<mvcc::WriteTxn> write_;
  bool wanted_ = true;
};

Status KvApplier::CheckPut(const PutRequest& request) const {
  if (request.ignore_value || request.ignore_lease) {
    mvcc::RangeOptions options;
    options.key = request.key;
    options.count_only = true;
    QUORATE_ASSIGN_OR_RETURN(const auto existing, store_->Range(options));
    if (existing.count == 0) return ErrKeyNotFound();
  }
  if (request.lease != 0 && !lessor_->Exists(request.lease)) return ErrLeaseNotFound();
  return absl::OkStatus();
}

Status KvApplier::Put(const PutRequest& request, ResponseHeader header, std::string* out) {
  if (request.lease != 0 && !lessor_->Exists(request.lease)) return ErrLeaseNotFound();
  return TxnRun(this, TxnRequest::default_instance()).RunPut(request, header, out);
}

Status KvApplier::DeleteRange(const DeleteRangeRequest& request, ResponseHeader header, std::string* out) {
  return TxnRun(this, TxnRequest::default_instance()).RunDelete(request, header, out);
}

Status KvApplier::Txn(const TxnRequest& request, ResponseHeader header, std::string* out) {
  return TxnRun(this, request).Run(header, out);
}

}  // namespace quorate::server
