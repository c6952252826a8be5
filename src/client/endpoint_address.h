// An endpoint as a user writes it, understood. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::client {

struct EndpointAddress {
  enum class Security { kPlain, kTls, kTlsIfConfigured };

  std::string url;          // As given.
  std::string target;       // For gRPC.
  std::string server_name;  // What the certificate must hold where gRPC can't tell: Unix sockets. Else empty.
  Security security = Security::kPlain;
};

// etcd's rules: http and unix..., https and unixs..., or host:port, which uses TLS if it is configured.
StatusOr<EndpointAddress> ParseEndpoint(std::string_view url);

}  // namespace quorate::client
