// JSON web tokens: signed by the member that logs a user in, good at every member and until they expire.
// Nothing of them is replicated or kept. Source of claims and rules: etcd server/auth/jwt.go and options.go;
// RFC 7515 (compact form), 7518 (RS, PS, ES, HS), 8037 (EdDSA).
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::auth {

struct JwtOptions {
  std::string sign_method;  // "RS256" and so on.
  // PEM as read from the files; empty: not given. The public one may be a certificate. For HS* the private
  // key is the shared secret, any bytes.
  std::string public_key;
  std::string private_key;
  int64_t ttl_nanos = 300'000'000'000;
};

// Immutable after Make, and thread-safe. Signing and verifying take 20 to 1000 us, by method and key.
class Jwt {
 public:
  struct Claims {
    std::string username;
    uint64_t revision = 0;  // Of the auth store when the token was made.
    // Seconds since 1970, the first end-exclusive; nothing: no such bound.
    std::optional<int64_t> expires_seconds;
    std::optional<int64_t> not_before_seconds;

    bool HoldsAt(int64_t wall_nanos) const;
  };

  // Errors carry the original's text and what is wrong, never bytes of a key.
  static StatusOr<std::shared_ptr<const Jwt>> Make(const JwtOptions& options);
  ~Jwt();
  Jwt(const Jwt&) = delete;
  Jwt& operator=(const Jwt&) = delete;

  // Only a public key was given: tokens are taken, none is made.
  bool verify_only() const { return verify_only_; }
  // ErrVerifyOnly() without a private key.
  StatusOr<std::string> Sign(std::string_view user, uint64_t revision, int64_t wall_nanos) const;
  // Nothing for a token that is malformed, signed by another method or key, out of its time, or without user
  // and revision.
  std::optional<Claims> Verify(std::string_view token, int64_t wall_nanos) const;

 private:
  struct Method;
  static const Method* FindMethod(std::string_view name);
  Jwt(const Method& method, int64_t ttl_nanos) : method_(method), ttl_nanos_(ttl_nanos) {}

  Status LoadKeys(const JwtOptions& options);
  Status CheckKeyType(std::string_view option, const EVP_PKEY* key) const;
  std::optional<std::string> Signature(std::string_view text) const;
  bool SignatureIsRight(std::string_view text, std::string_view signature) const;

  const Method& method_;
  const int64_t ttl_nanos_;
  bool verify_only_ = false;
  EVP_PKEY* key_ = nullptr;  // The private one, unless verify_only_.
};

inline Status ErrInvalidAuthOpts(std::string_view why) {
  return InvalidArgument("auth: invalid auth options: " + std::string(why));
}
// Reaches clients as it is.
inline Status ErrVerifyOnly() { return Unknown("auth: token signing attempted with verify-only key"); }

}  // namespace quorate::auth
