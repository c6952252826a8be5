#include "rpc/own_service.h"

#include <string>

#include "cluster/version.h"
#include "quorate.pb.h"
#include "rpc/parse.h"
#include "server/errors.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "quorate.Cluster";

std::string MinorOrEmpty(const std::optional<cluster::Version>& version) {
  return version ? cluster::MinorText(*version) : std::string();
}

}  // namespace

void OwnService::Register(std::span<net::Server* const> servers) {
  const auto unary = [&](std::string_view method, void (OwnService::*fn)(Call, std::string_view)) {
    context_.AddUnary(servers, kService, method,
                      [this, fn](Call call, std::string_view bytes) { (this->*fn)(call, bytes); });
  };
  unary("Version", &OwnService::Version);
  unary("RaiseVersion", &OwnService::RaiseVersion);
}

// Open to any user, as Status is.
void OwnService::Version(Call call, std::string_view bytes) {
  VersionRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("VersionRequest"));
  if (const auto who = context_.RequireIdentity(call); !who.ok()) return call.Fail(who.status());
  context_.life().versions().AskMembers([this, call](const server::MemberVersions& members) mutable {
    const auto& present = member_.membership().version();
    VersionResponse response;
    response.set_cluster_version(MinorOrEmpty(present));
    response.set_newest_cluster_version(cluster::MinorText(cluster::kNewestClusterVersion));
    const auto& downgrade = member_.membership().downgrade();
    if (downgrade.enabled) response.set_downgrade_target(cluster::MinorText(downgrade.target));
    for (const auto& [id, member] : members) {
      MemberVersion* const out = response.add_members();
      out->set_id(id);
      if (const cluster::Member* known = member_.membership().Find(id)) out->set_name(known->attributes.name);
      out->set_reachable(member.has_value());
      if (!member) continue;
      out->set_server_version(cluster::VersionText(member->server));
      out->set_newest_cluster_version(MinorOrEmpty(member->newest_cluster));
      out->set_v2_entries_covered(member->v2_entries_covered);
    }
    call.Respond(response.SerializeAsString());
  });
}

void OwnService::RaiseVersion(Call call, std::string_view bytes) {
  RaiseVersionRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("RaiseVersionRequest"));
  if (member_.auth().enabled()) {
    const auto who = context_.Identify(call);
    const Status denied = who.ok() ? member_.auth().IsAdminPermitted(*who) : who.status();
    if (!denied.ok()) return call.Fail(denied);
  }
  auto target = cluster::ParseVersion(request.version());
  if (!target.ok()) target = cluster::ParseVersion(request.version() + ".0");
  if (!target.ok()) {
    return call.Fail(InvalidArgument("not a cluster version (X.Y): \"" + request.version() + "\""));
  }
  context_.life().versions().Raise(*target, request.dry_run(), [this, call](const Status& status) mutable {
    if (!status.ok()) return call.Fail(status);
    RaiseVersionResponse response;
    response.set_cluster_version(MinorOrEmpty(member_.membership().version()));
    call.Respond(response.SerializeAsString());
  });
}

}  // namespace quorate::rpc
