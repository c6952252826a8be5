// Where a peer URL leads: what to connect to and what to say in Host. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::peer {

struct Endpoint {
  std::string host;  // Name or address, without brackets.
  uint16_t port = 0;
  std::string unix_path;  // For unix sockets; host is then only the name that a certificate must hold.
  bool tls = false;       // https or unixs.
  std::string authority;  // As in the URL: "127.0.0.1:2380". Names the endpoint in pools and logs.
};

// "http://host:port", "https://host:port", "unix://path:port" or "unixs://path:port" (the socket's file is
// "path:port", as etcd has it). InvalidArgument otherwise.
StatusOr<Endpoint> ParseEndpoint(std::string_view url);

}  // namespace quorate::peer
