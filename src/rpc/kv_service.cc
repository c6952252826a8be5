#include "rpc/kv_service.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "rpc.pb.h"
#include "rpc/parse.h"
#include "rpc/range_stream.h"
#include "server/errors.h"
#include "server/txn_check.h"

namespace quorate::rpc {
namespace {

// Keys of a range that the core fetches itself; longer ones go to a reader thread.
constexpr size_t kCoreFetchesMax = mvcc::RangePlan::kResidentFetchesMax;

// Reads one byte of every page that the values lie in; returns their length.
size_t TouchPages(std::span<const std::string_view> values) {
  constexpr size_t kPageBytes = 4096;
  size_t bytes = 0;
  for (std::string_view value : values) {
    bytes += value.size();
    for (size_t i = 0; i < value.size(); i += kPageBytes)
      static_cast<void>(*static_cast<const volatile char*>(&value[i]));
    if (!value.empty()) static_cast<void>(*static_cast<const volatile char*>(&value.back()));
  }
  return bytes;
}

}  // namespace

void KvService::Register(std::span<net::Server* const> servers) {
  constexpr std::string_view kService = "etcdserverpb.KV";
  const auto unary = [&](std::string_view method, void (KvService::*fn)(Call, std::string_view)) {
    context_.AddUnary(servers, kService, method,
                      [this, fn](Call call, std::string_view bytes) { (this->*fn)(call, bytes); });
  };
  unary("Range", &KvService::Range);
  unary("Put", &KvService::Put);
  unary("DeleteRange", &KvService::DeleteRange);
  unary("Txn", &KvService::Txn);
  unary("Compact", &KvService::Compact);
  context_.AddStreaming(servers, kService, "RangeStream", CallType::kServerStream,
                        [this](Stream stream) { return MakeRangeStream(&context_, stream); });
}

void KvService::Range(Call call, std::string_view bytes) {
  server::RangeRequest request;
  if (!server::Decode(bytes, &request)) return call.Fail(MalformedRequest("RangeRequest"));
  if (const Status bad = server::CheckRange(request.key, request.sort_order, request.sort_target);
      !bad.ok()) {
    return call.Fail(bad);
  }
  if (request.serializable) return ServeRange(call, request, bytes);
  member_.WhenLinearizable(
      [this, call, owned = std::string(bytes)](const Status& status) mutable {
        if (!status.ok()) return call.Fail(status);
        server::RangeRequest again;
        server::Decode(owned, &again);
        ServeRange(call, again, owned);
      },
      bytes.size());
}

void KvService::ServeRange(Call call, const server::RangeRequest& request, std::string_view bytes) {
  const size_t keys = KeysToVisit(request);
  if (keys <= PacedWork::kKeysAtOnce) return PlanRange(call, request, {});
  if (!call.HoldRequest(bytes.size())) return call.Fail(TooMuchKept());
  waiting_ranges_.push_back({call, std::string(bytes), keys});
  BeginWaitingRanges();
}

// At the newest revision the index counts without visiting, and a walk ends where the limit cuts it.
size_t KvService::KeysToVisit(const server::RangeRequest& request) const {
  if (request.range_end.empty()) return 1;
  const bool newest = request.revision <= 0;
  if (request.count_only && newest) return 1;
  const auto keys = static_cast<size_t>(
      member_.store().index().Count(request.key, request.range_end, std::numeric_limits<int64_t>::max()));
  const bool cut = newest && request.limit > 0 && request.sort_order == 0 && request.sort_target == 0 &&
                   request.min_mod_revision == 0 && request.max_mod_revision == 0 &&
                   request.min_create_revision == 0 && request.max_create_revision == 0;
  return cut ? std::min(keys, static_cast<size_t>(request.limit)) : keys;
}

void KvService::BeginWaitingRanges() {
  while (long_ranges_ < kLongRangesMax && !waiting_ranges_.empty()) {
    ++long_ranges_;
    auto next = std::make_shared<WaitingRange>(std::move(waiting_ranges_.front()));
    waiting_ranges_.pop_front();
    const auto answered = [this] {
      --long_ranges_;
      BeginWaitingRanges();
    };
    context_.paced_work().Add(next->keys * PacedWork::kCostOfKey, [this, next, answered] {
      server::RangeRequest request;
      server::Decode(next->bytes, &request);
      if (!next->call.closed()) return PlanRange(next->call, request, answered);
      next->call.Fail(absl::CancelledError());
      answered();
    });
  }
}

// The caller is identified only now, as in the original: users and roles may have changed while the read
// waited.
void KvService::PlanRange(Call call, const server::RangeRequest& request, const Answered& answered) {
  const auto refuse = [&](const Status& status) {
    call.Fail(status);
    if (answered) answered();
  };
  const auto who = context_.Identify(call);
  if (!who.ok()) return refuse(who.status());
  const Status denied = member_.auth().IsRangePermitted(*who, request.key, request.range_end);
  if (!denied.ok()) return refuse(denied);
  auto plan = member_.store().PlanRange(server::ToRangeOptions(request));
  if (!plan.ok()) return refuse(plan.status());
  const server::ResponseHeader header = member_.header();
  if (plan->fetches() > kCoreFetchesMax || !plan->Resident()) {
    return FinishOnReader(call, *std::move(plan), header, answered);
  }
  RespondRange(call, plan->Finish(), header);
  if (answered) answered();
}

void KvService::RespondRange(Call call, const StatusOr<mvcc::RangeResult>& result,
                             const server::ResponseHeader& header) {
  if (!result.ok()) return call.Fail(result.status());
  const server::RangeResponseView response{header, result->kvs, result->more, result->count};
  call.RespondInPlace(server::EncodedSize(response), [&](char* out) { server::Encode(response, out); });
}

// The reader also touches every page of the values, so that the core, which copies them, need not wait for
// the disk.
void KvService::FinishOnReader(Call call, mvcc::RangePlan plan, const server::ResponseHeader& header,
                               const Answered& answered) {
  auto job = std::make_shared<LongRange>(LongRange{call, header, std::move(plan), answered});
  member_.env().executor->Submit(
      Lane::kRead,
      [job] {
        job->result = job->plan.Finish();
        if (job->result.ok()) job->bytes = TouchPages(job->result->kvs);
      },
      [this, job] {
        context_.paced_work().Add(job->bytes, [this, job] {
          RespondRange(job->call, job->result, job->header);
          if (job->answered) job->answered();
        });
      });
}

void KvService::Put(Call call, std::string_view bytes) {
  server::PutRequest request;
  if (!server::Decode(bytes, &request)) return call.Fail(MalformedRequest("PutRequest"));
  if (!member_.QuotaAvailable(server::QuotaCost(request))) return call.Fail(server::ErrNoSpace());
  if (request.key.empty()) return call.Fail(server::ErrEmptyKey());
  if (request.ignore_value && !request.value.empty()) return call.Fail(server::ErrValueProvided());
  if (request.ignore_lease && request.lease != 0) return call.Fail(server::ErrLeaseProvided());
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  member_.ProposePut(request, *who, ReplyTo(call));
}

void KvService::DeleteRange(Call call, std::string_view bytes) {
  server::DeleteRangeRequest request;
  if (!server::Decode(bytes, &request)) return call.Fail(MalformedRequest("DeleteRangeRequest"));
  if (request.key.empty()) return call.Fail(server::ErrEmptyKey());
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  std::string body;
  server::Append(body, request);
  member_.Propose(server::EntryKind::kDeleteRange, body, *who, ReplyTo(call));
}

void KvService::Txn(Call call, std::string_view bytes) {
  auto txn = std::make_shared<etcdserverpb::TxnRequest>();
  if (!server::ParseTxn(bytes, txn.get())) return call.Fail(MalformedRequest("TxnRequest"));
  if (!member_.QuotaAvailable(server::QuotaCost(*txn))) return call.Fail(server::ErrNoSpace());
  if (const Status bad = server::CheckTxn(*txn, member_.config().txn_ops_max); !bad.ok())
    return call.Fail(bad);
  if (!server::IsReadOnly(*txn)) {
    const auto who = context_.Identify(call);
    if (!who.ok()) return call.Fail(who.status());
    txn->DiscardUnknownFields();
    return member_.Propose(server::EntryKind::kTxn, txn->SerializeAsString(), *who, ReplyTo(call));
  }
  if (server::IsSerializable(*txn)) return ServeReadOnlyTxn(call, txn);
  member_.WhenLinearizable(
      [this, call, txn](const Status& status) mutable {
        if (!status.ok()) return call.Fail(status);
        ServeReadOnlyTxn(call, txn);
      },
      bytes.size());
}

void KvService::ServeReadOnlyTxn(Call call, const std::shared_ptr<const etcdserverpb::TxnRequest>& txn) {
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  if (const Status denied = member_.CheckTxnPermitted(*who, *txn); !denied.ok()) return call.Fail(denied);
  Advance(std::make_shared<ReadOnlyTxn>(ReadOnlyTxn{call, member_.header(), server::TxnRead(txn)}));
}

void KvService::Advance(const std::shared_ptr<ReadOnlyTxn>& txn) {
  if (txn->call.closed()) return txn->call.Fail(absl::CancelledError());
  const auto next = txn->read.Advance(&member_.store());
  if (!next.ok()) return txn->call.Fail(next.status());
  if (*next == server::TxnRead::Next::kFetch) return FetchOnReader(txn);
  const size_t size = txn->read.EncodedSize(txn->header);
  const auto answer = [txn, size] {
    txn->call.RespondInPlace(size, [&](char* out) { txn->read.Encode(txn->header, out); });
  };
  txn->fetched ? context_.paced_work().Add(size, answer) : answer();
}

// To go on may be to walk over all keys: one in a round.
void KvService::FetchOnReader(const std::shared_ptr<ReadOnlyTxn>& txn) {
  txn->fetched = true;
  member_.env().executor->Submit(
      Lane::kRead, [txn] { txn->read.Fetch(TouchPages); },
      [this, txn] { context_.paced_work().Add(PacedWork::kCostPerRound, [this, txn] { Advance(txn); }); });
}

void KvService::Compact(Call call, std::string_view bytes) {
  etcdserverpb::CompactionRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("CompactionRequest"));
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  if (const Status denied = member_.auth().IsAdminPermitted(*who); !denied.ok()) return call.Fail(denied);
  request.DiscardUnknownFields();
  member_.Propose(server::EntryKind::kCompaction, request.SerializeAsString(), *who, ReplyTo(call));
}

}  // namespace quorate::rpc
