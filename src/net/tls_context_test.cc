#include "net/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utime.h>

#include "net/self_signed.h"
#include "net/tls_certificate.h"
#include "net/tls_test_files.h"

namespace quorate::net {
namespace {

using testing::HasSubstr;

class TlsContextTest : public testing::Test {
 protected:
  TlsSettings Settings() {
    TlsSettings settings;
    const TestPem pem = authority_.Issue({.common_name = "server"});
    settings.cert_file = directory_.Write("cert.pem", pem.cert);
    settings.key_file = directory_.Write("key.pem", pem.key);
    return settings;
  }
  static std::string Error(TlsSettings settings, TlsContext::Role role = TlsContext::Role::kServer) {
    return std::string(Message(TlsContext::Make(role, std::move(settings)).status()));
  }
  // The common name that a session would show.
  static std::string Shown(TlsContext* context) {
    const StatusOr<TlsSession> session = context->NewSession();
    EXPECT_TRUE(session.ok());
    return NamesOfShown(session->ssl.get());
  }
  // Why a new session would accept no certificate; empty when it would.
  static std::string ListError(TlsContext* context) {
    const StatusOr<TlsSession> session = context->NewSession();
    EXPECT_TRUE(session.ok());
    return session->policy->crl_error;
  }
  static std::string NamesOfShown(SSL* ssl) {
    char text[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get_certificate(ssl)), NID_commonName, text,
                              sizeof(text));
    return text;
  }

