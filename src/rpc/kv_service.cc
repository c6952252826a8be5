#include "rpc/kv_service.h"

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

// Of long answers that are copied into connections in one round; the rest waits for the next, so that many
// large ones at once do not hold up everybody else. One may go beyond it.
constexpr size_t kLongAnswerBytesPerRound = 8 * 1024 * 1024;

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
  if (request.serializable) return ServeRange(call, request);
  member_.WhenLinearizable(
      [this, call, owned = std::string(bytes)](const Status& status) mutable {
        if (!status.ok()) return call.Fail(status);
        server::RangeRequest again;
        server::Decode(owned, &again);
        ServeRange(call, again);
      },
      bytes.size());
}

// The caller is identified only now, as in the original: users and roles may have changed while the read
// waited.
void KvService::ServeRange(Call call, const server::RangeRequest& request) {
  const auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  if (const Status denied = member_.auth().IsRangePermitted(*who, request.key, request.range_end);
      !denied.ok()) {
    return call.Fail(denied);
  }
  auto plan = member_.store().PlanRange(server::ToRangeOptions(request));
  if (!plan.ok()) return call.Fail(plan.status());
  const server::ResponseHeader header = member_.header();
  if (plan->fetches() > kCoreFetchesMax || !plan->Resident())
    return FinishOnReader(call, *std::move(plan), header);
  RespondRange(call, plan->Finish(), header);
}

void KvService::RespondRange(Call call, const StatusOr<mvcc::RangeResult>& result,
                             const server::ResponseHeader& header) {
  if (!result.ok()) return call.Fail(result.status());
  const server::RangeResponseView response{header, result->kvs, result->more, result->count};
  call.RespondInPlace(server::EncodedSize(response), [&](char* out) { server::Encode(response, out); });
}

// The reader also touches every page of the values, so that the core, which copies them, need not wait for
// the disk.
void KvService::FinishOnReader(Call call, mvcc::RangePlan plan, const server::ResponseHeader& header) {
  auto job = std::make_shared<LongRange>(LongRange{call, header, std::move(plan)});
  member_.env().executor->Submit(
      Lane::kRead,
      [job] {
        job->result = job->plan.Finish();
        if (job->result.ok()) job->bytes = TouchPages(job->result->kvs);
      },
      [this, job] { Later(job->bytes, [this, job] { RespondRange(job->call, job->result, job->header); }); });
}

void KvService::Later(size_t bytes, std::function<void()> work) {
  waiting_.push_back({bytes, std::move(work)});
  if (waiting_.size() == 1) loop_.Post([this] { WorkLater(); });
}

void KvService::WorkLater() {
  size_t bytes = 0;
  while (!waiting_.empty() && bytes < kLongAnswerBytesPerRound) {
    const Waiting next = std::move(waiting_.front());
    bytes += next.bytes;
    next.work();
    waiting_.pop_front();  // Only now: so what comes meanwhile finds a round asked for.
  }
  if (!waiting_.empty()) loop_.Post([this] { WorkLater(); });
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
  txn->fetched ? Later(size, answer) : answer();
}

// To go on may be to walk over all keys: one in a round.
void KvService::FetchOnReader(const std::shared_ptr<ReadOnlyTxn>& txn) {
  txn->fetched = true;
  member_.env().executor->Submit(
      Lane::kRead, [txn] { txn->read.Fetch(TouchPages); },
      [this, txn] { Later(kLongAnswerBytesPerRound, [this, txn] { Advance(txn); }); });
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
