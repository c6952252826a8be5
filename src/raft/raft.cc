#include "raft/raft.h"

#include <algorithm>

#include "base/check.h"
#include "raft/confchange_codec.h"
#include "raft/describe.h"
#include "raft/log_format.h"

namespace quorate::raft {
namespace {

uint64_t OrNoLimit(uint64_t limit) { return limit == 0 ? kNoLimit : limit; }

uint64_t ApplyingBytesMax(const Config& config) {
  const uint64_t limit = config.max_committed_size_per_ready != 0 ? config.max_committed_size_per_ready
                                                                  : config.max_size_per_msg;
  return std::max<uint64_t>(limit, 1);
}

Status Validate(const Config& config) {
  if (config.id == kNone) return InvalidArgument("cannot use none as id");
  if (config.id >= UINT64_MAX - 1) return InvalidArgument("cannot use local target as id");
  if (config.heartbeat_tick <= 0) return InvalidArgument("heartbeat tick must be greater than 0");
  if (config.election_tick <= config.heartbeat_tick) {
    return InvalidArgument("election tick must be greater than heartbeat tick");
  }
  if (config.storage == nullptr) return InvalidArgument("storage cannot be nil");
  if (config.random == nullptr) return InvalidArgument("random cannot be nil");
  if (config.max_inflight_msgs <= 0) return InvalidArgument("max inflight messages must be greater than 0");
  if (config.max_inflight_bytes != 0 && config.max_inflight_bytes < config.max_size_per_msg) {
    return InvalidArgument("max inflight bytes must be >= max message size");
  }
  if (config.read_only_option == ReadOnlyOption::kLeaseBased && !config.check_quorum) {
    return InvalidArgument("CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased");
  }
  return absl::OkStatus();
}

bool NeedsPersistence(MessageType type) {
  return type == MessageType::kAppResp || type == MessageType::kVoteResp || type == MessageType::kPreVoteResp;
}

bool IsElection(MessageType type) {
  return type == MessageType::kVote || type == MessageType::kVoteResp || type == MessageType::kPreVote ||
         type == MessageType::kPreVoteResp;
}

}  // namespace

Raft::Raft(const Config& config, Logger& logger)
    : id_(config.id),
      election_timeout_(config.election_tick),
      heartbeat_timeout_(config.heartbeat_tick),
      max_msg_size_(config.max_size_per_msg),
      max_uncommitted_size_(OrNoLimit(config.max_uncommitted_entries_size)),
      check_quorum_(config.check_quorum),
      pre_vote_(config.pre_vote),
      disable_proposal_forwarding_(config.disable_proposal_forwarding),
      disable_conf_change_validation_(config.disable_conf_change_validation),
      step_down_on_removal_(config.step_down_on_removal),
      read_only_option_(config.read_only_option),
      logger_(logger),
      random_(*config.random),
      log_(*config.storage, logger, ApplyingBytesMax(config)),
      tracker_(static_cast<size_t>(config.max_inflight_msgs), config.max_inflight_bytes) {}

StatusOr<std::unique_ptr<Raft>> Raft::Create(const Config& config) {
  QUORATE_RETURN_IF_ERROR(Validate(config));
  Logger* logger = config.logger != nullptr ? config.logger : ProcessLogger();
  std::unique_ptr<Raft> raft(new Raft(config, *logger));
  QUORATE_RETURN_IF_ERROR(raft->Load(config));
  return raft;
}

Status Raft::Load(const Config& config) {
  const EntryId last = log_.Last();
  const ConfState conf_state = config.storage->InitialConfState();
  StatusOr<ChangedConfig> restored = RestoreConfig(tracker_, last.index, conf_state);
  if (!restored.ok()) {
    return DataLoss(absl::StrFormat("%x: the stored configuration (%s) is none: %s", id_,
                                    Describe(conf_state), std::string(quorate::Message(restored.status()))));
  }
  SwitchTo(*std::move(restored));

  const HardState state = config.storage->InitialHardState();
  if (!state.empty()) {
    if (state.commit < log_.committed() || state.commit > last.index) {
      return DataLoss(absl::StrFormat("%x state.commit %d is out of range [%d, %d]", id_, state.commit,
                                      log_.committed(), last.index));
    }
    log_.RestoreCommitted(state.commit);
    term_ = state.term;
    vote_ = state.vote;
  }
  if (config.applied > 0) {
    if (config.applied < log_.applied() || config.applied > log_.committed()) {
      return DataLoss(absl::StrFormat("applied(%d) is out of range [prevApplied(%d), committed(%d)]",
                                      config.applied, log_.applied(), log_.committed()));
    }
    log_.AppliedTo(config.applied, 0);
  }
  BecomeFollower(term_, kNone);

  std::string peers;
  for (NodeId id : tracker_.config.voters.Ids())
    absl::StrAppendFormat(&peers, "%s%x", peers.empty() ? "" : ",", id);
  Infof(logger_, "newRaft %x [peers: [%s], term: %d, commit: %d, applied: %d, lastindex: %d, lastterm: %d]",
        id_, peers, term_, log_.committed(), log_.applied(), last.index, last.term);
  return absl::OkStatus();
}

Status Raft::Dropped() const { return Unavailable("raft proposal dropped"); }

// Votes, and acknowledgements of appends, say what this node has on disk: they wait for what is unstable now.
// Refusals do too; they are rare, and some rest on unstable state as well.
void Raft::Send(Message m) {
  if (m.from == kNone) m.from = id_;
  if (IsElection(m.type)) {
    QUORATE_CHECK_MSG(m.term != 0, Describe(m.type));
  } else if (m.type == MessageType::kProp || m.type == MessageType::kReadIndex) {
    m.term = 0;  // Forwarded to the leader of whatever term.
  } else {
    m.term = term_;
  }
  if (NeedsPersistence(m.type)) {
    messages_after_append_.push_back(std::move(m));
  } else {
    QUORATE_CHECK_MSG(m.to != id_, Describe(m.type));
    messages_.push_back(std::move(m));
  }
}

void Raft::Reset(Term term) {
  if (term_ != term) {
    term_ = term;
    vote_ = kNone;
  }
  lead_ = kNone;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  randomized_election_timeout_ =
      election_timeout_ + static_cast<int>(random_.Below(static_cast<uint64_t>(election_timeout_)));
  lead_transferee_ = kNone;
  tracker_.votes.clear();
  const Index last = log_.LastIndex();
  for (auto& [id, member] : tracker_.progress) {
    Progress fresh;
    fresh.match = id == id_ ? last : 0;
    fresh.next = last + 1;
    fresh.inflights = tracker_.NewInflights();
    fresh.learner = member.learner;
    member = std::move(fresh);
  }
  pending_conf_index_ = 0;
  uncommitted_size_ = 0;
  read_only_ = ReadOnly();
  pending_reads_.clear();
}

void Raft::BecomeFollower(Term term, NodeId lead) {
  Reset(term);
  lead_ = lead;
  role_ = Role::kFollower;
  Infof(logger_, "%x became follower at term %d", id_, term_);
}

void Raft::Tick() {
  if (role_ == Role::kLeader) {
    TickHeartbeat();
  } else {
    TickElection();
  }
}

Status Raft::Step(Message m) {
  if (m.term != 0 && m.term != term_ && !HandleTerm(m)) return absl::OkStatus();
  switch (m.type) {
    case MessageType::kHup:
      Hup(pre_vote_ ? CampaignType::kPreElection : CampaignType::kElection);
      return absl::OkStatus();
    case MessageType::kVote:
    case MessageType::kPreVote:
      HandleVoteRequest(m);
      return absl::OkStatus();
    default:
      break;
  }
  switch (role_) {
    case Role::kFollower:
      return StepFollower(m);
    case Role::kCandidate:
    case Role::kPreCandidate:
      return StepCandidate(m);
    case Role::kLeader:
      return StepLeader(m);
  }
  return absl::OkStatus();
}

bool Raft::HandleTerm(const Message& m) {
  if (m.term < term_) {
    HandleLowerTerm(m);
    return false;
  }
  if ((m.type == MessageType::kVote || m.type == MessageType::kPreVote) && InLease(m)) return false;
  HandleHigherTerm(m);
  return true;
}

void Raft::HandleHigherTerm(const Message& m) {
  // A pre-vote asks about a future term without moving anybody to it; only a refusal tells a term that is
  // real.
  if (m.type == MessageType::kPreVote) return;
  if (m.type == MessageType::kPreVoteResp && !m.reject) return;
  Infof(logger_, "%x [term: %d] received a %s message with higher term from %x [term: %d]", id_, term_,
        Describe(m.type), m.from, m.term);
  const bool from_leader =
      m.type == MessageType::kApp || m.type == MessageType::kHeartbeat || m.type == MessageType::kSnap;
  BecomeFollower(m.term, from_leader ? m.from : kNone);
}

void Raft::HandleLowerTerm(const Message& m) {
  if ((check_quorum_ || pre_vote_) && (m.type == MessageType::kHeartbeat || m.type == MessageType::kApp)) {
    // This node's term may have grown while it was cut off. With check-quorum or pre-vote its requests for
    // votes are ignored, so it would never come back: the answer's term makes the old leader step down.
    Send({.type = MessageType::kAppResp, .to = m.from});
  } else if (m.type == MessageType::kPreVote) {
    // A candidate of an older configuration of the cluster, or with pre-vote just turned on, would else never
    // learn the term it lacks.
    const EntryId last = log_.Last();
    Infof(logger_,
          "%x [logterm: %d, index: %d, vote: %x] rejected %s from %x [logterm: %d, index: %d] at term %d",
          id_, last.term, last.index, vote_, Describe(m.type), m.from, m.log_term, m.index, term_);
    Send({.type = MessageType::kPreVoteResp, .to = m.from, .term = term_, .reject = true});
  } else {
    Infof(logger_, "%x [term: %d] ignored a %s message with lower term from %x [term: %d]", id_, term_,
          Describe(m.type), m.from, m.term);
  }
}

void Raft::StorageAppended(const PersistAck& ack) {
  if (ack.index != 0) {
    if (ack.term < term_) {
      // A write for the later term may be on its way and replace what this one stored: don't yet read from
      // storage what is still held here. The Ready that carried the new term has an ack that covers it.
      Infof(logger_, "%x [term: %d] ignored entry appends from a %s message with lower term [term: %d]", id_,
            term_, Describe(MessageType::kStorageAppendResp), ack.term);
    } else {
      log_.unstable().StableTo({ack.log_term, ack.index});
    }
  }
  // A snapshot is committed state, whatever the term.
  if (ack.snapshot != nullptr) AppliedSnapshot(*ack.snapshot);
}

void Raft::StorageApplied(const ApplyAck& ack) {
  if (ack.index == 0) return;
  AppliedTo(ack.index, ack.encoded_bytes);
  uncommitted_size_ -= std::min(uncommitted_size_, ack.payload_bytes);
}

void Raft::AppliedTo(Index index, uint64_t encoded_bytes) {
  log_.AppliedTo(std::max(index, log_.applied()), encoded_bytes);
  MaybeLeaveJoint(log_.applied());
}

void Raft::AppliedSnapshot(const Snapshot& snapshot) {
  log_.unstable().StableSnapshotTo(snapshot.metadata.index);
  AppliedTo(snapshot.metadata.index, 0);
}

}  // namespace quorate::raft
