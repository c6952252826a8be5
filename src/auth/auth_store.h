// Who may do what: users, roles and permissions, replicated through the log, and the tokens users act with.
//
// Owner: the core's thread, but for password.h, whose functions are made to run elsewhere. Operations marked
// (log) are applied from the log, in its order, on all members alike; each returns the error clients get
// (auth_errors.h). Whether the caller may do so is checked by the caller, with IsAdminPermitted. Source of
// the rules: etcd 3.4's auth/store.go, with the later checks of permission ranges.
//
// Invariants:
//  1. Memory and the buckets auth, authUsers, authRoles say the same.
//  2. revision() is at least 1, and goes up by one with each change of users or roles and with Disable;
//  Enable leaves it.
//  3. While enabled, user root exists and has role root.
//  4. permissions_ holds each user, with the union of what its roles grant.
//  5. No simple token outlives its user, a change of its password, or Disable. (A JSON web token can't be
//  taken back: the revision in it is too old for keys after any change, and it expires.)
//  6. generation() changes whenever the answer of a check below may have changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/auth_types.h"
#include "auth/jwt_tokens.h"
#include "auth/password.h"
#include "auth/range_permissions.h"
#include "auth/simple_tokens.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/wipe.h"
#include "mvcc/backend.h"

namespace quorate::auth {

constexpr std::string_view kRootUser = "root";
constexpr std::string_view kRootRole = "root";

// Who asks, as a request in the log carries it. Empty: nobody, or the server itself.
struct AuthInfo {
  std::string username;
  uint64_t revision = 0;  // revision() when the request was taken in.
  bool operator==(const AuthInfo&) const = default;
};

// kNone: nobody can log in; certificates alone say who asks.
enum class TokenKind { kSimple, kJwt, kNone };

constexpr int64_t kSimpleTokenTtlNanosDefault = 300'000'000'000;

struct AuthOptions {
  int bcrypt_cost = kBcryptCostDefault;  // One out of range is replaced by the default, with a warning.
  TokenKind tokens = TokenKind::kSimple;
  int64_t token_ttl_nanos = kSimpleTokenTtlNanosDefault;  // Of simple ones; 0 or less: the default.
  std::shared_ptr<const Jwt> jwt;                         // With kJwt.
};

class AuthStore {
 public:
  // Loads from the buckets; in fresh ones sets the revision to 1. `backend` and `random` (good for secrets)
  // are not owned. DataLoss when the buckets hold what cannot be read.
  static StatusOr<std::unique_ptr<AuthStore>> Open(mvcc::Backend* backend, Random* random,
                                                   const AuthOptions& options);
  // After a snapshot took the place of the database. Tokens stay but where invariant 5 says otherwise.
  Status Reload(mvcc::Backend* backend);

  bool enabled() const { return enabled_; }
  uint64_t revision() const { return revision_; }
  uint64_t generation() const { return generation_; }
  int bcrypt_cost() const { return options_.bcrypt_cost; }
  // Null when tokens are of another kind.
  const std::shared_ptr<const Jwt>& jwt() const { return options_.jwt; }

  // ---- administration (log) ----
  Status Enable();
  void Disable();

  // A password arrives as base64 of its bcrypt hash; in logs of 3.4 plain. Then the hash is the one that
  // KeepHash was given for the user and the password, or is made here, which takes long: who applies asks
  // WantsHash first.
  Status UserAdd(std::string_view name, std::string_view password, std::string_view hashed_password,
                 bool no_password);
  Status UserDelete(std::string_view name);
  Status UserChangePassword(std::string_view name, std::string_view password,
                            std::string_view hashed_password);
  // Whether applying UserAdd (`added`) or UserChangePassword would hash the password itself.
  bool WantsHash(std::string_view name, std::string_view password, std::string_view hashed_password,
                 bool added) const;
  // Of clusters below version 3.5, whose entries hold no hash: there an empty password is one as well.
  void set_plain_passwords(bool plain) { plain_passwords_ = plain; }
  Status UserGrantRole(std::string_view user, std::string_view role);
  Status UserRevokeRole(std::string_view user, std::string_view role);
  Status RoleAdd(std::string_view name);
  Status RoleDelete(std::string_view name);
  // Null when the request had no permission.
  Status RoleGrantPermission(std::string_view role, const Permission* permission);
  Status RoleRevokePermission(std::string_view role, std::string_view key, std::string_view range_end);

