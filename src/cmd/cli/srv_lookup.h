// SRV records, asked of the system's resolver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace quorate::cmd {

struct SrvRecord {
  std::string target;  // With or without the dot at its end.
  uint16_t port = 0;
};

// The records of a name like "_etcd-server._tcp.example.com", lowest priority number and highest weight
// first. Waits for the network.
StatusOr<std::vector<SrvRecord>> LookupSrv(const std::string& name);

}  // namespace quorate::cmd
