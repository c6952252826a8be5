// Roles as text, and what `role` makes of its arguments. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "quorate/client/auth.h"

namespace quorate::cmd {

// What `role get` prints, and `user get --detail` for each role.
std::string RoleLines(std::string_view role, const etcdserverpb::AuthRoleGetResponse& response);
std::string RoleFields(const etcdserverpb::AuthRoleGetResponse& response, bool hex);

// "read", "write", "readwrite" in any case.
StatusOr<client::PermissionType> ParsePermissionType(std::string_view text);

// The range that `values` (KEY [END]) and the flags mean.
StatusOr<client::KeyRange> PermissionRange(const std::vector<std::string>& values, bool prefix,
                                           bool from_key);

}  // namespace quorate::cmd
