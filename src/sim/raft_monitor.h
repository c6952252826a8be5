// Raft's promises, watched from outside at every message and every step. One thread.
//  - one leader a term;
//  - one vote a term (a granted vote names one candidate);
//  - log matching: an entry is what its (index, term) says, whoever sends it;
//  - the term of a process never falls.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "raft/types.h"
#include "sim/trace.h"

namespace quorate::sim {

class RaftMonitor {
 public:
  explicit RaftMonitor(Trace* trace) : trace_(*trace) {}

  // A member that leads now.
  void OnLeader(int member, uint64_t id, uint64_t term);
  // A message on its way, as its sender has made it.
  void OnMessage(int member, const raft::Message& message);
  // After every event of a process.
  void OnTerm(int member, uint64_t life, uint64_t term);
  // This member's disk was set back: it may contradict itself, and nobody else may.
  void Distrust(uint64_t id) { distrusted_.insert(id); }

  size_t leaders_seen() const { return leaders_.size(); }

 private:
  Trace& trace_;
  std::map<uint64_t, uint64_t> leaders_;                       // Term -> member ID.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> votes_;    // (Voter, term) -> candidate.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> entries_;  // (Index, term) -> fingerprint.
  std::map<int, std::pair<uint64_t, uint64_t>> terms_;         // Member -> (life, term).
  std::set<uint64_t> distrusted_;
};

}  // namespace quorate::sim
