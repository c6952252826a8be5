#include "cmd/procedures/rolling_plan.h"

#include <algorithm>

namespace quorate::cmd {
namespace {

int Rank(const ClusterState& state, const MemberState& member) {
  if (!member.serving) return 0;
  if (member.learner) return 1;
  return member.id == state.Leader() ? 3 : 2;
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
