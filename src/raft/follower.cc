// A follower: what the leader sends, and what is passed on to it.
#include <algorithm>

#include "base/check.h"
#include "raft/confchange.h"
#include "raft/describe.h"
#include "raft/log_format.h"
#include "raft/raft.h"

namespace quorate::raft {

Status Raft::StepFollower(Message& m) {
  switch (m.type) {
    case MessageType::kProp:
      return Propose(m.entries);
    case MessageType::kApp:
      HearLeader(m.from);
      HandleAppend(m);
      break;
    case MessageType::kHeartbeat:
      HearLeader(m.from);
      HandleHeartbeat(m);
      break;
    case MessageType::kSnap:
      HearLeader(m.from);
      HandleSnapshot(m);
      break;
    case MessageType::kTransferLeader:
      if (lead_ == kNone) {
        Infof(logger_, "%x no leader at term %d; dropping leader transfer msg", id_, term_);
        break;
      }
      Send({.type = MessageType::kTransferLeader, .to = lead_, .from = m.from});
      break;
    case MessageType::kForgetLeader:
      if (read_only_option_ == ReadOnlyOption::kLeaseBased) {
        Errorf(logger_, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
      } else if (lead_ != kNone) {
        Infof(logger_, "%x forgetting leader %x at term %d", id_, lead_, term_);
        lead_ = kNone;
      }
      break;
    case MessageType::kTimeoutNow:
      Infof(logger_, "%x [term %d] received MsgTimeoutNow from %x and starts an election to get leadership.",
            id_, term_, m.from);
      // No pre-vote: the leader itself asked for it.
      Hup(CampaignType::kTransfer);
      break;
    case MessageType::kReadIndex:
      if (lead_ == kNone) {
        Infof(logger_, "%x no leader at term %d; dropping index reading msg", id_, term_);
      } else if (lead_ != m.from) {
        m.to = lead_;
        Send(std::move(m));
      }
      break;
    case MessageType::kReadIndexResp:
      if (m.entries.size() != 1) {
        Errorf(logger_, "%x invalid format of MsgReadIndexResp from %x, entries count: %d", id_, m.from,
               m.entries.size());
        break;
      }
      read_states_.push_back({m.index, std::string(m.entries.front().data.view())});
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

Status Raft::Propose(std::span<Entry> entries) {
  if (role_ == Role::kLeader) return LeaderPropose(entries);
  if (entries.empty()) return Dropped();
  if (role_ != Role::kFollower || lead_ == kNone) {
    Infof(logger_, "%x no leader at term %d; dropping proposal", id_, term_);
    return Dropped();
  }
  if (disable_proposal_forwarding_) {
    Infof(logger_, "%x not forwarding to leader %x at term %d; dropping proposal", id_, lead_, term_);
    return Dropped();
  }
  Message m{.type = MessageType::kProp, .to = lead_};
  m.entries.assign(std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
  Send(std::move(m));
  return absl::OkStatus();
}

void Raft::HearLeader(NodeId from) {
  election_elapsed_ = 0;
  lead_ = from;
}

bool Raft::ConsistentAppend(const Message& m) const {
  EntryId previous{m.log_term, m.index};
  for (const Entry& entry : m.entries) {
    if (entry.index != previous.index + 1 || entry.term < previous.term || entry.term > m.term) return false;
    previous = {entry.term, entry.index};
  }
  return true;
}

void Raft::HandleAppend(Message& m) {
  if (!ConsistentAppend(m)) {
    Errorf(logger_, "%x ignored an inconsistent MsgApp [logterm: %d, index: %d] from %x", id_, m.log_term,
           m.index, m.from);
    return;
  }
  if (m.index < log_.committed()) {
    Send({.type = MessageType::kAppResp, .to = m.from, .index = log_.committed()});
    return;
  }
  bool contradiction = false;
  const Index last_new = m.index + m.entries.size();
  if (AppendFrom(m, &contradiction)) {
    Send({.type = MessageType::kAppResp, .to = m.from, .index = last_new});
    return;
  }
  if (contradiction) return;
  Debugf(logger_, "%x [logterm: %d, index: %d] rejected MsgApp [logterm: %d, index: %d] from %x", id_,
         log_.TermOrZero(m.index), m.index, m.log_term, m.index, m.from);
  // A guess on where the logs meet: at or below the append's index and term. It skips all of our tail whose
  // terms are above the leader's there.
  const EntryId hint = log_.FindConflictByTerm(std::min(m.index, log_.LastIndex()), m.log_term);
  Send({.type = MessageType::kAppResp,
        .to = m.from,
        .log_term = hint.term,
        .index = m.index,
        .reject = true,
        .reject_hint = hint.index});
}

// False if the log does not hold the entry before the append's, or the append would replace a committed
// entry.
bool Raft::AppendFrom(Message& m, bool* contradiction) {
  if (!log_.Matches({m.log_term, m.index})) return false;
  const Index last_new = m.index + m.entries.size();
  if (const Entry* conflict = log_.FindConflict(m.entries); conflict != nullptr) {
    if (conflict->index <= log_.committed()) {
      Errorf(logger_, "%x: entry %d conflict with committed entry [committed(%d)]; ignored MsgApp from %x",
             id_, conflict->index, log_.committed(), m.from);
      *contradiction = true;
      return false;
    }
    log_.Append(std::span(m.entries).subspan(conflict->index - m.index - 1));
  }
  log_.CommitTo(std::min(m.commit, last_new));
  return true;
}

void Raft::HandleHeartbeat(const Message& m) {
  if (m.commit > log_.LastIndex()) {
    // The leader counts on entries that this member acknowledged and no longer has. Its commit index is only
    // heard, never needed: going on is safe for the others. What it means for this member's votes is for the
    // owner to decide.
    if (m.commit > claimed_commit_) {
      Errorf(
          logger_,
          "%x: tocommit(%d) is out of range [lastIndex(%d)]. Was the raft log corrupted, truncated, or lost?",
          id_, m.commit, log_.LastIndex());
      claimed_commit_ = m.commit;
    }
  } else {
    log_.CommitTo(m.commit);
  }
  Send({.type = MessageType::kHeartbeatResp, .to = m.from, .context = m.context});
}

void Raft::HandleSnapshot(const Message& m) {
  static const auto kNoSnapshot = std::make_shared<const Snapshot>();
  const std::shared_ptr<const Snapshot>& snapshot = m.snapshot != nullptr ? m.snapshot : kNoSnapshot;
  const bool restored = RestoreSnapshot(snapshot);
  Infof(logger_, "%x [commit: %d] %s snapshot [index: %d, term: %d]", id_, log_.committed(),
        restored ? "restored" : "ignored", snapshot->metadata.index, snapshot->metadata.term);
  Send(
      {.type = MessageType::kAppResp, .to = m.from, .index = restored ? log_.LastIndex() : log_.committed()});
}

// False if the snapshot is of no use: old, not meant for this member, already in the log, damaged, or too
// early.
bool Raft::RestoreSnapshot(const std::shared_ptr<const Snapshot>& snapshot) {
  const SnapshotMetadata& metadata = snapshot->metadata;
  if (metadata.index <= log_.committed()) return false;
  QUORATE_CHECK(role_ == Role::kFollower);

  const ConfState& members = metadata.conf_state;
  bool found = false;
  for (const std::vector<NodeId>* ids : {&members.voters, &members.learners, &members.voters_outgoing}) {
    found = found || std::find(ids->begin(), ids->end(), id_) != ids->end();
  }
  if (!found) {
    Warnf(logger_, "%x attempted to restore snapshot but it is not in the ConfState %s; should never happen",
          id_, Describe(members));
    return false;
  }
  if (metadata.term > term_) {
    Errorf(logger_, "%x ignored a snapshot of term %d at term %d", id_, metadata.term, term_);
    return false;
  }
  const EntryId id{metadata.term, metadata.index};
  if (log_.Matches(id)) {
    const EntryId last = log_.Last();
    Infof(logger_,
          "%x [commit: %d, lastindex: %d, lastterm: %d] fast-forwarded commit to snapshot [index: %d, term: "
          "%d]",
          id_, log_.committed(), last.index, last.term, id.index, id.term);
    log_.CommitTo(metadata.index);
    return false;
  }
  StatusOr<ChangedConfig> restored = RestoreConfig(tracker_, metadata.index, members);
  if (!restored.ok()) {
    Errorf(logger_, "%x: unable to restore config (%s): %s", id_, Describe(members),
           std::string(quorate::Message(restored.status())));
    return false;
  }
  if (HasUnappliedConfChanges(log_.applying())) {
    // The owner is about to apply an earlier change of membership, on top of what would by then be the
    // snapshot's configuration. The leader will offer a snapshot again.
    Infof(logger_, "%x [commit: %d] can't restore snapshot yet: a configuration change is being applied", id_,
          log_.committed());
    return false;
  }
  log_.Restore(snapshot);
  tracker_.votes.clear();
  SwitchTo(*std::move(restored));
  const EntryId last = log_.Last();
  Infof(logger_, "%x [commit: %d, lastindex: %d, lastterm: %d] restored snapshot [index: %d, term: %d]", id_,
        log_.committed(), last.index, last.term, id.index, id.term);
  return true;
}

}  // namespace quorate::raft
