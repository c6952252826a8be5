#include "server/applier.h"

#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "raft_internal.pb.h"
#include "server/errors.h"
#include "server/txn_check.h"

namespace quorate::server {
namespace {

constexpr int64_t kPutQuotaOverhead = 256;

int64_t PutsCost(const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& ops) {
  int64_t cost = 0;
  for (const auto& op : ops) {
    if (op.has_request_put()) cost += QuotaCost(ToView(op.request_put()));
  }
  return cost;
}

Status Malformed(const EntryView& entry) {
  return DataLoss("the log holds a malformed request of kind " + std::to_string(entry.field));
}

template <typename Message>
bool Parse(const EntryView& entry, Message* message) {
  return message->ParseFromArray(entry.body.data(), static_cast<int>(entry.body.size()));
}

std::string_view AlarmName(AlarmType type) {
  switch (type) {
    case AlarmType::kNoSpace:
      return "NOSPACE";
    case AlarmType::kCorrupt:
      return "CORRUPT";
    case AlarmType::kNone:
      break;
  }
  return "NONE";
}

// The original asks for a key to learn the revision: the figures have it.
void CountCompactionRange(mvcc::Store& store) {
  mvcc::RangeOptions options;
  options.key = "compaction";
  options.count_only = true;
  const auto found = store.Range(options);
  QUORATE_CHECK(found.ok());
}

}  // namespace

int64_t QuotaCost(const PutRequest& request) {
  return kPutQuotaOverhead + static_cast<int64_t>(request.key.size() + request.value.size());
}

int64_t QuotaCost(const etcdserverpb::TxnRequest& request) {
  return std::max(PutsCost(request.success()), PutsCost(request.failure()));
}

Applier::Applier(Parts parts)
    : parts_(std::move(parts)),
      kv_(parts_.store, parts_.lessor),
      lease_permissions_(parts_.lessor, parts_.auth) {}

int64_t Applier::quota_bytes() const {
  const int64_t quota = parts_.config->quota_backend_bytes;
  return quota == 0 ? kQuotaDefaultBytes : quota;
}

bool Applier::QuotaAvailable(int64_t cost) const {
  if (quota_bytes() < 0 || cost == 0) return true;
  return static_cast<int64_t>(parts_.backend->size_bytes()) + cost < quota_bytes();
}

Status Applier::AfterQuota(bool available, Status applied) {
  if (!applied.ok() || available) return applied;
  parts_.raise_no_space();
  return ErrNoSpace();
}

void Applier::Apply(const EntryView& entry, uint64_t index, const Reply& reply) {
  const auth::AuthInfo who{std::string(entry.header.username), entry.header.auth_revision};
  // Who may compact is decided where the request comes in: the compactions that members ask for themselves
  // name no user.
  if (entry.kind == EntryKind::kCompaction) return Compaction(entry, reply);
  std::string response;
  const Status status = Dispatch(entry, index, who, reply ? &response : nullptr);
  // The others have applied what we can't read; to go on without it would be to go on with other data than
  // theirs.
  if (status.code() == absl::StatusCode::kDataLoss && status != ErrCorrupt()) {
    parts_.config->on_fatal(DataLoss("entry " + std::to_string(index) +
                                     " of the log was not applied: " + std::string(Message(status))));
  }
  if (reply) reply(status, response);
}

Status Applier::CheckReadable(const EntryView& entry) {
  const auto parses = [&entry](auto message) {
    return Parse(entry, &message) ? absl::OkStatus() : Malformed(entry);
  };
  const auto decodes = [&entry](auto request) {
    return Decode(entry.body, &request) ? absl::OkStatus() : Malformed(entry);
  };
  switch (entry.kind) {
    case EntryKind::kPut:
      return decodes(PutRequest());
    case EntryKind::kDeleteRange:
      return decodes(DeleteRangeRequest());
    case EntryKind::kRange:
      return decodes(RangeRequest());
    case EntryKind::kTxn: {
      etcdserverpb::TxnRequest txn;
      return ParseTxn(entry.body, &txn) ? absl::OkStatus() : Malformed(entry);
    }
    case EntryKind::kCompaction:
      return parses(etcdserverpb::CompactionRequest());
    case EntryKind::kLeaseGrant:
      return parses(etcdserverpb::LeaseGrantRequest());
    case EntryKind::kLeaseRevoke:
      return parses(etcdserverpb::LeaseRevokeRequest());
    case EntryKind::kLeaseCheckpoint:
      return parses(etcdserverpb::LeaseCheckpointRequest());
    case EntryKind::kAlarm:
      return parses(etcdserverpb::AlarmRequest());
    case EntryKind::kDowngradeVersionTest:
      return absl::OkStatus();
    default:
      return CheckAuthReadable(entry);
  }
}

Status Applier::Dispatch(const EntryView& entry, uint64_t index, const auth::AuthInfo& who,
                         std::string* out) {
  switch (entry.kind) {
    case EntryKind::kPut:
      return Put(entry, who, out);
    case EntryKind::kDeleteRange:
      return DeleteRange(entry, who, out);
    case EntryKind::kTxn:
      return Txn(entry, who, out);
    case EntryKind::kRange:
      return Range(entry, who, out);
    case EntryKind::kLeaseGrant:
      return LeaseGrant(entry, out);
    case EntryKind::kLeaseRevoke:
      return LeaseRevoke(entry, who, out);
    case EntryKind::kLeaseCheckpoint:
      return LeaseCheckpoint(entry);
    case EntryKind::kAlarm:
      return AlarmRequest(entry, out);
    case EntryKind::kDowngradeVersionTest:
      return absl::OkStatus();
    default:
      return Auth(entry, index, who, out);
  }
}

Status Applier::Put(const EntryView& entry, const auth::AuthInfo& who, std::string* out) {
  PutRequest request;
  if (!Decode(entry.body, &request)) return Malformed(entry);
  if (parts_.auth->enabled()) {
    QUORATE_RETURN_IF_ERROR(parts_.auth->IsPutPermitted(who, request.key));
    QUORATE_RETURN_IF_ERROR(lease_permissions_.Check(who, request.lease, LeasePermissions::Access::kPut));
    if (request.prev_kv) QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, request.key, {}));
  }
  if (corrupt()) return ErrCorrupt();
  if (capped()) return ErrNoSpace();
  const bool available = QuotaAvailable(QuotaCost(request));
  const Status put = kv_.Put(request, parts_.header(), out);
  if (parts_.auth->enabled() && request.lease != 0) lease_permissions_.NotePut(who, request.lease);
  return AfterQuota(available, put);
}

