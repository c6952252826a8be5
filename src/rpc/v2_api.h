// What of etcd's second-generation API (/v2/...) is served: members, who leads, client URLs, statistics, for
// `ETCDCTL_API=2 etcdctl` and scripts of its time. Keys and users of that API are not, and their paths say
// so. Changes of members go through the same gRPC methods as any others; while authentication is on they need
// the name and password of a user with role root (HTTP basic authentication), and reading stays open, as in
// etcd. Core thread only. Source: etcd 3.4's etcdserver/api/v2http.
#pragma once

#include <string_view>

#include "net/http.h"
#include "net/server.h"
#include "rpc/v2_stats.h"
#include "server/member.h"

namespace quorate::rpc {

class V2Api {
 public:
  // `calls` has the Cluster and Auth services. All must outlive this and its requests in progress.
  V2Api(server::Member* member, net::Server* calls, V2Stats* stats)
      : member_(*member), calls_(calls), stats_(*stats) {}

  // Whether the path is served or refused here; /v2 itself and others are unknown.
  static bool Owns(std::string_view path);
  // Whether Handle() reads the body of such a request.
  static bool ReadsBody(const net::HttpRequest& request);

  // Answers now or later. `headers` go with every answer.
  void Handle(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers);

 private:
  void Members(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers);
  void ReadMembers(std::string_view item, net::HttpReply reply, net::HttpHeaders headers);
  void Stats(std::string_view which, net::HttpReply reply, net::HttpHeaders headers);

  server::Member& member_;
  net::Server* const calls_;
  V2Stats& stats_;
};

}  // namespace quorate::rpc
