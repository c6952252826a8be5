// Simple tokens: 16 random letters, a dot, and the index of the log entry that gave the token out. They live
// in the memory of each member and end when not used for the time to live.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/hash.h"

namespace quorate::auth {

constexpr size_t kTokenPrefixLetters = 16;

// Owner: the core's thread.
class SimpleTokens {
 public:
  explicit SimpleTokens(int64_t ttl_nanos) : ttl_nanos_(ttl_nanos) {}

  static std::string NewPrefix(Random& random);
  // The index in the token; nothing when it has not the form of one.
  static std::optional<uint64_t> Index(std::string_view token);

  // The token for `prefix` and `index`, which is new.
  std::string Assign(std::string_view user, std::string_view prefix, uint64_t index, int64_t now_nanos);
  bool Has(std::string_view token) { return Find(token) != nullptr; }
  // The token's user, for as long as nothing else is called; using a token prolongs its life.
  std::optional<std::string_view> Use(std::string_view token, int64_t now_nanos);
  void InvalidateUser(std::string_view user);
  void InvalidateAll();

  size_t size() const { return tokens_.size(); }

 private:
  struct Entry {
    std::string user;
    int64_t end_nanos;
  };
  using Tokens = StringMap<Entry>;

  Tokens::value_type* Find(std::string_view token);
  void Sweep(int64_t now_nanos);

  const int64_t ttl_nanos_;
  int64_t next_sweep_nanos_ = INT64_MIN;
  Tokens tokens_;
  // What was found last: the calls of a client come in runs, and to compare costs less than to hash. Null
  // after every change of tokens_.
  Tokens::value_type* last_ = nullptr;
};

}  // namespace quorate::auth