Status Applier::DeleteRange(const EntryView& entry, const auth::AuthInfo& who, std::string* out) {
  DeleteRangeRequest request;
  if (!Decode(entry.body, &request)) return Malformed(entry);
  if (parts_.auth->enabled()) {
    QUORATE_RETURN_IF_ERROR(parts_.auth->IsDeleteRangePermitted(who, request.key, request.range_end));
    if (request.prev_kv)
      QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, request.key, request.range_end));
  }
  if (corrupt()) return ErrCorrupt();
  return kv_.DeleteRange(request, parts_.header(), out);
}

Status Applier::Txn(const EntryView& entry, const auth::AuthInfo& who, std::string* out) {
  etcdserverpb::TxnRequest request;
  if (!ParseTxn(entry.body, &request)) return Malformed(entry);
  QUORATE_RETURN_IF_ERROR(CheckTxnPermitted(who, request));
  if (corrupt()) return ErrCorrupt();
  const int64_t cost = QuotaCost(request);
  if (capped() && cost > 0) return ErrNoSpace();
  const bool available = QuotaAvailable(cost);
  const Status done = kv_.Txn(request, parts_.header(), out);
  if (parts_.auth->enabled()) NotePuts(who, request);
  return AfterQuota(available, done);
}

// No member of today proposes a range; logs of old ones may hold them, and a range changes nothing.
Status Applier::Range(const EntryView& entry, const auth::AuthInfo& who, std::string* out) {
  RangeRequest request;
  if (!Decode(entry.body, &request)) return Malformed(entry);
  QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, request.key, request.range_end));
  if (corrupt()) return ErrCorrupt();
  if (out == nullptr) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auto result, parts_.store->Range(ToRangeOptions(request)));
  AppendRangeResponse(*out, parts_.header(), result.kvs, result.more, result.count);
  return absl::OkStatus();
}

void Applier::Compaction(const EntryView& entry, const Reply& reply) {
  etcdserverpb::CompactionRequest request;
  if (!Parse(entry, &request)) {
    parts_.config->on_fatal(Malformed(entry));
    return;
  }
  if (corrupt()) {
    if (reply) reply(ErrCorrupt(), {});
    return;
  }
  const auto respond = [this, reply](const Status& status) {
    if (!reply) return;
    std::string response;
    if (status.ok()) AppendHeader(response, parts_.header());
    reply(status, response);
  };
  if (!request.physical() || !reply) {
    const Status compacted = parts_.store->Compact(request.revision(), {});
    if (compacted.ok()) CountCompactionRange(*parts_.store);
    respond(compacted);
    return;
  }
  // Answered when the revisions are gone and that is durable. After "compacted" too: the caller asked to wait
  // for the deletions, and an earlier compaction may still be at it.
  auto outcome = std::make_shared<Status>();
  *outcome = parts_.store->Compact(request.revision(), [respond, outcome] { respond(*outcome); });
  if (outcome->ok()) CountCompactionRange(*parts_.store);
  if (!outcome->ok() && !mvcc::IsCompacted(*outcome)) respond(*outcome);
}

Status Applier::LeaseGrant(const EntryView& entry, std::string* out) {
  etcdserverpb::LeaseGrantRequest request;
  if (!Parse(entry, &request)) return Malformed(entry);
  if (corrupt()) return ErrCorrupt();
  if (capped()) return ErrNoSpace();
  const bool available = QuotaAvailable(kLeaseQuotaCost);
  const auto granted = parts_.lessor->Grant(request.id(), request.ttl());
  if (granted.ok()) parts_.metrics->lease_ttl_seconds.Observe(static_cast<double>(*granted));
  QUORATE_RETURN_IF_ERROR(AfterQuota(available, granted.status()));
  if (out == nullptr) return absl::OkStatus();
  etcdserverpb::LeaseGrantResponse response;
  response.set_id(request.id());
  response.set_ttl(*granted);
  AppendHeader(*out, parts_.header());
  response.AppendToString(out);
  return absl::OkStatus();
}

