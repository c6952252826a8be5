#include "server/log_members.h"

#include "raft/confchange_codec.h"

namespace quorate::server {

StatusOr<LogMembers> MembersAtEnd(const raft::Snapshot* snapshot, const wal::LogContents& log) {
  LogMembers members;
  if (snapshot != nullptr) {
    const raft::ConfState& at_snapshot = snapshot->metadata.conf_state;
    members.voters.insert(at_snapshot.voters.begin(), at_snapshot.voters.end());
    members.learners.insert(at_snapshot.learners.begin(), at_snapshot.learners.end());
  }
  for (const raft::Entry& entry : log.entries) {
    if (entry.type != raft::EntryType::kConfChange) continue;
    QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(entry.data.view()));
    if (change.type == raft::ConfChangeType::kUpdateNode) continue;
    members.voters.erase(change.node_id);
    members.learners.erase(change.node_id);
    if (change.type == raft::ConfChangeType::kAddNode) members.voters.insert(change.node_id);
    if (change.type == raft::ConfChangeType::kAddLearnerNode) members.learners.insert(change.node_id);
  }
  return members;
}

StatusOr<bool> IsAlone(const raft::Snapshot* snapshot, const wal::LogContents& log) {
  QUORATE_ASSIGN_OR_RETURN(const LogMembers members, MembersAtEnd(snapshot, log));
  const uint64_t self = log.metadata.node_id;
  return members.size() == members.voters.count(self) + members.learners.count(self);
}

StatusOr<bool> WasRemoved(const wal::LogContents& log, raft::Index committed) {
  for (const raft::Entry& entry : log.entries) {
    if (entry.type != raft::EntryType::kConfChange || entry.index > committed) continue;
    QUORATE_ASSIGN_OR_RETURN(const raft::ConfChange change, raft::DecodeConfChange(entry.data.view()));
    if (change.type == raft::ConfChangeType::kRemoveNode && change.node_id == log.metadata.node_id)
      return true;
  }
  return false;
}

raft::Index LastIndex(const raft::Snapshot* snapshot, const wal::LogContents& log) {
  if (!log.entries.empty()) return log.entries.back().index;
  return snapshot == nullptr ? 0 : snapshot->metadata.index;
}

}  // namespace quorate::server
