// Whether a member that can't show that its disk is the one it stopped with may take part in elections yet.
// A pure state machine: events in, answers out; time is ticks.
//
// A member comes off probation in one of two ways:
//  1. It has reached a commit index that a leader reported after the start, and the entry there is of that
//     leader's own term. Such an entry stands behind everything that was committed in earlier terms, and
//     behind all that this member ever acknowledged to that leader; so whatever it has lost it holds again.
//  2. Every other member was asked for what it remembers, those that answered found no contradiction, and
//     kTrustElectionTimeouts have passed. Then the disk is trusted, as etcd trusts it at once.
//     Config::strict drops this way.
// Neither depends on who else is on probation, and the second ends within
// (kTrustElectionTimeouts + kAnswerElectionTimeouts) election timeouts, whoever answers or doesn't.
//
// Owner: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "raft/types.h"

namespace quorate::server {

class Probation {
 public:
  static constexpr int kTrustElectionTimeouts = 5;
  static constexpr int kFailuresMax = 30;  // Then no further question is put to that member.
  // How long the last question may stay open beyond that.
  static constexpr int kAnswerElectionTimeouts = 2;

  struct Config {
    raft::Term start_term = 0;  // As stored at the start.
    int election_ticks = 10;
    bool strict = false;
    // False after a start that needs none; the others are asked all the same.
    bool needed = true;
  };
  enum class End { kNotYet, kNotNeeded, kCaughtUp, kTrusted };

  explicit Probation(const Config& config)
      : config_(config), end_(config.needed ? End::kNotYet : End::kNotNeeded) {}

  // A leader's kApp or kHeartbeat that raft accepts (its term is not below the member's).
  void OnLeaderReport(raft::Term term, raft::NodeId leader, raft::Index commit);
  // After a round: how far this member's log is committed, and the term of the entry there (0: not known).
  void OnProgress(raft::Term term, raft::Index committed, raft::Term committed_term);
  // A question of Tick() ended: with an answer that contradicts nothing (one who knows nothing and says so
  // included: etcd's 404), or without one.
  void OnAnswer(raft::NodeId peer, bool answered);
  // One tick. Returns whom to ask now: those who have not answered, again after each failure but at most once
  // an election timeout. Once it is over, those who never answered are asked for a while yet: proof may come
  // late.
  std::vector<raft::NodeId> Tick(const std::vector<raft::NodeId>& others);

  bool over() const { return end_ != End::kNotYet; }
  End end() const { return end_; }
  int64_t ticks() const { return ticks_; }
  // Has answered since the start.
  size_t answers() const;

 private:
  struct Question {
    bool open = false;
    bool answered = false;
    int failures = 0;
    int64_t asked_tick = 0;
  };
  bool AllAsked(const std::vector<raft::NodeId>& others) const;

  const Config config_;
  End end_;
  int64_t ticks_ = 0;
  std::map<raft::NodeId, Question> questions_;
  // The first report of the newest leader heard.
  raft::Term reported_term_ = 0;
  raft::NodeId reported_by_ = raft::kNone;
  raft::Index reported_commit_ = 0;
};

}  // namespace quorate::server
