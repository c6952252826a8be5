// The endpoints that DNS names for a domain (--discovery-srv). Source: client/pkg/srv/srv.go, GetClient.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

// First those of _etcd-client-ssl._tcp.DOMAIN with https://, then those of _etcd-client._tcp.DOMAIN with
// http://; `service` is put behind the names ("etcd-client-SERVICE"). With `secure_only` the latter are left
// out, which is told on stderr. Waits for the network.
StatusOr<std::vector<std::string>> EndpointsFromSrv(const std::string& domain, const std::string& service,
                                                    bool secure_only);

}  // namespace quorate::cmd
