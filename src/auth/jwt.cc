#include "auth/jwt.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/check.h"

namespace quorate::auth {

enum class Family { kRsa, kRsaPss, kEcdsa, kEd25519, kHmac };

struct Jwt::Method {
  std::string_view name;
  Family family;
  const EVP_MD* (*digest)();  // Null for Ed25519, which has its own.
  size_t curve_bits;          // Of ECDSA, else 0.
};

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// A key file is read whole; larger ones are no keys.
constexpr size_t kKeyBytesMax = 1 << 20;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<&BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<&EVP_MD_CTX_free>>;
using Certificate = std::unique_ptr<X509, Freed<&X509_free>>;
using DecoderContext = std::unique_ptr<OSSL_DECODER_CTX, Freed<&OSSL_DECODER_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Freed<&ECDSA_SIG_free>>;

const unsigned char* Bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

Bio Reader(std::string_view bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// An encrypted key would make OpenSSL ask for its password on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

Key ReadPrivateKey(std::string_view pem) {
  const Bio bio = Reader(pem);
  return Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassword, nullptr));
}

// As Go takes them: a public key (PKIX), a certificate, or an RSA key alone (PKCS#1).
Key ReadPublicKey(std::string_view pem) {
  if (const Bio bio = Reader(pem); Key key{PEM_read_bio_PUBKEY(bio.get(), nullptr, &NoPassword, nullptr)}) {
    return key;
  }
  if (const Bio bio = Reader(pem);
      const Certificate cert{PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr)}) {
    return Key(X509_get_pubkey(cert.get()));
  }
  EVP_PKEY* key = nullptr;
  const DecoderContext decoder(
      OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", "pkcs1", "RSA", EVP_PKEY_PUBLIC_KEY, nullptr, nullptr));
  if (decoder == nullptr) return nullptr;
  const Bio bio = Reader(pem);
  OSSL_DECODER_from_bio(decoder.get(), bio.get());
  return Key(key);
}

const char* TypeOf(Family family) {
  switch (family) {
    case Family::kRsa:
    case Family::kRsaPss:
      return "RSA";
    case Family::kEcdsa:
      return "EC";
    case Family::kEd25519:
      return "ED25519";
    case Family::kHmac:
      return "HMAC";
  }
  return "";
}

std::string Encode64(std::string_view bytes) {
  return absl::WebSafeBase64Escape({bytes.data(), bytes.size()});
}

// Without padding, which the form forbids.
bool Decode64(std::string_view text, std::string* out) {
  return text.find('=') == std::string_view::npos &&
         absl::WebSafeBase64Unescape({text.data(), text.size()}, out);
}

std::optional<nlohmann::json> ParseObject(std::string_view text) {
  auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

// A time as the original's library reads it: missing and 0 are no bound, and parts of a second do not count.
// False when it is no number.
bool ReadTime(const nlohmann::json& claims, const char* name, std::optional<int64_t>* out) {
  const auto found = claims.find(name);
  if (found == claims.end()) return true;
  if (!found->is_number()) return false;
  const double seconds = found->get<double>();
  if (seconds == 0) return true;
  constexpr double kLimit = 1e15;
  *out = static_cast<int64_t>(std::floor(std::clamp(seconds, -kLimit, kLimit)));
  return true;
}

// ECDSA signatures are r and s, each as long as the curve, where OpenSSL has them in DER.
std::string FromDer(std::string_view der, size_t half) {
  const unsigned char* at = Bytes(der);
  const EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (parsed == nullptr) return {};
  std::string out(2 * half, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  const int size = static_cast<int>(half);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), bytes, size) != size ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), bytes + half, size) != size) {
    return {};
  }
  return out;
}

std::string ToDer(std::string_view signature, size_t half) {
  if (signature.size() != 2 * half) return {};
  const EcdsaSignature made(ECDSA_SIG_new());
  const int size = static_cast<int>(half);
  BIGNUM* const r = BN_bin2bn(Bytes(signature), size, nullptr);
  BIGNUM* const s = BN_bin2bn(Bytes(signature) + half, size, nullptr);
  QUORATE_CHECK_MSG(ECDSA_SIG_set0(made.get(), r, s) == 1, "out of memory");  // Takes both.
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(made.get(), &der);
  if (length <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return out;
}

// Of the PSS padding: salts as long as the digest are made, and any length is taken, as by the original.
bool SetPadding(EVP_PKEY_CTX* context, Family family, int salt_length) {
  if (family != Family::kRsaPss) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt_length) == 1;
}

}  // namespace

