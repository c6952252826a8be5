// The entries that change or ask for users, roles and permissions.
#include "base/check.h"
#include "raft_internal.pb.h"
#include "server/applier.h"
#include "server/errors.h"

namespace quorate::server {
namespace {

template <typename Message>
Status Parse(const EntryView& entry, Message* message) {
  if (message->ParseFromArray(entry.body.data(), static_cast<int>(entry.body.size())))
    return absl::OkStatus();
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

Status Applier::Auth(const EntryView& entry, uint64_t index, const auth::AuthInfo& who, std::string* out) {
  if (!IsKnown(entry.kind)) {
    return DataLoss("a request of kind " + std::to_string(entry.field) +
                    ", which this version doesn't know; run the release that the other members run");
  }
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

Status Applier::Authenticate(const EntryView& entry, uint64_t index, std::string* out) {
  etcdserverpb::InternalAuthenticateRequest request;
  QUORATE_RETURN_IF_ERROR(Parse(entry, &request));
  QUORATE_ASSIGN_OR_RETURN(
      std::string token,
      parts_.auth->Authenticate(request.name(), request.simple_token(), index, parts_.now()));
  if (out == nullptr) return absl::OkStatus();
  etcdserverpb::AuthenticateResponse response;
  response.set_token(std::move(token));
  AppendHeader(*out, parts_.header());
  response.AppendToString(out);
  return absl::OkStatus();
}

Status Applier::AuthChange(const EntryView& entry) {
  auth::AuthStore& store = *parts_.auth;
  switch (entry.kind) {
    case EntryKind::kAuthEnable:
      return store.Enable();
    case EntryKind::kAuthDisable:
      store.Disable();
      return absl::OkStatus();
    case EntryKind::kAuthUserAdd: {
      etcdserverpb::AuthUserAddRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.UserAdd(r.name(), r.password(), r.hashedpassword(), r.options().no_password());
    }
    case EntryKind::kAuthUserDelete: {
      etcdserverpb::AuthUserDeleteRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.UserDelete(r.name());
    }
    case EntryKind::kAuthUserChangePassword: {
      etcdserverpb::AuthUserChangePasswordRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.UserChangePassword(r.name(), r.password(), r.hashedpassword());
    }
    case EntryKind::kAuthUserGrantRole: {
      etcdserverpb::AuthUserGrantRoleRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.UserGrantRole(r.user(), r.role());
    }
    case EntryKind::kAuthUserRevokeRole: {
      etcdserverpb::AuthUserRevokeRoleRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.UserRevokeRole(r.name(), r.role());
    }
    case EntryKind::kAuthRoleAdd: {
      etcdserverpb::AuthRoleAddRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.RoleAdd(r.name());
    }
    case EntryKind::kAuthRoleDelete: {
      etcdserverpb::AuthRoleDeleteRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.RoleDelete(r.role());
    }
    case EntryKind::kAuthRoleGrantPermission: {
      etcdserverpb::AuthRoleGrantPermissionRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      const auth::Permission permission = ToPermission(r.perm());
      return store.RoleGrantPermission(r.name(), r.has_perm() ? &permission : nullptr);
    }
    case EntryKind::kAuthRoleRevokePermission: {
      etcdserverpb::AuthRoleRevokePermissionRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      return store.RoleRevokePermission(r.role(), r.key(), r.range_end());
    }
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
      etcdserverpb::AuthUserGetRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      if (const Status admin = store.IsAdminPermitted(who); !admin.ok() && r.name() != who.username)
        return admin;
      QUORATE_ASSIGN_OR_RETURN(const auto roles, store.UserGet(r.name()));
      etcdserverpb::AuthUserGetResponse response;
      for (const std::string& role : roles) response.add_roles(role);
      respond(response);
      return absl::OkStatus();
    }
    case EntryKind::kAuthRoleGet: {
      etcdserverpb::AuthRoleGetRequest r;
      QUORATE_RETURN_IF_ERROR(Parse(entry, &r));
      if (const Status admin = store.IsAdminPermitted(who);
          !admin.ok() && !store.HasRole(who.username, r.role())) {
        return admin;
      }
      QUORATE_ASSIGN_OR_RETURN(const auto permissions, store.RoleGet(r.role()));
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
