// Plain HTTP on the client port: /health, /livez, /readyz, /version, /metrics. Core thread only.
#pragma once

#include <functional>
#include <string>

#include "net/http.h"
#include "rpc/health_checks.h"
#include "server/member.h"

namespace quorate::rpc {

class HttpService {
 public:
  // `metrics` renders the Prometheus text. `cors`: allowed origins, "*" for all.
  HttpService(server::Member* member, HealthChecks* health, std::function<std::string()> metrics,
              std::set<std::string> cors);

  void Handle(const net::HttpRequest& request, net::HttpReply reply);

 private:
  net::HttpHeaders CommonHeaders(const net::HttpRequest& request) const;
  void ServeHealth(const net::HttpRequest& request, net::HttpReply reply);
  void ServeChecks(const net::HttpRequest& request, net::HttpReply reply, const std::string& type);
  void ServeVersion(const net::HttpRequest& request, net::HttpReply reply);

  server::Member& member_;
  HealthChecks& health_;
  const std::function<std::string()> metrics_;
  const std::set<std::string> cors_;
};

}  // namespace quorate::rpc
