#include "server/member.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "raft_internal.pb.h"
#include "server/errors.h"

namespace quorate::server {
namespace {

constexpr int64_t kReadIndexRetryNanos = 500'000'000;
constexpr size_t kRevocationsUnderWayMax = 16;  // etcd: maxPendingRevokes
constexpr int64_t kPurgeRoundNanos = 30'000'000'000;
// Proposals that wait for a leader; beyond, callers are told to come back.
constexpr size_t kProposalsWaitingMax = 50'000;
constexpr size_t kProposalsWaitingBytesMax = 256 * 1024 * 1024;
// Reads that wait for a leader's word, and what each of them takes beside its request.
constexpr size_t kReadsWaitingBytesMax = 256 * 1024 * 1024;
constexpr size_t kReadBytes = 256;
// Proposals that are forwarded to the leader in one message.
constexpr size_t kForwardBytesMax = 1024 * 1024;
// Keys of index work between two rounds: about 0.2 ms.
constexpr size_t kStoreStepBudget = 2000;

}  // namespace

Member::Member(const Config& config, const Env& env, Transport* transport)
    : config_(config),
      env_(env),
      transport_(transport),
      dirs_(Layout(config)),
      opened_nanos_(env.clock->MonotonicNanos()) {}

// The hub's streams belong to rpc and are gone by now; jobs still running hold no reference to the member,
// since the executor is shut down first.
Member::~Member() = default;

ResponseHeader Member::header() const {
  return {.cluster_id = cluster_id_,
          .member_id = id_,
          .revision = store_->current_revision(),
          .raft_term = term_};
}

int64_t Member::quota_bytes() const { return applier_->quota_bytes(); }

StatusOr<auth::AuthInfo> Member::Identify(std::string_view token) {
  if (!auth_->enabled()) return auth::AuthInfo{};
  return auth_->AuthInfoFromToken(token, *env_.clock);
}

// The server's own requests act as root, so that they pass the permission checks of every member.
auth::AuthInfo Member::OwnIdentity() const {
  if (!auth_->enabled()) return {};
  return {std::string(auth::kRootUser), auth_->revision()};
}

bool Member::QuotaAvailable(int64_t cost) {
  if (applier_->QuotaAvailable(cost)) return true;
  RaiseNoSpace();
  return false;
}

void Member::RaiseNoSpace() {
  if (no_space_asked_ || alarms_->Has(id_, AlarmType::kNoSpace)) return;
  no_space_asked_ = true;
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_memberid(id_);
  request.set_alarm(etcdserverpb::NOSPACE);
  Propose(EntryKind::kAlarm, request.SerializeAsString(), {},
          [this](const Status&, std::string_view) { no_space_asked_ = false; });
}

// ---- proposals
// -----------------------------------------------------------------------------------------------------

void Member::Propose(EntryKind kind, std::string_view body, const auth::AuthInfo& who, Reply reply) {
  const uint64_t id = request_ids_.Next();
  Enqueue(EncodeEntry(kind, body, {id, who.username, who.revision}), id, std::move(reply));
}

void Member::ProposePut(const PutRequest& request, const auth::AuthInfo& who, Reply reply) {
  const uint64_t id = request_ids_.Next();
  Enqueue(EncodePutEntry(request, {id, who.username, who.revision}), id, std::move(reply));
}

void Member::Enqueue(std::string data, uint64_t id, Reply reply) {
  Status refused = Refusal();
  if (refused.ok() && data.size() > config_.request_bytes_max) refused = ErrRequestTooLarge();
  const bool full = committed_index_ > applied_index_ + limits::kApplyGapMax ||
                    proposals_.size() >= kProposalsWaitingMax ||
                    proposals_bytes_ + data.size() > kProposalsWaitingBytesMax;
  if (refused.ok() && full) refused = ErrTooManyRequests();
  if (!refused.ok()) {
    if (reply) reply(refused, {});
    return;
  }
  const int64_t started = now();
  pending_.emplace(id, Pending{std::move(reply), started});
  pending_by_time_.emplace_back(started, id);
  proposals_bytes_ += data.size();
  proposals_.emplace_back(std::move(data));
  proposal_ids_.push_back(id);
}

void Member::ProposeConfChange(raft::ConfChange change, Reply reply) {
  if (const Status refused = Refusal(); !refused.ok()) {
    reply(refused, {});
    return;
  }
  change.id = request_ids_.Next();
  const Status status = raft_->ProposeConfChange(change);
  if (!status.ok()) {
    reply(raft::IsProposalDropped(status) ? ErrNoLeader() : status, {});
    return;
  }
  const int64_t started = now();
  pending_.emplace(change.id, Pending{std::move(reply), started});
  pending_by_time_.emplace_back(started, change.id);
}

// Without a leader they wait, as in the original, until there is one or their time is over.
void Member::FlushProposals() {
  FlushForwarded();
  if (proposals_.empty() || leader_ == raft::kNone) return;
  if (is_leader()) {
    if (!raft_->ProposeBatch(proposals_).ok()) return;
    proposals_.clear();
    proposals_bytes_ = 0;
    proposal_ids_.clear();
    return;
  }
  // Each message to the leader stays as small as one of its own.
  size_t taken = 0;
  while (taken < proposals_.size()) {
    size_t end = taken;
    size_t bytes = 0;
    while (end < proposals_.size() && (end == taken || bytes + proposals_[end].size() <= kForwardBytesMax)) {
      bytes += proposals_[end++].size();
    }
    if (!raft_->ProposeBatch(std::span(proposals_).subspan(taken, end - taken)).ok()) break;
    proposals_bytes_ -= bytes;
    taken = end;
  }
  const auto count = static_cast<ptrdiff_t>(taken);
  proposals_.erase(proposals_.begin(), proposals_.begin() + count);
  proposal_ids_.erase(proposal_ids_.begin(), proposal_ids_.begin() + count);
}

// What timed out before raft has seen it must not be executed later behind its caller's back.
void Member::DropExpiredProposals() {
  const auto live = std::find_if(proposal_ids_.begin(), proposal_ids_.end(),
                                 [this](uint64_t id) { return pending_.contains(id); });
  const auto expired = live - proposal_ids_.begin();
  proposal_ids_.erase(proposal_ids_.begin(), live);
  for (auto it = proposals_.begin(); it != proposals_.begin() + expired; ++it) proposals_bytes_ -= it->size();
  proposals_.erase(proposals_.begin(), proposals_.begin() + expired);
}

// ---- reads
// ---------------------------------------------------------------------------------------------------------

void Member::WhenLinearizable(std::function<void(const Status&)> done, size_t bytes) {
  Status refused = Refusal();
  if (refused.ok() && reads_bytes_ + kReadBytes + bytes > kReadsWaitingBytesMax)
    refused = ErrTooManyRequests();
  refused.ok() ? AskRead(std::move(done), bytes) : done(refused);
}

void Member::AskRead(std::function<void(const Status&)> done, size_t bytes) {
  bytes += kReadBytes;
  reads_bytes_ += bytes;
  reads_.push_back({now(), bytes, std::move(done)});
}

void Member::EndRead(const AskedRead& read, const Status& status) {
  reads_bytes_ -= read.bytes;
  read.done(status);
}

// One round at a time asks for all reads that have come since the last one began.
void Member::FlushReads() {
  // A leader alone answers itself with the commit index it has: before the first entry of its term is applied
  // that may be an old one, since the log after a restart can hold more than its last commit index says.
  if (is_leader() && applied_term_ != term_) return;
  const int64_t time = now();
  if (read_round_ != 0 && time - read_round_started_ < kReadIndexRetryNanos) return;
  if (read_round_ == 0) {
    if (reads_.empty()) return;
    reads_asked_.swap(reads_);
    read_round_ = request_ids_.Next();
  } else {
    // The same round once more, in case it was lost: an answer that is late is good, too, and over a link
    // that is slower than this is all that ever comes.
    ++metrics_.slow_read_indexes;
  }
  read_round_started_ = time;
  std::string context;
  AppendBig64(context, read_round_);
  raft_->ReadIndex(std::move(context));
}

void Member::OnReadState(const raft::ReadState& state) {
  if (state.context.size() != 8 || LoadBig64(state.context.data()) != read_round_) return;
  read_round_ = 0;
  for (AskedRead& read : reads_asked_) reads_waiting_.push_back({state.index, std::move(read)});
  reads_asked_.clear();
}

void Member::RunReadyReads() {
  while (!reads_waiting_.empty() && reads_waiting_.front().index <= applied_index_) {
    const AskedRead read = std::move(reads_waiting_.front().read);
    reads_waiting_.pop_front();
    EndRead(read, absl::OkStatus());
  }
}

// ---- time
// ----------------------------------------------------------------------------------------------------------

void Member::Tick() {
  if (!guard_->quarantined()) raft_->Tick();
  guard_->Tick();
  raft_->SetMayCampaign(guard_->may_campaign());
  const int64_t time = now();
  ExpireWaiting(time);
  if (is_leader()) {
    const bool expired = lessor_->NextDeadlineNanos() <= time || !leases_to_revoke_.empty();
    if (expired && LeadershipConfirmed(time)) RevokeExpiredLeases();
    ProposeCheckpoints();
  }
  if (!ready_ && !restore_ && MayPublish()) Publish();
  CampaignIfAlone();
  AdvanceFirstElection();
  FinishTransfer();
  if (removed_ && removed_ticks_ > 0 && --removed_ticks_ == 0 && on_removed_) on_removed_();
  if (auto_compaction_) auto_compaction_->Tick(time, store_->current_revision(), is_leader());
  auto_defrag_->Tick(time);
  if (snapshot_wanted_) MaybeSnapshot();
  // As at the end of a round: a commit of the database that was asked for may have come before its time.
  if (!log_writing_ && restore_ == nullptr && wal_->has_pending()) StartLogWrite();
  if (time - purge_round_nanos_ >= kPurgeRoundNanos) {
    purge_round_nanos_ = time;
    Purge();
  }
}

// A member speaks for itself once it can reach a leader; one that leads, once its own term has begun.
bool Member::MayPublish() const {
  if (leader_ == raft::kNone || publish_pending_ || removed_ || guard_->quarantined()) return false;
  return is_leader() ? applied_term_ == term_ : membership_->local() != nullptr;
}

// A leader that was paused must not revoke leases that another has renewed meanwhile: it asks the others
// first whether it still leads.
bool Member::LeadershipConfirmed(int64_t time) {
  if (conf_state_.voters.size() <= 1) return true;
  if (time - leadership_confirmed_nanos_ < config_.tick_nanos * 3 / 2) return true;
  if (confirming_leadership_) return false;
  confirming_leadership_ = true;
  AskRead(
      [this, time](const Status& status) {
        confirming_leadership_ = false;
        if (status.ok()) leadership_confirmed_nanos_ = time;
      },
      0);
  return false;
}

// The only voter need not wait for anybody's heartbeat. A campaign under way is left alone: its vote may
// still be on the way to a slow disk, and a new one each tick would void it each time.
void Member::CampaignIfAlone() {
  if (leader_ != raft::kNone || stopping_ || applied_index_ < committed_index_) return;
  if (raft_->GetBasicStatus().soft_state.role != raft::Role::kFollower) return;
  if (conf_state_.voters != std::vector<uint64_t>{id_}) return;
  if (const Status status = raft_->Campaign(); !status.ok()) {
    LOG_WARN("failed to campaign", {"error", Message(status)});
  }
}

void Member::EndOfRound() {
  FlushProposals();
  FlushReads();
  DrainRaft();
  guard_->EndOfRound();
  raft_->SetMayCampaign(guard_->may_campaign());
  FinishTransfer();
  if (store_->busy()) store_->Step(kStoreStepBudget);
  const int64_t time = now();
  // The log is to say what is committed before the database holds it: whoever reads the directory of a
  // process that was killed takes the log's word for it. Written, not synced; what is under way, or waits
  // for that, goes by itself.
  if (time >= backend_->next_commit_nanos() && !log_writing_ && restore_ == nullptr && wal_->has_pending())
    StartLogWrite();
  backend_->MaybeCommit(time);
  watch_hub_->Flush();
}

void Member::ExpireWaiting(int64_t time) {
  const int64_t oldest = time - config_.request_timeout_nanos();
  while (!pending_by_time_.empty()) {
    const auto [started, id] = pending_by_time_.front();
    const auto it = pending_.find(id);
    if (it != pending_.end() && started > oldest) break;
    pending_by_time_.pop_front();
    if (it == pending_.end()) continue;
    const Reply reply = std::move(it->second.reply);
    pending_.erase(it);
    ++metrics_.proposals_failed;
    if (reply) reply(TimeoutError(started), {});
  }
  DropExpiredProposals();
  for (auto* reads : {&reads_asked_, &reads_}) {
    const auto live = std::find_if(reads->begin(), reads->end(),
                                   [&](const AskedRead& read) { return read.started_nanos > oldest; });
    // Moved out first: whoever is told may ask again at once.
    std::vector<AskedRead> expired(std::make_move_iterator(reads->begin()), std::make_move_iterator(live));
    reads->erase(reads->begin(), live);
    metrics_.read_indexes_failed += expired.size();
    for (const AskedRead& read : expired) EndRead(read, TimeoutError(read.started_nanos));
  }
  if (reads_asked_.empty()) read_round_ = 0;
}

void Member::FailAllWaiting(const Status& status) {
  auto pending = std::move(pending_);
  const auto in_order = std::move(pending_by_time_);
  pending_.clear();
  pending_by_time_.clear();
  proposals_.clear();
  proposals_bytes_ = 0;
  proposal_ids_.clear();
  for (const auto& [started, id] : in_order) {
    const auto it = pending.find(id);
    if (it == pending.end()) continue;
    const Reply reply = std::move(it->second.reply);
    pending.erase(it);
    if (reply) reply(status, {});
  }
  auto waiting_reads = std::move(reads_waiting_);
  reads_waiting_.clear();
  for (const WaitingRead& waiting : waiting_reads) EndRead(waiting.read, status);
  for (auto* reads : {&reads_asked_, &reads_}) {
    auto failed = std::move(*reads);
    reads->clear();
    for (const AskedRead& read : failed) EndRead(read, status);
  }
}

void Member::RevokeExpiredLeases() {
  for (const int64_t lease_id : lessor_->TakeExpired()) leases_to_revoke_.push_back(lease_id);
  while (!leases_to_revoke_.empty() && revocations_under_way_ < kRevocationsUnderWayMax) {
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(leases_to_revoke_.front());
    leases_to_revoke_.pop_front();
    ++metrics_.leases_expired;
    ++revocations_under_way_;
    Propose(EntryKind::kLeaseRevoke, request.SerializeAsString(), OwnIdentity(),
            [this](const Status&, std::string_view) {
              --revocations_under_way_;
              if (!stopping_ && !leases_to_revoke_.empty()) RevokeExpiredLeases();
            });
  }
}

void Member::ProposeCheckpoints() {
  if (!config_.lease_checkpoint) return;
  const auto due = lessor_->TakeCheckpoints();
  if (due.empty()) return;
  etcdserverpb::LeaseCheckpointRequest request;
  for (const lease::LeaseCheckpoint& c : due) {
    auto* checkpoint = request.add_checkpoints();
    checkpoint->set_id(c.id);
    checkpoint->set_remaining_ttl(c.remaining_seconds);
  }
  Propose(EntryKind::kLeaseCheckpoint, request.SerializeAsString(), OwnIdentity(), {});
}

void Member::OnReady(std::function<void()> fn) {
  if (ready_) {
    fn();
  } else {
    on_ready_.push_back(std::move(fn));
  }
}

void Member::BecomeReady() {
  if (ready_) return;
  ready_ = true;
  for (auto& fn : on_ready_) fn();
  on_ready_.clear();
}

Status Member::CheckInvariants() const {
  QUORATE_RETURN_IF_ERROR(raft_->CheckInvariants());
  if (applied_index_ > committed_index_) return Internal("M1: applied beyond the commit index");
  membership_->CheckInvariants();
  lessor_->CheckInvariants();
  watch_hub_->CheckInvariants();
  return absl::OkStatus();
}

void Member::BeginStop() {
  stopping_ = true;
  FailAllWaiting(ErrStopped());
}

Status Member::Close() {
  stopping_ = true;
  FailAllWaiting(ErrStopped());
  // A log write that the executor dropped leaves a hole that nothing may be written behind; nobody was told
  // of it.
  const bool whole = !log_writing_;
  if (whole && wal_->has_pending()) QUORATE_RETURN_IF_ERROR(wal_->WriteAndSync(wal_->TakeBatch()));
  QUORATE_RETURN_IF_ERROR(wal_->Close());
  QUORATE_RETURN_IF_ERROR(backend_->Close());
  return whole && restore_ == nullptr ? CloseGuard() : absl::OkStatus();
}

}  // namespace quorate::server
