// etcdserverpb.Auth: users, roles, permissions, and logging in. Core thread only.
#pragma once

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
  void Authenticate(Call call, std::string_view bytes);
  // Checks the password away from the core; starts anew when users changed in between.
  void CheckPassword(Call call, std::string name, std::string password);
  void GiveToken(Call call, std::string name, std::string password, uint64_t revision);

  Context& context_;
  server::Member& member_;
};

}  // namespace quorate::rpc
