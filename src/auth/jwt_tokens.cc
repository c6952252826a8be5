#include "auth/jwt_tokens.h"

#include <utility>

#include "absl/container/flat_hash_map.h"

namespace quorate::auth {

const Jwt::Claims* JwtTokens::Use(std::string_view token, int64_t wall_nanos) {
  if (const auto found = verified_.find(token); found != verified_.end()) {
    if (found->second.HoldsAt(wall_nanos)) return &found->second;
    verified_.erase(found);
    return nullptr;
  }
  std::optional<Jwt::Claims> claims = jwt_->Verify(token, wall_nanos);
  if (!claims) return nullptr;
  if (token.size() > kTokenBytesMax) {
    last_ = *std::move(claims);
    return &last_;
  }
  if (verified_.size() >= kTokensMax) {
    absl::erase_if(verified_, [&](const auto& entry) { return !entry.second.HoldsAt(wall_nanos); });
    if (verified_.size() >= kTokensMax) verified_.clear();
  }
  return &verified_.insert_or_assign(std::string(token), *std::move(claims)).first->second;
}

}  // namespace quorate::auth
