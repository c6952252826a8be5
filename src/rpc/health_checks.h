// The member's own idea of its health: what /health, /livez, /readyz and grpc.health.v1 say. Core thread
// only. Source of names, order and texts: etcd server/etcdserver/api/etcdhttp/health.go.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/member.h"

namespace quorate::rpc {

struct CheckCounts {
  bool healthy = false;  // Of the last run.
  uint64_t successes = 0;
  uint64_t errors = 0;
};

class HealthChecks {
 public:
  explicit HealthChecks(server::Member* member) : member_(*member) {}

  // /health: alarms (by name, without the excluded), leader, a read. `done` gets the reason, empty when
  // healthy.
  void Health(const std::set<std::string>& excluded, bool serializable,
              std::function<void(std::string reason)> done);

  // The checks of /livez and /readyz by name. `done` gets what happened to each, in order: a line "[+]name
  // ok" or
  // "[-]name failed: why", and whether all passed.
  static const std::vector<std::string_view>& Livez();
  static const std::vector<std::string_view>& Readyz();
  void Run(std::string_view type, std::vector<std::string_view> names,
           std::function<void(bool ok, std::string lines)> done);

  uint64_t health_successes() const { return health_successes_; }
  uint64_t health_failures() const { return health_failures_; }
  // By (type, name), for the metrics.
  const std::map<std::pair<std::string, std::string>, CheckCounts>& counts() const { return counts_; }

 private:
  void RunOne(std::string_view name, std::function<void(std::string why)> done);
  void Count(std::string_view type, std::string_view name, bool ok);

  server::Member& member_;
  std::map<std::pair<std::string, std::string>, CheckCounts> counts_;
  uint64_t health_successes_ = 0;
  uint64_t health_failures_ = 0;
};

}  // namespace quorate::rpc
