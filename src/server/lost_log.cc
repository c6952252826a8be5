#include "server/lost_log.h"

#include "cluster/member.h"

namespace quorate::server {
namespace {

std::string From(const raft::Message& message) { return "member " + cluster::IdText(message.from); }

// An answer to something that only a candidate or a leader of that term sends. An empty acknowledgement is
// none: every member answers a deposed leader that way.
bool AnswersCampaignOrLeader(const raft::Message& message) {
  switch (message.type) {
    case raft::MessageType::kVoteResp:
    case raft::MessageType::kHeartbeatResp:
      return true;
    case raft::MessageType::kAppResp:
      return message.index > 0 || message.reject;
    default:
      return false;
  }
}

}  // namespace

std::optional<std::string> ContradictionOnDisk(const DiskFacts& facts) {
  const std::string end = std::to_string(facts.last_index);
  if (facts.hard_state.commit > facts.last_index) {
    return "its log says that index " + std::to_string(facts.hard_state.commit) +
           " is committed and ends at " + end;
  }
  if (facts.database_index > facts.last_index) {
    return "its database stands at raft index " + std::to_string(facts.database_index) +
           " and its log ends at " + end;
  }
  return std::nullopt;
}

std::optional<std::string> ContradictedByMemory(const LogPosition& disk, const LogPosition& remembered,
                                                std::string_view who) {
  const std::string witness(who);
  if (remembered.term > disk.term) {
    return witness + " has seen it in term " + std::to_string(remembered.term) +
           ", its disk knows no term above " + std::to_string(disk.term);
  }
  if (remembered.term < disk.term || remembered.term == 0) return std::nullopt;
  if (remembered.vote != raft::kNone && remembered.vote != disk.vote) {
    return witness + " has seen it vote for " + cluster::IdText(remembered.vote) + " in term " +
           std::to_string(disk.term) + ", its disk says " +
           (disk.vote == raft::kNone ? "that it has not voted" : "for " + cluster::IdText(disk.vote));
  }
  if (remembered.index > disk.index) {
    return witness + " has its acknowledgement of index " + std::to_string(remembered.index) + " in term " +
           std::to_string(disk.term) + ", its log ends at " + std::to_string(disk.index);
  }
  return std::nullopt;
}

std::optional<std::string> ContradictedByMessage(const MessageContext& context,
                                                 const raft::Message& message) {
  if (message.type == raft::MessageType::kHeartbeat) {
    // A leader names at most what this member has acknowledged to it.
    if (message.term < context.term || message.commit <= context.last_index) return std::nullopt;
    return "leader " + cluster::IdText(message.from) + " of term " + std::to_string(message.term) +
           " counts on its acknowledgement of index " + std::to_string(message.commit) +
           ", its log ends at " + std::to_string(context.last_index);
  }
  if (context.nothing_lost || context.campaigned || message.term <= context.start_term ||
      !AnswersCampaignOrLeader(message)) {
    return std::nullopt;
  }
  return From(message) + " answers what it sent as candidate or leader of term " +
         std::to_string(message.term) + ", its disk knows no term above " +
         std::to_string(context.start_term);
}

std::string WipedDirectory(std::string_view published_name) {
  return "its log is empty, and the cluster knows it as \"" + std::string(published_name) +
         "\": its data directory was lost";
}

}  // namespace quorate::server
