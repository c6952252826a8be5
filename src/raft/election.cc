// Campaigns, pre-votes and votes.
#include "base/check.h"
#include "raft/describe.h"
#include "raft/log_format.h"
#include "raft/raft.h"

namespace quorate::raft {
namespace {

// The context of a vote request on behalf of a leader that hands over: voters then don't keep to that leader.
constexpr std::string_view kTransferContext = "CampaignTransfer";

MessageType ResponseTo(MessageType request) {
  return request == MessageType::kVote ? MessageType::kVoteResp : MessageType::kPreVoteResp;
}

}  // namespace

void Raft::TickElection() {
  ++election_elapsed_;
  if (!Promotable() || election_elapsed_ < randomized_election_timeout_) return;
  election_elapsed_ = 0;
  Hup(pre_vote_ ? CampaignType::kPreElection : CampaignType::kElection);
}

bool Raft::Promotable() const {
  const Progress* self = tracker_.Find(id_);
  return self != nullptr && !self->learner && !log_.SnapshotPending();
}

bool Raft::HasUnappliedConfChanges(Index last) const {
  std::vector<Entry> page;
  for (Index lo = log_.applied() + 1; lo <= last; lo += page.size()) {
    page.clear();
    const bool found = log_.Slice(lo, last + 1, log_.applying_bytes_max(), &page);
    QUORATE_CHECK_MSG(found && !page.empty(), absl::StrFormat("unapplied entry %d is compacted", lo));
    for (const Entry& entry : page) {
      if (entry.type != EntryType::kNormal) return true;
    }
  }
  return false;
}

void Raft::Hup(CampaignType type) {
  if (role_ == Role::kLeader) {
    Debugf(logger_, "%x ignoring MsgHup because already leader", id_);
    return;
  }
  if (!Promotable()) {
    Warnf(logger_, "%x is unpromotable and can not campaign", id_);
    return;
  }
  if (!may_campaign_) return;
  if (HasUnappliedConfChanges(log_.committed())) {
    Warnf(logger_,
          "%x cannot campaign at term %d since there are still pending configuration changes to apply", id_,
          term_);
    return;
  }
  Infof(logger_, "%x is starting a new election at term %d", id_, term_);
  Campaign(type);
}

void Raft::Campaign(CampaignType type) {
  MessageType request = MessageType::kVote;
  Term term = 0;
  if (type == CampaignType::kPreElection) {
    BecomePreCandidate();
    request = MessageType::kPreVote;
    term = term_ + 1;  // Asked about, not entered.
  } else {
    BecomeCandidate();
    term = term_;
  }
  const EntryId last = log_.Last();
  for (NodeId id : tracker_.config.voters.Ids()) {
    if (id == id_) {
      // Its own vote counts once it is on disk.
      Send({.type = ResponseTo(request), .to = id, .term = term});
      continue;
    }
    Infof(logger_, "%x [logterm: %d, index: %d] sent %s request to %x at term %d", id_, last.term, last.index,
          Describe(request), id, term_);
    Message m{.type = request, .to = id, .term = term, .log_term = last.term, .index = last.index};
    if (type == CampaignType::kTransfer) m.context = kTransferContext;
    Send(std::move(m));
  }
}

void Raft::BecomeCandidate() {
  QUORATE_CHECK(role_ != Role::kLeader);
  Reset(term_ + 1);
  vote_ = id_;
  role_ = Role::kCandidate;
  Infof(logger_, "%x became candidate at term %d", id_, term_);
}

void Raft::BecomePreCandidate() {
  QUORATE_CHECK(role_ != Role::kLeader);
  tracker_.votes.clear();
  lead_ = kNone;
  role_ = Role::kPreCandidate;
  Infof(logger_, "%x became pre-candidate at term %d", id_, term_);
}

void Raft::BecomeLeader() {
  QUORATE_CHECK(role_ != Role::kFollower);
  Reset(term_);
  lead_ = id_;
  role_ = Role::kLeader;
  Progress& self = *tracker_.Find(id_);
  self.BecomeReplicate();
  self.recent_active = true;
  // There may be a change of membership in the tail of the log; it is cheaper to wait for all of it than to
  // look.
  pending_conf_index_ = log_.LastIndex();
  Entry empty;
  const bool appended = AppendEntries({&empty, 1});
  QUORATE_CHECK(appended);  // An empty entry has no size to refuse.
  Infof(logger_, "%x became leader at term %d", id_, term_);
}

// Within an election timeout of hearing from the leader a node neither votes nor moves its term: one that was
// cut off, or removed, can't disturb those who are content.
bool Raft::InLease(const Message& m) const {
  if (m.context == kTransferContext) return false;
  if (!check_quorum_ || lead_ == kNone || election_elapsed_ >= election_timeout_) return false;
  const EntryId last = log_.Last();
  Infof(logger_,
        "%x [logterm: %d, index: %d, vote: %x] ignored %s from %x [logterm: %d, index: %d] at term %d: lease "
        "is not "
        "expired (remaining ticks: %d)",
        id_, last.term, last.index, vote_, Describe(m.type), m.from, m.log_term, m.index, term_,
        election_timeout_ - election_elapsed_);
  return true;
}

// Learners vote too: one that was promoted may not know yet, and the others may need its voice to elect who
// tells it.
void Raft::HandleVoteRequest(const Message& m) {
  const bool can_vote = vote_ == m.from || (vote_ == kNone && lead_ == kNone) ||
                        (m.type == MessageType::kPreVote && m.term > term_);
  const EntryId last = log_.Last();
  const bool granted = can_vote && log_.IsUpToDate({m.log_term, m.index});
  Infof(logger_, "%x [logterm: %d, index: %d, vote: %x] %s %s %s %x [logterm: %d, index: %d] at term %d", id_,
        last.term, last.index, vote_, granted ? "cast" : "rejected", Describe(m.type),
        granted ? "for" : "from", m.from, m.log_term, m.index, term_);
  if (!granted) {
    if (term_ == 0) return;  // A refusal tells a term, and there is none yet.
    Send({.type = ResponseTo(m.type), .to = m.from, .term = term_, .reject = true});
    return;
  }
  // The term of the request, not our own: the pre-candidate drops answers of other terms.
  Send({.type = ResponseTo(m.type), .to = m.from, .term = m.term});
  if (m.type == MessageType::kVote) {
    election_elapsed_ = 0;
    vote_ = m.from;
  }
}

void Raft::HandleVoteResponse(const Message& m) {
  Infof(logger_, "%x received %s%s from %x at term %d", id_, Describe(m.type), m.reject ? " rejection" : "",
        m.from, term_);
  tracker_.RecordVote(m.from, !m.reject);
  const VoteTally tally = tracker_.TallyVotes();
  Infof(logger_, "%x has received %d %s votes and %d vote rejections", id_, tally.granted, Describe(m.type),
        tally.rejected);
  switch (tally.result) {
    case VoteResult::kWon:
      if (role_ == Role::kPreCandidate) {
        Campaign(CampaignType::kElection);
      } else {
        BecomeLeader();
        BroadcastAppend();
      }
      break;
    case VoteResult::kLost:
      // Not m.term: that of a pre-vote is in the future.
      BecomeFollower(term_, kNone);
      break;
    case VoteResult::kPending:
      break;
  }
}

Status Raft::StepCandidate(Message& m) {
  const MessageType own_response =
      role_ == Role::kPreCandidate ? MessageType::kPreVoteResp : MessageType::kVoteResp;
  switch (m.type) {
    case MessageType::kProp:
      return Propose(m.entries);
    case MessageType::kApp:
      BecomeFollower(m.term, m.from);
      HandleAppend(m);
      break;
    case MessageType::kHeartbeat:
      BecomeFollower(m.term, m.from);
      HandleHeartbeat(m);
      break;
    case MessageType::kSnap:
      BecomeFollower(m.term, m.from);
      HandleSnapshot(m);
      break;
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      if (m.type == own_response) HandleVoteResponse(m);
      break;
    case MessageType::kTimeoutNow:
      Debugf(logger_, "%x [term %d state %s] ignored MsgTimeoutNow from %x", id_, term_, Describe(role_),
             m.from);
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

}  // namespace quorate::raft
