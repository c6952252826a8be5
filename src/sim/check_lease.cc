#include <algorithm>
#include <map>
#include <string>

#include "sim/checkers.h"
#include "sim/scheduler.h"

namespace quorate::sim {

Violation CheckLeases(const History& history, const LeaseEndOf& end_of, int64_t rate_ppm) {
  struct Known {
    int64_t alive_until = -1;  // At least.
    const Operation* why = nullptr;
    int64_t revoke_asked = -1;
  };
  std::map<int64_t, Known> leases;
  for (const auto& [id, op] : history.operations) {
    const OpKind kind = op.request.kind;
    if (kind == OpKind::kLeaseRevoke) {
      Known& known = leases[op.request.lease];
      if (known.revoke_asked < 0) known.revoke_asked = op.asked;
    }
    if (kind != OpKind::kLeaseGrant && kind != OpKind::kLeaseKeepAlive) continue;
    if (!op.acknowledged() || op.response.ttl <= 0) continue;
    Known& known = leases[op.request.lease];
    const int64_t ttl = op.response.ttl * kSecond;
    const int64_t until = op.asked + ttl - ttl / 1'000'000 * rate_ppm;
    if (until <= known.alive_until) continue;
    known.alive_until = until;
    known.why = &op;
  }
  for (const auto& [lease, known] : leases) {
    const int64_t revoked_at = end_of(lease).revoked_at;
    if (revoked_at < 0 || revoked_at >= known.alive_until) continue;
    if (known.revoke_asked >= 0 && known.revoke_asked <= revoked_at) continue;
    return "lease " + std::to_string(lease) + " ended at " + std::to_string(revoked_at) + " ns, " +
           std::to_string((known.alive_until - revoked_at) / kMillisecond) + " ms too early; " +
           Describe(*known.why);
  }
  return std::nullopt;
}

}  // namespace quorate::sim
