#include "server/txn_read.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/wire.h"
#include "server/errors.h"
#include "server/kv_applier.h"
#include "server/txn_compare.h"

namespace quorate::server {
namespace {

// What the core fetches itself for one transaction.
constexpr size_t kCoreFetchesMax = mvcc::RangePlan::kResidentFetchesMax;
// Keys that one call may walk over in the index, a tenth of a microsecond each; the range that goes beyond is
// its last.
constexpr int64_t kKeysPerCall = 10'000;
// gRPC's own limit, of servers and clients alike.
constexpr size_t kAnswerBytesMax = std::numeric_limits<int32_t>::max();

// Field numbers of TxnResponse and ResponseOp.
constexpr uint32_t kSucceeded = 2;
constexpr uint32_t kResponses = 3;
constexpr uint32_t kResponseRange = 1;

size_t OpBytes(size_t range_bytes) {
  return wire::BytesFieldSize(kResponses, wire::BytesFieldSize(kResponseRange, range_bytes));
}

char* WriteLength(char* out, uint32_t field, size_t bytes) {
  out = wire::WriteVarint(out, wire::Tag(field, wire::Type::kBytes));
  return wire::WriteVarint(out, bytes);
}

}  // namespace

void TxnRead::Begin(int64_t revision) {
  at_ = revision;
  fetches_left_ = kCoreFetchesMax;
  compared_ = 0;
  compares_hold_ = true;
  succeeded_.reset();
  found_.clear();
  bytes_ = 0;
}

StatusOr<TxnRead::Next> TxnRead::Advance(mvcc::Store* store) {
  QUORATE_RETURN_IF_ERROR(failure_);
  if (at_ == 0 || at_ < store->compacted_revision()) Begin(store->current_revision());
  for (int64_t walked = 0; walked <= kKeysPerCall;) {
    if (!MoreToPlan()) {
      if (!plans_.empty()) break;
      if (succeeded_) {
        store->CountReadTxn(compared_ + found_.size());
        return Next::kAnswer;
      }
      const Status chosen = Choose(*store);
      if (!chosen.ok()) store->CountReadTxn(compared_);
      QUORATE_RETURN_IF_ERROR(chosen);
      continue;
    }
    QUORATE_ASSIGN_OR_RETURN(mvcc::RangePlan plan, store->PlanRange(NextRange()));
    walked += plan.count();
    if (!plans_.empty() || plan.fetches() > fetches_left_ || !plan.Resident()) {
      plans_.push_back(std::move(plan));
      continue;
    }
    fetches_left_ -= plan.fetches();
    FetchOne(plan);
    QUORATE_RETURN_IF_ERROR(failure_);
  }
  return Next::kFetch;
}

bool TxnRead::MoreToPlan() const {
  if (succeeded_) return found_.size() + plans_.size() < static_cast<size_t>(branch().size());
  return compares_hold_ && compared_ + plans_.size() < static_cast<size_t>(txn_->compare_size());
}

mvcc::RangeOptions TxnRead::NextRange() const {
  mvcc::RangeOptions options;
  if (succeeded_) {
    const size_t next = found_.size() + plans_.size();
    options = ToRangeOptions(ToView(branch()[static_cast<int>(next)].request_range()));
  } else {
    const etcdserverpb::Compare& compare = txn_->compare(static_cast<int>(compared_ + plans_.size()));
    options.key = compare.key();
    options.range_end = compare.range_end();
  }
  if (options.revision <= 0) options.revision = at_;
  return options;
}

// The branch's ranges are checked before the first of them is read.
Status TxnRead::Choose(const mvcc::Store& store) {
  succeeded_ = compares_hold_;
  for (const etcdserverpb::RequestOp& op : branch()) {
    const int64_t revision = op.request_range().revision();
    if (revision == 0) continue;
    if (revision > at_) return ErrFutureRevision();
    if (revision < store.compacted_revision()) return ErrCompacted();
  }
  return absl::OkStatus();
}

void TxnRead::Fetch(const std::function<void(std::span<const std::string_view>)>& found) {
  for (const mvcc::RangePlan& plan : std::exchange(plans_, {})) {
    const size_t before = found_.size();
    FetchOne(plan);
    if (!failure_.ok() || (!succeeded_ && !compares_hold_)) return;
    if (found_.size() > before) found(found_.back().range.kvs);
  }
}

void TxnRead::FetchOne(const mvcc::RangePlan& plan) {
  auto range = plan.Finish();
  if (!range.ok()) {
    failure_ = range.status();
    return;
  }
  if (!succeeded_) {
    compares_hold_ = CompareHolds(txn_->compare(static_cast<int>(compared_)), range->kvs);
    ++compared_;
    return;
  }
  Found& found = found_.emplace_back(Found{*std::move(range)});
  found.bytes = server::EncodedSize(View(found));
  bytes_ += OpBytes(found.bytes);
  // What comes to more is refused anyway; so nothing more of it is kept.
  if (bytes_ > kAnswerBytesMax) {
    failure_ = ResourceExhausted("grpc: trying to send message larger than max (" + std::to_string(bytes_) +
                                 " vs. " + std::to_string(kAnswerBytesMax) + ")");
  }
}

RangeResponseView TxnRead::View(const Found& found) const {
  return {{.revision = at_}, found.range.kvs, found.range.more, found.range.count};
}

std::string TxnRead::Head(ResponseHeader header) const {
  header.revision = at_;
  std::string head;
  AppendHeader(head, header);
  wire::AppendVarintFieldNonZero(head, kSucceeded, *succeeded_);
  return head;
}

size_t TxnRead::EncodedSize(const ResponseHeader& header) const { return Head(header).size() + bytes_; }

void TxnRead::Encode(const ResponseHeader& header, char* out) const {
  const std::string head = Head(header);
  out = std::copy(head.begin(), head.end(), out);
  for (const Found& found : found_) {
    out = WriteLength(out, kResponses, wire::BytesFieldSize(kResponseRange, found.bytes));
    out = WriteLength(out, kResponseRange, found.bytes);
    server::Encode(View(found), out);
    out += found.bytes;
  }
}

}  // namespace quorate::server
