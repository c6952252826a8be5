#include "client/credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace quorate::client {
namespace {

// Also how long a new file may go unseen.
constexpr unsigned kReloadSeconds = 5;

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct CertificateFree {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, BioFree>;
using Certificate = std::unique_ptr<X509, CertificateFree>;
using Key = std::unique_ptr<EVP_PKEY, KeyFree>;

// Instead of OpenSSL's own, which would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

StatusOr<Bio> OpenFile(const std::string& path) {
  Bio bio(BIO_new_file(path.c_str(), "r"));
  if (!bio) {
    ERR_clear_error();
    return InvalidArgument("can't read " + path + ": " + std::strerror(errno));
  }
  return bio;
}

StatusOr<Certificate> ReadCertificate(const std::string& path) {
  QUORATE_ASSIGN_OR_RETURN(const Bio bio, OpenFile(path));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!certificate) return InvalidArgument(path + " holds no certificate in PEM form");
  return certificate;
}

StatusOr<Key> ReadKey(const std::string& path) {
  QUORATE_ASSIGN_OR_RETURN(const Bio bio, OpenFile(path));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!key) return InvalidArgument(path + " holds no private key in PEM form, or one with a passphrase");
  return key;
}

Status CheckFiles(const TlsOptions& options) {
  if (options.cert_file.empty() != options.key_file.empty()) {
    return InvalidArgument("a client certificate needs both its file and its key's: cert_file is \"" +
                           options.cert_file + "\", key_file is \"" + options.key_file + "\"");
  }
  if (!options.ca_file.empty()) QUORATE_RETURN_IF_ERROR(ReadCertificate(options.ca_file).status());
  if (options.cert_file.empty()) return absl::OkStatus();
  QUORATE_ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate(options.cert_file));
  QUORATE_ASSIGN_OR_RETURN(const Key key, ReadKey(options.key_file));
  if (X509_check_private_key(certificate.get(), key.get()) == 1) return absl::OkStatus();
  ERR_clear_error();
  return InvalidArgument("the key in " + options.key_file + " is not that of the certificate in " +
                         options.cert_file);
}

}  // namespace

StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsOptions& options) {
  namespace tls = grpc::experimental;
  QUORATE_RETURN_IF_ERROR(CheckFiles(options));
  tls::TlsChannelCredentialsOptions channel;
  const bool own_root = !options.ca_file.empty() && !options.insecure_skip_verify;
  if (!options.cert_file.empty() || own_root) {
    channel.set_certificate_provider(std::make_shared<tls::FileWatcherCertificateProvider>(
        options.key_file, options.cert_file, own_root ? options.ca_file : "", kReloadSeconds));
    if (own_root) channel.watch_root_certs();
    if (!options.cert_file.empty()) channel.watch_identity_key_cert_pairs();
  }
  if (options.insecure_skip_verify) {
    channel.set_verify_server_certs(false);
    channel.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
    channel.set_check_call_host(false);
  }
  return tls::TlsCredentials(channel);
}

}  // namespace quorate::client