  // ---- questions ----
  StatusOr<std::vector<std::string>> UserGet(std::string_view name) const;  // The roles.
  std::vector<std::string> UserList() const;                                // Sorted.
  StatusOr<std::vector<Permission>> RoleGet(std::string_view name) const;
  std::vector<std::string> RoleList() const;  // Sorted.
  // False for an unknown user.
  bool HasRole(std::string_view user, std::string_view role) const;

  // ---- logging in ----
  // 1. BeginPasswordCheck here; 2. VerifyPassword(check.hash, password) on Lane::kRead or kBackground,
  // ErrAuthFailed() when false; 3. propose InternalAuthenticateRequest{name, simple_token =
  // NewTokenPrefix()}; 4. when it is applied and revision() != check.revision, the password may have been
  // another: begin again; 5. with jwt() set, the token is jwt()->Sign(name, check.revision, ...), made away
  // from the core's thread.
  struct PasswordCheck {
    std::string hash;
    uint64_t revision = 0;
  };
  StatusOr<PasswordCheck> BeginPasswordCheck(std::string_view name) const;
  // The base64 of a hash for UserAdd and UserChangePassword is base64(HashPassword(password, bcrypt_cost(),
  // NewSalt())).
  Salt NewSalt();
  // A plain password in the log is hashed off the core's thread: by the member that proposes it, before; by
  // the others, before they apply it. One hash a user; KeepHash replaces it, and using it forgets it.
  void KeepHash(std::string_view name, std::string_view password, std::string_view hash);
  void ForgetHash(std::string_view name);
  // Empty unless tokens are simple ones.
  std::string NewTokenPrefix();
  // (log) Gives out the token `prefix`.`index`, which every member remembers; empty when it is still to be
  // signed.
  StatusOr<std::string> Authenticate(std::string_view name, std::string_view prefix, uint64_t index,
                                     int64_t now_nanos);

  // Whom a token belongs to; a leading "Bearer " is ignored. Unauthenticated when it is unknown. A token
  // whose index (SimpleTokens::Index) is not applied yet may become known: the caller waits for that first.
  StatusOr<AuthInfo> AuthInfoFromToken(std::string_view token, const Clock& clock);
  // Whether a login that is applied has given out the token; true for those that need none.
  bool Knows(std::string_view token);

  // ---- checks ----
  // All are OK while authentication is off. Ranges are as in requests: see Permission.
  Status IsPutPermitted(const AuthInfo& who, std::string_view key) const;
  Status IsRangePermitted(const AuthInfo& who, std::string_view key, std::string_view range_end) const;
  Status IsDeleteRangePermitted(const AuthInfo& who, std::string_view key, std::string_view range_end) const;
  Status IsAdminPermitted(const AuthInfo& who) const;

 private:
  AuthStore(mvcc::Backend* backend, Random* random, const AuthOptions& options);

  Status IsOperationPermitted(const AuthInfo& who, std::string_view key, std::string_view range_end,
                              PermissionType type) const;
  bool IsPlain(std::string_view password, std::string_view hashed_password) const {
    return hashed_password.empty() && (plain_passwords_ || !password.empty());
  }
  StatusOr<std::string> SelectPassword(std::string_view name, std::string_view password,
                                       std::string_view hashed_password);
  // Both store, and renew the permissions of all users concerned.
  void StoreUser(User user);
  void StoreRole(Role role);
  // Counts and stores the revision: the end of each change.
  void BumpRevision();
  void RenewPermissions(const User& user);
  const UserPermissions* FindPermissions(std::string_view user) const;

  mvcc::Backend* backend_;
  Random* const random_;
  const AuthOptions options_;
  bool enabled_ = false;
  uint64_t revision_ = 0;
  uint64_t generation_ = 0;
  bool plain_passwords_ = false;
  StringMap<User> users_;
  StringMap<Role> roles_;
  StringMap<UserPermissions> permissions_;  // By user.
  // What was looked for last, as in SimpleTokens; null after every change of permissions_.
  mutable const StringMap<UserPermissions>::value_type* last_permissions_ = nullptr;
  SimpleTokens tokens_;
  JwtTokens jwt_tokens_;
  struct KeptHash {
    std::unique_ptr<const Secret> password;
    std::string hash;
  };
  StringMap<KeptHash> kept_hashes_;  // By user.
};

}  // namespace quorate::auth
