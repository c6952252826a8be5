// Looking after members. Calls about one member take its endpoint in CallOptions::endpoint; without, the next
// one of the round is asked. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

using etcdserverpb::AlarmResponse;
using etcdserverpb::AlarmType;
using etcdserverpb::DefragmentResponse;
using etcdserverpb::DowngradeRequest;
using etcdserverpb::DowngradeResponse;
using etcdserverpb::HashKVResponse;
using etcdserverpb::HashResponse;
using etcdserverpb::MoveLeaderResponse;
using etcdserverpb::SnapshotResponse;
using etcdserverpb::StatusResponse;

// The bytes of a snapshot as they come; the last 32 are the SHA-256 of those before. One thread at a time.
// Destroying it ends the transfer. The server is held back while nobody reads.
class SnapshotStream {
 public:
  virtual ~SnapshotStream() = default;
  // Waits for the next part and returns true; false after the last one. An error in the middle is final: take
  // another snapshot from the beginning.
  virtual StatusOr<bool> Next(SnapshotResponse* part) = 0;
};

class Maintenance {
 public:
  explicit Maintenance(Core* core) : core_(*core) {}

  StatusOr<StatusResponse> Status(const CallOptions& call = {});
  StatusOr<AlarmResponse> ListAlarms(const CallOptions& call = {});
  // Member 0 and NONE: all alarms.
  StatusOr<AlarmResponse> Disarm(uint64_t member, AlarmType alarm, const CallOptions& call = {});
  StatusOr<AlarmResponse> Activate(uint64_t member, AlarmType alarm, const CallOptions& call = {});
  // This and the two below take as long as the member's file is large: without a timeout in `call` they wait
  // for ever.
  StatusOr<DefragmentResponse> Defragment(const CallOptions& call = {});
  // Of the whole file; differs between members that hold the same.
  StatusOr<HashResponse> Hash(const CallOptions& call = {});
  // Of the keys up to this revision (0: now); equal on all members.
  StatusOr<HashKVResponse> HashKv(int64_t revision = 0, const CallOptions& call = {});
  // `call.timeout` unset or zero: no bound. Before its first part the stream is retried like a read.
  std::unique_ptr<SnapshotStream> Snapshot(const CallOptions& call = {});
  // Must be asked of the leader.
  StatusOr<MoveLeaderResponse> MoveLeader(uint64_t target, const CallOptions& call = {});
  StatusOr<DowngradeResponse> Downgrade(DowngradeRequest::DowngradeAction action, std::string_view version,
                                        const CallOptions& call = {});

 private:
  Core& core_;
};

}  // namespace quorate::client
