// What a TLS connection is made from: certificate, key, trusted CAs, revocation list, allowed names, versions
// and ciphers, in the files and words of etcd (client/pkg/transport/listener.go, TLSInfo). Files that change
// are read again for the next connection; while new ones are broken, the old ones serve on, but for the
// revocation list: while that can't be read, certificates are refused, as in etcd.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "net/tls_ciphers.h"
#include "net/tls_file.h"

namespace quorate::net {

struct TlsSettings {
  std::string cert_file;
  std::string key_file;
  // What a client presents; empty: cert_file and key_file.
  std::string client_cert_file;
  std::string client_key_file;
  // Verifies the other side. Empty: the system's CAs.
  std::string trusted_ca_file;
  // Serial numbers that are refused, PEM or DER. As in etcd its signature is not checked.
  std::string crl_file;
  // Servers: clients must show a certificate. A trusted_ca_file asks for the same.
  bool client_cert_auth = false;
  // Clients: the server's certificate is not verified (both sides use generated ones).
  bool insecure_skip_verify = false;
  // Clients: the name that a server's certificate must hold, whatever host was dialed.
  std::string server_name;
  // If not empty, one of them must be the other's common name, or match one of its alternative names.
  std::vector<std::string> allowed_common_names;
  std::vector<std::string> allowed_hostnames;
  std::vector<std::string> cipher_suites;  // Go's names.
  int min_version = 12;                    // 12 or 13: TLS 1.2 or 1.3.
  int max_version = 0;                     // 0: the newest.

  bool empty() const { return cert_file.empty() && key_file.empty(); }
};

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;
using SslContextPtr = std::unique_ptr<SSL_CTX, SslDeleter>;

// What is asked of the other's certificate beyond a valid chain. Immutable.
struct TlsPolicy {
  std::vector<std::string> allowed_common_names;
  std::vector<std::string> allowed_hostnames;
  bool client = false;
  bool insecure_skip_verify = false;
  std::unordered_set<std::string> revoked;  // Serial numbers, big-endian, no leading zeros.
  // Not empty: the revocation list can't be read, and so nobody's certificate can be accepted.
  std::string crl_error;
};

// A new connection's; the policy must live as long as the handshake.
struct TlsSession {
  SslPtr ssl;
  std::shared_ptr<const TlsPolicy> policy;
};

// Any thread may use it.
class TlsContext {
 public:
  enum class Role { kServer, kClient };

  // Reads all files. Errors name the file; texts are etcd's where it has them. A revocation list that can't
  // be read is none, but for a warning.
  static StatusOr<std::shared_ptr<TlsContext>> Make(Role role, TlsSettings settings);

  // From the files as they are now, or as they last were in order.
  StatusOr<TlsSession> NewSession();
  const TlsSettings& settings() const { return settings_; }
  Role role() const { return role_; }

 private:
  TlsContext(Role role, TlsSettings settings);
  Status LoadContext();
  Status LoadPolicy();
  void Refresh();
  Status UseCertificate(SSL_CTX* context);
  Status UseTrust(SSL_CTX* context);
  Status SetVersions(SSL_CTX* context);
  void SetVerification(SSL_CTX* context);
  Status ReadRevoked(TlsPolicy* policy);

  const Role role_;
  const TlsSettings settings_;

  std::mutex mutex_;  // Guards what follows.
  TlsFile cert_;
  TlsFile key_;
  TlsFile trust_;
  TlsFile crl_;
  SslContextPtr context_;
  std::shared_ptr<const TlsPolicy> policy_;
};

// The newest error of OpenSSL on this thread, which is cleared.
std::string TlsErrorText();

}  // namespace quorate::net
