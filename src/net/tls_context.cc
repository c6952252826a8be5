#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "net/tls_verify.h"

namespace quorate::net {
namespace {

struct OpensslDeleter {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(X509_CRL* p) const { X509_CRL_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpensslDeleter>;

Owned<BIO> BioOf(const std::string& content) {
  return Owned<BIO>(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
}

// A key that needs a password is refused, instead of asking for one on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

// The text from each "-----BEGIN " at a line's start up to the next.
std::vector<std::string> PemBlocks(const std::string& content) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  std::vector<size_t> starts;
  for (size_t at = content.find(kBegin); at != std::string::npos; at = content.find(kBegin, at + 1)) {
    if (at == 0 || content[at - 1] == '\n') starts.push_back(at);
  }
  std::vector<std::string> blocks;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : content.size();
    blocks.push_back(content.substr(starts[i], end - starts[i]));
  }
  return blocks;
}

// All certificates of a PEM file, in order; what is between them is passed over. With `lenient`, so is a
// block that is damaged or cut off, with a warning, when there are others: etcd starts with such a file.
StatusOr<std::vector<Owned<X509>>> ParseCertificates(const std::string& content, const std::string& path,
                                                     bool lenient) {
  std::vector<Owned<X509>> all;
  std::string damage;
  for (const std::string& block : PemBlocks(content)) {
    const Owned<BIO> bio = BioOf(block);
    ERR_clear_error();
    if (Owned<X509> one{PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)}) {
      all.push_back(std::move(one));
      continue;
    }
    const unsigned long error = ERR_peek_last_error();
    const bool other_kind = ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    const bool no_certificate = ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) == ERR_R_ASN1_LIB;
    const std::string text = TlsErrorText();
    if (other_kind) continue;
    if (no_certificate || !lenient) {
      return InvalidArgument(path + ": not a PEM file of certificates: " + text);
    }
    damage = text;
  }
  if (!damage.empty() && all.empty()) {
    return InvalidArgument(path + ": not a PEM file of certificates: " + damage);
  }
  if (!damage.empty()) {
    LOG_WARN("a certificate in a file is damaged or cut off, and ignored", {"path", path},
             {"certificates-read", all.size()}, {"error", damage});
  }
  return all;
}

std::string SerialOf(const ASN1_INTEGER* serial) {
  BIGNUM* const number = ASN1_INTEGER_to_BN(serial, nullptr);
  std::string bytes(static_cast<size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  return bytes;
}

int ProtocolOf(int version) { return version == 13 ? TLS1_3_VERSION : version == 12 ? TLS1_2_VERSION : 0; }

// h2 if the client has it, else http/1.1; a client that offers only others is refused, as Go does.
int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                   unsigned int size, void*) {
  static constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOurs, sizeof(kOurs) - 1, offered, size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

std::string TlsErrorText() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (error == 0) return "unknown TLS error";
  const char* const reason = ERR_reason_error_string(error);
  return reason == nullptr ? "TLS error " + std::to_string(error) : reason;
}

TlsContext::TlsContext(Role role, TlsSettings settings)
    : role_(role),
      settings_(std::move(settings)),
      cert_(role == Role::kClient && !settings_.client_cert_file.empty() ? settings_.client_cert_file
                                                                         : settings_.cert_file),
      key_(role == Role::kClient && !settings_.client_cert_file.empty() ? settings_.client_key_file
                                                                        : settings_.key_file),
      trust_(settings_.trusted_ca_file),
      crl_(role == Role::kServer ? settings_.crl_file : "") {}

StatusOr<std::shared_ptr<TlsContext>> TlsContext::Make(Role role, TlsSettings settings) {
  if (settings.cert_file.empty() != settings.key_file.empty() ||
      (role == Role::kServer && settings.empty())) {
    return InvalidArgument("KeyFile and CertFile must both be present[key: " + settings.key_file +
                           ", cert: " + settings.cert_file + "]");
  }
  if (settings.client_cert_file.empty() != settings.client_key_file.empty()) {
    return InvalidArgument("ClientKeyFile and ClientCertFile must both be present or both absent: key: " +
                           settings.client_key_file + ", cert: " + settings.client_cert_file + "]");
  }
  if (!settings.allowed_common_names.empty() && !settings.allowed_hostnames.empty()) {
    return InvalidArgument(
        "AllowedCNs and AllowedHostnames are mutually exclusive: give allowed common names "
        "or allowed hostnames, not both");
  }
  std::shared_ptr<TlsContext> context(new TlsContext(role, std::move(settings)));
  const std::lock_guard lock(context->mutex_);
  QUORATE_RETURN_IF_ERROR(context->LoadContext());
  if (const Status status = context->LoadPolicy(); !status.ok()) {
    LOG_WARN(
        "the revocation list can't be read; the server starts, but certificates are refused until it can",
        {"error", Message(status)}, {"crl-file", context->crl_.path()});
  }
  return context;
}

void TlsContext::Refresh() {
  // Each remembers what it sees, so all are asked.
  const bool changed[] = {cert_.Changed(), key_.Changed(), trust_.Changed()};
  if (changed[0] || changed[1] || changed[2]) {
    if (const Status status = LoadContext(); status.ok()) {
      LOG_INFO("reloaded TLS files", {"cert-file", cert_.path()}, {"trusted-ca-file", trust_.path()});
    } else {
      LOG_ERROR("TLS files have changed and can't be used; what was read before serves on",
                {"error", Message(status)}, {"cert-file", cert_.path()}, {"key-file", key_.path()});
    }
  }
  if (!crl_.Changed()) return;
  if (const Status status = LoadPolicy(); status.ok()) {
    LOG_INFO("reloaded the revocation list", {"crl-file", crl_.path()});
  } else {
    LOG_ERROR("the revocation list can't be read; certificates are refused until it can",
              {"error", Message(status)}, {"crl-file", crl_.path()});
  }
}

StatusOr<TlsSession> TlsContext::NewSession() {
  const std::lock_guard lock(mutex_);
  Refresh();
  SslPtr ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return ResourceExhausted("a TLS session: " + TlsErrorText());
  return TlsSession{std::move(ssl), policy_};
}

Status TlsContext::LoadPolicy() {
  auto policy = std::make_shared<TlsPolicy>();
  policy->allowed_common_names = settings_.allowed_common_names;
  policy->allowed_hostnames = settings_.allowed_hostnames;
  policy->client = role_ == Role::kClient;
  policy->insecure_skip_verify = settings_.insecure_skip_verify;
  const Status read = ReadRevoked(policy.get());
  if (!read.ok()) policy->crl_error = Message(read);
  policy_ = std::move(policy);
  return read;
}

Status TlsContext::LoadContext() {
  SslContextPtr context(SSL_CTX_new(role_ == Role::kServer ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* const c = context.get();
  if (c == nullptr) return Internal("a TLS context: " + TlsErrorText());
  // Etcd takes keys that OpenSSL's second level refuses.
  SSL_CTX_set_security_level(c, 1);
  // All files are read whatever is wrong with one, so that each knows what was tried.
  const Status certificate = UseCertificate(c);
  const Status trust = UseTrust(c);
  QUORATE_RETURN_IF_ERROR(certificate);
  QUORATE_RETURN_IF_ERROR(trust);
  QUORATE_RETURN_IF_ERROR(SetVersions(c));
  SetVerification(c);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  // What was decrypted is overwritten once it is read: there may be a password in it.
  SSL_CTX_set_options(c, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  if (role_ == Role::kServer) SSL_CTX_set_alpn_select_cb(c, SelectProtocol, nullptr);
  context_ = std::move(context);
  return absl::OkStatus();
}

Status TlsContext::SetVersions(SSL_CTX* context) {
  QUORATE_ASSIGN_OR_RETURN(const TlsCiphers ciphers, ParseCipherSuites(settings_.cipher_suites));
  const bool tls12 = !ciphers.tls12.empty();
  if (tls12 && SSL_CTX_set_cipher_list(context, ciphers.tls12.c_str()) != 1) {
    return InvalidArgument("none of the cipher suites is known to OpenSSL: " + ciphers.tls12);
  }
  const int max = ProtocolOf(settings_.max_version);
  if (!tls12 && max == TLS1_2_VERSION) {
    return InvalidArgument("none of --cipher-suites can be used with --tls-max-version TLS1.2");
  }
  SSL_CTX_set_min_proto_version(context, tls12 ? ProtocolOf(settings_.min_version) : TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, max);
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521");
  return absl::OkStatus();
}

void TlsContext::SetVerification(SSL_CTX* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  const bool asks = role_ == Role::kClient || settings_.client_cert_auth || trust_.named();
  if (asks && role_ == Role::kServer) {
    // A resumed session would be taken without a look at certificate, revocation list and CAs as they are
    // now.
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  SSL_CTX_set_verify(context, asks ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE,
                     nullptr);
  SSL_CTX_set_cert_verify_callback(context, VerifyTlsPeer, nullptr);
}

Status TlsContext::UseCertificate(SSL_CTX* context) {
  if (!cert_.named()) return absl::OkStatus();
  const bool lenient = context_ == nullptr;
  const StatusOr<std::string> cert_text = cert_.Read();
  StatusOr<std::string> key_text = key_.Read();
  QUORATE_RETURN_IF_ERROR(cert_text.status());
  QUORATE_RETURN_IF_ERROR(key_text.status());
  const Owned<BIO> bio = BioOf(*key_text);
  ERR_clear_error();
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  OPENSSL_cleanse(key_text->data(), key_text->size());
  if (key == nullptr) {
    return InvalidArgument(key_.path() + ": no PEM private key without a password: " + TlsErrorText());
  }
  QUORATE_ASSIGN_OR_RETURN(std::vector<Owned<X509>> chain,
                           ParseCertificates(*cert_text, cert_.path(), lenient));
  if (chain.empty()) return InvalidArgument(cert_.path() + ": no PEM certificate in it");
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("tls: private key does not match public key: " + key_.path() +
                           " is not the key of " + cert_.path());
  }
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return InvalidArgument(cert_.path() + ": " + TlsErrorText());
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) {
      return InvalidArgument(cert_.path() + ": " + TlsErrorText());
    }
  }
  // Only what the file holds is sent, as in Go.
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
  return absl::OkStatus();
}

Status TlsContext::UseTrust(SSL_CTX* context) {
  // As in Go any certificate of the file is an anchor, one that is not self-signed, too.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  if (!trust_.named()) {
    if (role_ == Role::kClient || settings_.client_cert_auth) SSL_CTX_set_default_verify_paths(context);
    ERR_clear_error();
    return absl::OkStatus();
  }
  const bool lenient = context_ == nullptr;
  QUORATE_ASSIGN_OR_RETURN(const std::string text, trust_.Read());
  QUORATE_ASSIGN_OR_RETURN(const std::vector<Owned<X509>> all,
                           ParseCertificates(text, trust_.path(), lenient));
  if (all.empty()) return InvalidArgument(trust_.path() + ": no PEM certificate in it");
  for (const Owned<X509>& one : all) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), one.get()) != 1) {
      return InvalidArgument(trust_.path() + ": " + TlsErrorText());
    }
    if (role_ == Role::kServer) SSL_CTX_add_client_CA(context, one.get());
  }
  return absl::OkStatus();
}

