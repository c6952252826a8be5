// The active configuration and what a leader or candidate knows about its members.
#pragma once

#include <cstdint>
#include <string>

#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/types.h"

namespace quorate::raft {

// Invariants:
//  T1  learners are in neither half of voters.
//  T2  learners_next are in voters.outgoing (demoted voters, which become learners when the joint
//  configuration is left). T3  outside of a joint configuration learners_next is empty and auto_leave false.
struct TrackerConfig {
  JointConfig voters;
  bool auto_leave = false;
  IdSet learners;
  IdSet learners_next;

  friend bool operator==(const TrackerConfig&, const TrackerConfig&) = default;
};

struct VoteTally {
  int granted = 0;
  int rejected = 0;
  VoteResult result = VoteResult::kPending;
};

class ProgressTracker {
 public:
  ProgressTracker(size_t inflight_max, uint64_t inflight_bytes_max)
      : max_inflight(inflight_max), max_inflight_bytes(inflight_bytes_max) {}

  ConfState ToConfState() const;
  // This member alone decides.
  bool Singleton() const { return config.voters.incoming.size() == 1 && config.voters.outgoing.empty(); }
  Progress* Find(NodeId id);
  const Progress* Find(NodeId id) const;
  // The highest index that the voters have acknowledged.
  Index Committed() const;
  // Whether a quorum of voters was heard from recently.
  bool QuorumActive() const;
  // The first vote of a node counts.
  void RecordVote(NodeId id, bool granted) { votes.emplace(id, granted); }
  VoteTally TallyVotes() const;
  Inflights NewInflights() const { return Inflights(max_inflight, max_inflight_bytes); }

  TrackerConfig config;
  ProgressMap progress;
  Votes votes;
  size_t max_inflight;
  uint64_t max_inflight_bytes;
};

std::string Describe(const TrackerConfig& config);  // "voters=(1 2)&&(1) learners=(3) autoleave"

}  // namespace quorate::raft
