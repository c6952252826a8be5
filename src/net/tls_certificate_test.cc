#include "net/tls_certificate.h"

#include <gtest/gtest.h>

#include "net/tls_ciphers.h"
#include "net/tls_test_files.h"

namespace quorate::net {
namespace {

// Go's crypto/x509: VerifyHostname and its tests.
TEST(CertificateNames, HostsByGosRules) {
  const struct {
    std::vector<std::string> dns;
    std::vector<std::string> ips;
    std::string host;
    std::string error;  // Empty: it fits.
  } cases[] = {
      {{"a.example.com"}, {}, "a.example.com", ""},
      {{"A.example.com"}, {}, "a.EXAMPLE.com", ""},
      {{"a.example.com"}, {}, "a.example.com.", ""},
      {{"*.example.com"}, {}, "a.example.com", ""},
      {{"*.local"}, {}, "db.local", ""},
      {{"*.example.com"},
       {},
       "a.b.example.com",
       "x509: certificate is valid for *.example.com, not a.b.example.com"},
      {{"*.example.com"}, {}, "example.com", "x509: certificate is valid for *.example.com, not example.com"},
      {{"a*.example.com"},
       {},
       "ab.example.com",
       "x509: certificate is valid for a*.example.com, not ab.example.com"},
      {{"a.*.com"}, {}, "a.example.com", "x509: certificate is valid for a.*.com, not a.example.com"},
      {{"b", "c"}, {}, "a", "x509: certificate is valid for b, c, not a"},
      {{}, {"10.0.0.1"}, "10.0.0.1", ""},
      {{}, {"2001:db8::1"}, "[2001:DB8::1]", ""},
      {{},
       {"10.0.0.1", "10.0.0.2"},
       "10.0.0.3",
       "x509: certificate is valid for 10.0.0.1, 10.0.0.2, not 10.0.0.3"},
      // Addresses are no names, and names no addresses.
      {{"10.0.0.1"},
       {},
       "10.0.0.1",
       "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs"},
      {{}, {"10.0.0.1"}, "a", "x509: certificate is not valid for any names, but wanted to match a"},
  };
  for (const auto& c : cases) {
    CertificateNames names;
    names.dns_names = c.dns;
    names.ip_addresses = c.ips;
    EXPECT_EQ(c.error, std::string(Message(CheckHost(names, c.host)))) << c.host;
  }
  CertificateNames only_common;
  only_common.common_name = "a";
  EXPECT_EQ("x509: certificate relies on legacy Common Name field, use SANs instead",
            std::string(Message(CheckHost(only_common, "a"))));
}

TEST(CertificateNames, OfACertificate) {
  TestAuthority authority;
  X509* const certificate = authority.IssueParsed(
      {.common_name = "röot", .alternative_names = "DNS:a,DNS:*.b,IP:10.0.0.1,IP:2001:db8::1,email:x@y"});
  const CertificateNames names = NamesOf(certificate);
  EXPECT_EQ("röot", names.common_name);
  EXPECT_EQ((std::vector<std::string>{"a", "*.b"}), names.dns_names);
  EXPECT_EQ((std::vector<std::string>{"10.0.0.1", "2001:db8::1"}), names.ip_addresses);
  X509_free(certificate);
  X509* const bare = authority.IssueParsed({});
  EXPECT_EQ("", NamesOf(bare).common_name);
  EXPECT_FALSE(NamesOf(bare).has_alternative_names());
  X509_free(bare);
}

TEST(CertificateNames, CanonicalAddresses) {
  EXPECT_EQ("10.0.0.1", CanonicalAddress("10.0.0.1"));
  EXPECT_EQ("10.0.0.1", CanonicalAddress("::ffff:10.0.0.1"));
  EXPECT_EQ("fe80::1", CanonicalAddress("[FE80:0::1%eth0]"));
  for (const char* none : {"", "localhost", "10.0.0", "10.0.0.1:2380", "[]"})
    EXPECT_EQ("", CanonicalAddress(none));
}

TEST(TlsCiphers, GoNames) {
  const auto some = ParseCipherSuites({"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
                                       "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_RSA_WITH_RC4_128_SHA"});
  ASSERT_TRUE(some.ok());
  EXPECT_EQ("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305", some->tls12);
  EXPECT_EQ(std::vector<std::string>{"TLS_RSA_WITH_RC4_128_SHA"}, some->missing);
  EXPECT_EQ("", ParseCipherSuites({"TLS_AES_256_GCM_SHA384"})->tls12);
  EXPECT_NE("", ParseCipherSuites({})->tls12);
  EXPECT_EQ("unexpected TLS cipher suite \"RC4-MD5\"",
            std::string(Message(ParseCipherSuites({"RC4-MD5"}).status())));
}

}  // namespace
}  // namespace quorate::net
