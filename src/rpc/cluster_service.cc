#include "rpc/cluster_service.h"

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

void AddMember(const cluster::Member& member, etcdserverpb::Member* out) {
  out->set_id(member.id);
  out->set_name(member.attributes.name);
  for (const std::string& url : member.peer_urls) out->add_peerurls(url);
  for (const std::string& url : member.attributes.client_urls) out->add_clienturls(url);
  out->set_islearner(member.is_learner);
}

template <typename Response>
void AddMembers(const std::vector<cluster::Member>& members, Response* response) {
  for (const cluster::Member& member : members) AddMember(member, response->add_members());
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

// The original maps this one to the wrong side, and so it arrives without its code.
Status OnTheWire(const Status& status) {
  return status == cluster::ErrNotEnoughStarted() ? Unknown(Message(status)) : status;
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
    for (const auto& [id, m] : member_.membership().members()) AddMember(m, response.add_members());
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
  context_.life().reconfiguration().Add(*std::move(urls), request.islearner(),
                                        [this, call](const StatusOr<std::vector<cluster::Member>>& members,
                                                     const cluster::Member& added) mutable {
                                          if (!members.ok()) return call.Fail(OnTheWire(members.status()));
                                          etcdserverpb::MemberAddResponse response;
                                          AddMember(added, response.mutable_member());
                                          AddMembers(*members, &response);
                                          RespondWith(call, WithoutRevision(member_.header()), response);
                                        });
}

template <typename Response>
server::Reconfiguration::Done ClusterService::Answer(Call call) {
  return [this, call](const StatusOr<std::vector<cluster::Member>>& members) mutable {
    if (!members.ok()) return call.Fail(OnTheWire(members.status()));
    Response response;
    AddMembers(*members, &response);
    RespondWith(call, WithoutRevision(member_.header()), response);
  };
}

void ClusterService::Remove(Call call, std::string_view bytes) {
  etcdserverpb::MemberRemoveRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberRemoveRequest"));
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  context_.life().reconfiguration().Remove(request.id(), Answer<etcdserverpb::MemberRemoveResponse>(call));
}

void ClusterService::Update(Call call, std::string_view bytes) {
  etcdserverpb::MemberUpdateRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberUpdateRequest"));
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  // Taken as they are: the original checks URLs only when a member is added.
  context_.life().reconfiguration().Update(request.id(),
                                           {request.peerurls().begin(), request.peerurls().end()},
                                           Answer<etcdserverpb::MemberUpdateResponse>(call));
}

void ClusterService::Promote(Call call, std::string_view bytes) {
  etcdserverpb::MemberPromoteRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("MemberPromoteRequest"));
  if (const Status denied = AdminPermitted(call); !denied.ok()) return call.Fail(denied);
  const std::string token(context_.Token(call).value_or(std::string_view()));
  context_.life().reconfiguration().Promote(request.id(), token,
                                            Answer<etcdserverpb::MemberPromoteResponse>(call));
}

}  // namespace quorate::rpc