const Jwt::Method* Jwt::FindMethod(std::string_view name) {
  static constexpr Method kMethods[] = {
      {"RS256", Family::kRsa, &EVP_sha256, 0},     {"RS384", Family::kRsa, &EVP_sha384, 0},
      {"RS512", Family::kRsa, &EVP_sha512, 0},     {"PS256", Family::kRsaPss, &EVP_sha256, 0},
      {"PS384", Family::kRsaPss, &EVP_sha384, 0},  {"PS512", Family::kRsaPss, &EVP_sha512, 0},
      {"ES256", Family::kEcdsa, &EVP_sha256, 256}, {"ES384", Family::kEcdsa, &EVP_sha384, 384},
      {"ES512", Family::kEcdsa, &EVP_sha512, 521}, {"EdDSA", Family::kEd25519, nullptr, 0},
      {"HS256", Family::kHmac, &EVP_sha256, 0},    {"HS384", Family::kHmac, &EVP_sha384, 0},
      {"HS512", Family::kHmac, &EVP_sha512, 0},
  };
  for (const Method& method : kMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

bool Jwt::Claims::HoldsAt(int64_t wall_nanos) const {
  const int64_t seconds = wall_nanos / kNanosPerSecond;
  if (expires_seconds && seconds >= *expires_seconds) return false;
  return !not_before_seconds || seconds >= *not_before_seconds;
}

StatusOr<std::shared_ptr<const Jwt>> Jwt::Make(const JwtOptions& options) {
  const Method* const method = FindMethod(options.sign_method);
  if (method == nullptr) {
    return ErrInvalidAuthOpts("auth: invalid auth signature method: \"" + options.sign_method +
                              "\"; give sign-method=, one of RS256, RS384, RS512, PS256, PS384, PS512, "
                              "ES256, ES384, ES512, EdDSA, HS256, HS384, HS512");
  }
  std::shared_ptr<Jwt> jwt(new Jwt(*method, options.ttl_nanos));
  QUORATE_RETURN_IF_ERROR(jwt->LoadKeys(options));
  return jwt;
}

Jwt::~Jwt() { EVP_PKEY_free(key_); }

Status Jwt::LoadKeys(const JwtOptions& options) {
  const std::string method(method_.name);
  if (std::max(options.private_key.size(), options.public_key.size()) > kKeyBytesMax) {
    return ErrInvalidAuthOpts("a key file of more than 1 MiB");
  }
  if (method_.family == Family::kHmac) {
    if (options.private_key.empty()) {
      return ErrInvalidAuthOpts("auth: missing key data; " + method + " needs priv-key=, the shared secret");
    }
    key_ = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, nullptr, Bytes(options.private_key),
                                        options.private_key.size());
    return key_ == nullptr ? Internal("OpenSSL has no HMAC") : absl::OkStatus();
  }
  Key private_key, public_key;
  if (!options.private_key.empty()) {
    private_key = ReadPrivateKey(options.private_key);
    QUORATE_RETURN_IF_ERROR(CheckKeyType("priv-key", private_key.get()));
  }
  if (!options.public_key.empty()) {
    public_key = ReadPublicKey(options.public_key);
    QUORATE_RETURN_IF_ERROR(CheckKeyType("pub-key", public_key.get()));
  }
  if (private_key == nullptr && public_key == nullptr) {
    return ErrInvalidAuthOpts("auth: missing key data; " + method + " needs priv-key= or pub-key=");
  }
  if (private_key != nullptr && public_key != nullptr &&
      EVP_PKEY_eq(private_key.get(), public_key.get()) != 1) {
    return ErrInvalidAuthOpts("auth: public and private keys don't match");
  }
  verify_only_ = private_key == nullptr;
  key_ = (verify_only_ ? public_key : private_key).release();
  return absl::OkStatus();
}

Status Jwt::CheckKeyType(std::string_view option, const EVP_PKEY* key) const {
  ERR_clear_error();  // Failed attempts at reading it.
  const std::string needed = std::string(method_.name) + " needs a key of type " + TypeOf(method_.family) +
                             ", in PEM and not encrypted";
  if (key == nullptr)
    return ErrInvalidAuthOpts("the file of " + std::string(option) + "= holds no key; " + needed);
  if (EVP_PKEY_is_a(key, TypeOf(method_.family)) != 1) {
    return ErrInvalidAuthOpts("the key of " + std::string(option) + "= is of another type; " + needed);
  }
  if (method_.curve_bits != 0 && static_cast<size_t>(EVP_PKEY_get_bits(key)) != method_.curve_bits) {
    return ErrInvalidAuthOpts("the key of " + std::string(option) + "= is on another curve; " +
                              std::string(method_.name) + " needs one of " +
                              std::to_string(method_.curve_bits) + " bits");
  }
  return absl::OkStatus();
}

std::optional<std::string> Jwt::Signature(std::string_view text) const {
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey_context = nullptr;
  const EVP_MD* const digest = method_.digest == nullptr ? nullptr : method_.digest();
  if (EVP_DigestSignInit(context.get(), &pkey_context, digest, nullptr, key_) != 1 ||
      !SetPadding(pkey_context, method_.family, RSA_PSS_SALTLEN_DIGEST)) {
    return std::nullopt;
  }
  size_t length = 0;
  if (EVP_DigestSign(context.get(), nullptr, &length, Bytes(text), text.size()) != 1) return std::nullopt;
  std::string signature(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, Bytes(text),
                     text.size()) != 1) {
    return std::nullopt;
  }
  signature.resize(length);
  if (method_.family == Family::kEcdsa) signature = FromDer(signature, (method_.curve_bits + 7) / 8);
  if (signature.empty()) return std::nullopt;
  return signature;
}

