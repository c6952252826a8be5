#include "raft/tracker.h"

namespace quorate::raft {

ConfState ProgressTracker::ToConfState() const {
  ConfState state;
  state.voters = config.voters.incoming.ids();
  state.voters_outgoing = config.voters.outgoing.ids();
  state.learners = config.learners.ids();
  state.learners_next = config.learners_next.ids();
  state.auto_leave = config.auto_leave;
  return state;
}

Progress* ProgressTracker::Find(NodeId id) {
  const auto it = progress.find(id);
  return it == progress.end() ? nullptr : &it->second;
}

const Progress* ProgressTracker::Find(NodeId id) const {
  const auto it = progress.find(id);
  return it == progress.end() ? nullptr : &it->second;
}

Index ProgressTracker::Committed() const {
  return config.voters.CommittedIndex([this](NodeId id) -> std::optional<Index> {
    const Progress* member = Find(id);
    return member == nullptr ? std::nullopt : std::optional<Index>(member->match);
  });
}

bool ProgressTracker::QuorumActive() const {
  Votes active;
  for (const auto& [id, member] : progress) {
    if (!member.learner) active[id] = member.recent_active;
  }
  return config.voters.Result(active) == VoteResult::kWon;
}

VoteTally ProgressTracker::TallyVotes() const {
  VoteTally tally;
  for (const auto& [id, granted] : votes) {
    const Progress* member = Find(id);
    if (member == nullptr || member->learner) continue;  // No longer a voter.
    ++(granted ? tally.granted : tally.rejected);
  }
  tally.result = config.voters.Result(votes);
  return tally;
}

std::string Describe(const TrackerConfig& config) {
  std::string text = "voters=" + Describe(config.voters);
  if (!config.learners.empty()) text += " learners=" + Describe(config.learners);
  if (!config.learners_next.empty()) text += " learners_next=" + Describe(config.learners_next);
  if (config.auto_leave) text += " autoleave";
  return text;
}

}  // namespace quorate::raft
