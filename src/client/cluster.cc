#include "quorate/client/cluster.h"

#include "client/rpc.h"

namespace quorate::client {

StatusOr<MemberListResponse> Cluster::List(bool linearizable, const CallOptions& call) {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(linearizable);
  return Call<MemberListResponse>(&core_, kMemberList, request, call);
}

StatusOr<MemberAddResponse> Cluster::Add(const std::vector<std::string>& peer_urls, bool learner,
                                         const CallOptions& call) {
  etcdserverpb::MemberAddRequest request;
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  request.set_islearner(learner);
  return Call<MemberAddResponse>(&core_, kMemberAdd, request, call);
}

StatusOr<MemberAddResponse> Cluster::Add(const std::vector<std::string>& peer_urls, const CallOptions& call) {
  return Add(peer_urls, false, call);
}

StatusOr<MemberAddResponse> Cluster::AddLearner(const std::vector<std::string>& peer_urls,
                                                const CallOptions& call) {
  return Add(peer_urls, true, call);
}

StatusOr<MemberRemoveResponse> Cluster::Remove(uint64_t id, const CallOptions& call) {
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(id);
  return Call<MemberRemoveResponse>(&core_, kMemberRemove, request, call);
}

StatusOr<MemberUpdateResponse> Cluster::Update(uint64_t id, const std::vector<std::string>& peer_urls,
                                               const CallOptions& call) {
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(id);
  for (const std::string& url : peer_urls) request.add_peerurls(url);
  return Call<MemberUpdateResponse>(&core_, kMemberUpdate, request, call);
}

StatusOr<MemberPromoteResponse> Cluster::Promote(uint64_t id, const CallOptions& call) {
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(id);
  return Call<MemberPromoteResponse>(&core_, kMemberPromote, request, call);
}

StatusOr<quorate::VersionResponse> Cluster::Version(const CallOptions& call) {
  return Call<quorate::VersionResponse>(&core_, kClusterVersion, quorate::VersionRequest(), call);
}

StatusOr<quorate::RaiseVersionResponse> Cluster::RaiseVersion(std::string_view version, bool dry_run,
                                                              const CallOptions& call) {
  quorate::RaiseVersionRequest request;
  request.set_version(std::string(version));
  request.set_dry_run(dry_run);
  return Call<quorate::RaiseVersionResponse>(&core_, kRaiseVersion, request, call);
}

}  // namespace quorate::client
