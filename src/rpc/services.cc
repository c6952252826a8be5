#include "rpc/services.h"

#include <chrono>
#include <utility>

#include "cluster/version.h"
#include "gateway/json_gateway.h"
#include "rpc/auth_service.h"
#include "rpc/call_metrics.h"
#include "rpc/cluster_service.h"
#include "rpc/context.h"
#include "rpc/election_service.h"
#include "rpc/health_checks.h"
#include "rpc/health_service.h"
#include "rpc/kv_service.h"
#include "rpc/lease_service.h"
#include "rpc/lock_service.h"
#include "rpc/maintenance_service.h"
#include "rpc/metrics_page.h"
#include "rpc/own_service.h"
#include "rpc/v2_api.h"
#include "rpc/v2_stats.h"
#include "rpc/watch_service.h"

namespace quorate::rpc {

struct Services::All {
  All(server::Member* member, server::ClusterLife* life, net::Loop* event_loop, HttpOptions http_options)
      : loop(*event_loop),
        further_metrics(http_options.further_metrics),
        context(member, life, &metrics, event_loop),
        kv(&context),
        watch(&context, event_loop),
        lease(&context, event_loop),
        cluster(&context),
        maintenance(&context, event_loop),
        auth(&context),
        lock(&context, event_loop),
        election(&context, event_loop),
        health(&context),
        own(&context),
        checks(member),
        v2_stats(member, http_options.peer_stats),
        json_gateway(http_options.json_gateway),
        client_cert_auth(http_options.client_cert_auth),
        http(
            member, &checks,
            [this, member] {
              return MetricsPage(member, &metrics, &checks, servers).Render() +
                     (further_metrics ? further_metrics() : "");
            },
            std::move(http_options)) {
    const server::Config& config = member->config();
    leader_check = loop.Every(std::chrono::nanoseconds(config.election_ticks * config.tick_nanos), [this] {
      context.CheckLeader();
      v2_stats.Observe();
    });
  }
  ~All() { loop.Cancel(leader_check); }
  All(const All&) = delete;
  All& operator=(const All&) = delete;

  void OpenDoors(net::Server* calls);

  net::Loop& loop;
  const std::function<std::string()> further_metrics;
  net::Loop::TimerId leader_check = 0;
  CallMetrics metrics;
  Context context;
  KvService kv;
  WatchService watch;
  LeaseService lease;
  ClusterService cluster;
  MaintenanceService maintenance;
  AuthService auth;
  LockService lock;
  ElectionService election;
  HealthService health;
  OwnService own;
  HealthChecks checks;
  V2Stats v2_stats;
  const bool json_gateway;
  const bool client_cert_auth;
  std::vector<const net::Server*> servers;
  HttpService http;
};

namespace {

gateway::Era EraOf(server::Member& member) {
  const auto version = member.membership().version();
  if (!version || *version < cluster::kVersion35) return gateway::Era::k34;
  return *version < cluster::kVersion36 ? gateway::Era::k35 : gateway::Era::k36;
}

// Over gRPC the common name may be the caller's; a request that counts on that here would be surprised.
void RefuseCommonName(net::HttpReply& reply) {
  reply.Send(
      400, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}},
      "CommonName of client sending a request against gateway will be ignored and not used as expected\n");
}

}  // namespace

void Services::All::OpenDoors(net::Server* calls) {
  server::Member* const member = &context.member();
  auto v2 = std::make_shared<V2Api>(member, calls, &v2_stats);
  http.AddDoor({V2Api::Owns,
                [v2](const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers) {
                  v2->Handle(request, std::move(reply), std::move(headers));
                },
                V2Api::ReadsBody});
  if (!json_gateway) return;
  auto json = std::make_shared<gateway::JsonGateway>(calls, member->env().executor,
                                                     [member] { return EraOf(*member); });
  const auto refused = [this](const net::HttpRequest& request) {
    return client_cert_auth && !request.tls_common_name.empty() && context.member().auth().enabled();
  };
  http.AddDoor(
      {gateway::JsonGateway::Owns,
       [json, refused](const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers) {
         if (refused(request)) return RefuseCommonName(reply);
         json->Handle(request, std::move(reply), std::move(headers));
       },
       [refused](const net::HttpRequest& request) {
         return !refused(request) && gateway::JsonGateway::ReadsBody(request);
       },
       [json, refused](const net::HttpRequest& request, net::HttpHeaders headers) {
         return refused(request) ? nullptr : json->TakeBody(request, std::move(headers));
       }});
}

Services::Services(server::Member* member, server::ClusterLife* life, net::Loop* loop, HttpOptions http)
    : all_(std::make_unique<All>(member, life, loop, std::move(http))) {}
Services::~Services() = default;

void Services::RegisterGrpc(const std::vector<net::Server*>& servers) {
  all_->servers.assign(servers.begin(), servers.end());
  all_->kv.Register(servers);
  all_->watch.Register(servers);
  all_->lease.Register(servers);
  all_->cluster.Register(servers);
  all_->maintenance.Register(servers);
  all_->auth.Register(servers);
  all_->lock.Register(servers);
  all_->election.Register(servers);
  all_->health.Register(servers);
  all_->own.Register(servers);
  all_->OpenDoors(servers.front());
}

void Services::RegisterHttp(net::Server* server) {
  server->SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
    all_->http.Handle(request, std::move(reply));
  });
  server->SetHttpBodyHandler(
      [this](const net::HttpRequest& request) { return all_->http.TakeBody(request); });
}

void Services::RegisterMetricsHttp(net::Server* server) {
  server->SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
    all_->http.HandleMetricsOnly(request, std::move(reply));
  });
  server->SetHttpBodyHandler(
      [this](const net::HttpRequest& request) { return all_->http.TakeBodyMetricsOnly(request); });
}

void Services::SetServing(bool serving) { all_->health.SetServing(serving); }

}  // namespace quorate::rpc
