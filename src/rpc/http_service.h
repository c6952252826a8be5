// Plain HTTP on the client port: /health, /livez, /readyz, /version, /metrics. Core thread only.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "net/http.h"
#include "rpc/health_checks.h"
#include "server/member.h"

namespace quorate::rpc {

struct HttpOptions {
  std::set<std::string> cors = {"*"};            // Origins that may read answers; "*": all.
  std::set<std::string> host_whitelist = {"*"};  // Host headers that are served; "*": all.
  // Prometheus text of parts that rpc does not know, for the end of /metrics; may be empty.
  std::function<std::string()> further_metrics = {};
};

class HttpService {
 public:
  // `metrics` renders the Prometheus text.
  HttpService(server::Member* member, HealthChecks* health, std::function<std::string()> metrics,
              HttpOptions options);

  void Handle(const net::HttpRequest& request, net::HttpReply reply);

 private:
  bool HostAllowed(std::string_view host) const;
  net::HttpHeaders CommonHeaders(const net::HttpRequest& request) const;
  void ServeHealth(const net::HttpRequest& request, net::HttpReply reply);
  void ServeChecks(const net::HttpRequest& request, net::HttpReply reply, const std::string& type);
  void ServeVersion(const net::HttpRequest& request, net::HttpReply reply);

  server::Member& member_;
  HealthChecks& health_;
  const std::function<std::string()> metrics_;
  const HttpOptions options_;
};

}  // namespace quorate::rpc
