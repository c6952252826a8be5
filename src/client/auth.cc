#include "quorate/client/auth.h"

#include <string>

#include "client/rpc.h"

namespace quorate::client {

using etcdserverpb::AuthDisableResponse;
using etcdserverpb::AuthEnableResponse;
using etcdserverpb::AuthenticateResponse;
using etcdserverpb::AuthRoleAddResponse;
using etcdserverpb::AuthRoleDeleteResponse;
using etcdserverpb::AuthRoleGetResponse;
using etcdserverpb::AuthRoleGrantPermissionResponse;
using etcdserverpb::AuthRoleListResponse;
using etcdserverpb::AuthRoleRevokePermissionResponse;
using etcdserverpb::AuthStatusResponse;
using etcdserverpb::AuthUserAddResponse;
using etcdserverpb::AuthUserChangePasswordResponse;
using etcdserverpb::AuthUserDeleteResponse;
using etcdserverpb::AuthUserGetResponse;
using etcdserverpb::AuthUserGrantRoleResponse;
using etcdserverpb::AuthUserListResponse;
using etcdserverpb::AuthUserRevokeRoleResponse;

StatusOr<AuthEnableResponse> Auth::Enable(const CallOptions& call) {
  return Call<AuthEnableResponse>(&core_, kAuthEnable, etcdserverpb::AuthEnableRequest(), call);
}

StatusOr<AuthDisableResponse> Auth::Disable(const CallOptions& call) {
  return Call<AuthDisableResponse>(&core_, kAuthDisable, etcdserverpb::AuthDisableRequest(), call);
}

StatusOr<AuthStatusResponse> Auth::Status(const CallOptions& call) {
  return Call<AuthStatusResponse>(&core_, kAuthStatus, etcdserverpb::AuthStatusRequest(), call);
}

StatusOr<AuthenticateResponse> Auth::Authenticate(std::string_view name, std::string_view password,
                                                  const CallOptions& call) {
  etcdserverpb::AuthenticateRequest request;
  request.set_name(std::string(name));
  request.set_password(std::string(password));
  return Call<AuthenticateResponse>(&core_, kAuthenticate, request, call);
}

StatusOr<AuthUserAddResponse> Auth::UserAdd(std::string_view name, std::string_view password,
                                            const CallOptions& call) {
  etcdserverpb::AuthUserAddRequest request;
  request.set_name(std::string(name));
  request.set_password(std::string(password));
  // Servers of 3.4 and later fail on requests without it.
  request.mutable_options()->set_no_password(false);
  return Call<AuthUserAddResponse>(&core_, kUserAdd, request, call);
}

StatusOr<AuthUserAddResponse> Auth::UserAddWithoutPassword(std::string_view name, const CallOptions& call) {
  etcdserverpb::AuthUserAddRequest request;
  request.set_name(std::string(name));
  request.mutable_options()->set_no_password(true);
  return Call<AuthUserAddResponse>(&core_, kUserAdd, request, call);
}

StatusOr<AuthUserGetResponse> Auth::UserGet(std::string_view name, const CallOptions& call) {
  etcdserverpb::AuthUserGetRequest request;
  request.set_name(std::string(name));
  return Call<AuthUserGetResponse>(&core_, kUserGet, request, call);
}

StatusOr<AuthUserListResponse> Auth::UserList(const CallOptions& call) {
  return Call<AuthUserListResponse>(&core_, kUserList, etcdserverpb::AuthUserListRequest(), call);
}

StatusOr<AuthUserDeleteResponse> Auth::UserDelete(std::string_view name, const CallOptions& call) {
  etcdserverpb::AuthUserDeleteRequest request;
  request.set_name(std::string(name));
  return Call<AuthUserDeleteResponse>(&core_, kUserDelete, request, call);
}

StatusOr<AuthUserChangePasswordResponse> Auth::UserChangePassword(std::string_view name,
                                                                  std::string_view password,
                                                                  const CallOptions& call) {
  etcdserverpb::AuthUserChangePasswordRequest request;
  request.set_name(std::string(name));
  request.set_password(std::string(password));
  return Call<AuthUserChangePasswordResponse>(&core_, kUserChangePassword, request, call);
}

StatusOr<AuthUserGrantRoleResponse> Auth::UserGrantRole(std::string_view user, std::string_view role,
                                                        const CallOptions& call) {
  etcdserverpb::AuthUserGrantRoleRequest request;
  request.set_user(std::string(user));
  request.set_role(std::string(role));
  return Call<AuthUserGrantRoleResponse>(&core_, kUserGrantRole, request, call);
}

StatusOr<AuthUserRevokeRoleResponse> Auth::UserRevokeRole(std::string_view user, std::string_view role,
                                                          const CallOptions& call) {
  etcdserverpb::AuthUserRevokeRoleRequest request;
  request.set_name(std::string(user));
  request.set_role(std::string(role));
  return Call<AuthUserRevokeRoleResponse>(&core_, kUserRevokeRole, request, call);
}

StatusOr<AuthRoleAddResponse> Auth::RoleAdd(std::string_view name, const CallOptions& call) {
  etcdserverpb::AuthRoleAddRequest request;
  request.set_name(std::string(name));
  return Call<AuthRoleAddResponse>(&core_, kRoleAdd, request, call);
}

StatusOr<AuthRoleGetResponse> Auth::RoleGet(std::string_view name, const CallOptions& call) {
  etcdserverpb::AuthRoleGetRequest request;
  request.set_role(std::string(name));
  return Call<AuthRoleGetResponse>(&core_, kRoleGet, request, call);
}

StatusOr<AuthRoleListResponse> Auth::RoleList(const CallOptions& call) {
  return Call<AuthRoleListResponse>(&core_, kRoleList, etcdserverpb::AuthRoleListRequest(), call);
}

StatusOr<AuthRoleDeleteResponse> Auth::RoleDelete(std::string_view name, const CallOptions& call) {
  etcdserverpb::AuthRoleDeleteRequest request;
  request.set_role(std::string(name));
  return Call<AuthRoleDeleteResponse>(&core_, kRoleDelete, request, call);
}

StatusOr<AuthRoleGrantPermissionResponse> Auth::RoleGrantPermission(std::string_view role,
                                                                    const KeyRange& keys, PermissionType type,
                                                                    const CallOptions& call) {
  etcdserverpb::AuthRoleGrantPermissionRequest request;
  request.set_name(std::string(role));
  authpb::Permission& permission = *request.mutable_perm();
  permission.set_permtype(type);
  permission.set_key(keys.key);
  permission.set_range_end(keys.end);
  return Call<AuthRoleGrantPermissionResponse>(&core_, kRoleGrantPermission, request, call);
}

StatusOr<AuthRoleRevokePermissionResponse> Auth::RoleRevokePermission(std::string_view role,
                                                                      const KeyRange& keys,
                                                                      const CallOptions& call) {
  etcdserverpb::AuthRoleRevokePermissionRequest request;
  request.set_role(std::string(role));
  request.set_key(keys.key);
  request.set_range_end(keys.end);
  return Call<AuthRoleRevokePermissionResponse>(&core_, kRoleRevokePermission, request, call);
}

}  // namespace quorate::client
