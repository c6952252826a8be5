#include "raft/quorum.h"

#include "absl/strings/str_format.h"

namespace quorate::raft {

VoteResult MajorityVoteResult(const IdSet& voters, const Votes& votes) {
  if (voters.empty()) return VoteResult::kWon;  // So that half a joint configuration decides like a majority.
  size_t granted = 0;
  size_t missing = 0;
  for (NodeId id : voters) {
    const auto it = votes.find(id);
    if (it == votes.end()) {
      ++missing;
    } else if (it->second) {
      ++granted;
    }
  }
  const size_t quorum = voters.size() / 2 + 1;
  if (granted >= quorum) return VoteResult::kWon;
  return granted + missing >= quorum ? VoteResult::kPending : VoteResult::kLost;
}

IdSet JointConfig::Ids() const {
  IdSet all = incoming;
  for (NodeId id : outgoing) all.Insert(id);
  return all;
}

VoteResult JointConfig::Result(const Votes& votes) const {
  const VoteResult a = MajorityVoteResult(incoming, votes);
  const VoteResult b = MajorityVoteResult(outgoing, votes);
  if (a == b) return a;
  return a == VoteResult::kLost || b == VoteResult::kLost ? VoteResult::kLost : VoteResult::kPending;
}

std::string Describe(const IdSet& ids) {
  std::string text = "(";
  for (NodeId id : ids) absl::StrAppendFormat(&text, "%s%x", text.size() > 1 ? " " : "", id);
  return text + ")";
}

std::string Describe(const JointConfig& config) {
  if (!config.joint()) return Describe(config.incoming);
  return Describe(config.incoming) + "&&" + Describe(config.outgoing);
}

const char* Describe(VoteResult result) {
  switch (result) {
    case VoteResult::kPending:
      return "VotePending";
    case VoteResult::kLost:
      return "VoteLost";
    case VoteResult::kWon:
      return "VoteWon";
  }
  return "?";
}

}  // namespace quorate::raft
