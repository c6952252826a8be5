#include "server/lease_permissions.h"

#include <string_view>
#include <utility>

namespace quorate::server {

Status LeasePermissions::Check(const auth::AuthInfo& who, lease::LeaseId id, Access access) {
  if (id == lease::kNoLease || auth_.IsAdminPermitted(who).ok()) return absl::OkStatus();
  const lease::KeySet keys = lessor_.keys(id);
  const bool remembers = keys.size >= kFewKeys;
  if (remembers) {
    const Verdict* known = Find(who, id, access);
    const bool holds =
        known != nullptr && known->generation == auth_.generation() &&
        (known->status.ok() ? known->attached == keys.attached : known->detached == keys.detached);
    if (holds) return known->status;
  }
  Status status;
  lessor_.ForEachKey(id, [&](std::string_view key) {
    ++looked_up_;
    status = access == Access::kPut ? auth_.IsPutPermitted(who, key) : auth_.IsRangePermitted(who, key, {});
    return status.ok();
  });
  if (remembers) Remember(id, {who, access, auth_.generation(), keys.attached, keys.detached, status});
  return status;
}

void LeasePermissions::NotePut(const auth::AuthInfo& who, lease::LeaseId id) {
  Verdict* const known = Find(who, id, Access::kPut);
  if (known != nullptr && known->status.ok()) known->attached = lessor_.keys(id).attached;
}

LeasePermissions::Verdict* LeasePermissions::Find(const auth::AuthInfo& who, lease::LeaseId id,
                                                  Access access) {
  const auto it = verdicts_.find(id);
  if (it == verdicts_.end()) return nullptr;
  for (Verdict& verdict : it->second) {
    if (verdict.access == access && verdict.who == who) return &verdict;
  }
  return nullptr;
}

void LeasePermissions::Remember(lease::LeaseId id, Verdict verdict) {
  if (Verdict* const known = Find(verdict.who, id, verdict.access); known != nullptr) {
    *known = std::move(verdict);
    return;
  }
  if (verdicts_.size() >= kLeasesMax && !verdicts_.contains(id)) verdicts_.clear();
  std::vector<Verdict>& of_lease = verdicts_[id];
  if (of_lease.size() >= kVerdictsMax) of_lease.clear();
  of_lease.push_back(std::move(verdict));
}

}  // namespace quorate::server
