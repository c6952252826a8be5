// etcdserverpb.Auth: users, roles, permissions, and logging in. Core thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "auth/password.h"
#include "base/wipe.h"
#include "net/server.h"
#include "rpc/context.h"
#include "rpc/password_work.h"

namespace quorate::rpc {

class AuthService {
 public:
  explicit AuthService(Context* context)
      : context_(*context), member_(context->member()), password_work_(context->member().env().executor) {}
  void Register(std::span<net::Server* const> servers);

 private:
  // UserAdd or UserChangePassword on its way into the log.
  struct PasswordRequest {
    Call call;
    server::EntryKind kind;
    auth::AuthInfo who;
    std::string name;
    std::shared_ptr<const Secret> password;
    // The entry's body, with the hash, or in the form of 3.4 with the password itself.
    std::function<std::string(std::string_view password, std::string_view hashed)> encode;
  };
  template <typename Request>
  void AddPassword(Call call, server::EntryKind kind, std::string_view method, std::string_view bytes);
  void Hash(PasswordRequest request);
  // One at a time, so that members which have to hash when they apply get no more of them than they can do
  // meanwhile.
  void HashNext();
  void ProposePassword(const PasswordRequest& request, const std::string& hash);
  // The cluster's version: passwords are in the log as hashes only.
  bool LogsHashes() const;

  void Authenticate(Call call, std::string_view bytes);
  struct Login;
  // Checks the password away from the core; starts anew when users changed in between.
  void CheckPassword(const std::shared_ptr<Login>& login);
  static void Refuse(const std::shared_ptr<Login>& login, const Status& why);
  void GiveToken(const std::shared_ptr<Login>& login);
  void SignToken(const std::shared_ptr<Login>& login, std::string_view response);

  Context& context_;
  server::Member& member_;
  PasswordWork password_work_;
  std::deque<PasswordRequest> to_hash_;
  bool hashing_ = false;  // The first of to_hash_.
};

}  // namespace quorate::rpc
