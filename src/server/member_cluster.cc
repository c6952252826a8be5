// The other members: messages from and to them, whom to talk to, and handing over the leadership.
#include <algorithm>
#include <utility>

#include "base/log_limit.h"
#include "base/logging.h"
#include "server/errors.h"
#include "server/forwarded_check.h"
#include "server/member.h"

namespace quorate::server {
namespace {

constexpr size_t kSnapshotsSendingMax = 16;  // etcd: maxInFlightMsgSnap
constexpr size_t kForwardedBytesMax = 64 * 1024 * 1024;
// A removed member goes on this long, so that those who are to be told by it hear of it.
constexpr int kRemovedTicks = 10;
// How long a start waits for connections before the first election runs its normal course (etcd:
// ConnReadTimeout).
constexpr int64_t kFirstElectionWaitNanos = 5'000'000'000;

}  // namespace

bool Member::HasPeers() const {
  return conf_state_.voters.size() + conf_state_.learners.size() > 1 || conf_state_.voters.empty();
}

// ---- in ----

Status Member::Step(raft::Message message, MessagePath path) {
  const uint64_t received = message.type == raft::MessageType::kSnap && message.snapshot != nullptr
                                ? message.snapshot->metadata.index
                                : 0;
  const Status status = StepChecked(std::move(message), path);
  // Overtaken, say, or not for us. While a snapshot is on its way into its place it may be this one.
  if (received == 0 || restore_ != nullptr || !held_.empty()) return status;
  if (raft_->GetBasicStatus().pending_snapshot != received) DropReceived(received);
  return status;
}

// Until the file is gone, another of that index is not taken: it would be removed in this one's place.
void Member::DropReceived(uint64_t index) {
  if (!dropping_.insert(index).second) return;
  env_.executor->Submit(
      Lane::kBackground,
      [this, path = snapshots_->DatabasePath(index)] {
        const Status removed = env_.files->Remove(path);
        if (removed.ok()) LOG_INFO("removed a received database that is not needed", {"path", path});
        if (!removed.ok() && !absl::IsNotFound(removed)) {
          LOG_WARN("failed to remove received databases", {"error", Message(removed)});
        }
      },
      [this, index] { dropping_.erase(index); });
}

// At most one is ever needed, and only until the member has put it into its place.
void Member::ReleaseReceived(uint64_t index) {
  env_.executor->Submit(
      Lane::kBackground,
      [this, index] {
        const Status released = snapshots_->ReleaseDatabasesBefore(index + 1);
        if (!released.ok()) LOG_WARN("failed to remove received databases", {"error", Message(released)});
      },
      [] {});
}

Status Member::StepChecked(raft::Message message, MessagePath path) {
  if (message.to != id_) {
    return NotFound("a message for member " + cluster::IdText(message.to) + " came to member " +
                    cluster::IdText(id_));
  }
  if (membership_->removed(message.from)) {
    return PermissionDenied("member " + cluster::IdText(message.from) + " was removed from the cluster");
  }
  if (path == MessagePath::kPost && message.term > term_ && message.term - term_ > raft::kTermStepMax) {
    // It would be on every member's disk for ever.
    return InvalidArgument("a message of term " + std::to_string(message.term) +
                           " came to a member in term " + std::to_string(term_));
  }
  if (guard_->Inspect(message, path) != LostLogGuard::Verdict::kPass) return absl::OkStatus();
  return StepRaft(std::move(message));
}

Status Member::StepRaft(raft::Message message) {
  if (message.type == raft::MessageType::kSnap) {
    const uint64_t index = message.snapshot == nullptr ? 0 : message.snapshot->metadata.index;
    if (index == 0 || dropping_.contains(index) || !env_.files->Exists(snapshots_->DatabasePath(index))) {
      return FailedPrecondition("a snapshot at index " + std::to_string(index) +
                                " came without its database");
    }
    QUORATE_RETURN_IF_ERROR(cluster::V2Store::Parse(message.snapshot->data).status());
  }
  if (message.type != raft::MessageType::kProp) return raft_->Step(std::move(message));
  for (const raft::Entry& entry : message.entries) {
    const Status readable = CheckForwarded(entry, *membership_);
    if (readable.ok()) continue;
    LOG_WARN_LIMITED("refused a proposal that no member could apply", log::HexId("local-member-id", id_),
                     log::HexId("from", message.from), {"error", Message(readable)});
    return readable;
  }
  std::vector<raft::Entry> entries = message.entries;
  const Status status = raft_->Step(std::move(message));
  if (raft::IsProposalDropped(status)) HoldForwarded(std::move(entries));
  return status;
}

// While the leadership changes hands the proposals of followers wait here, as ours do in proposals_.
void Member::HoldForwarded(std::vector<raft::Entry> entries) {
  for (raft::Entry& entry : entries) {
    if (entry.type != raft::EntryType::kNormal || entry.data.empty()) continue;
    if (forwarded_bytes_ + entry.data.size() > kForwardedBytesMax) return;
    forwarded_bytes_ += entry.data.size();
    forwarded_.emplace_back(now() + config_.request_timeout_nanos(), std::move(entry.data));
  }
}

void Member::FlushForwarded() {
  const auto drop_first = [this] {
    forwarded_bytes_ -= forwarded_.front().second.size();
    forwarded_.pop_front();
  };
  while (!forwarded_.empty() && forwarded_.front().first < now()) drop_first();
  while (!forwarded_.empty() && leader_ != raft::kNone) {
    raft::Payload payload = forwarded_.front().second;
    if (!raft_->ProposeBatch({&payload, 1}).ok()) return;
    drop_first();
  }
}

void Member::OnRefusedAsRemoved() {
  // A quarantined one has its own way out.
  if (removed_ || guard_->quarantined()) return;
  LOG_ERROR("the member has been permanently removed from the cluster", log::HexId("local-member-id", id_),
            {"way-out", "add it again under a new ID (member add) with an empty data directory"});
  EndRemoved();
}

void Member::EndRemoved() {
  if (std::exchange(removed_, true)) return;
  removed_ticks_ = kRemovedTicks;
}

// ---- out ----

void Member::SendMessages(std::vector<raft::Message> messages) {
  if (messages.empty() || transport_ == nullptr) return;
  guard_->FilterOutgoing(&messages);
  std::erase_if(messages, [this](raft::Message& message) {
    if (membership_->removed(message.to)) return true;
    if (message.type != raft::MessageType::kSnap) return false;
    SendSnapshot(std::move(message));
    return true;
  });
  if (!messages.empty()) transport_->Send(std::move(messages));
}

// What goes out is not the snapshot that raft knows but one of now: the database is at hand only as it is.
void Member::SendSnapshot(raft::Message message) {
  const uint64_t to = message.to;
  ++snapshots_sending_;
  // While a start replays what the database has already, the database is ahead of us.
  if (snapshots_sending_ > kSnapshotsSendingMax || applied_index_ < backend_->consistent_index()) {
    return ReportSnapshot(to, false);
  }
  const auto sent = std::make_shared<raft::Message>(std::move(message));
  // At the moment at which it is settled what the database shows: a snapshot that stands behind its database
  // would leave a log behind its database.
  const auto describe = [this, sent] {
    auto snapshot = std::make_shared<raft::Snapshot>();
    snapshot->metadata = {conf_state_, applied_index_, applied_term_};
    snapshot->data = membership_->V2Json();
    sent->snapshot = std::move(snapshot);
  };
  backend_->BeginSnapshot(
      describe, [this, sent](StatusOr<std::shared_ptr<mvcc::Backend::Snapshot>> database) {
        if (!database.ok()) {
          LOG_WARN("failed to read the database for a snapshot", {"error", Message(database.status())});
          return ReportSnapshot(sent->to, false);
        }
        transport_->SendSnapshot(std::move(*sent), *std::move(database));
      });
}

void Member::ReportSnapshot(uint64_t id, bool ok) {
  --snapshots_sending_;
  snapshot_sent_nanos_ = now();
  raft_->ReportSnapshot(id, ok);
}

// ---- whom to talk to ----

// As the members are now: at start, and after a snapshot brought others.
void Member::ConnectMembers() {
  if (transport_ == nullptr) return;
  for (const uint64_t id : membership_->removed_ids()) transport_->RemovePeer(id);
  for (const auto& [id, member] : membership_->members()) {
    if (id != id_) transport_->AddPeer(id, member.peer_urls);
  }
}

void Member::FollowChange(const cluster::AppliedChange& change) {
  const cluster::Member& member = change.member;
  switch (change.kind) {
    case cluster::ChangeKind::kAdded:
    case cluster::ChangeKind::kUpdated:
      if (member.id != id_ && transport_ != nullptr) transport_->AddPeer(member.id, member.peer_urls);
      break;
    case cluster::ChangeKind::kRemoved:
      if (member.id == id_) {
        OnRefusedAsRemoved();
      } else if (transport_ != nullptr) {
        transport_->RemovePeer(member.id);
      }
      break;
    case cluster::ChangeKind::kPromoted:
      break;
  }
}

// ---- leadership ----

void Member::TransferLeadership(uint64_t to, std::function<void(const Status&)> done) {
  if (!is_leader()) return done(ErrNotLeader());
  const auto& voters = conf_state_.voters;
  if (std::find(voters.begin(), voters.end(), to) == voters.end()) return done(ErrBadLeaderTransferee());
  if (to == id_) return done(absl::OkStatus());
  if (transfer_) std::exchange(transfer_, std::nullopt)->done(ErrTimeoutLeaderTransfer());
  LOG_INFO("leadership transfer starting", log::HexId("local-member-id", id_),
           log::HexId("current-leader-member-id", id_), log::HexId("transferee-member-id", to));
  transfer_ = Transfer{to, now() + config_.request_timeout_nanos(), std::move(done)};
  raft_->TransferLeader(to);
}

void Member::FinishTransfer() {
  if (!transfer_) return;
  const bool late = now() > transfer_->deadline_nanos;
  if (leader_ != transfer_->to && !late) return;
  const Transfer ended = *std::exchange(transfer_, std::nullopt);
  if (leader_ == ended.to) {
    LOG_INFO("leadership transfer finished", log::HexId("local-member-id", id_),
             log::HexId("old-leader-member-id", id_), log::HexId("new-leader-member-id", ended.to));
    return ended.done(absl::OkStatus());
  }
  ended.done(ErrTimeoutLeaderTransfer());
}

void Member::HandOver(std::function<void()> done) {
  uint64_t heir = raft::kNone;
  int64_t longest = 0;
  for (const uint64_t id : conf_state_.voters) {
    const int64_t since = id == id_ || transport_ == nullptr ? 0 : transport_->ActiveSince(id);
    if (since == 0 || (heir != raft::kNone && since >= longest)) continue;
    heir = id;
    longest = since;
  }
  if (!is_leader() || heir == raft::kNone) {
    LOG_INFO("skipped leadership transfer", log::HexId("local-member-id", id_),
             {"reason", is_leader() ? "no other voter is connected" : "this member does not lead"});
    return done();
  }
  TransferLeadership(heir, [this, done = std::move(done)](const Status& status) {
    if (!status.ok()) {
      LOG_WARN("leadership transfer failed", log::HexId("local-member-id", id_), {"error", Message(status)});
    }
    done();
  });
  if (transfer_) transfer_->deadline_nanos = now() + 2 * config_.election_ticks * config_.tick_nanos;
}

// At start the clock of the first election is put forward once others are there, as in the original: nobody
// need wait a whole timeout for a leader that a restart of all has left behind. (etcdserver: adjustTicks)
void Member::AdvanceFirstElection() {
  if (first_election_advanced_ || !config_.initial_election_tick_advance || transport_ == nullptr) return;
  if (leader_ != raft::kNone || now() - opened_nanos_ > kFirstElectionWaitNanos) {
    first_election_advanced_ = true;
    return;
  }
  int connected = 0;
  for (const uint64_t id : conf_state_.voters) connected += id != id_ && transport_->ActiveSince(id) != 0;
  if (connected == 0 || !guard_->may_campaign()) return;
  first_election_advanced_ = true;
  for (int tick = connected + 1; tick < config_.election_ticks; ++tick) raft_->Tick();
}

// What a request is told that has waited too long. (etcdserver: parseProposeCtxErr)
Status Member::TimeoutError(int64_t started_nanos) const {
  const int64_t previous_lost = leader_since_nanos_ - 2 * config_.election_ticks * config_.tick_nanos;
  if (started_nanos > previous_lost && started_nanos < leader_since_nanos_)
    return ErrTimeoutDueToLeaderFail();
  if (transport_ == nullptr || leader_ == raft::kNone) return ErrTimeout();
  const auto connected = [&](uint64_t id) {
    const int64_t since = transport_->ActiveSince(id);
    return since != 0 && since <= started_nanos;
  };
  if (!is_leader()) return connected(leader_) ? ErrTimeout() : ErrTimeoutDueToConnectionLost();
  size_t reached = 0;
  for (const uint64_t id : conf_state_.voters) reached += id == id_ || connected(id);
  return reached > conf_state_.voters.size() / 2 ? ErrTimeout() : ErrTimeoutDueToConnectionLost();
}

}  // namespace quorate::server
