// etcdserverpb.Auth: users, roles, permissions, and logging in. Core thread only.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "net/server.h"
#include "rpc/context.h"

namespace quorate::rpc {

class AuthService {
 public:
  explicit AuthService(Context* context) : context_(*context), member_(context->member()) {}
  void Register(std::span<net::Server* const> servers);

 private:
  // A request with a plain password on its way into the log.
  struct PasswordRequest {
    Call call;
    server::EntryKind kind;
    std::string bytes;
    auth::AuthInfo who;
    std::string name;
    std::string password;
  };
  // Takes UserAdd and UserChangePassword: proposes them when their password has been hashed. One at a time,
  // so that members which have to hash when they apply get no more of them than they can do meanwhile.
  template <typename Request>
  void AddPassword(Call call, server::EntryKind kind, std::string_view method, std::string_view bytes);
  void HashNext();
  void ProposePassword(const PasswordRequest& request);

  void Authenticate(Call call, std::string_view bytes);
  // Checks the password away from the core; starts anew when users changed in between.
  void CheckPassword(Call call, std::string name, std::string password);
  void GiveToken(Call call, std::string name, std::string password, uint64_t revision);

  Context& context_;
  server::Member& member_;
  std::deque<PasswordRequest> to_hash_;
  bool hashing_ = false;  // The first of to_hash_.
};

}  // namespace quorate::rpc
