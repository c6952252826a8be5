#include "quorate/client/maintenance.h"

#include <string>
#include <utility>

#include "client/pulled_stream.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

class PulledSnapshot final : public SnapshotStream {
 public:
  explicit PulledSnapshot(std::shared_ptr<PulledStream> stream) : stream_(std::move(stream)) {
    stream_->Start();
  }
  ~PulledSnapshot() override { stream_->Cancel(); }
  StatusOr<bool> Next(SnapshotResponse* part) override {
    grpc::ByteBuffer bytes;
    QUORATE_ASSIGN_OR_RETURN(const bool more, stream_->Next(&bytes));
    if (more) QUORATE_RETURN_IF_ERROR(FromBytes(bytes, part));
    return more;
  }

 private:
  const std::shared_ptr<PulledStream> stream_;
};

etcdserverpb::AlarmRequest AlarmOf(etcdserverpb::AlarmRequest::AlarmAction action, uint64_t member,
                                   AlarmType alarm) {
  etcdserverpb::AlarmRequest request;
  request.set_action(action);
  request.set_memberid(member);
  request.set_alarm(alarm);
  return request;
}

}  // namespace

StatusOr<StatusResponse> Maintenance::Status(const CallOptions& call) {
  return Call<StatusResponse>(&core_, kStatus, etcdserverpb::StatusRequest(), call);
}

StatusOr<AlarmResponse> Maintenance::ListAlarms(const CallOptions& call) {
  return Call<AlarmResponse>(&core_, kAlarm, AlarmOf(etcdserverpb::AlarmRequest::GET, 0, etcdserverpb::NONE),
                             call);
}

StatusOr<AlarmResponse> Maintenance::Disarm(uint64_t member, AlarmType alarm, const CallOptions& call) {
  if (member != 0 || alarm != etcdserverpb::NONE) {
    return Call<AlarmResponse>(&core_, kAlarm, AlarmOf(etcdserverpb::AlarmRequest::DEACTIVATE, member, alarm),
                               call);
  }
  // The server knows no "all": one by one, as etcd's client does it.
  QUORATE_ASSIGN_OR_RETURN(const AlarmResponse all, ListAlarms(call));
  AlarmResponse disarmed;
  for (const etcdserverpb::AlarmMember& one : all.alarms()) {
    QUORATE_ASSIGN_OR_RETURN(const AlarmResponse response, Disarm(one.memberid(), one.alarm(), call));
    *disarmed.mutable_header() = response.header();
    disarmed.mutable_alarms()->MergeFrom(response.alarms());
  }
  return disarmed;
}

StatusOr<AlarmResponse> Maintenance::Activate(uint64_t member, AlarmType alarm, const CallOptions& call) {
  return Call<AlarmResponse>(&core_, kAlarm, AlarmOf(etcdserverpb::AlarmRequest::ACTIVATE, member, alarm),
                             call);
}

StatusOr<DefragmentResponse> Maintenance::Defragment(const CallOptions& call) {
  return Call<DefragmentResponse>(&core_, kDefragment, etcdserverpb::DefragmentRequest(), call);
}

StatusOr<HashResponse> Maintenance::Hash(const CallOptions& call) {
  return Call<HashResponse>(&core_, kHash, etcdserverpb::HashRequest(), call);
}

StatusOr<HashKVResponse> Maintenance::HashKv(int64_t revision, const CallOptions& call) {
  etcdserverpb::HashKVRequest request;
  request.set_revision(revision);
  return Call<HashKVResponse>(&core_, kHashKv, request, call);
}

std::unique_ptr<SnapshotStream> Maintenance::Snapshot(const CallOptions& call) {
  return std::make_unique<PulledSnapshot>(
      std::make_shared<PulledStream>(&core_, kSnapshot, ToBytes(etcdserverpb::SnapshotRequest()), call));
}

StatusOr<MoveLeaderResponse> Maintenance::MoveLeader(uint64_t target, const CallOptions& call) {
  etcdserverpb::MoveLeaderRequest request;
  request.set_targetid(target);
  return Call<MoveLeaderResponse>(&core_, kMoveLeader, request, call);
}

StatusOr<DowngradeResponse> Maintenance::Downgrade(DowngradeRequest::DowngradeAction action,
                                                   std::string_view version, const CallOptions& call) {
  DowngradeRequest request;
  request.set_action(action);
  request.set_version(std::string(version));
  return Call<DowngradeResponse>(&core_, kDowngrade, request, call);
}

}  // namespace quorate::client
