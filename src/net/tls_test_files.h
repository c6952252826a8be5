// For tests: a certificate authority in memory, and a directory for what it issues.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace quorate::net {

class TestDirectory {
 public:
  TestDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "quorate-tls-XXXXXX").string();
    EXPECT_NE(nullptr, mkdtemp(path.data()));
    path_ = path;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  const std::string& path() const { return path_; }
  // Replaces the file by a new one, as tools that rotate certificates do.
  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = path_ + "/" + name;
    std::ofstream(path + ".new", std::ios::binary) << content;
    std::filesystem::rename(path + ".new", path);
    return path;
  }

 private:
  std::string path_;
};

struct TestPem {
  std::string cert;
  std::string key;
};

struct TestSubject {
  std::string common_name = {};
  std::string alternative_names = {};  // "DNS:a,IP:127.0.0.1"
  std::string extended_key_usage = "serverAuth,clientAuth";
  int64_t valid_from = -3600;  // Seconds from now.
  int64_t valid_until = 3600;
  int64_t serial = 0;  // 0: the next one.
  bool ca = false;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "test CA", const std::string& extended_key_usage = "")
      : key_(NewKey()) {
    TestSubject self;
    self.common_name = name;
    self.extended_key_usage = extended_key_usage;
    self.ca = true;
    cert_ = Make(self, key_.get());
  }

  std::string cert() const { return PemOf(cert_.get()); }
  TestPem Issue(const TestSubject& subject) {
    const Key key = NewKey();
    const Cert cert = Make(subject, key.get());
    return {PemOf(cert.get()), PemOf(key.get())};
  }
  X509* IssueParsed(const TestSubject& subject) { return Make(subject, NewKey().get()).release(); }

  std::string Revoke(const std::vector<int64_t>& serials) const {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(X509_CRL_new(), &X509_CRL_free);
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(cert_.get()));
    ASN1_TIME* const now = X509_gmtime_adj(nullptr, 0);
    X509_CRL_set1_lastUpdate(list.get(), now);
    for (const int64_t serial : serials) {
      X509_REVOKED* const entry = X509_REVOKED_new();
      ASN1_INTEGER* const number = ASN1_INTEGER_new();
      ASN1_INTEGER_set_int64(number, serial);
      X509_REVOKED_set_serialNumber(entry, number);
      X509_REVOKED_set_revocationDate(entry, now);
      X509_CRL_add0_revoked(list.get(), entry);
      ASN1_INTEGER_free(number);
    }
    ASN1_TIME_free(now);
    X509_CRL_sign(list.get(), key_.get(), EVP_sha256());
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_CRL(bio, list.get());
    return Take(bio);
  }

 private:
  struct Deleter {
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
    void operator()(X509* p) const { X509_free(p); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Deleter>;
  using Cert = std::unique_ptr<X509, Deleter>;

  static Key NewKey() { return Key(EVP_EC_gen("P-256")); }
  static std::string Take(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
  }
  static std::string PemOf(X509* cert) {
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    return Take(bio);
  }
  static std::string PemOf(EVP_PKEY* key) {
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    return Take(bio);
  }

  static void Extend(X509* cert, int nid, const std::string& value) {
    if (value.empty()) return;
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    ASSERT_NE(nullptr, extension) << value;
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  }

  Cert Make(const TestSubject& subject, EVP_PKEY* key) {
    Cert cert(X509_new());
    X509_set_version(cert.get(), X509_VERSION_3);
    ASN1_INTEGER_set_int64(X509_get_serialNumber(cert.get()),
                           subject.serial != 0 ? subject.serial : ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(cert.get()), subject.valid_from);
    X509_gmtime_adj(X509_getm_notAfter(cert.get()), subject.valid_until);
    X509_set_pubkey(cert.get(), key);
    X509_NAME* const name = X509_get_subject_name(cert.get());
    const auto add = [&](const char* field, const std::string& value) {
      X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(value.data()),
                                 static_cast<int>(value.size()), -1, 0);
    };
    add("O", "quorate test");
    if (!subject.common_name.empty()) add("CN", subject.common_name);
    X509_set_issuer_name(cert.get(), cert_ == nullptr ? name : X509_get_subject_name(cert_.get()));
    Extend(cert.get(), NID_basic_constraints, subject.ca ? "critical,CA:TRUE" : "CA:FALSE");
    Extend(cert.get(), NID_ext_key_usage, subject.extended_key_usage);
    Extend(cert.get(), NID_subject_alt_name, subject.alternative_names);
    X509_sign(cert.get(), key_.get(), EVP_sha256());
    return cert;
  }

  Key key_;
  Cert cert_;
  int64_t serial_ = 1000;
};

}  // namespace quorate::net
