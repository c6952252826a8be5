#include "auth/auth_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "auth/auth_errors.h"
#include "auth/permission_order.h"
#include "base/endian.h"
#include "base/logging.h"

namespace quorate::auth {
namespace {

using mvcc::Bucket;

// Keys and values of bucket `auth` (frozen).
constexpr std::string_view kEnabledKey = "authEnabled";
constexpr std::string_view kRevisionKey = "authRevision";
constexpr std::string_view kEnabledValue("\1", 1);
constexpr std::string_view kDisabledValue("\0", 1);

constexpr std::string_view kBearer = "Bearer ";

AuthOptions Checked(AuthOptions options) {
  if (options.bcrypt_cost < kBcryptCostMin || options.bcrypt_cost > kBcryptCostMax) {
    LOG_WARN("use default bcrypt cost instead of the invalid given cost", {"min-cost", kBcryptCostMin},
             {"max-cost", kBcryptCostMax}, {"default-cost", kBcryptCostDefault},
             {"given-cost", options.bcrypt_cost});
    options.bcrypt_cost = kBcryptCostDefault;
  }
  if (options.token_ttl_nanos <= 0) options.token_ttl_nanos = kSimpleTokenTtlNanosDefault;
  return options;
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status InBucket(const Status& status, Bucket bucket, std::string_view key) {
  return DataLoss("bucket " + std::string(mvcc::BucketName(bucket)) + ", key " +
                  absl::CHexEscape({key.data(), key.size()}) + ": " + std::string(Message(status)) +
                  "; restore a snapshot, or rejoin this member with an empty directory");
}

template <typename Map>
std::vector<std::string> SortedKeys(const Map& map) {
  std::vector<std::string> names;
  names.reserve(map.size());
  for (const auto& [name, unused] : map) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

const char* TypeName(PermissionType type) {
  switch (type) {
    case PermissionType::kRead:
      return "READ";
    case PermissionType::kWrite:
      return "WRITE";
    case PermissionType::kReadWrite:
      return "READWRITE";
  }
  return "";
}

// Reads all of a bucket of encoded values into a map by key.
template <typename Value>
Status LoadBucket(const mvcc::Backend& backend, Bucket bucket, StatusOr<Value> (*decode)(std::string_view),
                  StringMap<Value>* out) {
  Status bad = absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(backend.ForEach(bucket, [&](std::string_view key, std::string_view bytes) {
    StatusOr<Value> value = decode(bytes);
    if (!value.ok()) {
      bad = InBucket(value.status(), bucket, key);
      return;
    }
    value->name = key;
    out->insert_or_assign(std::string(key), *std::move(value));
  }));
  return bad;
}

}  // namespace

AuthStore::AuthStore(mvcc::Backend* backend, Random* random, const AuthOptions& options)
    : backend_(backend),
      random_(random),
      options_(Checked(options)),
      tokens_(options_.token_ttl_nanos),
      jwt_tokens_(options_.jwt) {}

StatusOr<std::unique_ptr<AuthStore>> AuthStore::Open(mvcc::Backend* backend, Random* random,
                                                     const AuthOptions& options) {
  std::unique_ptr<AuthStore> store(new AuthStore(backend, random, options));
  QUORATE_RETURN_IF_ERROR(store->Reload(backend));
  if (store->revision_ == 0) store->BumpRevision();
  return store;
}

Status AuthStore::Reload(mvcc::Backend* backend) {
  backend_ = backend;
  QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string> enabled,
                           backend_->Get(Bucket::kAuth, kEnabledKey));
  QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string> revision,
                           backend_->Get(Bucket::kAuth, kRevisionKey));
  if (revision && revision->size() != sizeof(uint64_t)) {
    return InBucket(DataLoss("not 8 bytes"), Bucket::kAuth, kRevisionKey);
  }
  const StringMap<User> before = std::exchange(users_, {});
  roles_.clear();
  QUORATE_RETURN_IF_ERROR(LoadBucket(*backend_, Bucket::kAuthUsers, &DecodeUser, &users_));
  QUORATE_RETURN_IF_ERROR(LoadBucket(*backend_, Bucket::kAuthRoles, &DecodeRole, &roles_));
  enabled_ = enabled == kEnabledValue;
  revision_ = revision ? LoadBig64(revision->data()) : 0;
  last_permissions_ = nullptr;
  permissions_.clear();
  for (const auto& [unused, user] : users_) RenewPermissions(user);
  for (const auto& [name, user] : before) {
    const auto now = users_.find(name);
    if (now == users_.end() || now->second.password_hash != user.password_hash) tokens_.InvalidateUser(name);
  }
  if (!enabled_) tokens_.InvalidateAll();
  ++generation_;
  return absl::OkStatus();
}

void AuthStore::StoreUser(User user) {
  backend_->Put(Bucket::kAuthUsers, user.name, Encode(user));
  RenewPermissions(user);
  std::string name = user.name;
  users_.insert_or_assign(std::move(name), std::move(user));
}

void AuthStore::StoreRole(Role role) {
  backend_->Put(Bucket::kAuthRoles, role.name, Encode(role));
  const std::string name = role.name;
  roles_.insert_or_assign(name, std::move(role));
  for (const auto& [unused, user] : users_) {
    if (Contains(user.roles, name)) RenewPermissions(user);
  }
}

void AuthStore::BumpRevision() {
  ++revision_;
  ++generation_;
  char bytes[sizeof(uint64_t)];
  StoreBig64(bytes, revision_);
  backend_->Put(Bucket::kAuth, kRevisionKey, {bytes, sizeof bytes});
}

void AuthStore::RenewPermissions(const User& user) {
  UserPermissions merged;
  merged.everything = Contains(user.roles, kRootRole);
  for (const std::string& role_name : user.roles) {
    const auto role = roles_.find(role_name);
    if (role == roles_.end()) continue;  // Role root need not exist.
    for (const Permission& permission : role->second.permissions) {
      const PermissionType type = permission.type;
      const bool both = type == PermissionType::kReadWrite;
      if (both || type == PermissionType::kRead) merged.read.Add(permission.key, permission.range_end);
      if (both || type == PermissionType::kWrite) merged.write.Add(permission.key, permission.range_end);
    }
  }
  merged.read.Finish();
  merged.write.Finish();
  last_permissions_ = nullptr;
  permissions_.insert_or_assign(user.name, std::move(merged));
}

// ---- administration
// --------------------------------------------------------------------------------------------------

Status AuthStore::Enable() {
  if (enabled_) {
    LOG_INFO("authentication is already enabled; ignored auth enable request");
    return absl::OkStatus();
  }
  const auto root = users_.find(kRootUser);
  if (root == users_.end()) return ErrRootUserNotExist();
  if (!Contains(root->second.roles, kRootRole)) return ErrRootRoleNotExist();
  backend_->Put(Bucket::kAuth, kEnabledKey, kEnabledValue);
  enabled_ = true;
  ++generation_;
  LOG_INFO("enabled authentication");
  return absl::OkStatus();
}

void AuthStore::Disable() {
  if (!enabled_) return;
  backend_->Put(Bucket::kAuth, kEnabledKey, kDisabledValue);
  BumpRevision();
  enabled_ = false;
  tokens_.InvalidateAll();
  LOG_INFO("disabled authentication");
}

void AuthStore::KeepHash(std::string_view name, std::string_view password, std::string_view hash) {
  ForgetHash(name);
  kept_hashes_.emplace(name, KeptHash{std::make_unique<const Secret>(password), std::string(hash)});
}

void AuthStore::ForgetHash(std::string_view name) {
  const auto kept = kept_hashes_.find(name);
  if (kept != kept_hashes_.end()) kept_hashes_.erase(kept);
}

bool AuthStore::WantsHash(std::string_view name, std::string_view password, std::string_view hashed_password,
                          bool added) const {
  if (!IsPlain(password, hashed_password) || users_.contains(name) == added) return false;
  if (password.find('\0') != std::string_view::npos) return false;  // Can't be hashed, and will be refused.
  const auto kept = kept_hashes_.find(name);
  return kept == kept_hashes_.end() || kept->second.password->view() != password;
}

StatusOr<std::string> AuthStore::SelectPassword(std::string_view name, std::string_view password,
                                                std::string_view hashed_password) {
  if (IsPlain(password, hashed_password)) {
    const auto kept = kept_hashes_.find(name);
    if (kept == kept_hashes_.end() || kept->second.password->view() != password) {
      return HashPassword(password, bcrypt_cost(), NewSalt());
    }
    std::string ready = std::move(kept->second.hash);
    kept_hashes_.erase(kept);
    return ready;
  }
  std::string hash;
  if (!absl::Base64Unescape({hashed_password.data(), hashed_password.size()}, &hash))
    return ErrNoPasswordUser();
  return hash;
}

Status AuthStore::UserAdd(std::string_view name, std::string_view password, std::string_view hashed_password,
                          bool no_password) {
  if (name.empty()) return ErrUserEmpty();
  QUORATE_RETURN_IF_ERROR(CheckUserNameFits(name));
  if (users_.contains(name)) return ErrUserAlreadyExist();
  User user;
  user.name = name;
  user.no_password = no_password;
  if (!no_password) {
    QUORATE_ASSIGN_OR_RETURN(user.password_hash, SelectPassword(name, password, hashed_password));
  }
  StoreUser(std::move(user));
  BumpRevision();
  LOG_INFO("added a user", {"user-name", name});
  return absl::OkStatus();
}

Status AuthStore::UserDelete(std::string_view name) {
  if (enabled_ && name == kRootUser) {
    LOG_WARN("cannot delete 'root' user", {"user-name", name});
    return ErrInvalidAuthMgmt();
  }
  const auto user = users_.find(name);
  if (user == users_.end()) return ErrUserNotFound();
  backend_->Delete(Bucket::kAuthUsers, name);
  LOG_INFO("deleted a user", {"user-name", name}, {"user-roles", user->second.roles});
  users_.erase(user);
  last_permissions_ = nullptr;
  permissions_.erase(name);
  BumpRevision();
  tokens_.InvalidateUser(name);
  return absl::OkStatus();
}

Status AuthStore::UserChangePassword(std::string_view name, std::string_view password,
                                     std::string_view hashed_password) {
  const auto found = users_.find(name);
  if (found == users_.end()) return ErrUserNotFound();
  User user = found->second;
  user.password_hash.clear();
  if (!user.no_password.value_or(false)) {
    QUORATE_ASSIGN_OR_RETURN(user.password_hash, SelectPassword(name, password, hashed_password));
  }
  LOG_INFO("changed a password of a user", {"user-name", name}, {"user-roles", user.roles});
  StoreUser(std::move(user));
  BumpRevision();
  tokens_.InvalidateUser(name);
  return absl::OkStatus();
}

Status AuthStore::UserGrantRole(std::string_view user_name, std::string_view role) {
  const auto found = users_.find(user_name);
  if (found == users_.end()) return ErrUserNotFound();
  if (role != kRootRole && !roles_.contains(role)) return ErrRoleNotFound();
  if (Contains(found->second.roles, role)) {
    LOG_WARN("ignored grant role request to a user", {"user-name", user_name},
             {"user-roles", found->second.roles}, {"duplicate-role-name", role});
    return absl::OkStatus();
  }
  User user = found->second;
  user.roles.emplace_back(role);
  std::sort(user.roles.begin(), user.roles.end());
  LOG_INFO("granted a role to a user", {"user-name", user_name}, {"user-roles", user.roles},
           {"added-role-name", role});
  StoreUser(std::move(user));
  BumpRevision();
  return absl::OkStatus();
}

Status AuthStore::UserRevokeRole(std::string_view user_name, std::string_view role) {
  if (enabled_ && user_name == kRootUser && role == kRootRole) {
    LOG_WARN("'root' user cannot revoke 'root' role", {"user-name", user_name}, {"role-name", role});
    return ErrInvalidAuthMgmt();
  }
  const auto found = users_.find(user_name);
  if (found == users_.end()) return ErrUserNotFound();
  User user = found->second;
  if (std::erase(user.roles, role) == 0) return ErrRoleNotGranted();
  LOG_INFO("revoked a role from a user", {"user-name", user_name}, {"new-user-roles", user.roles},
           {"revoked-role-name", role});
  StoreUser(std::move(user));
  BumpRevision();
  return absl::OkStatus();
}

Status AuthStore::RoleAdd(std::string_view name) {
  if (name.empty()) return ErrRoleEmpty();
  QUORATE_RETURN_IF_ERROR(CheckRoleNameFits(name));
  if (roles_.contains(name)) return ErrRoleAlreadyExist();
  Role role;
  role.name = name;
  StoreRole(std::move(role));
  BumpRevision();
  LOG_INFO("created a role", {"role-name", name});
  return absl::OkStatus();
}

Status AuthStore::RoleDelete(std::string_view name) {
  if (enabled_ && name == kRootRole) {
    LOG_WARN("cannot delete 'root' role", {"role-name", name});
    return ErrInvalidAuthMgmt();
  }
  const auto role = roles_.find(name);
  if (role == roles_.end()) return ErrRoleNotFound();
  backend_->Delete(Bucket::kAuthRoles, name);
  roles_.erase(role);
  for (const std::string& user_name : UserList()) {
    User user = users_.find(user_name)->second;
    if (std::erase(user.roles, name) > 0) StoreUser(std::move(user));
  }
  BumpRevision();
  LOG_INFO("deleted a role", {"role-name", name});
  return absl::OkStatus();
}

Status AuthStore::RoleGrantPermission(std::string_view role_name, const Permission* permission) {
  if (permission == nullptr) return ErrPermissionNotGiven();
  if (!IsValidPermissionRange(permission->key, permission->range_end)) return ErrInvalidAuthMgmt();
  const auto found = roles_.find(role_name);
  if (found == roles_.end()) return ErrRoleNotFound();
  Role role = found->second;
  // Of several permissions from one key only the first is looked at, as the original does: another of the
  // same range is then kept beside it. All members must store the same.
  const auto less = [](const Permission& p, const std::string& key) { return p.key < key; };
  const auto first =
      std::lower_bound(role.permissions.begin(), role.permissions.end(), permission->key, less);
  if (first != role.permissions.end() && first->key == permission->key &&
      first->range_end == permission->range_end) {
    first->type = permission->type;
  } else {
    role.permissions.push_back(*permission);
    SortPermissions(&role.permissions);
  }
  StoreRole(std::move(role));
  BumpRevision();
  LOG_INFO("granted/updated a permission to a user", {"user-name", role_name},
           {"permission-name", TypeName(permission->type)});
  return absl::OkStatus();
}

Status AuthStore::RoleRevokePermission(std::string_view role_name, std::string_view key,
                                       std::string_view range_end) {
  const auto found = roles_.find(role_name);
  if (found == roles_.end()) return ErrRoleNotFound();
  Role role = found->second;
  const size_t removed = std::erase_if(
      role.permissions, [&](const Permission& p) { return p.key == key && p.range_end == range_end; });
  if (removed == 0) return ErrPermissionNotGranted();
  StoreRole(std::move(role));
  BumpRevision();
  LOG_INFO("revoked a permission on range", {"role-name", role_name}, {"key", key}, {"range-end", range_end});
  return absl::OkStatus();
}

// ---- questions
// -------------------------------------------------------------------------------------------------------

StatusOr<std::vector<std::string>> AuthStore::UserGet(std::string_view name) const {
  const auto user = users_.find(name);
  if (user == users_.end()) return ErrUserNotFound();
  return user->second.roles;
}

std::vector<std::string> AuthStore::UserList() const { return SortedKeys(users_); }

StatusOr<std::vector<Permission>> AuthStore::RoleGet(std::string_view name) const {
  const auto role = roles_.find(name);
  if (role == roles_.end()) return ErrRoleNotFound();
  return role->second.permissions;
}

std::vector<std::string> AuthStore::RoleList() const { return SortedKeys(roles_); }

bool AuthStore::HasRole(std::string_view user_name, std::string_view role) const {
  const auto user = users_.find(user_name);
  return user != users_.end() && Contains(user->second.roles, role);
}

// ---- logging in
// ------------------------------------------------------------------------------------------------------

StatusOr<AuthStore::PasswordCheck> AuthStore::BeginPasswordCheck(std::string_view name) const {
  if (!enabled_) return ErrAuthNotEnabled();
  const auto user = users_.find(name);
  if (user == users_.end()) return ErrAuthFailed();
  if (user->second.no_password.value_or(false)) return ErrNoPasswordUser();
  return PasswordCheck{user->second.password_hash, revision_};
}

Salt AuthStore::NewSalt() {
  Salt salt;
  for (size_t i = 0; i < salt.size(); i += sizeof(uint64_t)) StoreLittle(salt.data() + i, random_->Next());
  return salt;
}

std::string AuthStore::NewTokenPrefix() {
  return options_.tokens == TokenKind::kSimple ? SimpleTokens::NewPrefix(*random_) : std::string();
}

StatusOr<std::string> AuthStore::Authenticate(std::string_view name, std::string_view prefix, uint64_t index,
                                              int64_t now_nanos) {
  if (!enabled_) return ErrAuthNotEnabled();
  const auto user = users_.find(name);
  if (user == users_.end() || user->second.no_password.value_or(false)) return ErrAuthFailed();
  switch (options_.tokens) {
    case TokenKind::kSimple:
      return tokens_.Assign(name, prefix, index, now_nanos);
    case TokenKind::kJwt:
      if (options_.jwt->verify_only()) return ErrVerifyOnly();
      return std::string();
    case TokenKind::kNone:
      break;
  }
  return ErrAuthFailed();
}

StatusOr<AuthInfo> AuthStore::AuthInfoFromToken(std::string_view token, const Clock& clock) {
  if (token.starts_with(kBearer)) token.remove_prefix(kBearer.size());
  if (options_.tokens == TokenKind::kJwt) {
    const Jwt::Claims* const claims = jwt_tokens_.Use(token, clock.WallNanos());
    if (claims == nullptr) return ErrInvalidAuthToken();
    return AuthInfo{claims->username, claims->revision};
  }
  const std::optional<std::string_view> user = tokens_.Use(token, clock.MonotonicNanos());
  if (!user) return ErrInvalidAuthToken();
  return AuthInfo{std::string(*user), revision_};
}

bool AuthStore::Knows(std::string_view token) {
  if (token.starts_with(kBearer)) token.remove_prefix(kBearer.size());
  return options_.tokens == TokenKind::kJwt || tokens_.Has(token);
}

// ---- checks
// ----------------------------------------------------------------------------------------------------------

const UserPermissions* AuthStore::FindPermissions(std::string_view user) const {
  if (last_permissions_ != nullptr && last_permissions_->first == user) return &last_permissions_->second;
  const auto found = permissions_.find(user);
  if (found == permissions_.end()) return nullptr;
  last_permissions_ = &*found;
  return &found->second;
}

Status AuthStore::IsOperationPermitted(const AuthInfo& who, std::string_view key, std::string_view range_end,
                                       PermissionType type) const {
  if (!enabled_) return absl::OkStatus();
  if (who.revision == 0) return ErrUserEmpty();
  if (who.revision < revision_) return ErrAuthOldRevision();
  const UserPermissions* const user = FindPermissions(who.username);
  if (user == nullptr) return ErrPermissionDenied();
  if (user->everything) return absl::OkStatus();
  const RangeSet& keys = type == PermissionType::kRead ? user->read : user->write;
  return keys.Covers(key, range_end) ? absl::OkStatus() : ErrPermissionDenied();
}

Status AuthStore::IsPutPermitted(const AuthInfo& who, std::string_view key) const {
  return IsOperationPermitted(who, key, {}, PermissionType::kWrite);
}

Status AuthStore::IsRangePermitted(const AuthInfo& who, std::string_view key,
                                   std::string_view range_end) const {
  return IsOperationPermitted(who, key, range_end, PermissionType::kRead);
}

Status AuthStore::IsDeleteRangePermitted(const AuthInfo& who, std::string_view key,
                                         std::string_view range_end) const {
  return IsOperationPermitted(who, key, range_end, PermissionType::kWrite);
}

Status AuthStore::IsAdminPermitted(const AuthInfo& who) const {
  if (!enabled_) return absl::OkStatus();
  if (who.username.empty()) return ErrUserEmpty();
  const auto user = permissions_.find(who.username);
  if (user == permissions_.end()) return ErrUserNotFound();
  return user->second.everything ? absl::OkStatus() : ErrPermissionDenied();
}

}  // namespace quorate::auth