  TestDirectory directory_;
  TestAuthority authority_;
};

TEST_F(TlsContextTest, RefusesWhatCantServe) {
  EXPECT_EQ("KeyFile and CertFile must both be present[key: , cert: ]", Error({}));
  TlsSettings s = Settings();
  s.key_file.clear();
  EXPECT_THAT(Error(s), HasSubstr("must both be present[key: , cert: "));
  s = Settings();
  s.client_cert_file = s.cert_file;
  EXPECT_THAT(Error(s), HasSubstr("ClientKeyFile and ClientCertFile must both be present or both absent"));
  s = Settings();
  s.cert_file = directory_.path() + "/none";
  EXPECT_EQ("open " + s.cert_file + ": No such file or directory", Error(s));
  s = Settings();
  s.key_file = directory_.Write("other.pem", authority_.Issue({}).key);
  EXPECT_THAT(Error(s), HasSubstr("tls: private key does not match public key"));
  s = Settings();
  s.cert_file =
      directory_.Write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  EXPECT_THAT(Error(s), HasSubstr("not a PEM file of certificates"));
  s = Settings();
  s.trusted_ca_file = directory_.Write("ca.pem", "no certificate\n");
  EXPECT_THAT(Error(s), HasSubstr("ca.pem: no PEM certificate in it"));
  s = Settings();
  s.allowed_common_names = {"a"};
  s.allowed_hostnames = {"b"};
  EXPECT_THAT(Error(s), HasSubstr("mutually exclusive"));
  s = Settings();
  s.cipher_suites = {"x"};
  EXPECT_EQ("unexpected TLS cipher suite \"x\"", Error(s));
  // A client needs no certificate.
  EXPECT_EQ("", Error({}, TlsContext::Role::kClient));
}

// As etcd: a list that is written after the server has started must not keep it from starting.
TEST_F(TlsContextTest, StartsWithoutTheRevocationListAndRefusesCertificates) {
  TlsSettings s = Settings();
  s.crl_file = directory_.path() + "/crl.pem";
  const auto context = *TlsContext::Make(TlsContext::Role::kServer, s);
  EXPECT_EQ("open " + s.crl_file + ": No such file or directory", ListError(context.get()));
  const std::string list = authority_.Revoke({77});
  directory_.Write("crl.pem", list + list);
  EXPECT_EQ("", ListError(context.get()));
  directory_.Write("crl.pem", list + list.substr(0, list.size() / 2));
  EXPECT_THAT(ListError(context.get()),
              HasSubstr("crl.pem: the certificate revocation list after the first 1 can't be read"));
  EXPECT_THAT(ListError((*TlsContext::Make(TlsContext::Role::kServer, s)).get()),
              HasSubstr("after the first 1 can't be read"));
  directory_.Write("crl.pem", "no list\n");
  EXPECT_THAT(ListError((*TlsContext::Make(TlsContext::Role::kServer, s)).get()),
              HasSubstr("crl.pem: no certificate revocation list"));
}

// What is damaged beside a certificate is passed over at the start, as in etcd. Later, files that were whole
// serve on.
TEST_F(TlsContextTest, DamageBesideACertificate) {
  const TestPem other = authority_.Issue({.common_name = "other"});
  const std::string cut = other.cert.substr(0, other.cert.size() / 2);
  for (const std::string& damage :
       {cut, cut + "\n", std::string("-----BEGIN CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")}) {
    TlsSettings s = Settings();
    const std::string good = authority_.Issue({.common_name = "good"}).cert;
    s.trusted_ca_file = directory_.Write("ca.pem", good + damage);
    EXPECT_EQ("", Error(s)) << damage;
    s.trusted_ca_file = directory_.Write("ca.pem", damage + "\n" + good);
    EXPECT_EQ("", Error(s)) << damage;
    s.trusted_ca_file = directory_.Write("ca.pem", damage);
    EXPECT_THAT(Error(s), HasSubstr("ca.pem: not a PEM file of certificates")) << damage;
  }
  const TlsSettings settings = Settings();
  const auto context = *TlsContext::Make(TlsContext::Role::kServer, settings);
  directory_.Write("key.pem", other.key);
  directory_.Write("cert.pem", other.cert + cut);
  EXPECT_EQ("server", Shown(context.get()));
  directory_.Write("cert.pem", other.cert + "trash\n");
  EXPECT_EQ("other", Shown(context.get()));
}

TEST_F(TlsContextTest, NoSecretIsInAnError) {
  TlsSettings s = Settings();
  const std::string key = authority_.Issue({}).key;
  s.key_file = directory_.Write("key.pem", key.substr(0, key.size() / 2));
  const std::string error = Error(s);
  EXPECT_THAT(error, HasSubstr("no PEM private key without a password"));
  EXPECT_EQ(std::string::npos, error.find(key.substr(40, 16)));
}

TEST_F(TlsContextTest, NewFilesServeTheNextConnectionAndBrokenOnesDont) {
  const TlsSettings settings = Settings();
  const auto context = *TlsContext::Make(TlsContext::Role::kServer, settings);
  EXPECT_EQ("server", Shown(context.get()));
  const TestPem next = authority_.Issue({.common_name = "next"});
  // The certificate comes first: until its key is there, the old pair serves.
  directory_.Write("cert.pem", next.cert);
  EXPECT_EQ("server", Shown(context.get()));
  directory_.Write("key.pem", next.key);
  EXPECT_EQ("next", Shown(context.get()));
  directory_.Write("cert.pem", "broken");
  EXPECT_EQ("next", Shown(context.get()));
  std::filesystem::remove(settings.key_file);
  EXPECT_EQ("next", Shown(context.get()));
  const TestPem last = authority_.Issue({.common_name = "last"});
  directory_.Write("key.pem", last.key);
  directory_.Write("cert.pem", last.cert);
  EXPECT_EQ("last", Shown(context.get()));
}

TEST(TlsFile, SeesChangesOfContentOnly) {
  TestDirectory directory;
  TlsFile file(directory.Write("f", "one"));
  EXPECT_EQ("one", *file.Read());
  EXPECT_FALSE(file.Changed());
  // Same time and size, as a write within one tick of the clock leaves them.
  directory.Write("f", "two");
  EXPECT_TRUE(file.Changed());
  EXPECT_EQ("two", *file.Read());
  utimbuf old{1, 1};
  utime(file.path().c_str(), &old);
  EXPECT_FALSE(file.Changed());
  std::filesystem::remove(file.path());
  EXPECT_TRUE(file.Changed());
  EXPECT_FALSE(file.Read().ok());
  EXPECT_FALSE(file.Changed());
  TlsFile none("");
  EXPECT_EQ("", *none.Read());
  EXPECT_FALSE(none.Changed());
}

TEST(SelfSigned, MadeOnceAndPrivate) {
  TestDirectory directory;
  const std::string where = directory.path() + "/data/fixtures/client";
  const auto made = MakeSelfSigned(where, {"127.0.0.1:2379", "localhost:2379", "[::1]:2379", "/run/x"}, 2);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(where + "/cert.pem", made->cert_file);
  using std::filesystem::perms;
  const auto mode = [](const std::string& path) { return std::filesystem::status(path).permissions(); };
  EXPECT_EQ(perms::owner_read | perms::owner_write, mode(made->key_file));
  EXPECT_EQ(perms::owner_all, mode(where));
  EXPECT_EQ(perms::owner_all, mode(directory.path() + "/data"));

  TlsSettings settings;
  settings.cert_file = made->cert_file;
  settings.key_file = made->key_file;
  const auto context = *TlsContext::Make(TlsContext::Role::kServer, settings);
  const TlsSession session = *context->NewSession();
  const CertificateNames names = NamesOf(SSL_get_certificate(session.ssl.get()));
  EXPECT_EQ((std::vector<std::string>{"127.0.0.1", "::1"}), names.ip_addresses);
  EXPECT_EQ(std::vector<std::string>{"localhost"}, names.dns_names);

  TlsFile cert(made->cert_file);
  ASSERT_TRUE(cert.Read().ok());
  ASSERT_TRUE(MakeSelfSigned(where, {"10.0.0.1:1"}, 1).ok());
  EXPECT_FALSE(cert.Changed());
  EXPECT_FALSE(MakeSelfSigned(directory.path() + "/x", {}, 0).ok());
}

}  // namespace
}  // namespace quorate::net
