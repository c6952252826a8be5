// Whether a user may write, or read, all keys that hang on a lease. Every put under a lease asks it, every
// renewal, and a lease may have 100,000 keys: what was found is remembered until the keys, or users and
// roles, change.
//
// Owner: the core's thread. The answers depend on the replicated state alone, never on what is remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "auth/auth_store.h"
#include "base/status.h"
#include "lease/lessor.h"

namespace quorate::server {

class LeasePermissions {
 public:
  enum class Access : uint8_t { kPut, kRange };

  // Both must outlive it.
  LeasePermissions(const lease::Lessor* lessor, const auth::AuthStore* auth)
      : lessor_(*lessor), auth_(*auth) {}

  // OK for lease 0, an unknown one and one without keys, whoever asks; and for an administrator, also for one
  // whose auth revision is old, as in the original. Else the error of the first key that is refused.
  Status Check(const auth::AuthInfo& who, lease::LeaseId id, Access access);

  // `who` has put keys under the lease. Only after Check(who, id, kPut) was OK, and if since then no key was
  // attached to the lease that `who` may not put.
  void NotePut(const auth::AuthInfo& who, lease::LeaseId id);

  // Permissions of single keys that were looked up, ever.
  uint64_t looked_up() const { return looked_up_; }

 private:
  // Leases with fewer keys are looked through each time.
  static constexpr size_t kFewKeys = 8;
  static constexpr size_t kLeasesMax = 4096;
  static constexpr size_t kVerdictsMax = 16;  // Of a lease: users that take turns.

  struct Verdict {
    auth::AuthInfo who;
    Access access = Access::kPut;
    uint64_t generation = 0;  // Of the auth store.
    // The lease's. No key that goes makes a permitted set forbidden, no key that comes a forbidden one
    // permitted.
    uint64_t attached = 0;
    uint64_t detached = 0;
    Status status;
  };

  Verdict* Find(const auth::AuthInfo& who, lease::LeaseId id, Access access);
  void Remember(lease::LeaseId id, Verdict verdict);

  const lease::Lessor& lessor_;
  const auth::AuthStore& auth_;
  absl::flat_hash_map<lease::LeaseId, std::vector<Verdict>> verdicts_;
  uint64_t looked_up_ = 0;
};

}  // namespace quorate::server
