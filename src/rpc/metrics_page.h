// GET /metrics: the original's metric names, filled from the core's figures. Core thread only.
#pragma once

#include <string>
#include <vector>

#include "net/server.h"
#include "rpc/call_metrics.h"
#include "rpc/health_checks.h"
#include "server/member.h"

namespace quorate::rpc {

class MetricsPage {
 public:
  MetricsPage(server::Member* member, const CallMetrics* calls, const HealthChecks* health,
              std::vector<const net::Server*> servers)
      : member_(*member), calls_(*calls), health_(*health), servers_(std::move(servers)) {}

  // Prometheus text format 0.0.4.
  std::string Render() const;

 private:
  server::Member& member_;
  const CallMetrics& calls_;
  const HealthChecks& health_;
  const std::vector<const net::Server*> servers_;
};

}  // namespace quorate::rpc
