#include "net/self_signed.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_join.h"
#include "base/logging.h"
#include "net/tls_certificate.h"
#include "net/tls_context.h"

namespace quorate::net {
namespace {

struct OpensslDeleter {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, OpensslDeleter>;

constexpr uint64_t kYearsMax = 1000;

Status MakeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return FailedPrecondition("cannot create cert directory " + part + ": " +
                                std::generic_category().message(errno));
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

Status WriteFile(const std::string& path, BIO* content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(content, &data));
  bool good = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, data, size) == static_cast<ssize_t>(size);
  const int error = errno;
  if (fd >= 0) good = close(fd) == 0 && good;
  if (good) return absl::OkStatus();
  return FailedPrecondition("write " + path + ": " + std::generic_category().message(error));
}

// "DNS:localhost,IP:127.0.0.1" of what is listened on.
std::string AlternativeNames(const std::vector<std::string>& hosts) {
  std::vector<std::string> names;
  for (const std::string& host_port : hosts) {
    const size_t colon = host_port.rfind(':');
    if (colon == std::string::npos || colon == 0) continue;
    const std::string host = host_port.substr(0, colon);
    const std::string address = CanonicalAddress(host);
    std::string name = address.empty() ? "DNS:" + host : "IP:" + address;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return absl::StrJoin(names, ",");
}

bool AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] &= 0x7f;
  BIGNUM* const number = BN_bin2bn(bytes, sizeof(bytes), nullptr);
  const bool good = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return good;
}

Owned<X509> Certify(EVP_PKEY* key, const std::vector<std::string>& hosts, uint64_t years) {
  Owned<X509> certificate(X509_new());
  X509* const c = certificate.get();
  constexpr int kDaysPerYear = 365;
  bool good = X509_set_version(c, X509_VERSION_3) == 1 && SetSerial(c) &&
              X509_gmtime_adj(X509_getm_notBefore(c), 0) != nullptr &&
              X509_time_adj_ex(X509_getm_notAfter(c), static_cast<int>(years) * kDaysPerYear, 0, nullptr) !=
                  nullptr &&
              X509_set_pubkey(c, key) == 1;
  X509_NAME* const name = X509_get_subject_name(c);
  const auto* const organization = reinterpret_cast<const unsigned char*>("etcd");
  good = good && X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, organization, -1, -1, 0) == 1 &&
         X509_set_issuer_name(c, name) == 1;
  good = good &&
         AddExtension(c, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign,cRLSign") &&
         AddExtension(c, NID_ext_key_usage, "serverAuth") &&
         AddExtension(c, NID_basic_constraints, "critical,CA:TRUE");
  const std::string names = AlternativeNames(hosts);
  good = good && (names.empty() || AddExtension(c, NID_subject_alt_name, names));
  good = good && X509_sign(c, key, EVP_sha256()) > 0;
  return good ? std::move(certificate) : nullptr;
}

}  // namespace

StatusOr<SelfSigned> MakeSelfSigned(const std::string& directory, const std::vector<std::string>& hosts,
                                    uint64_t validity_years) {
  if (validity_years == 0 || validity_years > kYearsMax) {
    return InvalidArgument(
        "selfSignedCertValidity is invalid,it should be greater than 0: give "
        "--self-signed-cert-validity between 1 and 1000 years");
  }
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(directory, error).lexically_normal().string();
  SelfSigned files{absolute + "/cert.pem", absolute + "/key.pem"};
  if (access(files.cert_file.c_str(), F_OK) == 0 && access(files.key_file.c_str(), F_OK) == 0) return files;
  QUORATE_RETURN_IF_ERROR(MakeDirectories(absolute));
  LOG_WARN("automatically generate certificates", {"validity-years", validity_years});
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate = key == nullptr ? nullptr : Certify(key.get(), hosts, validity_years);
  if (certificate == nullptr) return Internal("cannot generate x509 certificate: " + TlsErrorText());
  const Owned<BIO> cert_pem(BIO_new(BIO_s_mem()));
  // Wiped when freed.
  const Owned<BIO> key_pem(BIO_new(BIO_s_secmem()));
  // "EC PRIVATE KEY", as etcd writes it.
  if (PEM_write_bio_X509(cert_pem.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey_traditional(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Internal("cannot encode the generated certificate: " + TlsErrorText());
  }
  QUORATE_RETURN_IF_ERROR(WriteFile(files.cert_file, cert_pem.get()));
  LOG_INFO("created cert file", {"path", files.cert_file});
  QUORATE_RETURN_IF_ERROR(WriteFile(files.key_file, key_pem.get()));
  LOG_INFO("created key file", {"path", files.key_file});
  return files;
}

}  // namespace quorate::net
