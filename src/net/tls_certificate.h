// What a certificate says of its holder, and whether a host is that. Rules and texts are those of Go's
// crypto/x509 (VerifyHostname): only subject alternative names count, never the common name, and a wildcard
// stands for exactly one leftmost label.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::net {

struct CertificateNames {
  std::string common_name;  // The last one of the subject, as UTF-8.
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;  // As text, in inet_ntop's form.

  bool has_alternative_names() const { return !dns_names.empty() || !ip_addresses.empty(); }
};

CertificateNames NamesOf(const X509* certificate);

// "10.0.0.1", "[::1]" or a name. The error is Go's "x509: certificate is valid for A, B, not HOST".
Status CheckHost(const CertificateNames& names, std::string_view host);

// inet_ntop's form of an address, brackets and zone dropped; empty when it is none.
std::string CanonicalAddress(std::string_view text);

}  // namespace quorate::net
