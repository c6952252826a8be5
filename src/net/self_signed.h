// Certificates that a server makes for itself (--auto-tls, --peer-auto-tls), as etcd makes them
// (client/pkg/transport/listener.go, SelfCert): cert.pem and key.pem in one directory, used again when there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace quorate::net {

struct SelfSigned {
  std::string cert_file;  // Absolute.
  std::string key_file;
};

// `hosts` are the "host:port" that are listened on: its alternative names. Directories are made with mode
// 0700, files with 0600. Logs what it makes.
StatusOr<SelfSigned> MakeSelfSigned(const std::string& directory, const std::vector<std::string>& hosts,
                                    uint64_t validity_years);

}  // namespace quorate::net
