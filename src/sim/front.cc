#include "sim/front.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "rpc.pb.h"
#include "server/errors.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;
using Answer = std::function<void(Response)>;
using server::EntryKind;

Pair FromProto(const mvccpb::KeyValue& kv) {
  return {kv.key(), kv.value(), kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease()};
}

template <typename Header>
void TakeHeader(const Header& header, Response* response) {
  response->revision = header.revision();
  response->term = header.raft_term();
  response->member = header.member_id();
}

Response Failed(const Status& status) {
  Response response;
  response.status = status;
  return response;
}

void FillRange(const SimpleOp& op, pb::RangeRequest* range) {
  range->set_key(op.key);
  range->set_range_end(op.end);
  range->set_revision(op.revision);
}
void FillDelete(const SimpleOp& op, pb::DeleteRangeRequest* range) {
  range->set_key(op.key);
  range->set_range_end(op.end);
}
void FillPut(const SimpleOp& op, pb::PutRequest* put) {
  put->set_key(op.key);
  put->set_value(op.value);
  put->set_lease(op.lease);
}
void Fill(const SimpleOp& op, pb::RequestOp* out) {
  if (op.kind == OpKind::kPut) return FillPut(op, out->mutable_request_put());
  if (op.kind == OpKind::kDelete) return FillDelete(op, out->mutable_request_delete_range());
  FillRange(op, out->mutable_request_range());
}

void Fill(const Compare& compare, pb::Compare* out) {
  out->set_key(compare.key);
  out->set_result(static_cast<pb::Compare::CompareResult>(compare.result));
  switch (compare.target) {
    case Compare::Target::kVersion:
      out->set_target(pb::Compare::VERSION);
      return out->set_version(compare.number);
    case Compare::Target::kCreate:
      out->set_target(pb::Compare::CREATE);
      return out->set_create_revision(compare.number);
    case Compare::Target::kMod:
      out->set_target(pb::Compare::MOD);
      return out->set_mod_revision(compare.number);
    case Compare::Target::kLease:
      out->set_target(pb::Compare::LEASE);
      return out->set_lease(compare.number);
    case Compare::Target::kValue:
      out->set_target(pb::Compare::VALUE);
      return out->set_value(compare.value);
  }
}

pb::TxnRequest TxnProto(const Request& request) {
  pb::TxnRequest txn;
  for (const Compare& compare : request.compares) Fill(compare, txn.add_compare());
  for (const SimpleOp& op : request.then) Fill(op, txn.add_success());
  for (const SimpleOp& op : request.otherwise) Fill(op, txn.add_failure());
  return txn;
}

SimpleAnswer FromProto(const pb::ResponseOp& op) {
  SimpleAnswer answer;
  if (op.has_response_put()) {
    answer.kind = OpKind::kPut;
  } else if (op.has_response_delete_range()) {
    answer.kind = OpKind::kDelete;
    answer.deleted = op.response_delete_range().deleted();
  } else {
    for (const auto& kv : op.response_range().kvs()) answer.pairs.push_back(FromProto(kv));
    answer.count = op.response_range().count();
  }
  return answer;
}

// As rpc finds it out from a token: with the permissions of now.
auth::AuthInfo Who(server::Member& member, const std::string& user) {
  if (!member.auth().enabled() || user.empty()) return {};
  return {user, member.auth().revision()};
}

