// Linearizable reads: a leader's confirmation that it still leads, and the index to wait for.
#include "raft/log_format.h"
#include "raft/raft.h"

namespace quorate::raft {

void Raft::ReadIndex(Payload context) {
  if (role_ == Role::kLeader) return LeaderReadIndex({.context = std::move(context)});
  if (role_ != Role::kFollower) return;
  if (lead_ == kNone) {
    Infof(logger_, "%x no leader at term %d; dropping index reading msg", id_, term_);
    return;
  }
  Message m{.type = MessageType::kReadIndex, .to = lead_};
  m.entries.push_back({.data = std::move(context)});
  Send(std::move(m));
}

void Raft::LeaderReadIndex(ReadRequest request) {
  if (tracker_.Singleton()) {
    request.index = log_.committed();
    AnswerRead(request);
  } else if (!CommittedInCurrentTerm()) {
    // Until then the leader may not know all that earlier leaders committed.
    pending_reads_.push_back(std::move(request));
  } else {
    ConfirmRead(std::move(request));
  }
}

void Raft::ConfirmRead(ReadRequest request) {
  request.index = log_.committed();
  if (read_only_option_ == ReadOnlyOption::kLeaseBased) return AnswerRead(request);
  read_only_.Add(std::move(request));
  read_only_.ReceiveAck(id_, read_only_.HeartbeatContext());
  BroadcastHeartbeat();
}

void Raft::AnswerRead(const ReadRequest& request) {
  if (request.from == kNone || request.from == id_) {
    read_states_.push_back({request.index, std::string(request.context.view())});
    return;
  }
  Message m{.type = MessageType::kReadIndexResp, .to = request.from, .index = request.index};
  m.entries.push_back({.data = request.context});
  Send(std::move(m));
}

void Raft::ReleasePendingReads() {
  if (pending_reads_.empty() || !CommittedInCurrentTerm()) return;
  for (ReadRequest& request : std::exchange(pending_reads_, {})) ConfirmRead(std::move(request));
}

}  // namespace quorate::raft
