// The calls of etcd's API by name, and which of them may be made twice: those that etcd's own client repeats,
// and reads.
#pragma once

namespace quorate::client {

struct Method {
  const char* path;
  bool repeatable = false;
  bool with_token = true;
  bool bounded = true;  // By Options::request_timeout, when the call gives no timeout.
};

inline constexpr Method kRange{"/etcdserverpb.KV/Range", true};
inline constexpr Method kRangeStream{"/etcdserverpb.KV/RangeStream", true};
inline constexpr Method kPut{"/etcdserverpb.KV/Put"};
inline constexpr Method kDeleteRange{"/etcdserverpb.KV/DeleteRange"};
inline constexpr Method kTxn{"/etcdserverpb.KV/Txn"};
inline constexpr Method kReadTxn{"/etcdserverpb.KV/Txn", true};
inline constexpr Method kCompact{"/etcdserverpb.KV/Compact"};

inline constexpr Method kWatch{"/etcdserverpb.Watch/Watch"};

inline constexpr Method kLeaseGrant{"/etcdserverpb.Lease/LeaseGrant", true};
inline constexpr Method kLeaseRevoke{"/etcdserverpb.Lease/LeaseRevoke", true};
inline constexpr Method kLeaseKeepAlive{"/etcdserverpb.Lease/LeaseKeepAlive", true};
inline constexpr Method kLeaseTimeToLive{"/etcdserverpb.Lease/LeaseTimeToLive", true};
inline constexpr Method kLeaseLeases{"/etcdserverpb.Lease/LeaseLeases", true};

inline constexpr Method kMemberList{"/etcdserverpb.Cluster/MemberList", true};
inline constexpr Method kMemberAdd{"/etcdserverpb.Cluster/MemberAdd"};
inline constexpr Method kMemberRemove{"/etcdserverpb.Cluster/MemberRemove"};
inline constexpr Method kMemberUpdate{"/etcdserverpb.Cluster/MemberUpdate"};
inline constexpr Method kMemberPromote{"/etcdserverpb.Cluster/MemberPromote"};
inline constexpr Method kClusterVersion{"/quorate.Cluster/Version", true};
inline constexpr Method kRaiseVersion{"/quorate.Cluster/RaiseVersion"};

inline constexpr Method kAlarm{"/etcdserverpb.Maintenance/Alarm", true};
inline constexpr Method kStatus{"/etcdserverpb.Maintenance/Status", true};
inline constexpr Method kDefragment{"/etcdserverpb.Maintenance/Defragment", false, true, false};
inline constexpr Method kHash{"/etcdserverpb.Maintenance/Hash", true, true, false};
inline constexpr Method kHashKv{"/etcdserverpb.Maintenance/HashKV", true, true, false};
inline constexpr Method kSnapshot{"/etcdserverpb.Maintenance/Snapshot", true, true, false};
inline constexpr Method kMoveLeader{"/etcdserverpb.Maintenance/MoveLeader", true};
inline constexpr Method kDowngrade{"/etcdserverpb.Maintenance/Downgrade"};

inline constexpr Method kAuthEnable{"/etcdserverpb.Auth/AuthEnable"};
inline constexpr Method kAuthDisable{"/etcdserverpb.Auth/AuthDisable"};
inline constexpr Method kAuthStatus{"/etcdserverpb.Auth/AuthStatus", true};
inline constexpr Method kAuthenticate{"/etcdserverpb.Auth/Authenticate", true, false};
inline constexpr Method kUserAdd{"/etcdserverpb.Auth/UserAdd"};
inline constexpr Method kUserGet{"/etcdserverpb.Auth/UserGet", true};
inline constexpr Method kUserList{"/etcdserverpb.Auth/UserList", true};
inline constexpr Method kUserDelete{"/etcdserverpb.Auth/UserDelete"};
inline constexpr Method kUserChangePassword{"/etcdserverpb.Auth/UserChangePassword"};
inline constexpr Method kUserGrantRole{"/etcdserverpb.Auth/UserGrantRole"};
inline constexpr Method kUserRevokeRole{"/etcdserverpb.Auth/UserRevokeRole"};
inline constexpr Method kRoleAdd{"/etcdserverpb.Auth/RoleAdd"};
inline constexpr Method kRoleGet{"/etcdserverpb.Auth/RoleGet", true};
inline constexpr Method kRoleList{"/etcdserverpb.Auth/RoleList", true};
inline constexpr Method kRoleDelete{"/etcdserverpb.Auth/RoleDelete"};
inline constexpr Method kRoleGrantPermission{"/etcdserverpb.Auth/RoleGrantPermission"};
inline constexpr Method kRoleRevokePermission{"/etcdserverpb.Auth/RoleRevokePermission"};

}  // namespace quorate::client