Status TlsContext::ReadRevoked(TlsPolicy* policy) {
  if (!crl_.named()) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const std::string text, crl_.Read());
  std::vector<Owned<X509_CRL>> lists;
  const Owned<BIO> pem = BioOf(text);
  while (Owned<X509_CRL> list{PEM_read_bio_X509_CRL(pem.get(), nullptr, NoPassword, nullptr)}) {
    lists.push_back(std::move(list));
  }
  // A block that can't be read may hold what matters: the whole file is refused.
  const unsigned long error = ERR_peek_last_error();
  if (!lists.empty() && ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return InvalidArgument(crl_.path() + ": the certificate revocation list after the first " +
                           std::to_string(lists.size()) + " can't be read: " + TlsErrorText());
  }
  if (lists.empty()) {
    const Owned<BIO> der = BioOf(text);
    if (Owned<X509_CRL> list{d2i_X509_CRL_bio(der.get(), nullptr)}) lists.push_back(std::move(list));
  }
  ERR_clear_error();
  if (lists.empty()) return InvalidArgument(crl_.path() + ": no certificate revocation list, PEM or DER");
  for (const Owned<X509_CRL>& list : lists) {
    const STACK_OF(X509_REVOKED)* const entries = X509_CRL_get_REVOKED(list.get());
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
      policy->revoked.insert(SerialOf(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
    }
  }
  return absl::OkStatus();
}

}  // namespace quorate::net