Status Applier::LeaseRevoke(const EntryView& entry, const auth::AuthInfo& who, std::string* out) {
  etcdserverpb::LeaseRevokeRequest request;
  if (!Parse(entry, &request)) return Malformed(entry);
  QUORATE_RETURN_IF_ERROR(lease_permissions_.Check(who, request.id(), LeasePermissions::Access::kPut));
  if (corrupt()) return ErrCorrupt();
  // One transaction for all keys and the lease's own row.
  mvcc::WriteTxn txn = parts_.store->BeginWrite();
  const Status revoked =
      parts_.lessor->Revoke(request.id(), [&txn](std::string_view key) { txn.DeleteRange(key, {}); });
  txn.End();
  QUORATE_RETURN_IF_ERROR(revoked);
  if (out != nullptr) AppendHeader(*out, parts_.header());
  return absl::OkStatus();
}

Status Applier::LeaseCheckpoint(const EntryView& entry) {
  etcdserverpb::LeaseCheckpointRequest request;
  if (!Parse(entry, &request)) return Malformed(entry);
  for (const auto& checkpoint : request.checkpoints()) {
    parts_.lessor->Checkpoint(checkpoint.id(), checkpoint.remaining_ttl());
  }
  return absl::OkStatus();
}

Status Applier::AlarmRequest(const EntryView& entry, std::string* out) {
  etcdserverpb::AlarmRequest request;
  if (!Parse(entry, &request)) return Malformed(entry);
  const auto type = static_cast<AlarmType>(request.alarm());
  etcdserverpb::AlarmResponse response;
  const auto add = [&](uint64_t member_id, AlarmType t) {
    auto* alarm = response.add_alarms();
    alarm->set_memberid(member_id);
    alarm->set_alarm(static_cast<etcdserverpb::AlarmType>(t));
  };
  switch (request.action()) {
    case etcdserverpb::AlarmRequest::GET:
      for (const Alarm& alarm : parts_.alarms->Get(type)) add(alarm.member_id, alarm.type);
      break;
    case etcdserverpb::AlarmRequest::ACTIVATE:
      if (parts_.alarms->Activate(request.memberid(), type)) {
        LOG_WARN("alarm raised", {"alarm", AlarmName(type)}, log::HexId("from", request.memberid()));
      }
      add(request.memberid(), type);
      break;
    case etcdserverpb::AlarmRequest::DEACTIVATE:
      if (!parts_.alarms->Deactivate(request.memberid(), type)) break;
      LOG_WARN("alarm disarmed", {"alarm", AlarmName(type)}, log::HexId("from", request.memberid()));
      add(request.memberid(), type);
      break;
    default:
      break;
  }
  if (out != nullptr) {
    AppendHeader(*out, parts_.header());
    response.AppendToString(out);
  }
  return absl::OkStatus();
}

void Applier::NotePuts(const auth::AuthInfo& who, const etcdserverpb::TxnRequest& txn) {
  for (const auto* ops : {&txn.success(), &txn.failure()}) {
    for (const auto& op : *ops) {
      if (op.request_put().lease() != 0) lease_permissions_.NotePut(who, op.request_put().lease());
      if (op.has_request_txn()) NotePuts(who, op.request_txn());
    }
  }
}

Status Applier::CheckTxnPermitted(const auth::AuthInfo& who, const etcdserverpb::TxnRequest& txn) {
  if (!parts_.auth->enabled()) return absl::OkStatus();
  for (const auto& compare : txn.compare()) {
    QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, compare.key(), compare.range_end()));
  }
  for (const auto* ops : {&txn.success(), &txn.failure()}) {
    for (const auto& op : *ops) {
      if (op.has_request_range()) {
        const auto& range = op.request_range();
        QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, range.key(), range.range_end()));
      } else if (op.has_request_put()) {
        const auto& put = op.request_put();
        QUORATE_RETURN_IF_ERROR(parts_.auth->IsPutPermitted(who, put.key()));
        QUORATE_RETURN_IF_ERROR(lease_permissions_.Check(who, put.lease(), LeasePermissions::Access::kPut));
        if (put.prev_kv()) QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, put.key(), {}));
      } else if (op.has_request_delete_range()) {
        const auto& del = op.request_delete_range();
        QUORATE_RETURN_IF_ERROR(parts_.auth->IsDeleteRangePermitted(who, del.key(), del.range_end()));
        if (del.prev_kv())
          QUORATE_RETURN_IF_ERROR(parts_.auth->IsRangePermitted(who, del.key(), del.range_end()));
      } else if (op.has_request_txn()) {
        QUORATE_RETURN_IF_ERROR(CheckTxnPermitted(who, op.request_txn()));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace quorate::server
