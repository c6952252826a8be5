#include "sim/raft_monitor.h"

#include <string>

namespace quorate::sim {

void RaftMonitor::OnLeader(int member, uint64_t id, uint64_t term) {
  const auto [it, fresh] = leaders_.emplace(term, id);
  if (fresh) {
    trace_.Note(member, "leads", {{"term", term}});
  } else if (it->second != id && !distrusted_.contains(id) && !distrusted_.contains(it->second)) {
    trace_.Fail("one-leader-a-term",
                ActorName(member) + " leads in term " + std::to_string(term) + ", in which another has led");
  }
}

void RaftMonitor::OnMessage(int member, const raft::Message& message) {
  if (message.type == raft::MessageType::kVoteResp && !message.reject) {
    const auto [it, fresh] = votes_.emplace(std::pair(message.from, message.term), message.to);
    if (!fresh && it->second != message.to && !distrusted_.contains(message.from)) {
      trace_.Fail("one-vote-a-term",
                  ActorName(member) + " voted twice in term " + std::to_string(message.term));
    }
  }
  if (message.type != raft::MessageType::kApp) return;
  for (const raft::Entry& entry : message.entries) {
    const uint64_t fingerprint = Fingerprint(entry.data.view()) ^ static_cast<uint64_t>(entry.type);
    const auto [it, fresh] = entries_.emplace(std::pair(entry.index, entry.term), fingerprint);
    if (!fresh && it->second != fingerprint) {
      trace_.Fail("log-matching", ActorName(member) + " sends another entry for index " +
                                      std::to_string(entry.index) + " and term " +
                                      std::to_string(entry.term));
    }
  }
}

void RaftMonitor::OnTerm(int member, uint64_t life, uint64_t term) {
  auto& [known_life, known_term] = terms_[member];
  if (known_life == life && term < known_term) {
    trace_.Fail("term-never-falls", ActorName(member) + " went from term " + std::to_string(known_term) +
                                        " to " + std::to_string(term));
  }
  known_life = life;
  known_term = term;
}

}  // namespace quorate::sim
