// The entries that change or ask for users, roles and permissions.
#include <iterator>

#include "base/check.h"
#include "base/wire.h"
#include "raft_internal.pb.h"
#include "server/applier.h"
#include "server/errors.h"

namespace quorate::server {
namespace {

// Every request about users and roles has its strings and messages in fields 1 to 4 (proto/rpc.proto). They
// are taken as bytes: protobuf would refuse a name that is not UTF-8, which etcd up to 3.6 takes, and a
// member that stopped at an entry where the others go on would be lost to them.
struct AuthFields {
  std::string_view value[5];  // By field number.
  bool given[5] = {};
};

StatusOr<AuthFields> Fields(const EntryView& entry) {
  AuthFields fields;
  wire::Reader in(entry.body);
  while (in.Next()) {
    if (in.type() != wire::Type::kBytes || in.field() >= std::size(fields.value)) continue;
    fields.value[in.field()] = in.bytes();
    fields.given[in.field()] = true;
  }
  if (in.ok()) return fields;
  return DataLoss("the log holds a malformed request of kind " + std::to_string(entry.field));
}

// A message within, which holds no strings.
template <typename Message>
Status ParseInner(const EntryView& entry, std::string_view bytes, Message* message) {
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return DataLoss("the log holds a malformed request of kind " + std::to_string(entry.field));
}

bool IsKnown(EntryKind kind) {
  switch (kind) {
    case EntryKind::kAuthEnable:
    case EntryKind::kAuthDisable:
    case EntryKind::kAuthenticate:
    case EntryKind::kAuthStatus:
    case EntryKind::kAuthUserAdd:
    case EntryKind::kAuthUserDelete:
    case EntryKind::kAuthUserGet:
    case EntryKind::kAuthUserChangePassword:
    case EntryKind::kAuthUserGrantRole:
    case EntryKind::kAuthUserRevokeRole:
    case EntryKind::kAuthUserList:
    case EntryKind::kAuthRoleList:
    case EntryKind::kAuthRoleAdd:
    case EntryKind::kAuthRoleDelete:
    case EntryKind::kAuthRoleGet:
    case EntryKind::kAuthRoleGrantPermission:
    case EntryKind::kAuthRoleRevokePermission:
      return true;
    default:
      return false;
  }
}

Status CheckKnown(const EntryView& entry) {
  if (IsKnown(entry.kind)) return absl::OkStatus();
  return DataLoss("a request of kind " + std::to_string(entry.field) +
                  ", which this version doesn't know; run the release that the other members run");
}

bool NeedsAdmin(EntryKind kind) {
  switch (kind) {
    case EntryKind::kAuthenticate:
    case EntryKind::kAuthStatus:
    case EntryKind::kAuthUserGet:  // A user may look at itself, and at its roles.
    case EntryKind::kAuthRoleGet:
      return false;
    default:
      return true;
  }
}

auth::Permission ToPermission(const authpb::Permission& p) {
  return {static_cast<auth::PermissionType>(p.permtype()), p.key(), p.range_end()};
}

}  // namespace

Status Applier::CheckAuthReadable(const EntryView& entry) {
  QUORATE_RETURN_IF_ERROR(CheckKnown(entry));
  QUORATE_ASSIGN_OR_RETURN(const AuthFields fields, Fields(entry));
  authpb::UserAddOptions options;
  authpb::Permission permission;
  if (entry.kind == EntryKind::kAuthUserAdd) return ParseInner(entry, fields.value[3], &options);
  if (entry.kind == EntryKind::kAuthRoleGrantPermission) {
    return ParseInner(entry, fields.value[2], &permission);
  }
  return absl::OkStatus();
}

Status Applier::Auth(const EntryView& entry, uint64_t index, const auth::AuthInfo& who, std::string* out) {
  QUORATE_RETURN_IF_ERROR(CheckKnown(entry));
  if (NeedsAdmin(entry.kind)) QUORATE_RETURN_IF_ERROR(parts_.auth->IsAdminPermitted(who));
  switch (entry.kind) {
    case EntryKind::kAuthenticate:
      return Authenticate(entry, index, out);
    case EntryKind::kAuthStatus:
    case EntryKind::kAuthUserGet:
    case EntryKind::kAuthUserList:
    case EntryKind::kAuthRoleGet:
    case EntryKind::kAuthRoleList:
      return AuthRead(entry, who, out);
    default:
      break;
  }
  QUORATE_RETURN_IF_ERROR(AuthChange(entry));
  if (out != nullptr) AppendHeader(*out, parts_.header());
  return absl::OkStatus();
}

std::optional<Applier::PasswordToHash> Applier::FindPasswordToHash(const EntryView& entry) const {
  const bool added = entry.kind == EntryKind::kAuthUserAdd;
  if (!added && entry.kind != EntryKind::kAuthUserChangePassword) return std::nullopt;
  const auth::AuthInfo who{std::string(entry.header.username), entry.header.auth_revision};
  const StatusOr<AuthFields> fields = Fields(entry);
  if (!fields.ok() || !parts_.auth->IsAdminPermitted(who).ok()) return std::nullopt;
  const auto& [none, name, password, third, fourth] = fields->value;
  authpb::UserAddOptions options;
  if (added && (!ParseInner(entry, third, &options).ok() || options.no_password())) return std::nullopt;
  if (!parts_.auth->WantsHash(name, password, added ? fourth : third, added)) return std::nullopt;
  return PasswordToHash{std::string(name), std::string(password)};
}

Status Applier::Authenticate(const EntryView& entry, uint64_t index, std::string* out) {
  QUORATE_ASSIGN_OR_RETURN(const AuthFields request, Fields(entry));
  QUORATE_ASSIGN_OR_RETURN(
      std::string token, parts_.auth->Authenticate(request.value[1], request.value[3], index, parts_.now()));
  if (out == nullptr) return absl::OkStatus();
  etcdserverpb::AuthenticateResponse response;
  response.set_token(std::move(token));
  AppendHeader(*out, parts_.header());
  response.AppendToString(out);
  return absl::OkStatus();
}

Status Applier::AuthChange(const EntryView& entry) {
  auth::AuthStore& store = *parts_.auth;
  QUORATE_ASSIGN_OR_RETURN(const AuthFields fields, Fields(entry));
  const auto& [none, first, second, third, fourth] = fields.value;
  switch (entry.kind) {
    case EntryKind::kAuthEnable:
      return store.Enable();
    case EntryKind::kAuthDisable:
      store.Disable();
      return absl::OkStatus();
    case EntryKind::kAuthUserAdd: {
      authpb::UserAddOptions options;
      QUORATE_RETURN_IF_ERROR(ParseInner(entry, third, &options));
      return store.UserAdd(first, second, fourth, options.no_password());
    }
    case EntryKind::kAuthUserDelete:
      return store.UserDelete(first);
    case EntryKind::kAuthUserChangePassword:
      return store.UserChangePassword(first, second, third);
    case EntryKind::kAuthUserGrantRole:
      return store.UserGrantRole(first, second);
    case EntryKind::kAuthUserRevokeRole:
      return store.UserRevokeRole(first, second);
    case EntryKind::kAuthRoleAdd:
      return store.RoleAdd(first);
    case EntryKind::kAuthRoleDelete:
      return store.RoleDelete(first);
    case EntryKind::kAuthRoleGrantPermission: {
      authpb::Permission perm;
      QUORATE_RETURN_IF_ERROR(ParseInner(entry, second, &perm));
      const auth::Permission permission = ToPermission(perm);
      return store.RoleGrantPermission(first, fields.given[2] ? &permission : nullptr);
    }
    case EntryKind::kAuthRoleRevokePermission:
      return store.RoleRevokePermission(first, second, third);
    default:
      QUORATE_CHECK_MSG(false, "no change of users or roles");
      return absl::OkStatus();
  }
}

Status Applier::AuthRead(const EntryView& entry, const auth::AuthInfo& who, std::string* out) {
  const auth::AuthStore& store = *parts_.auth;
  const auto respond = [&](const google::protobuf::Message& body) {
    if (out == nullptr) return;
    AppendHeader(*out, parts_.header());
    body.AppendToString(out);
  };
  switch (entry.kind) {
    case EntryKind::kAuthUserGet: {
      QUORATE_ASSIGN_OR_RETURN(const AuthFields request, Fields(entry));
      const std::string_view name = request.value[1];
      if (const Status admin = store.IsAdminPermitted(who); !admin.ok() && name != who.username) return admin;
      QUORATE_ASSIGN_OR_RETURN(const auto roles, store.UserGet(name));
      etcdserverpb::AuthUserGetResponse response;
      for (const std::string& role : roles) response.add_roles(role);
      respond(response);
      return absl::OkStatus();
    }
    case EntryKind::kAuthRoleGet: {
      QUORATE_ASSIGN_OR_RETURN(const AuthFields request, Fields(entry));
      const std::string_view role = request.value[1];
      if (const Status admin = store.IsAdminPermitted(who);
          !admin.ok() && !store.HasRole(who.username, role)) {
        return admin;
      }
      QUORATE_ASSIGN_OR_RETURN(const auto permissions, store.RoleGet(role));
      etcdserverpb::AuthRoleGetResponse response;
      for (const auth::Permission& p : permissions) {
        auto* perm = response.add_perm();
        perm->set_permtype(static_cast<authpb::Permission::Type>(p.type));
        perm->set_key(p.key);
        perm->set_range_end(p.range_end);
      }
      respond(response);
      return absl::OkStatus();
    }
    case EntryKind::kAuthUserList: {
      etcdserverpb::AuthUserListResponse response;
      for (const std::string& user : store.UserList()) response.add_users(user);
      respond(response);
      return absl::OkStatus();
    }
    case EntryKind::kAuthRoleList: {
      etcdserverpb::AuthRoleListResponse response;
      for (const std::string& role : store.RoleList()) response.add_roles(role);
      respond(response);
      return absl::OkStatus();
    }
    default: {
      etcdserverpb::AuthStatusResponse response;
      response.set_enabled(store.enabled());
      response.set_authrevision(store.revision());
      respond(response);
      return absl::OkStatus();
    }
  }
}

}  // namespace quorate::server
