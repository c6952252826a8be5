// The token of the client's user. Loop thread.
//
// T1: at most one Authenticate is under way; all who need a new token wait for it.
// T2: name, password and token never leave this class except in requests.
// T3: a token is kept until a server has refused it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::client {

class Core;

// What a call says whose time is over before there was a token.
inline constexpr std::string_view kLoginTooSlow = "the login took too long";

class Token {
 public:
  using Done = std::function<void(const Status&)>;

  // `fixed` is one to use without a user.
  Token(Core* core, std::string username, std::string password, std::string fixed);

  bool has_user() const { return !username_.empty() && !password_.empty(); }
  // Empty: none, or none needed.
  const std::string& value() const { return value_; }
  // Counts the tokens fetched, so that one who was refused can tell whether there is a newer one by now.
  uint64_t generation() const { return generation_; }

  // Makes sure of a token that was not refused. Done runs perhaps at once, and perhaps long after who waits
  // has lost patience. Without a user there is nothing to do.
  void Ensure(Done done);
  // Whether there is a user and no token of his that may be good.
  bool refused() const { return has_user() && generation_ <= refused_; }
  // A server does not take the token of this generation.
  void Refused(uint64_t generation) { refused_ = std::max(refused_, generation); }

 private:
  void Fetch();
  void Fetched(const Status& status);

  Core& core_;
  const std::string username_;
  const std::string password_;
  std::string value_;
  uint64_t generation_ = 0;  // 0: none was fetched yet.
  uint64_t refused_ = 0;     // This generation and all before it are of no use.
  std::vector<Done> waiting_;
};

}  // namespace quorate::client
