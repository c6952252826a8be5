// The initial members of a cluster from DNS SRV records (--discovery-srv). Source: client/pkg/srv/srv.go,
// embed/config.go (GetDNSClusterNames).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cluster/urls.h"

namespace quorate::cluster {

struct SrvRecord {
  std::string target;  // With or without the dot at its end.
  uint16_t port = 0;
};
// The records of a name like "_etcd-server._tcp.example.com"; waits for the network.
using SrvLookup = std::function<StatusOr<std::vector<SrvRecord>>(const std::string& name)>;

struct SrvOptions {
  std::string domain;                             // --discovery-srv
  std::string service_suffix;                     // --discovery-srv-name
  std::string name;                               // Our own.
  std::vector<std::string> advertised_peer_urls;  // Ours: the record that resolves to one of them is us.
};

// The value that --initial-cluster would have: the records of _etcd-server-ssl with https, then those of
// _etcd-server with http. Others than us are named by numbers. An error when there are no records, we are not
// among them, or our record has another scheme than our URL.
StatusOr<std::string> InitialClusterFromSrv(const SrvOptions& options, const SrvLookup& lookup,
                                            const Resolver& resolve);

}  // namespace quorate::cluster
