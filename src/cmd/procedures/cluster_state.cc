#include "cmd/procedures/cluster_state.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "cmd/session/answer.h"

namespace quorate::cmd {

uint64_t ClusterState::Leader() const {
  std::map<uint64_t, size_t> votes;
  for (const MemberState& member : members) {
    if (member.serving && member.leader != 0) ++votes[member.leader];
  }
  uint64_t leader = 0;
  size_t most = 0;
  for (const auto& [candidate, count] : votes) {
    if (count <= most) continue;
    leader = candidate;
    most = count;
  }
  return leader;
}

uint64_t ClusterState::LastIndex() const {
  uint64_t last = 0;
  for (const MemberState& member : members) last = std::max(last, member.last_index);
  return last;
}

size_t ClusterState::Voters() const {
  return static_cast<size_t>(
      std::count_if(members.begin(), members.end(), [](const MemberState& m) { return m.voter(); }));
}

size_t ClusterState::ServingVoters() const {
  return static_cast<size_t>(std::count_if(members.begin(), members.end(),
                                           [](const MemberState& m) { return m.voter() && m.serving; }));
}

const MemberState* ClusterState::Find(uint64_t member_id) const {
  const auto at =
      std::find_if(members.begin(), members.end(), [&](const MemberState& m) { return m.id == member_id; });
  return at == members.end() ? nullptr : &*at;
}

const MemberState* ClusterState::OtherLearner(uint64_t member_id) const {
  const auto at = std::find_if(members.begin(), members.end(),
                               [&](const MemberState& m) { return m.learner && m.id != member_id; });
  return at == members.end() ? nullptr : &*at;
}

const MemberState* ClusterState::FindByNameOrId(std::string_view text) const {
  const MemberState* found = nullptr;
  for (const MemberState& member : members) {
    if (text.empty() || member.name != text) continue;
    if (found != nullptr) return nullptr;
    found = &member;
  }
  if (found != nullptr) return found;
  uint64_t wanted = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wanted, 16);
  if (error != std::errc() || end != text.data() + text.size()) return nullptr;
  return Find(wanted);
}

bool ClusterState::HasAlarm(uint64_t member, std::string_view type) const {
  return std::any_of(alarms.begin(), alarms.end(),
                     [&](const AlarmState& alarm) { return alarm.member == member && alarm.type == type; });
}

std::string Label(const MemberState& member) {
  return member.name.empty() ? HexId(member.id) : member.name + " (" + HexId(member.id) + ")";
}

size_t Majority(size_t voters) { return voters / 2 + 1; }

}  // namespace quorate::cmd
