// Plain HTTP on the client port: /health, /livez, /readyz, /version, /metrics, /debug/vars, and what other
// doors own: the JSON gateway and the second-generation API. Core thread only.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http.h"
#include "rpc/health_checks.h"
#include "rpc/v2_stats.h"
#include "server/member.h"

namespace quorate::rpc {

struct HttpOptions {
  std::set<std::string> cors = {"*"};            // Origins that may read answers; "*": all.
  std::set<std::string> host_whitelist = {"*"};  // Host headers that are served; "*": all.
  // Prometheus text of parts that rpc does not know, for the end of /metrics; may be empty.
  std::function<std::string()> further_metrics = {};
  PeerStatsSource peer_stats = {};  // For /v2/stats; may be empty.
  bool json_gateway = true;         // --enable-grpc-gateway
  bool client_cert_auth = false;    // --client-cert-auth
  // Lines for the end of /readyz?verbose, of things that never make it fail; may be empty.
  std::function<std::string()> further_checks = {};
};

// Answers the requests whose paths it owns; the headers go with every answer.
struct HttpDoor {
  std::function<bool(std::string_view path)> owns;
  std::function<void(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers)> handle;
  // Whether `handle` reads the request's body. Where it does not, it may be called before there is one.
  // Empty: it never does.
  std::function<bool(const net::HttpRequest& request)> reads_body = {};
  // Of a request without its body: takes that as it comes; null: it is collected for `handle`. May be empty.
  std::function<std::shared_ptr<net::HttpBodySink>(const net::HttpRequest& request, net::HttpHeaders headers)>
      take_body = {};
};

class HttpService {
 public:
  // `metrics` renders the Prometheus text.
  HttpService(server::Member* member, HealthChecks* health, std::function<std::string()> metrics,
              HttpOptions options);

  // Before the first request.
  void AddDoor(HttpDoor door) { doors_.push_back(std::move(door)); }

  // On the client's addresses: who takes the body? Null: Handle() gets it whole. Over HTTP/2, what is decided
  // by a request's head is answered at once: its body may have no end.
  std::shared_ptr<net::HttpBodySink> TakeBody(const net::HttpRequest& request);
  void Handle(const net::HttpRequest& request, net::HttpReply reply);
  // On --listen-metrics-urls: health and metrics, and nothing else.
  std::shared_ptr<net::HttpBodySink> TakeBodyMetricsOnly(const net::HttpRequest& request);
  void HandleMetricsOnly(const net::HttpRequest& request, net::HttpReply reply);

 private:
  static bool ForMetrics(std::string_view path);
  // Null: nobody's.
  const HttpDoor* DoorOf(std::string_view path) const;
  // Whether Admit() and AdmitPath() would let it in.
  bool Admissible(const net::HttpRequest& request) const;
  // False: answered.
  bool Admit(const net::HttpRequest& request, net::HttpReply& reply);
  bool AdmitPath(const net::HttpRequest& request, net::HttpReply& reply) const;
  void Serve(const net::HttpRequest& request, net::HttpReply reply);
  bool HostAllowed(std::string_view host) const;
  // Without its port, and the brackets of an IPv6 address.
  static std::string_view HostName(std::string_view host);
  net::HttpHeaders CommonHeaders(const net::HttpRequest& request) const;
  void ServeHealth(const net::HttpRequest& request, net::HttpReply reply);
  void ServeChecks(const net::HttpRequest& request, net::HttpReply reply, const std::string& type);
  void ServeVersion(const net::HttpRequest& request, net::HttpReply reply);

  server::Member& member_;
  HealthChecks& health_;
  const std::function<std::string()> metrics_;
  const HttpOptions options_;
  std::vector<HttpDoor> doors_;
};

}  // namespace quorate::rpc
