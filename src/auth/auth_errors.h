// The errors of authentication that clients match on: code and text are frozen.
// Source: etcd api/v3rpc/rpctypes/error.go; ErrNoPasswordUser reaches clients unmapped.
#pragma once

#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/status.h"

namespace quorate::auth {

inline Status ErrRootUserNotExist() { return FailedPrecondition("etcdserver: root user does not exist"); }
inline Status ErrRootRoleNotExist() {
  return FailedPrecondition("etcdserver: root user does not have root role");
}
inline Status ErrUserAlreadyExist() { return FailedPrecondition("etcdserver: user name already exists"); }
inline Status ErrUserEmpty() { return InvalidArgument("etcdserver: user name is empty"); }
inline Status ErrUserNotFound() { return FailedPrecondition("etcdserver: user name not found"); }
inline Status ErrRoleAlreadyExist() { return FailedPrecondition("etcdserver: role name already exists"); }
inline Status ErrRoleNotFound() { return FailedPrecondition("etcdserver: role name not found"); }
inline Status ErrRoleEmpty() { return InvalidArgument("etcdserver: role name is empty"); }
inline Status ErrAuthFailed() {
  return InvalidArgument("etcdserver: authentication failed, invalid user ID or password");
}
inline Status ErrNoPasswordUser() {
  return Unknown("auth: authentication failed, password was given for no password user");
}
inline Status ErrPermissionNotGiven() { return InvalidArgument("etcdserver: permission not given"); }
inline Status ErrPermissionDenied() { return PermissionDenied("etcdserver: permission denied"); }
inline Status ErrRoleNotGranted() {
  return FailedPrecondition("etcdserver: role is not granted to the user");
}
inline Status ErrPermissionNotGranted() {
  return FailedPrecondition("etcdserver: permission is not granted to the role");
}
inline Status ErrAuthNotEnabled() { return FailedPrecondition("etcdserver: authentication is not enabled"); }
inline Status ErrInvalidAuthToken() {
  return MakeStatus(absl::StatusCode::kUnauthenticated, "etcdserver: invalid auth token");
}
inline Status ErrInvalidAuthMgmt() { return InvalidArgument("etcdserver: invalid auth management"); }
// A name is a key of the db file. etcd has no such error: there the name gets into the log, and each member
// that applies it ends, at each start again.
inline Status CheckNameFits(std::string_view what, std::string_view name) {
  if (name.size() <= limits::kDbKeyBytesMax) return absl::OkStatus();
  return InvalidArgument("etcdserver: " + std::string(what) + " name has " + std::to_string(name.size()) +
                         " bytes; at most " + std::to_string(limits::kDbKeyBytesMax) + " are allowed");
}
inline Status CheckUserNameFits(std::string_view name) { return CheckNameFits("user", name); }
inline Status CheckRoleNameFits(std::string_view name) { return CheckNameFits("role", name); }
inline Status ErrAuthOldRevision() { return InvalidArgument("etcdserver: revision of auth store is old"); }

}  // namespace quorate::auth
