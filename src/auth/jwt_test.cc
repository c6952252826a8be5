#include "auth/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "auth/jwt_tokens.h"

namespace quorate::auth {
namespace {

using testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'767'225'600 * kSecond;

struct KeyPair {
  std::string private_pem;
  std::string public_pem;
};

std::string Pem(const std::function<int(BIO*)>& write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  EXPECT_EQ(write(bio), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

KeyPair Written(EVP_PKEY* key) {
  EXPECT_NE(key, nullptr);
  KeyPair pair{Pem([&](BIO* bio) {
                 return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
               }),
               Pem([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key); })};
  EVP_PKEY_free(key);
  return pair;
}

// Made once: RSA keys take long.
const KeyPair& Keys(const std::string& kind) {
  static const auto* const keys = new std::map<std::string, KeyPair>{
      {"rsa", Written(EVP_RSA_gen(2048))},    {"rsa2", Written(EVP_RSA_gen(2048))},
      {"p256", Written(EVP_EC_gen("P-256"))}, {"p384", Written(EVP_EC_gen("P-384"))},
      {"p521", Written(EVP_EC_gen("P-521"))}, {"ed", Written(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"))},
  };
  return keys->at(kind);
}

const struct {
  const char* method;
  const char* kind;
} kMethods[] = {{"RS256", "rsa"}, {"RS384", "rsa"},  {"RS512", "rsa"},  {"PS256", "rsa"},  {"PS384", "rsa"},
                {"PS512", "rsa"}, {"ES256", "p256"}, {"ES384", "p384"}, {"ES512", "p521"}, {"EdDSA", "ed"}};

JwtOptions Of(std::string method, std::string private_key, std::string public_key = "") {
  JwtOptions options;
  options.sign_method = std::move(method);
  options.private_key = std::move(private_key);
  options.public_key = std::move(public_key);
  return options;
}

std::shared_ptr<const Jwt> Make(const JwtOptions& options) {
  auto jwt = Jwt::Make(options);
  EXPECT_TRUE(jwt.ok()) << jwt.status();
  return *jwt;
}

std::string Encoded(std::string_view text) { return absl::WebSafeBase64Escape({text.data(), text.size()}); }

// A token of any header and claims, signed by HS256 with "secret".
std::string Forged(const std::string& header, const std::string& claims,
                   const std::string& secret = "secret") {
  const std::string text = Encoded(header) + "." + Encoded(claims);
  unsigned char mac[32];
  size_t length = 0;
  EXPECT_NE(
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, secret.data(), secret.size(),
                reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, sizeof mac, &length),
      nullptr);
  return text + "." + Encoded({reinterpret_cast<char*>(mac), length});
}

constexpr char kHeader[] = R"({"alg":"HS256","typ":"JWT"})";

TEST(JwtTest, EveryMethodSignsWhatItsPublicKeyAloneVerifies) {
  for (const auto& [method, kind] : kMethods) {
    SCOPED_TRACE(method);
    const KeyPair& keys = Keys(kind);
    const auto signer = Make(Of(method, keys.private_pem, keys.public_pem));
    const auto verifier = Make(Of(method, "", keys.public_pem));
    EXPECT_FALSE(signer->verify_only());
    EXPECT_TRUE(verifier->verify_only());
    EXPECT_EQ(verifier->Sign("al", 1, kNow).status(), ErrVerifyOnly());
    const auto token = signer->Sign("al", 7, kNow);
    ASSERT_TRUE(token.ok()) << token.status();
    for (const auto& jwt : {signer, verifier}) {
      const auto claims = jwt->Verify(*token, kNow);
      ASSERT_TRUE(claims.has_value());
      EXPECT_EQ(claims->username, "al");
      EXPECT_EQ(claims->revision, 7u);
      EXPECT_EQ(claims->expires_seconds, kNow / kSecond + 300);
      EXPECT_FALSE(jwt->Verify(*token, kNow + 300 * kSecond));
      EXPECT_TRUE(jwt->Verify(*token, kNow + 300 * kSecond - 1));
    }
    // Any other bit of the signature, and another key of the kind.
    std::string spoilt = *token;
    spoilt[spoilt.rfind('.') + 3] ^= 1;
    EXPECT_FALSE(verifier->Verify(spoilt, kNow));
    EXPECT_FALSE(verifier->Verify(token->substr(0, token->size() - 4), kNow));
  }
  const auto other = Make(Of("RS256", "", Keys("rsa2").public_pem));
  const auto signer = Make(Of("RS256", Keys("rsa").private_pem));
  EXPECT_FALSE(other->Verify(*signer->Sign("al", 7, kNow), kNow));
}

TEST(JwtTest, SharedSecrets) {
  for (const char* method : {"HS256", "HS384", "HS512"}) {
    const auto jwt = Make(Of(method, "secret"));
    const auto other = Make(Of(method, "other"));
    const std::string token = *jwt->Sign("al", 3, kNow);
    EXPECT_TRUE(jwt->Verify(token, kNow));
    EXPECT_FALSE(other->Verify(token, kNow));
  }
}

// As golang-jwt writes it, so that either program's bytes are the other's.
TEST(JwtTest, TheBytesOfAToken) {
  JwtOptions options = Of("HS256", "secret");
  options.ttl_nanos = 60 * kSecond;
  const auto jwt = Make(options);
  EXPECT_EQ(*jwt->Sign("al", 3, kNow), Forged(kHeader, R"({"exp":1767225660,"revision":3,"username":"al"})"));
}

TEST(JwtTest, WhatIsNoGoodToken) {
  const auto jwt = Make(Of("HS256", "secret"));
  const std::string good = R"({"username":"al","revision":5})";  // Without exp it never expires, as in etcd.
  ASSERT_TRUE(jwt->Verify(Forged(kHeader, good), kNow));
  const std::string token = Forged(kHeader, good);
  const size_t last = token.rfind('.');
  const struct {
    const char* what;
    std::string token;
  } bad[] = {
      {"nothing", ""},
      {"dots", ".."},
      {"two parts", token.substr(0, last)},
      {"four parts", token + ".a"},
      {"padding", token + "="},
      {"not base64", "%%%" + token},
      {"no signature", token.substr(0, last + 1)},
      {"alg none", Encoded(R"({"alg":"none"})") + "." + Encoded(good) + "."},
      {"alg none, signed", Forged(R"({"alg":"none"})", good)},
      {"no alg", Forged(R"({"typ":"JWT"})", good)},
      {"alg of another type", Forged(R"({"alg":256})", good)},
      {"another alg", Forged(R"({"alg":"HS512"})", good)},
      {"header no object", Forged(R"("HS256")", good)},
      {"claims no object", Forged(kHeader, R"(["username"])")},
      {"no JSON", Forged(kHeader, R"({"username":"al","revision":5)")},
      {"deep", Forged(kHeader, std::string(5000, '['))},
      {"no user", Forged(kHeader, R"({"revision":5})")},
      {"user no string", Forged(kHeader, R"({"username":7,"revision":5})")},
      {"no revision", Forged(kHeader, R"({"username":"al"})")},
      {"revision no number", Forged(kHeader, R"({"username":"al","revision":"5"})")},
      {"revision below 0", Forged(kHeader, R"({"username":"al","revision":-1})")},
      {"revision too large", Forged(kHeader, R"({"username":"al","revision":1e300})")},
      {"expired", Forged(kHeader, R"({"username":"al","revision":5,"exp":1767225600})")},
      {"exp no number", Forged(kHeader, R"({"username":"al","revision":5,"exp":"soon"})")},
      {"not yet", Forged(kHeader, R"({"username":"al","revision":5,"nbf":1767225601})")},
      {"another secret", Forged(kHeader, good, "other")},
  };
  for (const auto& c : bad) EXPECT_FALSE(jwt->Verify(c.token, kNow)) << c.what;
  EXPECT_TRUE(
      jwt->Verify(Forged(kHeader, R"({"username":"al","revision":5,"exp":1767225600.9})"), kNow - kSecond));
}

// The classic confusion: the public key, which anybody may have, used as the secret of an HMAC.
TEST(JwtTest, ThePublicKeyIsNoSecret) {
  const std::string& pem = Keys("rsa").public_pem;
  const auto jwt = Make(Of("RS256", "", pem));
  const std::string claims = R"({"username":"root","revision":5})";
  EXPECT_FALSE(jwt->Verify(Forged(kHeader, claims, pem), kNow));
  EXPECT_FALSE(jwt->Verify(Forged(R"({"alg":"RS256"})", claims, pem), kNow));
}

TEST(JwtTest, OptionsThatMakeNoSense) {
  const KeyPair& rsa = Keys("rsa");
  const struct {
    JwtOptions options;
    const char* text;
  } bad[] = {
      {Of("", rsa.private_pem), "auth: invalid auth signature method: \"\""},
      {Of("none", rsa.private_pem), "auth: invalid auth signature method: \"none\""},
      {Of("rs256", rsa.private_pem), "one of RS256"},
      {Of("RS256", ""), "auth: missing key data; RS256 needs priv-key= or pub-key="},
      {Of("HS256", "", "x"), "auth: missing key data; HS256 needs priv-key="},
      {Of("RS256", rsa.private_pem, Keys("rsa2").public_pem), "auth: public and private keys don't match"},
      {Of("RS256", "no PEM"), "the file of priv-key= holds no key"},
      {Of("RS256", "", rsa.private_pem), "the file of pub-key= holds no key"},
      {Of("RS256", Keys("ed").private_pem), "needs a key of type RSA"},
      {Of("EdDSA", rsa.private_pem), "needs a key of type ED25519"},
      {Of("ES256", Keys("p384").private_pem), "is on another curve"},
      {Of("RS256", std::string(2 << 20, 'x')), "more than 1 MiB"},
  };
  for (const auto& c : bad) {
    const auto made = Jwt::Make(c.options);
    ASSERT_FALSE(made.ok()) << c.text;
    EXPECT_THAT(std::string(Message(made.status())), HasSubstr("auth: invalid auth options"));
    EXPECT_THAT(std::string(Message(made.status())), HasSubstr(c.text));
    EXPECT_THAT(std::string(Message(made.status())), testing::Not(HasSubstr("BEGIN")));
  }
}

TEST(JwtTest, AnEncryptedKeyIsRefusedAndNobodyAskedForItsPassword) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  const std::string pem = Pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "pw", 2, nullptr, nullptr);
  });
  EVP_PKEY_free(key);
  const auto made = Jwt::Make(Of("ES256", pem));
  EXPECT_THAT(std::string(Message(made.status())), HasSubstr("not encrypted"));
}

