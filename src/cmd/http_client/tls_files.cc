#include "cmd/http_client/tls_files.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

namespace quorate::cmd {
namespace {

using Certificate = std::unique_ptr<X509, void (*)(X509*)>;
using Key = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using Bio = std::unique_ptr<BIO, int (*)(BIO*)>;

StatusOr<std::string> ReadFile(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    std::string why = std::strerror(errno == 0 ? EIO : errno);
    why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
    return NotFound("open " + path + ": " + why);
  }
  return text.str();
}

Bio MemoryOf(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
}

// No prompt for the passphrase of a key that has one: such keys can't be used.
int NoPassphrase(char*, int, int, void*) { return 0; }

// In Go's words: what a file lacks, and what lies in it instead.
Status MissingPem(std::string_view wanted, std::string_view input, std::string_view text,
                  std::string_view other_mark, std::string_view other) {
  if (text.find("-----BEGIN ") == std::string_view::npos) {
    return InvalidArgument("tls: failed to find any PEM data in " + std::string(input) + " input");
  }
  if (text.find(other_mark) != std::string_view::npos) {
    return InvalidArgument("tls: failed to find " + std::string(wanted) + " PEM data in " +
                           std::string(input) + " input, but did find a " + std::string(other) +
                           "; PEM inputs may have been switched");
  }
  return InvalidArgument("tls: failed to find " + std::string(wanted) + " PEM data in " + std::string(input) +
                         " input");
}

}  // namespace

Status CheckTlsFiles(const TlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return InvalidArgument("KeyFile and CertFile must both be present[key: " + files.key +
                           ", cert: " + files.cert + "]");
  }
  if (!files.cert.empty()) {
    QUORATE_ASSIGN_OR_RETURN(const std::string cert_text, ReadFile(files.cert));
    QUORATE_ASSIGN_OR_RETURN(const std::string key_text, ReadFile(files.key));
    const Certificate cert(PEM_read_bio_X509(MemoryOf(cert_text).get(), nullptr, NoPassphrase, nullptr),
                           X509_free);
    if (!cert) return MissingPem("certificate", "certificate", cert_text, "PRIVATE KEY-----", "private key");
    const Key key(PEM_read_bio_PrivateKey(MemoryOf(key_text).get(), nullptr, NoPassphrase, nullptr),
                  EVP_PKEY_free);
    if (!key) return MissingPem("private key", "key", key_text, "BEGIN CERTIFICATE-----", "certificate");
    if (X509_check_private_key(cert.get(), key.get()) != 1) {
      return InvalidArgument("tls: private key does not match public key");
    }
  }
  if (!files.ca.empty()) QUORATE_RETURN_IF_ERROR(ReadFile(files.ca).status());
  return absl::OkStatus();
}

}  // namespace quorate::cmd
