// The JSON web tokens that have been verified: a client sends the same one with each request, and to verify a
// signature costs more than the request.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "auth/jwt.h"
#include "base/hash.h"

namespace quorate::auth {

// Owner: the core's thread.
class JwtTokens {
 public:
  explicit JwtTokens(std::shared_ptr<const Jwt> jwt) : jwt_(std::move(jwt)) {}

  // Null when the token is not valid now; else good until the next call.
  const Jwt::Claims* Use(std::string_view token, int64_t wall_nanos);

  size_t size() const { return verified_.size(); }

  // More live tokens than this are verified anew now and then; larger ones each time.
  static constexpr size_t kTokensMax = 4096;
  static constexpr size_t kTokenBytesMax = 4096;

 private:
  const std::shared_ptr<const Jwt> jwt_;
  StringMap<Jwt::Claims> verified_;
  Jwt::Claims last_;  // Of one that is not kept.
};

}  // namespace quorate::auth
