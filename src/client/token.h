// The token of the client's user. Loop thread.
//
// T1: at most one Authenticate is under way; all who need a new token wait for it.
// T2: name, password and token never leave this class except in requests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace quorate::client {

class Core;

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

  // Makes sure of a token newer than `than`. Done runs perhaps at once. Without a user there is nothing to
  // do.
  void Renew(uint64_t than, Done done);

 private:
  void Fetch();
  void Fetched(const Status& status);

  Core& core_;
  const std::string username_;
  const std::string password_;
  std::string value_;
  uint64_t generation_ = 0;
  std::vector<Done> waiting_;
};

}  // namespace quorate::client
