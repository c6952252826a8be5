// Users and roles. Any thread.
#pragma once

#include <string_view>

#include "quorate/client/key_range.h"
#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

using PermissionType = authpb::Permission::Type;

class Auth {
 public:
  explicit Auth(Core* core) : core_(*core) {}

  StatusOr<etcdserverpb::AuthEnableResponse> Enable(const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthDisableResponse> Disable(const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthStatusResponse> Status(const CallOptions& call = {});
  // A token for somebody else than the client's own user, whose token the client keeps by itself.
  StatusOr<etcdserverpb::AuthenticateResponse> Authenticate(std::string_view name, std::string_view password,
                                                            const CallOptions& call = {});

  StatusOr<etcdserverpb::AuthUserAddResponse> UserAdd(std::string_view name, std::string_view password,
                                                      const CallOptions& call = {});
  // A user who can log in by certificate only.
  StatusOr<etcdserverpb::AuthUserAddResponse> UserAddWithoutPassword(std::string_view name,
                                                                     const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthUserGetResponse> UserGet(std::string_view name, const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthUserListResponse> UserList(const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthUserDeleteResponse> UserDelete(std::string_view name,
                                                            const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthUserChangePasswordResponse> UserChangePassword(std::string_view name,
                                                                            std::string_view password,
                                                                            const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthUserGrantRoleResponse> UserGrantRole(std::string_view user,
                                                                  std::string_view role,
                                                                  const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthUserRevokeRoleResponse> UserRevokeRole(std::string_view user,
                                                                    std::string_view role,
                                                                    const CallOptions& call = {});

  StatusOr<etcdserverpb::AuthRoleAddResponse> RoleAdd(std::string_view name, const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthRoleGetResponse> RoleGet(std::string_view name, const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthRoleListResponse> RoleList(const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthRoleDeleteResponse> RoleDelete(std::string_view name,
                                                            const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthRoleGrantPermissionResponse> RoleGrantPermission(std::string_view role,
                                                                              const KeyRange& keys,
                                                                              PermissionType type,
                                                                              const CallOptions& call = {});
  StatusOr<etcdserverpb::AuthRoleRevokePermissionResponse> RoleRevokePermission(std::string_view role,
                                                                                const KeyRange& keys,
                                                                                const CallOptions& call = {});

 private:
  Core& core_;
};

}  // namespace quorate::client
