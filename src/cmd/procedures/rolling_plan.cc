#include "cmd/procedures/rolling_plan.h"

#include <algorithm>
#include <cmath>

namespace quorate::cmd {
namespace {

// The start of a process is told as the machine's start in whole seconds, which moves by one when the clock
// is set a little, and ticks of 10 ms since. So of one process it differs by a whole second at most.
constexpr double kStartToleranceSeconds = 1.5;
constexpr double kHalfTickSeconds = 0.005;

bool SameStart(double a, double b) {
  const double apart = std::fabs(a - b);
  return apart < kStartToleranceSeconds && std::fabs(apart - std::nearbyint(apart)) < kHalfTickSeconds;
}

int Rank(const ClusterState& state, const MemberState& member) {
  if (member.down) return 0;
  if (!member.serving) return 1;
  if (member.learner) return 2;
  return member.id == state.Leader() ? 4 : 3;
}

}  // namespace

std::vector<uint64_t> RestartOrder(const ClusterState& state, const std::set<uint64_t>& done) {
  std::vector<const MemberState*> members;
  for (const MemberState& member : state.members) {
    if (member.started() && !done.contains(member.id)) members.push_back(&member);
  }
  std::stable_sort(members.begin(), members.end(), [&](const MemberState* a, const MemberState* b) {
    return Rank(state, *a) < Rank(state, *b);
  });
  std::vector<uint64_t> order;
  for (const MemberState* member : members) order.push_back(member->id);
  return order;
}

RestartProof::RestartProof(const MemberState& member, bool assumed)
    : id_(member.id), started_at_(member.started_at), given_(assumed || !member.reachable) {}

void RestartProof::Look(const ClusterState& now) {
  const MemberState* const one = now.Find(id_);
  given_ = given_ || (one != nullptr && one->down);
}

bool RestartProof::Given(const MemberState& now, std::string* why) const {
  if (given_) return true;
  if (started_at_ && now.started_at) {
    if (!SameStart(*now.started_at, *started_at_)) return true;
    *why = "it runs on as before: the command has not restarted it";
    return false;
  }
  *why =
      "it serves, but nothing shows that it was restarted: its /metrics can't be read, and it was never seen "
      "down; if the command returns only after the restart, give --assume-restarted";
  return false;
}

bool CaughtUp(const ClusterState& state, uint64_t member, uint64_t index, std::string* why) {
  const MemberState* const one = state.Find(member);
  if (one == nullptr) {
    *why = "it is no member any more";
    return false;
  }
  if (!one->serving) {
    *why = one->trouble.empty() ? "it does not answer" : one->trouble;
    return false;
  }
  if (one->applied_index < index) {
    // No numbers: they change all the time, and each change would be told.
    *why = "it is catching up";
    return false;
  }
  if (one->leader == 0) {
    *why = "it knows no leader";
    return false;
  }
  return true;
}

}  // namespace quorate::cmd
