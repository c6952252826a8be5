// A leader: proposals, acknowledgements, transfer of leadership.
#include <algorithm>

#include "base/check.h"
#include "raft/confchange_codec.h"
#include "raft/describe.h"
#include "raft/log_format.h"
#include "raft/raft.h"

namespace quorate::raft {

void Raft::TickHeartbeat() {
  ++heartbeat_elapsed_;
  ++election_elapsed_;
  if (election_elapsed_ >= election_timeout_) {
    election_elapsed_ = 0;
    if (check_quorum_) HandleCheckQuorum();
    // A transfer that takes longer than an election would is given up.
    if (role_ == Role::kLeader) lead_transferee_ = kNone;
  }
  if (role_ != Role::kLeader || heartbeat_elapsed_ < heartbeat_timeout_) return;
  heartbeat_elapsed_ = 0;
  BroadcastHeartbeat();
}

Status Raft::StepLeader(Message& m) {
  switch (m.type) {
    case MessageType::kBeat:
      BroadcastHeartbeat();
      return absl::OkStatus();
    case MessageType::kCheckQuorum:
      HandleCheckQuorum();
      return absl::OkStatus();
    case MessageType::kProp:
      return LeaderPropose(m.entries);
    case MessageType::kReadIndex:
      if (!m.entries.empty()) LeaderReadIndex({.from = m.from, .context = m.entries.front().data});
      return absl::OkStatus();
    case MessageType::kForgetLeader:
      return absl::OkStatus();
    default:
      break;
  }
  Progress* member = tracker_.Find(m.from);
  if (member == nullptr) {
    Debugf(logger_, "%x no progress available for %x", id_, m.from);
    return absl::OkStatus();
  }
  switch (m.type) {
    case MessageType::kAppResp:
      HandleAppendResponse(m, *member);
      break;
    case MessageType::kHeartbeatResp:
      HandleHeartbeatResponse(m, *member);
      break;
    case MessageType::kSnapStatus:
      HandleSnapshotStatus(m, *member);
      break;
    case MessageType::kUnreachable:
      // What was sent ahead is probably lost.
      if (member->state == ProgressState::kReplicate) member->BecomeProbe();
      Debugf(logger_, "%x failed to send message to %x because it is unreachable [%s]", id_, m.from,
             Describe(*member));
      break;
    case MessageType::kTransferLeader:
      HandleTransferLeader(m, *member);
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

void Raft::HandleCheckQuorum() {
  if (!tracker_.QuorumActive()) {
    Warnf(logger_, "%x stepped down to follower since quorum is not active", id_);
    BecomeFollower(term_, kNone);
  }
  for (auto& [id, member] : tracker_.progress) {
    if (id != id_) member.recent_active = false;
  }
}

Status Raft::LeaderPropose(std::span<Entry> entries) {
  if (entries.empty()) return Dropped();
  if (tracker_.Find(id_) == nullptr) return Dropped();  // Removed while leading.
  if (lead_transferee_ != kNone) {
    Debugf(logger_, "%x [term %d] transfer leadership to %x is in progress; dropping proposal", id_, term_,
           lead_transferee_);
    return Dropped();
  }
  Index index = log_.LastIndex();
  for (Entry& entry : entries) {
    ++index;
    if (entry.type != EntryType::kNormal) QUORATE_RETURN_IF_ERROR(FilterConfChange(entry, index));
  }
  if (!AppendEntries(entries)) return Dropped();
  BroadcastAppend();
  return absl::OkStatus();
}

// A change of membership that may not be proposed now becomes an empty entry. The check sees the applied
// configuration, so it is a courtesy; what counts is that only one change is under way at a time.
Status Raft::FilterConfChange(Entry& entry, Index index) {
  const StatusOr<ConfChangeV2> change = DecodeConfChange(entry);
  if (!change.ok()) return change.status();
  const bool already_joint = tracker_.config.voters.joint();
  const bool wants_leave = change->changes.empty();
  std::string refusal;
  if (pending_conf_index_ > log_.applied()) {
    refusal = absl::StrFormat("possible unapplied conf change at index %d (applied to %d)",
                              pending_conf_index_, log_.applied());
  } else if (already_joint && !wants_leave) {
    refusal = "must transition out of joint config first";
  } else if (!already_joint && wants_leave) {
    refusal = "not in joint state; refusing empty conf change";
  }
  if (refusal.empty() || disable_conf_change_validation_) {
    pending_conf_index_ = index;
    return absl::OkStatus();
  }
  Infof(logger_, "%x ignoring conf change %s at config %s: %s", id_, Describe(*change),
        Describe(tracker_.config), refusal);
  entry = Entry();
  return absl::OkStatus();
}

// False, and nothing is taken, if the uncommitted tail would grow too large. An empty tail takes anything,
// and entries without data are never refused: a new leader's first one, and the one that leaves a joint
// configuration.
bool Raft::AppendEntries(std::span<Entry> entries) {
  uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.data.size();
  if (uncommitted_size_ > 0 && bytes > 0 && uncommitted_size_ + bytes > max_uncommitted_size_) {
    Warnf(logger_,
          "%x appending new entries to log would exceed uncommitted entry size limit; dropping proposal",
          id_);
    return false;
  }
  uncommitted_size_ += bytes;
  Index index = log_.LastIndex();
  for (Entry& entry : entries) {
    entry.term = term_;
    entry.index = ++index;
  }
  log_.Append(entries);
  // The leader acknowledges its own entries like any member: when they are on its disk.
  Send({.type = MessageType::kAppResp, .to = id_, .index = index});
  return true;
}

bool Raft::MaybeCommit() { return log_.MaybeCommit({term_, tracker_.Committed()}); }

void Raft::HandleAppendResponse(const Message& m, Progress& member) {
  member.recent_active = true;
  if (m.reject) {
    HandleAppendRejected(m, member);
  } else {
    HandleAppendAccepted(m, member);
  }
}

// The refusal says where the follower's log might meet ours: index reject_hint, of term log_term. Our entries
// above the last one with a term <= that can't match, since terms only rise along a log: so each probe skips
// a whole term. (The follower skips in the same way before it answers.)
void Raft::HandleAppendRejected(const Message& m, Progress& member) {
  Debugf(logger_, "%x received MsgAppResp(rejected, hint: (index %d, term %d)) from %x for index %d", id_,
         m.reject_hint, m.log_term, m.from, m.index);
  Index hint = m.reject_hint;
  if (m.log_term > 0) hint = log_.FindConflictByTerm(m.reject_hint, m.log_term).index;
  if (!member.MaybeDecrease(m.index, hint)) return;
  Debugf(logger_, "%x decreased progress of %x to [%s]", id_, m.from, Describe(member));
  if (member.state == ProgressState::kReplicate) member.BecomeProbe();
  SendAppend(m.from);
}

void Raft::HandleAppendAccepted(const Message& m, Progress& member) {
  if (m.index > log_.LastIndex()) {
    // Nobody can hold in this term what the leader never had: one of the two logs went back in time.
    Errorf(logger_,
           "%x ignored MsgAppResp from %x for index %d beyond the last index %d. Was the raft log "
           "corrupted, truncated, or lost?",
           id_, m.from, m.index, log_.LastIndex());
    return;
  }
  // A probing follower that answers at its match, with no news, still goes back to replicating.
  const bool recovered = member.state == ProgressState::kProbe && member.match == m.index;
  if (!member.MaybeUpdate(m.index) && !recovered) return;
  switch (member.state) {
    case ProgressState::kProbe:
      member.BecomeReplicate();
      break;
    case ProgressState::kSnapshot:
      // Whichever snapshot it restored: what counts is that the log can take over from there.
      if (member.match + 1 >= log_.FirstIndex()) {
        Debugf(logger_, "%x recovered from needing snapshot, resumed sending replication messages to %x [%s]",
               id_, m.from, Describe(member));
        member.BecomeProbe();
        member.BecomeReplicate();
      }
      break;
    case ProgressState::kReplicate:
      member.inflights.FreeUpTo(m.index);
      break;
  }
  if (MaybeCommit()) {
    ReleasePendingReads();
    BroadcastAppend();
  } else if (m.from != id_ && member.CanBumpCommit(log_.committed())) {
    SendAppend(m.from);
  }
  if (m.from != id_) {
    while (MaybeSendAppend(m.from, false)) {
    }
  }
  if (m.from == lead_transferee_ && member.match == log_.LastIndex()) {
    Infof(logger_, "%x sent MsgTimeoutNow to %x after received MsgAppResp", id_, m.from);
    SendTimeoutNow(m.from);
  }
}

void Raft::HandleHeartbeatResponse(const Message& m, Progress& member) {
  member.recent_active = true;
  member.append_paused = false;
  // Even to a full window one (empty) append goes, so that a follower whose messages were all lost is found
  // again.
  if (member.match < log_.LastIndex() || member.state == ProgressState::kProbe) SendAppend(m.from);

  if (read_only_option_ != ReadOnlyOption::kSafe || m.context.empty()) return;
  read_only_.ReceiveAck(m.from, m.context);
  for (const ReadRequest& request : read_only_.TakeConfirmed(tracker_.config.voters)) AnswerRead(request);
}

void Raft::HandleSnapshotStatus(const Message& m, Progress& member) {
  if (member.state != ProgressState::kSnapshot) return;
  if (m.reject) member.pending_snapshot = 0;  // Else the probe would begin after a snapshot it does not have.
  member.BecomeProbe();
  Debugf(logger_, "%x snapshot %s, resumed sending replication messages to %x [%s]", id_,
         m.reject ? "failed" : "succeeded", m.from, Describe(member));
  // The next append waits for the follower's answer, or after a failure for a heartbeat.
  member.append_paused = true;
}

void Raft::HandleTransferLeader(const Message& m, Progress& member) {
  if (member.learner) {
    Debugf(logger_, "%x is learner. Ignored transferring leadership", id_);
    return;
  }
  const NodeId to = m.from;
  if (lead_transferee_ != kNone) {
    if (lead_transferee_ == to) {
      Infof(logger_, "%x [term %d] transfer leadership to %x is in progress, ignores request to same node %x",
            id_, term_, to, to);
      return;
    }
    const NodeId before = std::exchange(lead_transferee_, kNone);
    Infof(logger_, "%x [term %d] abort previous transferring leadership to %x", id_, term_, before);
  }
  if (to == id_) {
    Debugf(logger_, "%x is already leader. Ignored transferring leadership to self", id_);
    return;
  }
  Infof(logger_, "%x [term %d] starts to transfer leadership to %x", id_, term_, to);
  election_elapsed_ = 0;  // It has one election timeout to succeed.
  lead_transferee_ = to;
  if (member.match == log_.LastIndex()) {
    SendTimeoutNow(to);
    Infof(logger_, "%x sends MsgTimeoutNow to %x immediately as %x already has up-to-date log", id_, to, to);
  } else {
    SendAppend(to);
  }
}

}  // namespace quorate::raft
