// The members of the cluster. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quorate.pb.h"
#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

using etcdserverpb::MemberAddResponse;
using etcdserverpb::MemberListResponse;
using etcdserverpb::MemberPromoteResponse;
using etcdserverpb::MemberRemoveResponse;
using etcdserverpb::MemberUpdateResponse;

class Cluster {
 public:
  explicit Cluster(Core* core) : core_(*core) {}

  StatusOr<MemberListResponse> List(bool linearizable = true, const CallOptions& call = {});
  StatusOr<MemberAddResponse> Add(const std::vector<std::string>& peer_urls, const CallOptions& call = {});
  StatusOr<MemberAddResponse> AddLearner(const std::vector<std::string>& peer_urls,
                                         const CallOptions& call = {});
  StatusOr<MemberRemoveResponse> Remove(uint64_t id, const CallOptions& call = {});
  StatusOr<MemberUpdateResponse> Update(uint64_t id, const std::vector<std::string>& peer_urls,
                                        const CallOptions& call = {});
  StatusOr<MemberPromoteResponse> Promote(uint64_t id, const CallOptions& call = {});

  // Quorate's own; kUnimplemented at etcd.
  StatusOr<quorate::VersionResponse> Version(const CallOptions& call = {});
  StatusOr<quorate::RaiseVersionResponse> RaiseVersion(std::string_view version, bool dry_run,
                                                       const CallOptions& call = {});

 private:
  StatusOr<MemberAddResponse> Add(const std::vector<std::string>& peer_urls, bool learner,
                                  const CallOptions& call);

  Core& core_;
};

}  // namespace quorate::client
