#include "gateway/routes.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "election.pb.h"
#include "lock.pb.h"
#include "rpc.pb.h"

namespace quorate::gateway {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;

constexpr std::string_view kKv = "etcdserverpb.KV";
constexpr std::string_view kLease = "etcdserverpb.Lease";
constexpr std::string_view kCluster = "etcdserverpb.Cluster";
constexpr std::string_view kMaintenance = "etcdserverpb.Maintenance";
constexpr std::string_view kAuth = "etcdserverpb.Auth";
constexpr std::string_view kLock = "v3lockpb.Lock";
constexpr std::string_view kElection = "v3electionpb.Election";

struct Row {
  std::string_view path, service, method;
};

constexpr Row kRows[] = {
    {"/v3/kv/range", kKv, "Range"},
    {"/v3/kv/put", kKv, "Put"},
    {"/v3/kv/deleterange", kKv, "DeleteRange"},
    {"/v3/kv/txn", kKv, "Txn"},
    {"/v3/kv/compaction", kKv, "Compact"},
    {"/v3/watch", "etcdserverpb.Watch", "Watch"},
    {"/v3/lease/grant", kLease, "LeaseGrant"},
    {"/v3/lease/revoke", kLease, "LeaseRevoke"},
    {"/v3/kv/lease/revoke", kLease, "LeaseRevoke"},
    {"/v3/lease/keepalive", kLease, "LeaseKeepAlive"},
    {"/v3/lease/timetolive", kLease, "LeaseTimeToLive"},
    {"/v3/kv/lease/timetolive", kLease, "LeaseTimeToLive"},
    {"/v3/lease/leases", kLease, "LeaseLeases"},
    {"/v3/kv/lease/leases", kLease, "LeaseLeases"},
    {"/v3/cluster/member/add", kCluster, "MemberAdd"},
    {"/v3/cluster/member/remove", kCluster, "MemberRemove"},
    {"/v3/cluster/member/update", kCluster, "MemberUpdate"},
    {"/v3/cluster/member/list", kCluster, "MemberList"},
    {"/v3/cluster/member/promote", kCluster, "MemberPromote"},
    {"/v3/maintenance/alarm", kMaintenance, "Alarm"},
    {"/v3/maintenance/status", kMaintenance, "Status"},
    {"/v3/maintenance/defragment", kMaintenance, "Defragment"},
    {"/v3/maintenance/hash", kMaintenance, "Hash"},
    {"/v3/maintenance/hashkv", kMaintenance, "HashKV"},
    {"/v3/maintenance/snapshot", kMaintenance, "Snapshot"},
    {"/v3/maintenance/transfer-leadership", kMaintenance, "MoveLeader"},
    {"/v3/maintenance/downgrade", kMaintenance, "Downgrade"},
    {"/v3/auth/enable", kAuth, "AuthEnable"},
    {"/v3/auth/disable", kAuth, "AuthDisable"},
    {"/v3/auth/status", kAuth, "AuthStatus"},
    {"/v3/auth/authenticate", kAuth, "Authenticate"},
    {"/v3/auth/user/add", kAuth, "UserAdd"},
    {"/v3/auth/user/get", kAuth, "UserGet"},
    {"/v3/auth/user/list", kAuth, "UserList"},
    {"/v3/auth/user/delete", kAuth, "UserDelete"},
    {"/v3/auth/user/changepw", kAuth, "UserChangePassword"},
    {"/v3/auth/user/grant", kAuth, "UserGrantRole"},
    {"/v3/auth/user/revoke", kAuth, "UserRevokeRole"},
    {"/v3/auth/role/add", kAuth, "RoleAdd"},
    {"/v3/auth/role/get", kAuth, "RoleGet"},
    {"/v3/auth/role/list", kAuth, "RoleList"},
    {"/v3/auth/role/delete", kAuth, "RoleDelete"},
    {"/v3/auth/role/grant", kAuth, "RoleGrantPermission"},
    {"/v3/auth/role/revoke", kAuth, "RoleRevokePermission"},
    {"/v3/lock/lock", kLock, "Lock"},
    {"/v3/lock/unlock", kLock, "Unlock"},
    {"/v3/election/campaign", kElection, "Campaign"},
    {"/v3/election/proclaim", kElection, "Proclaim"},
    {"/v3/election/leader", kElection, "Leader"},
    {"/v3/election/observe", kElection, "Observe"},
    {"/v3/election/resign", kElection, "Resign"},
};

// The generated code registers its files before main(); naming one message of each keeps the linker from
// leaving a file out.
void KeepFiles() {
  (void)etcdserverpb::RangeRequest::descriptor();
  (void)v3lockpb::LockRequest::descriptor();
  (void)v3electionpb::CampaignRequest::descriptor();
}

Route MakeRoute(const Row& row) {
  const std::string name = std::string(row.service) + "." + std::string(row.method);
  const MethodDescriptor* method = DescriptorPool::generated_pool()->FindMethodByName(name);
  QUORATE_CHECK_MSG(method != nullptr, "a route names a method that no .proto file has");
  MessageFactory* factory = MessageFactory::generated_factory();
  return {.path = row.path,
          .service = row.service,
          .method = row.method,
          .request = factory->GetPrototype(method->input_type()),
          .response = factory->GetPrototype(method->output_type()),
          .client_streaming = method->client_streaming(),
          .server_streaming = method->server_streaming()};
}

std::vector<Route> MakeRoutes() {
  KeepFiles();
  std::vector<Route> routes;
  for (const Row& row : kRows) routes.push_back(MakeRoute(row));
  std::sort(routes.begin(), routes.end(), [](const Route& a, const Route& b) { return a.path < b.path; });
  return routes;
}

}  // namespace

std::string Route::GrpcPath() const {
  std::string grpc_path = "/";
  grpc_path.append(service).append("/").append(method);
  return grpc_path;
}

const std::vector<Route>& Routes() {
  static const std::vector<Route>& routes = *new std::vector<Route>(MakeRoutes());
  return routes;
}

const Route* FindRoute(std::string_view path) {
  const std::vector<Route>& routes = Routes();
  const auto it = std::lower_bound(routes.begin(), routes.end(), path,
                                   [](const Route& route, std::string_view p) { return route.path < p; });
  return it == routes.end() || it->path != path ? nullptr : &*it;
}

}  // namespace quorate::gateway
