#include "raft/raw_node.h"

#include "base/check.h"
#include "raft/confchange_codec.h"
#include "raft/raft.h"

namespace quorate::raft {
namespace {

constexpr std::string_view kProposalDropped = "raft proposal dropped";

// Far beyond any real term or index, and far from where they would overflow.
constexpr uint64_t kPlausibleMax = uint64_t{1} << 62;

// The limit alone would be a wall: members that were once driven to it ask for votes beyond it, and would not
// listen to each other any more.
bool Plausible(Term own, Term theirs) {
  return theirs <= kPlausibleMax || theirs <= own || theirs - own <= kTermStepMax;
}

enum class Origin { kLocal, kMember, kAnswer };

Origin OriginOf(MessageType type) {
  switch (type) {
    case MessageType::kProp:
    case MessageType::kApp:
    case MessageType::kVote:
    case MessageType::kSnap:
    case MessageType::kHeartbeat:
    case MessageType::kTransferLeader:
    case MessageType::kTimeoutNow:
    case MessageType::kReadIndex:
    case MessageType::kPreVote:
      return Origin::kMember;
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kHeartbeatResp:
    case MessageType::kReadIndexResp:
    case MessageType::kPreVoteResp:
      return Origin::kAnswer;
    default:
      return Origin::kLocal;
  }
}

bool MayLackTerm(MessageType type) {
  return type == MessageType::kProp || type == MessageType::kReadIndex ||
         type == MessageType::kTransferLeader;
}

ApplyAck AckOf(const std::vector<Entry>& entries) {
  ApplyAck ack;
  for (const Entry& entry : entries) {
    ack.encoded_bytes += EncodedSize(entry);
    ack.payload_bytes += entry.data.size();
  }
  ack.index = entries.back().index;
  return ack;
}

}  // namespace

bool IsProposalDropped(const Status& status) {
  return absl::IsUnavailable(status) && quorate::Message(status) == kProposalDropped;
}

RawNode::RawNode(std::unique_ptr<Raft> raft, bool async_storage_writes)
    : raft_(std::move(raft)),
      async_(async_storage_writes),
      previous_soft_(raft_->soft_state()),
      previous_hard_(raft_->hard_state()) {}

RawNode::~RawNode() = default;

StatusOr<std::unique_ptr<RawNode>> RawNode::Create(const Config& config) {
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<Raft> raft, Raft::Create(config));
  return std::unique_ptr<RawNode>(new RawNode(std::move(raft), config.async_storage_writes));
}

void RawNode::Tick() { raft_->Tick(); }

Status RawNode::Campaign() { return raft_->Step({.type = MessageType::kHup}); }

void RawNode::SetMayCampaign(bool may_campaign) { raft_->may_campaign_ = may_campaign; }

Status RawNode::Propose(std::string data) {
  Entry entry;
  entry.data = std::move(data);
  return raft_->Propose({&entry, 1});
}

Status RawNode::ProposeBatch(std::span<Payload> batch) {
  batch_.clear();
  batch_.resize(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) batch_[i].data = std::move(batch[i]);
  Status status = raft_->Propose(batch_);
  if (!status.ok()) {
    for (size_t i = 0; i < batch.size(); ++i) batch[i] = std::move(batch_[i].data);
  }
  batch_.clear();
  return status;
}

Status RawNode::ProposeChange(EntryType type, std::string data) {
  Entry entry;
  entry.type = type;
  entry.data = std::move(data);
  return raft_->Propose({&entry, 1});
}

Status RawNode::ProposeConfChange(const ConfChange& change) {
  return ProposeChange(EntryType::kConfChange, EncodeConfChange(change));
}

Status RawNode::ProposeConfChange(const ConfChangeV2& change) {
  return ProposeChange(EntryType::kConfChangeV2, EncodeConfChange(change));
}

StatusOr<ConfState> RawNode::ApplyConfChange(const ConfChange& change) {
  return raft_->ApplyConfChange(ToV2(change));
}

StatusOr<ConfState> RawNode::ApplyConfChange(const ConfChangeV2& change) {
  return raft_->ApplyConfChange(change);
}

Status RawNode::Step(Message message) {
  // What this node says to itself comes by OnPersisted, never by the network: it would count as being on
  // disk.
  if (message.from == raft_->id_) return InvalidArgument("raft: message from this member itself");
  switch (OriginOf(message.type)) {
    case Origin::kLocal:
      return InvalidArgument("raft: cannot step raft local message");
    case Origin::kAnswer:
      if (raft_->tracker_.Find(message.from) == nullptr) {
        return NotFound("raft: cannot step as peer not found");
      }
      break;
    case Origin::kMember:
      if (message.from == kNone) return InvalidArgument("raft: message without a sender");
      break;
  }
  // Without a term the checks against other terms would be passed by.
  if (message.term == 0 && !MayLackTerm(message.type)) return InvalidArgument("raft: message without a term");
  if (!Plausible(raft_->term_, message.term) ||
      (message.snapshot != nullptr && message.snapshot->metadata.index > kPlausibleMax)) {
    return InvalidArgument("raft: message with an impossible term or index");
  }
  return raft_->Step(std::move(message));
}

bool RawNode::HasReady() const {
  const Raft& r = *raft_;
  if (!r.messages_.empty() || !r.messages_after_append_.empty() || !r.read_states_.empty()) return true;
  if (r.log_.unstable().HasNextEntries() || r.log_.HasNextCommitted(ApplyUnstable())) return true;
  if (r.log_.unstable().NextSnapshot() != nullptr) return true;
  if (r.soft_state() != previous_soft_) return true;
  const HardState hard = r.hard_state();
  return !hard.empty() && hard != previous_hard_;
}