bool Jwt::SignatureIsRight(std::string_view text, std::string_view signature) const {
  if (method_.family == Family::kHmac) {
    const std::optional<std::string> right = Signature(text);
    return right && right->size() == signature.size() &&
           CRYPTO_memcmp(right->data(), signature.data(), signature.size()) == 0;
  }
  std::string der;
  if (method_.family == Family::kEcdsa) {
    der = ToDer(signature, (method_.curve_bits + 7) / 8);
    signature = der;
  }
  if (signature.empty()) return false;
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey_context = nullptr;
  const EVP_MD* const digest = method_.digest == nullptr ? nullptr : method_.digest();
  const bool right =
      EVP_DigestVerifyInit(context.get(), &pkey_context, digest, nullptr, key_) == 1 &&
      SetPadding(pkey_context, method_.family, RSA_PSS_SALTLEN_AUTO) &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
  if (!right) ERR_clear_error();
  return right;
}

StatusOr<std::string> Jwt::Sign(std::string_view user, uint64_t revision, int64_t wall_nanos) const {
  if (verify_only_) return ErrVerifyOnly();
  const nlohmann::json header = {{"alg", std::string(method_.name)}, {"typ", "JWT"}};
  const auto expires = static_cast<int64_t>(
      std::floor(static_cast<double>(wall_nanos + ttl_nanos_) / static_cast<double>(kNanosPerSecond)));
  const nlohmann::json claims = {{"exp", expires}, {"revision", revision}, {"username", std::string(user)}};
  constexpr auto kReplace = nlohmann::json::error_handler_t::replace;  // As Go does with what is not UTF-8.
  std::string token =
      Encode64(header.dump()) + "." + Encode64(claims.dump(-1, ' ', /*ensure_ascii=*/false, kReplace));
  const std::optional<std::string> signature = Signature(token);
  if (!signature) return Internal("OpenSSL could not sign a token by " + std::string(method_.name));
  return token + "." + Encode64(*signature);
}

std::optional<Jwt::Claims> Jwt::Verify(std::string_view token, int64_t wall_nanos) const {
  const size_t first = token.find('.');
  const size_t last = token.rfind('.');
  if (first == last || token.find('.', first + 1) != last) return std::nullopt;
  std::string header_text, claims_text, signature;
  if (!Decode64(token.substr(0, first), &header_text) ||
      !Decode64(token.substr(first + 1, last - first - 1), &claims_text) ||
      !Decode64(token.substr(last + 1), &signature)) {
    return std::nullopt;
  }
  // What is cheap comes first. The method is the server's choice, never the token's.
  const auto header = ParseObject(header_text);
  if (!header) return std::nullopt;
  const auto method = header->find("alg");
  if (method == header->end() || !method->is_string() ||
      method->get_ref<const std::string&>() != method_.name)
    return std::nullopt;
  const auto parsed = ParseObject(claims_text);
  if (!parsed) return std::nullopt;
  Claims claims;
  if (!ReadTime(*parsed, "exp", &claims.expires_seconds) ||
      !ReadTime(*parsed, "nbf", &claims.not_before_seconds) || !claims.HoldsAt(wall_nanos)) {
    return std::nullopt;
  }
  const auto user = parsed->find("username");
  const auto revision = parsed->find("revision");
  if (user == parsed->end() || !user->is_string() || revision == parsed->end() || !revision->is_number()) {
    return std::nullopt;
  }
  // Through a double, as Go reads it; one that fits no revision is nobody's.
  const double number = revision->get<double>();
  if (!(number >= 0 && number < 9.2e18)) return std::nullopt;
  claims.username = user->get_ref<const std::string&>();
  claims.revision = static_cast<uint64_t>(number);
  if (!SignatureIsRight(token.substr(0, last), signature)) return std::nullopt;
  return claims;
}

}  // namespace quorate::auth
