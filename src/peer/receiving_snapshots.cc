#include "peer/receiving_snapshots.h"

#include <utility>

#include "base/check.h"

namespace quorate::peer {

ReceivingSnapshots::Id ReceivingSnapshots::Enter(bool member, int64_t now, Evict evict) {
  if (all_.size() >= kMax) {
    const Id leaves = Choose(member, now);
    if (leaves == 0) return 0;
    Evicted(leaves, Cause::kRoom);
  }
  all_[++last_] = {.member = member, .complete = false, .since = now, .bytes = 0, .evict = std::move(evict)};
  return last_;
}

void ReceivingSnapshots::Evicted(Id id, Cause cause) {
  // What is called may destroy the function.
  const Evict evict = std::move(all_.at(id).evict);
  evict(cause);
  QUORATE_CHECK(!all_.contains(id));
}

void ReceivingSnapshots::Stop() {
  while (!all_.empty()) Evicted(all_.begin()->first, Cause::kStop);
}

void ReceivingSnapshots::Progress(Id id, size_t bytes, int64_t now) {
  const auto it = all_.find(id);
  if (it == all_.end()) return;
  it->second.bytes += bytes;
  if (it->second.bytes < kProgressBytes) return;
  it->second.since = now;
  it->second.bytes = 0;
}

void ReceivingSnapshots::Complete(Id id) {
  const auto it = all_.find(id);
  if (it != all_.end()) it->second.complete = true;
}

ReceivingSnapshots::Id ReceivingSnapshots::Choose(bool for_member, int64_t now) const {
  Id chosen = 0;
  int64_t since = 0;
  for (const auto& [id, one] : all_) {
    const bool slow = now - one.since >= kSlowNanos;
    if (one.complete || !(slow || (for_member && !one.member))) continue;
    if (chosen != 0 && one.since >= since) continue;
    chosen = id;
    since = one.since;
  }
  return chosen;
}

}  // namespace quorate::peer