Ready RawNode::NextReady() {
  QUORATE_CHECK(!advance_pending_);
  Raft& r = *raft_;
  Ready ready;
  ready.entries = r.log_.unstable().NextEntries();
  ready.committed_entries = r.log_.NextCommitted(ApplyUnstable());
  ready.messages = std::exchange(r.messages_, {});
  ready.read_states = std::exchange(r.read_states_, {});
  ready.snapshot = r.log_.unstable().NextSnapshot();
  if (const SoftState soft = r.soft_state(); soft != previous_soft_) {
    ready.soft_state = soft;
    previous_soft_ = soft;
  }
  const HardState hard = r.hard_state();
  ready.must_sync =
      !ready.entries.empty() || hard.vote != previous_hard_.vote || hard.term != previous_hard_.term;
  if (hard != previous_hard_) {
    ready.hard_state = hard;
    previous_hard_ = hard;
  }
  PersistAck ack = TakePersistAck(ready);
  r.log_.unstable().AcceptInProgress();
  if (!ready.committed_entries.empty()) {
    ready.apply = AckOf(ready.committed_entries);
    r.log_.AcceptApplying(ready.apply.index, ready.apply.encoded_bytes, ApplyUnstable());
  }
  if (async_) {
    ready.persist = std::move(ack);
    return ready;
  }
  advance_pending_ = true;
  advance_persist_ = std::move(ack);
  advance_apply_ = ready.apply;
  // The owner sends after persisting, so all may go; what is for this node itself waits for Advance.
  std::vector<Message> own;
  for (Message& message : advance_persist_.messages) {
    (message.to == r.id_ ? own : ready.messages).push_back(std::move(message));
  }
  advance_persist_.messages = std::move(own);
  return ready;
}

// What the storage has once this Ready and all before it are durable: the whole log as it is now, not only
// the entries of this Ready. An ack of an earlier term is void (a write for the later term could still
// replace what it speaks of), and the one that comes with the later term's Ready has to make up for it.
PersistAck RawNode::TakePersistAck(const Ready& ready) {
  Raft& r = *raft_;
  PersistAck ack;
  ack.messages = std::exchange(r.messages_after_append_, {});
  const bool needed = !ready.entries.empty() || ready.hard_state.has_value() || ready.snapshot != nullptr ||
                      !ack.messages.empty();
  if (async_ && !needed) return ack;
  ack.snapshot = ready.snapshot;
  ack.term = r.term_;
  if (!r.log_.unstable().entries().empty()) {
    const EntryId last = r.log_.Last();
    ack.index = last.index;
    ack.log_term = last.term;
  }
  ack.stable = ack.index != 0 || ack.snapshot != nullptr;
  return ack;
}

void RawNode::OnPersisted(PersistAck ack, std::vector<Message>* outgoing) {
  Raft& r = *raft_;
  // Own votes and acknowledgements first: they look up terms that are still in the unstable part.
  for (Message& message : ack.messages) {
    if (message.to != r.id_) {
      outgoing->push_back(std::move(message));
    } else if (r.tracker_.Find(r.id_) != nullptr) {
      r.Step(std::move(message)).IgnoreError();  // Answers have no error.
    }
  }
  if (ack.stable) r.StorageAppended(ack);
}

void RawNode::OnApplied(const ApplyAck& ack) { raft_->StorageApplied(ack); }

void RawNode::Advance() {
  QUORATE_CHECK(!async_);
  QUORATE_CHECK(advance_pending_);
  advance_pending_ = false;
  PersistAck ack = std::exchange(advance_persist_, {});
  for (Message& message : ack.messages) raft_->Step(std::move(message)).IgnoreError();
  if (ack.stable) raft_->StorageAppended(ack);
  raft_->StorageApplied(std::exchange(advance_apply_, {}));
}

void RawNode::ReadIndex(std::string context) { raft_->ReadIndex(std::move(context)); }

void RawNode::TransferLeader(NodeId transferee) {
  raft_->Step({.type = MessageType::kTransferLeader, .from = transferee}).IgnoreError();
}

Status RawNode::ForgetLeader() { return raft_->Step({.type = MessageType::kForgetLeader}); }

void RawNode::ReportUnreachable(NodeId id) {
  raft_->Step({.type = MessageType::kUnreachable, .from = id}).IgnoreError();
}

void RawNode::ReportSnapshot(NodeId id, bool ok) {
  raft_->Step({.type = MessageType::kSnapStatus, .from = id, .reject = !ok}).IgnoreError();
}

BasicStatus RawNode::GetBasicStatus() const {
  const Raft& r = *raft_;
  BasicStatus status;
  status.id = r.id_;
  status.hard_state = r.hard_state();
  status.soft_state = r.soft_state();
  status.applied = r.log_.applied();
  status.first_index = r.log_.FirstIndex();
  status.last_index = r.log_.LastIndex();
  status.lead_transferee = r.lead_transferee_;
  status.learner = r.learner_;
  status.claimed_commit = r.claimed_commit_;
  status.pending_snapshot = r.log_.PendingSnapshot();
  return status;
}

NodeStatus RawNode::GetStatus() const {
  NodeStatus status;
  static_cast<BasicStatus&>(status) = GetBasicStatus();
  status.config = raft_->tracker_.config;
  if (raft_->role_ == Role::kLeader) status.progress = raft_->tracker_.progress;
  return status;
}

Status RawNode::CheckInvariants() const { return raft_->CheckInvariants(); }

}  // namespace quorate::raft