TEST(JwtTokensTest, ATokenIsVerifiedOnceAndEndsInTime) {
  const auto jwt = Make(Of("HS256", "secret"));
  JwtTokens tokens(jwt);
  const std::string token = *jwt->Sign("al", 3, kNow);
  for (int i = 0; i < 3; ++i) {
    const Jwt::Claims* const claims = tokens.Use(token, kNow);
    ASSERT_NE(claims, nullptr);
    EXPECT_EQ(claims->username, "al");
    EXPECT_EQ(claims->revision, 3u);
  }
  EXPECT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens.Use(token, kNow + 301 * kSecond), nullptr);
  EXPECT_EQ(tokens.size(), 0u);
  EXPECT_EQ(tokens.Use(token + "x", kNow), nullptr);
  EXPECT_EQ(tokens.size(), 0u);
}

TEST(JwtTokensTest, MemoryIsBounded) {
  const auto jwt = Make(Of("HS256", "secret"));
  JwtTokens tokens(jwt);
  for (size_t i = 0; i < JwtTokens::kTokensMax + 10; ++i) {
    ASSERT_NE(tokens.Use(*jwt->Sign("u" + std::to_string(i), 3, kNow), kNow), nullptr);
    EXPECT_LE(tokens.size(), JwtTokens::kTokensMax);
  }
  const size_t before = tokens.size();
  const std::string large = *jwt->Sign(std::string(JwtTokens::kTokenBytesMax, 'u'), 3, kNow);
  ASSERT_NE(tokens.Use(large, kNow), nullptr);
  EXPECT_EQ(tokens.size(), before);
}

}  // namespace
}  // namespace quorate::auth
