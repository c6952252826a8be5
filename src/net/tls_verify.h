// Internal: the verdict on the other side's certificate during a handshake.
#pragma once

#include <openssl/ssl.h>

#include <string>

namespace quorate::net {

// Of one connection, found by SSL_get_app_data.
struct TlsPeerCheck {
  const struct TlsPolicy* policy = nullptr;
  std::string host;     // Clients: what the server's certificate must be valid for.
  std::string failure;  // Why it was refused.
};

// For SSL_CTX_set_cert_verify_callback. In this order: chain and dates,
// use (as Go: extended key usage only), revoked serial numbers, the host, the allowed names.
int VerifyTlsPeer(X509_STORE_CTX* store, void* unused);

}  // namespace quorate::net
