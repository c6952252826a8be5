// Cipher suites by the names that Go gives them (crypto/tls, CipherSuites and InsecureCipherSuites), as
// --cipher-suites has them.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace quorate::net {

struct TlsCiphers {
  std::string tls12;  // OpenSSL's list for TLS 1.2; empty: none is left.
  // Known to Go, but not built into OpenSSL.
  std::vector<std::string> missing;
};

// In the order given. Suites of TLS 1.3 are known and change nothing: they are always on, as in Go. Without
// any name: Go's defaults. InvalidArgument, in etcd's words, for a name that Go does not know.
StatusOr<TlsCiphers> ParseCipherSuites(const std::vector<std::string>& go_names);

}  // namespace quorate::net
