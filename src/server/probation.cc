#include "server/probation.h"

#include <algorithm>

namespace quorate::server {

void Probation::OnLeaderReport(raft::Term term, raft::NodeId leader, raft::Index commit) {
  if (over() || term < config_.start_term || term < reported_term_) return;
  // A leader that has not probed this member yet reports 0 in its heartbeats.
  if (commit == 0 || (term == reported_term_ && leader == reported_by_)) return;
  reported_term_ = term;
  reported_by_ = leader;
  reported_commit_ = commit;
}

void Probation::OnProgress(raft::Term term, raft::Index committed, raft::Term committed_term) {
  if (over() || reported_term_ == 0 || reported_term_ != term) return;
  if (committed >= reported_commit_ && committed_term == term) end_ = End::kCaughtUp;
}

void Probation::OnAnswer(raft::NodeId peer, bool answered) {
  Question& question = questions_[peer];
  question.open = false;
  if (answered) {
    question.answered = true;
  } else {
    ++question.failures;
  }
}

std::vector<raft::NodeId> Probation::Tick(const std::vector<raft::NodeId>& others) {
  ++ticks_;
  std::vector<raft::NodeId> ask;
  for (const raft::NodeId peer : others) {
    Question& question = questions_[peer];
    const bool waited = question.asked_tick == 0 || ticks_ - question.asked_tick >= config_.election_ticks;
    if (question.answered || question.open || !waited || question.failures >= kFailuresMax) continue;
    question.open = true;
    question.asked_tick = ticks_;
    ask.push_back(peer);
  }
  if (over() || config_.strict) return ask;
  const int64_t trust = int64_t{kTrustElectionTimeouts} * config_.election_ticks;
  const int64_t latest = trust + int64_t{kAnswerElectionTimeouts} * config_.election_ticks;
  if (ticks_ >= latest || (ticks_ >= trust && AllAsked(others))) end_ = End::kTrusted;
  return ask;
}

bool Probation::AllAsked(const std::vector<raft::NodeId>& others) const {
  return std::all_of(others.begin(), others.end(), [this](raft::NodeId peer) {
    const auto found = questions_.find(peer);
    return found != questions_.end() && (found->second.answered || found->second.failures > 0);
  });
}

size_t Probation::answers() const {
  return static_cast<size_t>(std::count_if(questions_.begin(), questions_.end(),
                                           [](const auto& question) { return question.second.answered; }));
}

}  // namespace quorate::server
