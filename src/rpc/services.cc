#include "rpc/services.h"

#include <chrono>
#include <utility>

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
#include "rpc/watch_service.h"

namespace quorate::rpc {

struct Services::All {
  All(server::Member* member, server::ClusterLife* life, net::Loop* event_loop, HttpOptions http_options)
      : loop(*event_loop),
        further_metrics(http_options.further_metrics),
        context(member, life, &metrics),
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
        http(
            member, &checks,
            [this, member] {
              return MetricsPage(member, &metrics, &checks, servers).Render() +
                     (further_metrics ? further_metrics() : "");
            },
            std::move(http_options)) {
    const server::Config& config = member->config();
    leader_check = loop.Every(std::chrono::nanoseconds(config.election_ticks * config.tick_nanos),
                              [this] { context.CheckLeader(); });
  }
  ~All() { loop.Cancel(leader_check); }
  All(const All&) = delete;
  All& operator=(const All&) = delete;

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
  std::vector<const net::Server*> servers;
  HttpService http;
};

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
}

void Services::RegisterHttp(net::Server* server) {
  server->SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
    all_->http.Handle(request, std::move(reply));
  });
}

void Services::SetServing(bool serving) { all_->health.SetServing(serving); }

}  // namespace quorate::rpc
