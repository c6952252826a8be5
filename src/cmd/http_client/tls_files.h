// The certificate files of the command line, looked at before anything is sent. Reads files.
#pragma once

#include <string>

#include "base/status.h"

namespace quorate::cmd {

struct TlsFiles {
  std::string ca;    // Empty: the system's.
  std::string cert;  // With key, or neither.
  std::string key;
};

// What etcd's client says of files that can't be used: missing ones, a certificate without key, a key that
// belongs to another certificate. Source of the texts: pkg/transport/listener.go; Go's crypto/tls.
Status CheckTlsFiles(const TlsFiles& files);

}  // namespace quorate::cmd
