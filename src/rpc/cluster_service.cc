#include "rpc/cluster_service.h"

#include <algorithm>
#include <string>
#include <vector>

#include "cluster/member.h"
#include "cluster/membership_errors.h"
#include "cluster/urls.h"
#include "rpc.pb.h"
#include "rpc/parse.h"
#include "server/errors.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "etcdserverpb.Cluster";

template <typename Response>
void AddMembers(const cluster::Membership& membership, Response* response) {
  for (const auto& [id, m] : membership.members()) {
    auto* out = response->add_members();
    out->set_id(id);
    out->set_name(m.attributes.name);
    for (const std::string& url : m.peer_urls) out->add_peerurls(url);
    for (const std::string& url : m.attributes.client_urls) out->add_clienturls(url);
    out->set_islearner(m.is_learner);
  }
}

// The Cluster service leaves the revision out of its headers.
server::ResponseHeader WithoutRevision(server::ResponseHeader header) {
  header.revision = 0;
  return header;
}

StatusOr<std::vector<std::string>> PeerUrls(const google::protobuf::RepeatedPtrField<std::string>& urls) {
  auto parsed = cluster::ParseUrls({urls.begin(), urls.end()});
  if (!parsed.ok()) return cluster::ErrMemberBadUrls();
  return parsed;
}

// A member alone can't bring a second one up to date: the protocol between members is not part of this
// release.
Status ErrAlone() {
  return MakeStatus(absl::StatusCode::kUnimplemented,
                    "quorate: clusters of several members come with a later release; this one runs alone");
}

}  // namespace

void ClusterService::Register(std::span<net::Server* const> servers) {
  const auto unary = [&](std::string_view method, void (ClusterService::*fn)(Call, std::string_view)) {
    context_.AddUnary(servers, kService, method,
                      [this, fn](Call call, std::string_view bytes) { (this->*fn)(call, bytes); });
  };
  unary("MemberList", &ClusterService::List);
  unary("MemberAdd", &ClusterService::Add);
  unary("MemberRemove", &ClusterService::Remove);
  unary("MemberUpdate", &ClusterService::Update);
  unary("MemberPromote", &ClusterService::Promote);
}

Status ClusterService::AdminPermitted(const Call& call) {
  if (!member_.auth().enabled()) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const auth::AuthInfo who, context_.Identify(call));
  return member_.auth().IsAdminPermitted(who);
}

void ClusterService::List(Call call, std::string_view bytes) {
  etcdserverpb::MemberListRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberListRequest"));
  const auto who = context_.RequireIdentity(call);
  if (!who.ok()) return call.Fail(who.status());
  const auto answer = [this, call](const Status& status) mutable {
    if (!status.ok()) return call.Fail(status);
    etcdserverpb::MemberListResponse response;
    AddMembers(member_.membership(), &response);
    RespondWith(call, WithoutRevision(member_.header()), response);
  };
  if (!request.linearizable()) {
    auto local = answer;
    return local(absl::OkStatus());
  }
  member_.WhenLinearizable(answer);
}

void ClusterService::Add(Call call, std::string_view bytes) {
  etcdserverpb::MemberAddRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberAddRequest"));
  auto urls = PeerUrls(request.peerurls());
  if (!urls.ok()) return call.Fail(urls.status());
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  cluster::Member member;
  member.peer_urls = *std::move(urls);
  member.is_learner = request.islearner();
  member.id =
      cluster::ComputeMemberId(member.peer_urls, {}, member_.env().clock->WallNanos() / 1'000'000'000);
  const raft::ConfChange change = cluster::AddMemberChange(member_.NextRequestId(), member);
  if (const Status bad = member_.membership().ValidateConfChange(change); !bad.ok()) return call.Fail(bad);
  call.Fail(ErrAlone());
}

void ClusterService::Remove(Call call, std::string_view bytes) {
  etcdserverpb::MemberRemoveRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberRemoveRequest"));
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  if (member_.membership().Find(request.id()) == nullptr) return call.Fail(cluster::ErrMemberNotFound());
  // The last member can't be removed: nobody would be left to decide it.
  call.Fail(cluster::ErrNotEnoughStarted());
}

void ClusterService::Update(Call call, std::string_view bytes) {
  etcdserverpb::MemberUpdateRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberUpdateRequest"));
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  cluster::Member member;
  member.id = request.id();
  // Taken as they are: the original checks URLs only when a member is added.
  member.peer_urls.assign(request.peerurls().begin(), request.peerurls().end());
  raft::ConfChange change = cluster::UpdateMemberChange(member_.NextRequestId(), member);
  member_.ProposeConfChange(std::move(change), [this, call](const Status& status, std::string_view) mutable {
    if (!status.ok()) return call.Fail(status);
    etcdserverpb::MemberUpdateResponse response;
    AddMembers(member_.membership(), &response);
    RespondWith(call, WithoutRevision(member_.header()), response);
  });
}

void ClusterService::Promote(Call call, std::string_view bytes) {
  etcdserverpb::MemberPromoteRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberPromoteRequest"));
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  if (member_.membership().Find(request.id()) == nullptr) return call.Fail(cluster::ErrMemberNotFound());
  call.Fail(cluster::ErrMemberNotLearner());
}

}  // namespace quorate::rpc
