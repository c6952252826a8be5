#include "net/tls_verify.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string_view>

#include "net/tls_certificate.h"
#include "net/tls_context.h"

namespace quorate::net {
namespace {

constexpr std::string_view kNotAllowed = "client certificate authentication failed";

std::string SerialOf(const X509* certificate) {
  BIGNUM* const number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  std::string bytes(static_cast<size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  return bytes;
}

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// Go's words where it has them.
std::string ChainError(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "x509: certificate has expired or is not yet valid: it has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "x509: certificate has expired or is not yet valid: it is not yet valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return "x509: certificate signed by unknown authority";
    default:
      return std::string("x509: ") + X509_verify_cert_error_string(error);
  }
}

// Every certificate of the chain that limits its use must allow this one, the anchor too, as in Go.
bool UseAllowed(X509_STORE_CTX* store, uint32_t use) {
  STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(store);
  const int count = sk_X509_num(chain);
  for (int i = 0; i < count; ++i) {
    const uint32_t allowed = X509_get_extended_key_usage(sk_X509_value(chain, i));  // All bits: no limit.
    if ((allowed & (use | XKU_ANYEKU)) == 0) return false;
  }
  return true;
}

// A serial number of what the other has sent that is revoked; empty if there is none.
std::string RevokedSerial(X509_STORE_CTX* store, const TlsPolicy& policy) {
  std::string serial = SerialOf(X509_STORE_CTX_get0_cert(store));
  if (policy.revoked.contains(serial)) return serial;
  STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    serial = SerialOf(sk_X509_value(sent, i));
    if (policy.revoked.contains(serial)) return serial;
  }
  return {};
}

bool NameAllowed(const CertificateNames& names, const TlsPolicy& policy) {
  const auto& cns = policy.allowed_common_names;
  const auto& hosts = policy.allowed_hostnames;
  if (cns.empty() && hosts.empty()) return true;
  return std::find(cns.begin(), cns.end(), names.common_name) != cns.end() ||
         std::any_of(hosts.begin(), hosts.end(),
                     [&](const std::string& host) { return CheckHost(names, host).ok(); });
}

}  // namespace

int VerifyTlsPeer(X509_STORE_CTX* store, void*) {
  const auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const check = static_cast<TlsPeerCheck*>(SSL_get_app_data(ssl));
  const TlsPolicy& policy = *check->policy;
  const auto refuse = [&](int error, std::string why) {
    check->failure = std::move(why);
    X509_STORE_CTX_set_error(store, error);
    return 0;
  };
  // Go has verified nothing then, and so finds no allowed name.
  if (policy.insecure_skip_verify) {
    const bool any = policy.allowed_common_names.empty() && policy.allowed_hostnames.empty();
    if (!any) return refuse(X509_V_ERR_APPLICATION_VERIFICATION, std::string(kNotAllowed));
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  // The use is checked below; OpenSSL would ask for key usages that Go does not ask for.
  X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), X509_PURPOSE_ANY);
  if (X509_verify_cert(store) != 1) {
    const int error = X509_STORE_CTX_get_error(store);
    return refuse(error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error, ChainError(error));
  }
  if (!UseAllowed(store, policy.client ? XKU_SSL_SERVER : XKU_SSL_CLIENT)) {
    return refuse(X509_V_ERR_INVALID_PURPOSE, "x509: certificate specifies an incompatible key usage");
  }
  if (!policy.crl_error.empty()) return refuse(X509_V_ERR_UNABLE_TO_GET_CRL, policy.crl_error);
  const std::string serial = policy.revoked.empty() ? std::string() : RevokedSerial(store, policy);
  if (!serial.empty()) {
    return refuse(X509_V_ERR_CERT_REVOKED, "transport: certificate serial " + Hex(serial) + " revoked");
  }
  const CertificateNames names = NamesOf(X509_STORE_CTX_get0_cert(store));
  if (policy.client) {
    if (const Status host = CheckHost(names, check->host); !host.ok()) {
      return refuse(X509_V_ERR_HOSTNAME_MISMATCH, std::string(Message(host)));
    }
  }
  if (!NameAllowed(names, policy)) {
    return refuse(X509_V_ERR_APPLICATION_VERIFICATION, std::string(kNotAllowed));
  }
  return 1;
}

}  // namespace quorate::net
