#include "rpc/maintenance_service.h"

#include <string>

#include "base/logging.h"
#include "cluster/version.h"
#include "rpc.pb.h"
#include "rpc/parse.h"
#include "rpc/snapshot_stream.h"
#include "server/errors.h"
#include "server/storage_version.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "etcdserverpb.Maintenance";

// The alarm's text as the original's protobuf library prints it; scripts match on it.
std::string AlarmText(const server::Alarm& alarm) {
  std::string text;
  if (alarm.member_id != 0) text += "memberID:" + std::to_string(alarm.member_id) + " ";
  if (alarm.type != server::AlarmType::kNone) {
    text += "alarm:" + etcdserverpb::AlarmType_Name(static_cast<etcdserverpb::AlarmType>(alarm.type)) + " ";
  }
  return text;
}

}  // namespace

void MaintenanceService::Register(std::span<net::Server* const> servers) {
  const auto unary = [&](std::string_view method, void (MaintenanceService::*fn)(Call, std::string_view)) {
    context_.AddUnary(servers, kService, method,
                      [this, fn](Call call, std::string_view bytes) { (this->*fn)(call, bytes); });
  };
  unary("Alarm", &MaintenanceService::Alarm);
  unary("Status", &MaintenanceService::Status);
  unary("Defragment", &MaintenanceService::Defragment);
  unary("Hash", &MaintenanceService::Hash);
  unary("HashKV", &MaintenanceService::HashKv);
  unary("MoveLeader", &MaintenanceService::MoveLeader);
  unary("Downgrade", &MaintenanceService::Downgrade);
  context_.AddStreaming(servers, kService, "Snapshot", CallType::kServerStream,
                        [this](Stream stream) { return MakeSnapshotStream(&context_, &loop_, stream); });
}

absl::Status MaintenanceService::AdminPermitted(const Call& call) {
  if (!member_.auth().enabled()) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auth::AuthInfo who, context_.Identify(call));
  return member_.auth().IsAdminPermitted(who);
}

void MaintenanceService::Alarm(Call call, std::string_view bytes) {
  etcdserverpb::AlarmRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("AlarmRequest"));
  const auto who = context_.RequireIdentity(call);
  if (!who.ok()) return call.Fail(who.status());
  if (request.action() != etcdserverpb::AlarmRequest::GET) {
    if (const absl::Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  }
  request.DiscardUnknownFields();
  member_.Propose(server::EntryKind::kAlarm, request.SerializeAsString(), *who, ReplyTo(call));
}

void MaintenanceService::Status(Call call, std::string_view) {
  if (const auto who = context_.RequireIdentity(call); !who.ok()) return call.Fail(who.status());
  etcdserverpb::StatusResponse response;
  const auto stats = member_.backend().stats();
  response.set_version(cluster::VersionText(cluster::ReportedVersion(member_.membership().version())));
  response.set_dbsize(static_cast<int64_t>(stats.size_bytes));
  response.set_dbsizeinuse(static_cast<int64_t>(stats.size_in_use_bytes));
  response.set_leader(member_.leader());
  response.set_raftindex(member_.committed_index());
  response.set_raftterm(member_.term());
  response.set_raftappliedindex(member_.applied_index());
  response.set_islearner(member_.is_learner());
  response.set_dbsizequota(member_.quota_bytes());
  response.mutable_downgradeinfo();
  if (const auto& downgrade = member_.membership().downgrade(); downgrade.enabled) {
    response.mutable_downgradeinfo()->set_enabled(true);
    response.mutable_downgradeinfo()->set_targetversion(cluster::VersionText(downgrade.target));
  }
  if (const auto storage = server::ReadStorageVersion(member_.backend()); storage.ok() && *storage) {
    response.set_storageversion(cluster::VersionText(**storage));
  }
  if (member_.leader() == 0) response.add_errors(std::string(Message(server::ErrNoLeader())));
  for (const server::Alarm& alarm : member_.alarms().Get(server::AlarmType::kNone)) {
    response.add_errors(AlarmText(alarm));
  }
  RespondWith(call, member_.header(), response);
}

