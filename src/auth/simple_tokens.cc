#include "auth/simple_tokens.h"

#include <charconv>

#include "absl/container/flat_hash_map.h"

namespace quorate::auth {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr int64_t kSweepIntervalNanos = 1'000'000'000;

}  // namespace

std::string SimpleTokens::NewPrefix(Random& random) {
  std::string prefix;
  for (size_t i = 0; i < kTokenPrefixLetters; ++i) prefix += kLetters[random.Below(kLetters.size())];
  return prefix;
}

std::optional<uint64_t> SimpleTokens::Index(std::string_view token) {
  const size_t dot = token.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const char* const end = token.data() + token.size();
  uint64_t index = 0;
  const auto [stopped, error] = std::from_chars(token.data() + dot + 1, end, index);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return index;
}

std::string SimpleTokens::Assign(std::string_view user, std::string_view prefix, uint64_t index,
                                 int64_t now_nanos) {
  Sweep(now_nanos);
  last_ = nullptr;
  std::string token = std::string(prefix) + "." + std::to_string(index);
  tokens_.insert_or_assign(token, Entry{std::string(user), now_nanos + ttl_nanos_});
  return token;
}

SimpleTokens::Tokens::value_type* SimpleTokens::Find(std::string_view token) {
  if (last_ != nullptr && last_->first == token) return last_;
  const auto found = tokens_.find(token);
  if (found == tokens_.end()) return nullptr;
  return last_ = &*found;
}

std::optional<std::string_view> SimpleTokens::Use(std::string_view token, int64_t now_nanos) {
  Tokens::value_type* const found = Find(token);
  if (found == nullptr) return std::nullopt;
  if (now_nanos > found->second.end_nanos) {
    last_ = nullptr;
    tokens_.erase(token);
    return std::nullopt;
  }
  found->second.end_nanos = now_nanos + ttl_nanos_;
  return found->second.user;
}

void SimpleTokens::InvalidateAll() {
  last_ = nullptr;
  tokens_.clear();
}

void SimpleTokens::InvalidateUser(std::string_view user) {
  last_ = nullptr;
  absl::erase_if(tokens_, [&](const auto& token) { return token.second.user == user; });
}

// Tokens only grow in number when one is given out: swept there, they are never more than the live ones and
// those that ended since.
void SimpleTokens::Sweep(int64_t now_nanos) {
  if (now_nanos < next_sweep_nanos_) return;
  next_sweep_nanos_ = now_nanos + kSweepIntervalNanos;
  last_ = nullptr;
  absl::erase_if(tokens_, [&](const auto& token) { return now_nanos > token.second.end_nanos; });
}

}  // namespace quorate::auth
