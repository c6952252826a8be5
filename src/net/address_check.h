// Whether the holder of a certificate may come from where it comes from: etcd's rule for peers
// (client/pkg/transport/listener_tls.go, checkCertSAN). A certificate without alternative names may come from
// anywhere; else its IP addresses must hold the address, or its DNS names must lead to it, by the name
// server's word: backwards (the address's names, wildcards allowed) or forwards (the names' addresses).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/tls_certificate.h"

namespace quorate::net {

// Answers of the name server; both wait for it.
struct NameService {
  std::function<StatusOr<std::vector<std::string>>(const std::string& address)> names_of;
  std::function<StatusOr<std::vector<std::string>>(const std::string& name)> addresses_of;
};
NameService SystemNameService();

// The verdict if it needs no name server. `address` is canonical.
std::optional<Status> CheckAddressQuickly(const CertificateNames& names, const std::string& address);
// The rest of the rule: waits for the name server.
Status CheckAddressByName(const CertificateNames& names, const std::string& address,
                          const NameService& service);

// The host of "host:port" or "[host]:port", canonical; empty when it is no address.
std::string AddressOfPeer(std::string_view peer);

}  // namespace quorate::net