void MaintenanceService::Defragment(Call call, std::string_view) {
  if (const absl::Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  LOG_INFO("starting defragment");
  member_.backend().Defragment([call](const absl::Status& status) mutable {
    if (status.ok()) {
      LOG_INFO("finished defragment");
    } else {
      LOG_WARN("failed to defragment", {"error", Message(status)});
    }
    call.Finish(status, {});
  });
}

void MaintenanceService::Hash(Call call, std::string_view) {
  if (const absl::Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  const int64_t started = member_.now();
  member_.store().Hash([this, call, started](const StatusOr<mvcc::HashResult>& result) mutable {
    if (!result.ok()) return call.Fail(result.status());
    member_.metrics().hash.ObserveNanos(member_.now() - started);
    etcdserverpb::HashResponse response;
    response.set_hash(result->hash);
    RespondWith(call, member_.header(), response);
  });
}

void MaintenanceService::HashKv(Call call, std::string_view bytes) {
  etcdserverpb::HashKVRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("HashKVRequest"));
  if (const absl::Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  const int64_t started = member_.now();
  const int64_t revision = request.revision();
  member_.store().HashKv(revision,
                         [this, call, started, revision](const StatusOr<mvcc::HashKvResult>& result) mutable {
                           if (!result.ok()) return call.Fail(result.status());
                           member_.metrics().hash_rev.ObserveNanos(member_.now() - started);
                           etcdserverpb::HashKVResponse response;
                           response.set_hash(result->hash);
                           response.set_compact_revision(result->compact_revision);
                           response.set_hash_revision(revision == 0 ? result->current_revision : revision);
                           auto header = member_.header();
                           header.revision = result->current_revision;
                           RespondWith(call, header, response);
                         });
}

void MaintenanceService::MoveLeader(Call call, std::string_view bytes) {
  etcdserverpb::MoveLeaderRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MoveLeaderRequest"));
  if (const absl::Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  if (!member_.is_leader()) return call.Fail(server::ErrNotLeader());
  member_.TransferLeadership(request.targetid(),
                             [call](const absl::Status& status) mutable { call.Finish(status, {}); });
}

void MaintenanceService::Downgrade(Call call, std::string_view bytes) {
  using Request = etcdserverpb::DowngradeRequest;
  Request request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("DowngradeRequest"));
  if (const absl::Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  const server::VersionMonitor::Done answer = [this, call](const absl::Status& status) mutable {
    if (!status.ok()) return call.Fail(status);
    etcdserverpb::DowngradeResponse response;
    const auto& version = member_.membership().version();
    response.set_version(version ? cluster::MinorText(*version) : std::string());
    RespondWith(call, member_.header(), response);
  };
  server::VersionMonitor& versions = context_.life().versions();
  if (request.action() == Request::CANCEL) {
    // As since etcd 3.6: what went wrong is only logged.
    return versions.CancelDowngrade([answer](const absl::Status& status) {
      if (!status.ok()) LOG_WARN("failed to cancel downgrade", {"error", Message(status)});
      answer(absl::OkStatus());
    });
  }
  if (request.action() != Request::VALIDATE && request.action() != Request::ENABLE) {
    return call.Fail(server::ErrUnknownMethod());
  }
  const auto target = server::ParseDowngradeTarget(request.version());
  if (!target.ok()) return call.Fail(target.status());
  if (request.action() == Request::VALIDATE) return versions.ValidateDowngrade(*target, answer);
  versions.EnableDowngrade(*target, [answer](const absl::Status& status) {
    if (!status.ok()) LOG_WARN("reject downgrade request", {"error", Message(status)});
    answer(status);
  });
}

}  // namespace quorate::rpc