// Proposes the request in the name of the user; `read` takes what the response message says.
template <typename Proto, typename Read>
void Propose(server::Member& member, EntryKind kind, const google::protobuf::Message& request,
             const std::string& user, Answer reply, Read read) {
  member.Propose(kind, request.SerializeAsString(), Who(member, user),
                 [reply, read](const Status& status, std::string_view bytes) {
                   if (!status.ok()) return reply(Failed(status));
                   Proto message;
                   QUORATE_CHECK(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
                   Response response;
                   TakeHeader(message.header(), &response);
                   read(message, &response);
                   reply(std::move(response));
                 });
}

constexpr auto kNothing = [](const auto&, Response*) {};

Response ReadRange(server::Member& member, const Request& request) {
  const Status permitted =
      member.auth().IsRangePermitted(Who(member, request.user), request.key, request.end);
  if (!permitted.ok()) return Failed(permitted);
  mvcc::RangeOptions options;
  options.key = request.key;
  options.range_end = request.end;
  options.revision = request.revision;
  options.limit = request.limit;
  const auto result = member.store().Range(options);
  if (!result.ok()) return Failed(result.status());
  Response response;
  const server::ResponseHeader header = member.header();
  response.revision = header.revision;
  response.term = header.raft_term;
  response.member = header.member_id;
  response.count = result->count;
  response.more = result->more;
  for (const std::string_view bytes : result->kvs) {
    mvccpb::KeyValue kv;
    QUORATE_CHECK(kv.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    response.pairs.push_back(FromProto(kv));
  }
  return response;
}

void Range(Node& node, const Request& request, const Answer& reply) {
  server::Member& member = node.member();
  if (request.serializable) return reply(ReadRange(member, request));
  member.WhenLinearizable([&member, request, reply](const Status& status) {
    reply(status.ok() ? ReadRange(member, request) : Failed(status));
  });
}

void Txn(Node& node, const Request& request, const Answer& reply) {
  Propose<pb::TxnResponse>(node.member(), EntryKind::kTxn, TxnProto(request), request.user, reply,
                           [](const pb::TxnResponse& txn, Response* response) {
                             response->succeeded = txn.succeeded();
                             for (const auto& op : txn.responses())
                               response->answers.push_back(FromProto(op));
                           });
}

void HashKv(Node& node, const Request& request, const Answer& reply) {
  node.member().store().HashKv(request.revision, [reply](const StatusOr<mvcc::HashKvResult>& result) {
    if (!result.ok()) return reply(Failed(result.status()));
    Response response;
    response.revision = result->current_revision;
    response.hash = result->hash;
    response.compact_revision = result->compact_revision;
    reply(std::move(response));
  });
}

// The whole database, read on a reader thread as a client's snapshot is.
void Snapshot(Node& node, const Answer& reply) {
  server::Member& member = node.member();
  member.backend().BeginSnapshot(
      [&member, reply](StatusOr<std::shared_ptr<mvcc::Backend::Snapshot>> snapshot) {
        if (!snapshot.ok()) return reply(Failed(snapshot.status()));
        auto status = std::make_shared<Status>();
        member.env().executor->Submit(
            Lane::kRead,
            [snapshot = *snapshot, status] {
              *status = snapshot->CopyTo([](std::string_view) { return absl::OkStatus(); });
            },
            [status, reply] { reply(Failed(*status)); });
      });
}

void ChangeMembers(Node& node, const Request& request, const Answer& reply) {
  server::Reconfiguration& change = node.cluster_life().reconfiguration();
  const auto done = [reply](const auto& members) { reply(Failed(members.status())); };
  if (request.kind == OpKind::kMemberPromote) return change.Promote(request.member, {}, done);
  if (request.kind == OpKind::kMemberRemove) return change.Remove(request.member, done);
  change.Add({request.peer_url}, true, [reply](const auto& members, const cluster::Member& added) {
    Response response = Failed(members.status());
    response.member = added.id;
    reply(std::move(response));
  });
}

void GrantPermission(Node& node, const Request& request, authpb::Permission::Type type, const Answer& reply) {
  pb::AuthRoleGrantPermissionRequest grant;
  grant.set_name(request.value);
  grant.mutable_perm()->set_permtype(type);
  grant.mutable_perm()->set_key(request.key);
  grant.mutable_perm()->set_range_end(request.end);
  Propose<pb::AuthRoleGrantPermissionResponse>(node.member(), EntryKind::kAuthRoleGrantPermission, grant,
                                               request.user, reply, kNothing);
}

void ChangeUsers(Node& node, const Request& request, const Answer& reply) {
  server::Member& member = node.member();
  const std::string& user = request.user;
  switch (request.change) {
    case AuthChange::kUserAdd: {
      pb::AuthUserAddRequest add;
      add.set_name(request.key);
      add.mutable_options()->set_no_password(true);
      return Propose<pb::AuthUserAddResponse>(member, EntryKind::kAuthUserAdd, add, user, reply, kNothing);
    }
    case AuthChange::kUserDelete: {
      pb::AuthUserDeleteRequest erase;
      erase.set_name(request.key);
      return Propose<pb::AuthUserDeleteResponse>(member, EntryKind::kAuthUserDelete, erase, user, reply,
                                                 kNothing);
    }
    case AuthChange::kGrantRole: {
      pb::AuthUserGrantRoleRequest grant;
      grant.set_user(request.key);
      grant.set_role(request.value);
      return Propose<pb::AuthUserGrantRoleResponse>(member, EntryKind::kAuthUserGrantRole, grant, user, reply,
                                                    kNothing);
    }
    case AuthChange::kRevokeRole: {
      pb::AuthUserRevokeRoleRequest revoke;
      revoke.set_name(request.key);
      revoke.set_role(request.value);
      return Propose<pb::AuthUserRevokeRoleResponse>(member, EntryKind::kAuthUserRevokeRole, revoke, user,
                                                     reply, kNothing);
    }
    case AuthChange::kRoleAdd: {
      pb::AuthRoleAddRequest add;
      add.set_name(request.key);
      return Propose<pb::AuthRoleAddResponse>(member, EntryKind::kAuthRoleAdd, add, user, reply, kNothing);
    }
    case AuthChange::kRoleDelete: {
      pb::AuthRoleDeleteRequest erase;
      erase.set_role(request.key);
      return Propose<pb::AuthRoleDeleteResponse>(member, EntryKind::kAuthRoleDelete, erase, user, reply,
                                                 kNothing);
    }
    case AuthChange::kGrantRead:
      return GrantPermission(node, request, authpb::Permission::READ, reply);
    case AuthChange::kGrantWrite:
      return GrantPermission(node, request, authpb::Permission::WRITE, reply);
    case AuthChange::kGrantBoth:
      return GrantPermission(node, request, authpb::Permission::READWRITE, reply);
    case AuthChange::kRevokePermission: {
      pb::AuthRoleRevokePermissionRequest revoke;
      revoke.set_role(request.value);
      revoke.set_key(request.key);
      revoke.set_range_end(request.end);
      return Propose<pb::AuthRoleRevokePermissionResponse>(member, EntryKind::kAuthRoleRevokePermission,
                                                           revoke, user, reply, kNothing);
    }
    case AuthChange::kEnable:
      return Propose<pb::AuthEnableResponse>(member, EntryKind::kAuthEnable, pb::AuthEnableRequest(), user,
                                             reply, kNothing);
    case AuthChange::kDisable:
      return Propose<pb::AuthDisableResponse>(member, EntryKind::kAuthDisable, pb::AuthDisableRequest(), user,
                                              reply, kNothing);
  }
}

// One after the other; the last one's answer is the answer.
void Disarm(server::Member& member, std::vector<server::Alarm> alarms, const Answer& reply) {
  if (alarms.empty()) return reply(Failed(absl::OkStatus()));
  pb::AlarmRequest off;
  off.set_action(pb::AlarmRequest::DEACTIVATE);
  off.set_memberid(alarms.back().member_id);
  off.set_alarm(pb::NOSPACE);
  alarms.pop_back();
  member.Propose(EntryKind::kAlarm, off.SerializeAsString(), {},
                 [&member, alarms = std::move(alarms), reply](const Status& status, std::string_view) {
                   if (!status.ok()) return reply(Failed(status));
                   Disarm(member, alarms, reply);
                 });
}

void KeepAlive(Node& node, const Request& request, const Answer& reply) {
  node.cluster_life().leases().Renew(request.lease,
                                     [lease = request.lease, reply](const StatusOr<int64_t>& ttl) {
                                       if (!ttl.ok() && !absl::IsNotFound(ttl.status()))
                                         return reply(Failed(ttl.status()));
                                       Response response;
                                       response.lease = lease;
                                       response.ttl = ttl.ok() ? *ttl : 0;
                                       reply(std::move(response));
                                     });
}

void ServeLease(Node& node, const Request& request, const Answer& reply) {
  if (request.kind == OpKind::kLeaseGrant) {
    pb::LeaseGrantRequest grant;
    grant.set_id(request.lease);
    grant.set_ttl(request.ttl);
    return Propose<pb::LeaseGrantResponse>(node.member(), EntryKind::kLeaseGrant, grant, request.user, reply,
                                           [](const pb::LeaseGrantResponse& granted, Response* response) {
                                             response->lease = granted.id();
                                             response->ttl = granted.ttl();
                                           });
  }
  pb::LeaseRevokeRequest revoke;
  revoke.set_id(request.lease);
  Propose<pb::LeaseRevokeResponse>(node.member(), EntryKind::kLeaseRevoke, revoke, request.user, reply,
                                   kNothing);
}

void ServeWrite(Node& node, const Request& request, const Answer& reply) {
  const SimpleOp op{request.kind, request.key, request.end, request.value, request.lease, 0};
  if (request.kind == OpKind::kPut) {
    pb::PutRequest put;
    FillPut(op, &put);
    return Propose<pb::PutResponse>(node.member(), EntryKind::kPut, put, request.user, reply, kNothing);
  }
  if (request.kind == OpKind::kDelete) {
    pb::DeleteRangeRequest range;
    FillDelete(op, &range);
    return Propose<pb::DeleteRangeResponse>(node.member(), EntryKind::kDeleteRange, range, request.user,
                                            reply,
                                            [](const pb::DeleteRangeResponse& deleted, Response* response) {
                                              response->deleted = deleted.deleted();
                                            });
  }
  pb::CompactionRequest compaction;
  compaction.set_revision(request.revision);
  Propose<pb::CompactionResponse>(node.member(), EntryKind::kCompaction, compaction, request.user, reply,
                                  kNothing);
}

}  // namespace

void Serve(Node& node, const Request& request, std::function<void(Response)> reply) {
  switch (request.kind) {
    case OpKind::kRange:
      return Range(node, request, reply);
    case OpKind::kPut:
    case OpKind::kDelete:
    case OpKind::kCompact:
      return ServeWrite(node, request, reply);
    case OpKind::kTxn:
      return Txn(node, request, reply);
    case OpKind::kLeaseGrant:
    case OpKind::kLeaseRevoke:
      return ServeLease(node, request, reply);
    case OpKind::kLeaseKeepAlive:
      return KeepAlive(node, request, reply);
    case OpKind::kHashKv:
      return HashKv(node, request, reply);
    case OpKind::kDefragment:
      return node.member().backend().Defragment([reply](const Status& status) { reply(Failed(status)); });
    case OpKind::kSnapshot:
      return Snapshot(node, reply);
    case OpKind::kMemberAdd:
    case OpKind::kMemberPromote:
    case OpKind::kMemberRemove:
      return ChangeMembers(node, request, reply);
    case OpKind::kDisarm:
      return Disarm(node.member(), node.member().alarms().Get(server::AlarmType::kNoSpace), reply);
    case OpKind::kAuth:
      return ChangeUsers(node, request, reply);
    case OpKind::kAlarm:  // Members raise it by themselves.
      return reply(Failed(InvalidArgument("no client asks for it")));
    case OpKind::kMoveLeader:
      return node.member().TransferLeadership(request.member,
                                              [reply](const Status& status) { reply(Failed(status)); });
  }
}

// ---- watches ----

WatchSession::WatchSession(server::Member* member, size_t window, Deliver deliver)
    : member_(*member),
      window_(window),
      deliver_(std::move(deliver)),
      stream_(member_.watch_hub().OpenStream(this)) {}

WatchSession::~WatchSession() = default;

StatusOr<int64_t> WatchSession::Create(const WatchRecord& record, bool progress_notify) {
  QUORATE_RETURN_IF_ERROR(mvcc::WatchStream::CheckStart(record.start));
  mvcc::WatchOptions options;
  options.key = record.key;
  options.range_end = record.end;
  options.start_revision = record.start;
  options.prev_kv = record.previous;
  options.no_put = record.no_put;
  options.no_delete = record.no_delete;
  options.progress_notify = progress_notify;
  QUORATE_ASSIGN_OR_RETURN(const int64_t id, stream_->Create(options));
  WatchAnswer created;
  created.kind = WatchAnswer::Kind::kCreated;
  created.header_revision = member_.store().current_revision();
  deliver_(id, created);
  return id;
}

void WatchSession::RequestProgress() { stream_->RequestProgress(); }

void WatchSession::Consumed() {
  if (unread_ > 0) --unread_;
  stream_->Resume();
}

void WatchSession::OnEvents(mvcc::WatchId id, int64_t header_revision,
                            std::shared_ptr<const mvcc::WatchEvents> events, bool) {
  ++unread_;
  WatchAnswer answer;
  answer.header_revision = header_revision;
  pb::WatchResponse response;
  QUORATE_CHECK(response.ParseFromString(events->bytes));
  for (const auto& event : response.events()) {
    Event& out = answer.events.emplace_back();
    out.deletion = event.type() == mvccpb::Event::DELETE;
    out.pair = FromProto(event.kv());
    if (event.has_prev_kv()) out.previous = FromProto(event.prev_kv());
  }
  deliver_(id, answer);
}

void WatchSession::OnCompacted(mvcc::WatchId id, int64_t compact_revision) {
  WatchAnswer answer;
  answer.kind = WatchAnswer::Kind::kCompacted;
  answer.compact_revision = compact_revision;
  deliver_(id, answer);
}

void WatchSession::OnProgress(mvcc::WatchId id, int64_t header_revision) {
  WatchAnswer answer;
  answer.kind = WatchAnswer::Kind::kProgress;
  answer.whole_stream = id == mvcc::kInvalidWatchId;
  answer.header_revision = header_revision;
  deliver_(id, answer);
}

}  // namespace quorate::sim
