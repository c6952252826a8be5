#include "sim/truth.h"

#include <limits>
#include <string>

#include "cluster/v2_request.h"
#include "rpc.pb.h"
#include "server/requests.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;

SimpleOp FromProto(const pb::RequestOp& op) {
  if (op.has_request_put()) {
    const auto& put = op.request_put();
    return {OpKind::kPut, put.key(), {}, put.value(), put.lease(), 0};
  }
  if (op.has_request_delete_range()) {
    return {
        OpKind::kDelete, op.request_delete_range().key(), op.request_delete_range().range_end(), {}, 0, 0};
  }
  return {OpKind::kRange,
          op.request_range().key(),
          op.request_range().range_end(),
          {},
          0,
          op.request_range().revision()};
}

Compare FromProto(const pb::Compare& compare) {
  Compare out;
  out.key = compare.key();
  out.result = static_cast<Compare::Result>(compare.result());
  switch (compare.target()) {
    case pb::Compare::VERSION:
      out.target = Compare::Target::kVersion;
      out.number = compare.version();
      break;
    case pb::Compare::CREATE:
      out.target = Compare::Target::kCreate;
      out.number = compare.create_revision();
      break;
    case pb::Compare::MOD:
      out.target = Compare::Target::kMod;
      out.number = compare.mod_revision();
      break;
    case pb::Compare::LEASE:
      out.target = Compare::Target::kLease;
      out.number = compare.lease();
      break;
    default:
      out.target = Compare::Target::kValue;
      out.value = compare.value();
      break;
  }
  return out;
}

template <typename Message>
bool Parse(std::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

bool DecodeTxn(std::string_view body, Request* out) {
  pb::TxnRequest txn;
  if (!Parse(body, &txn)) return false;
  out->kind = OpKind::kTxn;
  for (const auto& compare : txn.compare()) out->compares.push_back(FromProto(compare));
  for (const auto& op : txn.success()) out->then.push_back(FromProto(op));
  for (const auto& op : txn.failure()) out->otherwise.push_back(FromProto(op));
  return true;
}

}  // namespace

std::optional<Request> DecodeLogEntry(const raft::Entry& entry, bool* understood) {
  if (entry.type != raft::EntryType::kNormal || entry.data.empty() ||
      cluster::IsV2Request(entry.data.view())) {
    return std::nullopt;
  }
  server::EntryView view;
  Request request;
  *understood = server::DecodeEntry(entry.data.view(), &view);
  if (!*understood) return std::nullopt;
  switch (view.kind) {
    case server::EntryKind::kPut: {
      server::PutRequest put;
      *understood = server::Decode(view.body, &put) && !put.ignore_value && !put.ignore_lease;
      request.kind = OpKind::kPut;
      request.key = put.key;
      request.value = put.value;
      request.lease = put.lease;
      return request;
    }
    case server::EntryKind::kDeleteRange: {
      server::DeleteRangeRequest range;
      *understood = server::Decode(view.body, &range);
      request.kind = OpKind::kDelete;
      request.key = range.key;
      request.end = range.range_end;
      return request;
    }
    case server::EntryKind::kTxn:
      *understood = DecodeTxn(view.body, &request);
      return request;
    case server::EntryKind::kCompaction: {
      pb::CompactionRequest compaction;
      *understood = Parse(view.body, &compaction);
      request.kind = OpKind::kCompact;
      request.revision = compaction.revision();
      return request;
    }
    case server::EntryKind::kLeaseGrant: {
      pb::LeaseGrantRequest grant;
      *understood = Parse(view.body, &grant);
      request.kind = OpKind::kLeaseGrant;
      request.lease = grant.id();
      request.ttl = grant.ttl();
      return request;
    }
    case server::EntryKind::kLeaseRevoke: {
      pb::LeaseRevokeRequest revoke;
      *understood = Parse(view.body, &revoke);
      request.kind = OpKind::kLeaseRevoke;
      request.lease = revoke.id();
      return request;
    }
    case server::EntryKind::kAlarm: {
      pb::AlarmRequest alarm;
      *understood = Parse(view.body, &alarm) &&
                    (alarm.action() == pb::AlarmRequest::GET || alarm.alarm() == pb::NOSPACE);
      if (alarm.action() == pb::AlarmRequest::GET) return std::nullopt;
      request.kind = OpKind::kAlarm;
      request.member = alarm.memberid();
      request.activate = alarm.action() == pb::AlarmRequest::ACTIVATE;
      return request;
    }
    case server::EntryKind::kRange:
    case server::EntryKind::kLeaseCheckpoint:
    case server::EntryKind::kClusterVersionSet:
    case server::EntryKind::kClusterMemberAttrSet:
    case server::EntryKind::kDowngradeInfoSet:
    case server::EntryKind::kDowngradeVersionTest:
      return std::nullopt;
    default:
      *understood = false;
      return std::nullopt;
  }
}

