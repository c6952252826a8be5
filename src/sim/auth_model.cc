#include "sim/auth_model.h"

#include <algorithm>

#include "rpc.pb.h"
#include "server/requests.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;
using server::EntryKind;

template <typename Message>
bool Parse(std::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// The first key beyond a range; "" for no bound.
std::string Bound(const std::string& key, const std::string& end) {
  if (end.empty()) return key + std::string(1, '\0');
  return end == std::string(1, '\0') ? "" : end;
}

std::string Name(const std::string& key, const std::string& end) { return key + "|" + end; }

}  // namespace

bool AuthModel::Concerns(const server::EntryView& entry) {
  return entry.kind >= EntryKind::kAuthEnable && entry.kind <= EntryKind::kAuthRoleRevokePermission;
}

bool AuthModel::Learn(const server::EntryView& entry, const AuthState& after) {
  const bool changed = after.revision != state_.revision;
  state_ = after;
  if (!changed) return true;
  switch (entry.kind) {
    case EntryKind::kAuthUserAdd: {
      pb::AuthUserAddRequest add;
      if (!Parse(entry.body, &add)) return false;
      users_[add.name()];
      return true;
    }
    case EntryKind::kAuthUserDelete: {
      pb::AuthUserDeleteRequest erase;
      if (!Parse(entry.body, &erase)) return false;
      users_.erase(erase.name());
      return true;
    }
    case EntryKind::kAuthUserGrantRole: {
      pb::AuthUserGrantRoleRequest grant;
      if (!Parse(entry.body, &grant)) return false;
      users_[grant.user()].insert(grant.role());
      return true;
    }
    case EntryKind::kAuthUserRevokeRole: {
      pb::AuthUserRevokeRoleRequest revoke;
      if (!Parse(entry.body, &revoke)) return false;
      users_[revoke.name()].erase(revoke.role());
      return true;
    }
    case EntryKind::kAuthRoleAdd: {
      pb::AuthRoleAddRequest add;
      if (!Parse(entry.body, &add)) return false;
      roles_[add.name()];
      return true;
    }
    case EntryKind::kAuthRoleDelete: {
      pb::AuthRoleDeleteRequest erase;
      if (!Parse(entry.body, &erase)) return false;
      roles_.erase(erase.role());
      for (auto& [user, roles] : users_) roles.erase(erase.role());
      return true;
    }
    case EntryKind::kAuthRoleGrantPermission: {
      pb::AuthRoleGrantPermissionRequest grant;
      if (!Parse(entry.body, &grant)) return false;
      const auto& perm = grant.perm();
      roles_[grant.name()][Name(perm.key(), perm.range_end())] = {
          perm.permtype() != authpb::Permission::WRITE, perm.permtype() != authpb::Permission::READ,
          perm.key(), perm.range_end()};
      return true;
    }
    case EntryKind::kAuthRoleRevokePermission: {
      pb::AuthRoleRevokePermissionRequest revoke;
      if (!Parse(entry.body, &revoke)) return false;
      roles_[revoke.role()].erase(Name(revoke.key(), revoke.range_end()));
      return true;
    }
    default:
      return true;
  }
}

// By walking from the first key to the bound over whatever permission reaches furthest.
bool AuthModel::Covered(const std::string& user, bool write, const std::string& key,
                        const std::string& end) const {
  std::vector<const Permission*> own;
  for (const std::string& role : users_.at(user)) {
    const auto found = roles_.find(role);
    if (found == roles_.end()) continue;
    for (const auto& [name, permission] : found->second) {
      if (write ? permission.write : permission.read) own.push_back(&permission);
    }
  }
  const std::string bound = Bound(key, end);
  std::string at = key;
  while (bound.empty() || at < bound) {
    std::string furthest = at;
    for (const Permission* permission : own) {
      const std::string reach = Bound(permission->key, permission->end);
      if (permission->key > at) continue;
      if (reach.empty()) return true;
      furthest = std::max(furthest, reach);
    }
    if (furthest == at) return false;
    at = furthest;
  }
  return true;
}

bool AuthModel::CoversLease(const std::string& user, int64_t lease, const Leases& leases) const {
  const auto found = leases.find(lease);
  if (found == leases.end()) return true;
  return std::all_of(found->second.begin(), found->second.end(),
                     [&](const std::string& key) { return Covered(user, true, key, ""); });
}

bool AuthModel::Covers(const std::string& user, const SimpleOp& op) const {
  return Covered(user, op.kind != OpKind::kRange, op.key, op.end);
}

bool AuthModel::Permits(const std::string& user, uint64_t revision, const Request& request,
                        const Leases& leases) const {
  const bool guarded = request.kind == OpKind::kPut || request.kind == OpKind::kDelete ||
                       request.kind == OpKind::kTxn || request.kind == OpKind::kLeaseRevoke;
  if (!state_.enabled || !guarded) return true;
  // A lease without keys is anybody's, and every lease an administrator's, even one's whose auth revision is
  // old: so a leader's own revocation of what expired holds whatever changes meanwhile.
  if (request.kind == OpKind::kLeaseRevoke) {
    const auto found = leases.find(request.lease);
    if (found == leases.end() || found->second.empty()) return true;
    if (const auto who = users_.find(user); who != users_.end() && who->second.contains("root")) return true;
  }
  if (user.empty() || revision < state_.revision || !users_.contains(user)) return false;
  if (users_.at(user).contains("root")) return true;
  switch (request.kind) {
    case OpKind::kLeaseRevoke:
      return CoversLease(user, request.lease, leases);
    case OpKind::kTxn: {
      const auto all = [&](const std::vector<SimpleOp>& ops) {
        return std::all_of(ops.begin(), ops.end(), [&](const SimpleOp& op) { return Covers(user, op); });
      };
      return std::all_of(request.compares.begin(), request.compares.end(),
                         [&](const Compare& compare) { return Covered(user, false, compare.key, ""); }) &&
             all(request.then) && all(request.otherwise);
    }
    default:
      return Covers(user, {request.kind, request.key, request.end, {}, 0, 0}) &&
             (request.kind != OpKind::kPut || CoversLease(user, request.lease, leases));
  }
}

}  // namespace quorate::sim
