// What a leader sends to the other members: appends, snapshots, heartbeats.
#include <algorithm>

#include "base/check.h"
#include "raft/describe.h"
#include "raft/log_format.h"
#include "raft/raft.h"

namespace quorate::raft {

// Returns whether a message was sent. Without entries one is sent only if send_if_empty: it tells the commit
// index.
bool Raft::MaybeSendAppend(NodeId to, bool send_if_empty) {
  Progress& member = *tracker_.Find(to);
  if (member.Paused()) return false;

  const Index previous = member.next - 1;
  const std::optional<Term> previous_term = log_.TermAt(previous);
  if (!previous_term.has_value()) return MaybeSendSnapshot(to, member);

  Message m{.type = MessageType::kApp, .to = to, .log_term = *previous_term, .index = previous};
  // Into a full window only empty appends go. Should all that filled it be lost, the answer to one of them
  // frees it.
  bool compacted = false;
  if (member.state != ProgressState::kReplicate || !member.inflights.Full()) {
    if (member.next <= log_.LastIndex()) {
      compacted = !log_.Slice(member.next, log_.LastIndex() + 1, max_msg_size_, &m.entries);
    }
  }
  if (m.entries.empty() && !send_if_empty) return false;
  if (compacted) return MaybeSendSnapshot(to, member);

  uint64_t bytes = 0;
  for (const Entry& entry : m.entries) bytes += entry.data.size();
  const size_t count = m.entries.size();
  m.commit = log_.committed();
  Send(std::move(m));
  member.SentEntries(count, bytes);
  member.SentCommit(log_.committed());
  return true;
}

bool Raft::MaybeSendSnapshot(NodeId to, Progress& member) {
  if (!member.recent_active) {
    Debugf(logger_, "ignore sending snapshot to %x since it is not recently active", to);
    return false;
  }
  std::shared_ptr<const Snapshot> snapshot = log_.LatestSnapshot();
  if (snapshot == nullptr || snapshot->empty()) {
    Debugf(logger_, "%x failed to send snapshot to %x because snapshot is temporarily unavailable", id_, to);
    return false;
  }
  const SnapshotMetadata& metadata = snapshot->metadata;
  Debugf(logger_, "%x [firstindex: %d, commit: %d] sent snapshot[index: %d, term: %d] to %x [%s]", id_,
         log_.FirstIndex(), log_.committed(), metadata.index, metadata.term, to, Describe(member));
  member.BecomeSnapshot(metadata.index);
  Debugf(logger_, "%x paused sending replication messages to %x [%s]", id_, to, Describe(member));
  Send({.type = MessageType::kSnap, .to = to, .snapshot = std::move(snapshot)});
  return true;
}

// The commit index is told only as far as the member is known to match: beyond that its log may differ.
void Raft::SendHeartbeat(NodeId to, const std::string& context) {
  Progress& member = *tracker_.Find(to);
  const Index commit = std::min(member.match, log_.committed());
  Send({.type = MessageType::kHeartbeat, .to = to, .commit = commit, .context = context});
  member.SentCommit(commit);
}

void Raft::SendTimeoutNow(NodeId to) { Send({.type = MessageType::kTimeoutNow, .to = to}); }

void Raft::BroadcastAppend() {
  for (const auto& [id, member] : tracker_.progress) {
    if (id != id_) SendAppend(id);
  }
}

void Raft::BroadcastHeartbeat() {
  const std::string context = read_only_.HeartbeatContext();
  for (const auto& [id, member] : tracker_.progress) {
    if (id != id_) SendHeartbeat(id, context);
  }
}

}  // namespace quorate::raft