int64_t Truth::FirstSeen(int64_t revision) const {
  if (revision < 2) return 0;
  const auto position = static_cast<size_t>(revision - 2);
  return position < first_seen_.size() ? first_seen_[position] : std::numeric_limits<int64_t>::max();
}

void Truth::CheckUnique(const Request& request, int64_t revision) {
  const auto check = [&](const std::string& value) {
    if (value.empty()) return;
    const auto [it, fresh] = written_.emplace(value, revision);
    if (!fresh && it->second != revision) {
      trace_.Fail("applied-once", "value " + value + " was written at revision " +
                                      std::to_string(it->second) + " and again at " +
                                      std::to_string(revision));
    }
  };
  if (request.kind != OpKind::kPut && request.kind != OpKind::kTxn) return;
  for (const Event& event : model_.EventsAt(revision)) {
    if (!event.deletion) check(event.pair.value);
  }
}

// True when the entry is about users: then there is nothing more in it.
bool Truth::LearnAuth(const raft::Entry& entry, const AuthState& auth) {
  server::EntryView view;
  if (entry.type != raft::EntryType::kNormal || entry.data.empty() ||
      cluster::IsV2Request(entry.data.view()) || !server::DecodeEntry(entry.data.view(), &view) ||
      !AuthModel::Concerns(view)) {
    return false;
  }
  modelled_ = auth_.Learn(view, auth) && modelled_;
  return true;
}

bool Truth::Permits(const raft::Entry& entry, const Request& request) const {
  server::EntryView view;
  return server::DecodeEntry(entry.data.view(), &view) &&
         auth_.Permits(std::string(view.header.username), view.header.auth_revision, request,
                       model_.leases());
}

void Truth::Learn(int member, const raft::Entry& entry, const AuthState& auth) {
  if (LearnAuth(entry, auth)) return;
  bool understood = true;
  const auto request = DecodeLogEntry(entry, &understood);
  if (!understood) modelled_ = false;
  if (!request || !modelled_) return;
  if (!Permits(entry, *request)) {
    return trace_.Note(
        member, "first-to-refuse",
        {{"index", entry.index}, {"request", Describe(*request)}, {"revision", model_.revision()}});
  }
  const int64_t before = model_.revision();
  const Response response = model_.Apply(*request);
  if (model_.revision() > before) {
    first_seen_.push_back(scheduler_.now());
    CheckUnique(*request, model_.revision());
  }
  if (request->kind == OpKind::kLeaseGrant && response.status.ok()) {
    leases_[request->lease] = {request->ttl, scheduler_.now(), -1};
  }
  if (request->kind == OpKind::kLeaseRevoke && response.status.ok()) {
    leases_[request->lease].revoked_at = scheduler_.now();
  }
  trace_.Note(member, "first-to-apply",
              {{"index", entry.index}, {"request", Describe(*request)}, {"revision", model_.revision()}});
}

void Truth::OnApplied(int member, const raft::Entry& entry, int64_t store_revision, const AuthState& auth) {
  const uint64_t fingerprint = Fingerprint(entry.data.view()) ^ static_cast<uint64_t>(entry.type);
  if (entry.index > applied_.size() + 1) {
    return trace_.Fail("log-without-gaps", ActorName(member) + " applied index " +
                                               std::to_string(entry.index) + ", nobody has applied " +
                                               std::to_string(applied_.size() + 1));
  }
  if (entry.index == applied_.size() + 1) {
    applied_.push_back({entry.term, fingerprint, 0, auth, scheduler_.now()});
    Learn(member, entry, auth);
    applied_.back().revision = modelled_ ? model_.revision() : store_revision;
  }
  Applied& known = applied_[entry.index - 1];
  if (known.term != entry.term || known.fingerprint != fingerprint) {
    return trace_.Fail("state-machine-safety",
                       ActorName(member) + " applied another entry at index " + std::to_string(entry.index) +
                           ": term " + std::to_string(entry.term) + ", before it was one of term " +
                           std::to_string(known.term));
  }
  if (store_revision < 0) return;
  if (known.revision < 0) known.revision = store_revision;
  if (known.revision != store_revision) {
    trace_.Fail("same-revision", ActorName(member) + " is at revision " + std::to_string(store_revision) +
                                     " after index " + std::to_string(entry.index) + ", it should be " +
                                     std::to_string(known.revision));
  }
  if (known.auth != auth) {
    trace_.Fail("same-users", ActorName(member) + " is at auth revision " + std::to_string(auth.revision) +
                                  (auth.enabled ? " (on)" : " (off)") + " after index " +
                                  std::to_string(entry.index) + ", it should be " +
                                  std::to_string(known.auth.revision) +
                                  (known.auth.enabled ? " (on)" : " (off)"));
  }
}

}  // namespace quorate::sim
