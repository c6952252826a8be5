// All services of a member on its listeners. Core thread only; must go before the member, and its calls with
// it.
#pragma once

#include <memory>
#include <vector>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/http_service.h"
#include "server/cluster_life.h"
#include "server/member.h"

namespace quorate::rpc {

class Services {
 public:
  Services(server::Member* member, server::ClusterLife* life, net::Loop* loop, HttpOptions http);
  ~Services();

  // Before the servers listen; once. The doors that turn HTTP requests into calls make them on the first one.
  void RegisterGrpc(const std::vector<net::Server*>& servers);
  // After RegisterGrpc.
  void RegisterHttp(net::Server* server);
  // For --listen-metrics-urls: no more than health and metrics.
  void RegisterMetricsHttp(net::Server* server);

  // What the gRPC health service says.
  void SetServing(bool serving);

 private:
  struct All;
  std::unique_ptr<All> all_;
};

}  // namespace quorate::rpc
