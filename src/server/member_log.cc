// Raft's output on its way to the log and back.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {
namespace {

// Of payloads in the raft log in memory: beyond the first, a follower that lags is sent the database instead;
// beyond the second also while databases are on their way.
constexpr uint64_t kLogBytesMax = 64 * 1024 * 1024;
constexpr uint64_t kLogBytesHardMax = 256 * 1024 * 1024;
// After a snapshot was sent the log that follows it is kept this long (etcd: releaseDelayAfterSnapshot).
constexpr int64_t kKeepAfterSnapshotNanos = 30'000'000'000;

}  // namespace

void Member::DrainRaft() {
  for (;;) {
    while (raft_->HasReady()) HandleReady(raft_->NextReady());
    if (log_writing_) return;
    if (wal_->pending_must_sync()) return StartLogWrite();
    // What came while the last write was under way and needs none of its own would wait for the next entry,
    // and that may be waiting for it.
    if (in_flight_.empty() || restore_ != nullptr) return;
    AcknowledgeLog(in_flight_.size());
  }
}

void Member::HandleReady(raft::Ready ready) {
  if (ready.soft_state) OnLeaderChange(*ready.soft_state);
  if (ready.hard_state) {
    term_ = ready.hard_state->term;
    committed_index_ = std::max(committed_index_, ready.hard_state->commit);
  }
  // A request for votes tells the others of a term that must not be forgotten: it leaves with the synced hard
  // state. The leader's entries leave while its own disk is still writing them.
  if (ready.hard_state) HoldVoteRequests(&ready);
  SendMessages(std::exchange(ready.messages, {}));
  for (auto& read : ready.read_states) OnReadState(read);
  const bool hold =
      restore_ != nullptr || !held_.empty() || (ready.snapshot != nullptr && !to_apply_.empty());
  if (hold) {
    if (ready.NeedsPersist() || !ready.committed_entries.empty()) held_.push_back(std::move(ready));
  } else if (ready.snapshot != nullptr) {
    BeginRestore(std::move(ready));
  } else {
    Persist(std::move(ready));
  }
  RunReadyReads();
}

void Member::HoldVoteRequests(raft::Ready* ready) {
  std::erase_if(ready->messages, [ready](raft::Message& message) {
    if (message.type != raft::MessageType::kVote) return false;
    ready->persist.messages.push_back(std::move(message));
    return true;
  });
}

// To the log, and what is committed into the state.
void Member::Persist(raft::Ready ready) {
  if (ready.NeedsPersist()) {
    wal_->Append(ready.entries, ready.hard_state.value_or(raft::HardState{}));
    in_flight_.push_back({std::move(ready.entries), ready.hard_state, std::move(ready.persist)});
    // A change of the commit index alone need not be synced; it only keeps its place in the order.
    if (!ready.must_sync && in_flight_.size() == 1 && !log_writing_) AcknowledgeLog(1);
  }
  if (!ready.committed_entries.empty()) ApplyCommitted(std::move(ready.committed_entries), ready.apply);
}

void Member::PersistHeld() {
  while (!held_.empty() && restore_ == nullptr) {
    if (held_.front().snapshot != nullptr && !to_apply_.empty()) return;
    raft::Ready ready = std::move(held_.front());
    held_.pop_front();
    if (ready.snapshot != nullptr) {
      BeginRestore(std::move(ready));
    } else {
      Persist(std::move(ready));
    }
  }
}

void Member::StartLogWrite() {
  log_writing_ = true;
  struct Write {
    wal::WalBatch batch;
    Status status;
    int64_t nanos = 0;
  };
  auto write = std::make_shared<Write>();
  write->batch = wal_->TakeBatch();
  metrics_.wal_write_bytes += write->batch.bytes.size();
  const size_t acks = in_flight_.size();
  const uint64_t release_to = std::exchange(release_index_, 0);
  env_.executor->Submit(
      Lane::kLog,
      [this, write] {
        const int64_t start = env_.clock->MonotonicNanos();
        write->status = wal_->WriteAndSync(write->batch);
        write->nanos = env_.clock->MonotonicNanos() - start;
      },
      [this, write, acks, release_to] {
        if (write->batch.must_sync) metrics_.wal_fsync.ObserveNanos(write->nanos);
        OnLogWritten(write->status, std::move(write->batch), acks);
        if (write->status.ok() && release_to != 0) ReleaseLog(release_to);
      });
}

void Member::OnLogWritten(const Status& status, wal::WalBatch batch, size_t acks) {
  if (!status.ok()) {
    // What the disk holds is unknown now, so nothing may be acknowledged any more.
    config_.on_fatal(status);
    return;
  }
  log_writing_ = false;
  const bool cut = !batch.cuts.empty();
  wal_->Recycle(std::move(batch));
  AcknowledgeLog(acks);
  if (cut) PrepareSpareSegment();
}

void Member::AcknowledgeLog(size_t acks) {
  std::vector<raft::Message> outgoing;
  for (; acks > 0; --acks) {
    InFlightReady& done = in_flight_.front();
    if (restore_ != nullptr && restore_->logged && in_flight_.size() == 1) {
      // The last of them is the snapshot's: it counts when the state behind it is there.
      OpenRestored();
      break;
    }
    if (done.hard_state) raft_storage_.SetHardState(*done.hard_state);
    raft_storage_.Append(done.entries);
    raft_->OnPersisted(std::move(done.ack), &outgoing);
    in_flight_.pop_front();
  }
  SendMessages(std::move(outgoing));
}

void Member::PrepareSpareSegment() {
  if (spare_pending_) return;
  spare_pending_ = true;
  auto status = std::make_shared<Status>();
  env_.executor->Submit(
      Lane::kBackground, [this, status] { *status = wal_->PrepareSpare(); },
      [this, status] {
        spare_pending_ = false;
        // Not fatal: the next cut makes its own segment, and fails itself if the disk is full.
        if (!status->ok()) LOG_WARN("failed to preallocate a WAL segment", {"error", Message(*status)});
      });
}

void Member::OnLeaderChange(const raft::SoftState& state) {
  const uint64_t previous = leader_;
  leader_ = state.lead;
  if (leader_ == previous) return;
  leader_since_nanos_ = now();
  // A read round that was asked of the old leader may never be answered.
  read_round_started_ = 0;
  if (previous != raft::kNone || leader_ != raft::kNone) {
    if (leader_ != raft::kNone) ++metrics_.leader_changes_seen;
  }
  if (is_leader()) {
    LOG_INFO("elected leader", log::HexId("local-member-id", id_), {"term", term_});
  } else if (previous == id_) {
    lessor_->Demote();
  }
}

// The log in memory serves followers that lag. As in the original it reaches back to the last snapshot and
// some entries before it; a member alone, or one whose log has become large, keeps only those entries.
void Member::TrimRaftLog() {
  const uint64_t keep = config_.snapshot_catchup_entries;
  const uint64_t bytes = raft_storage_.payload_bytes();
  const bool large = bytes > kLogBytesMax;
  const bool serving_snapshots =
      snapshots_sending_ > 0 ||
      (snapshot_sent_nanos_ != 0 && now() - snapshot_sent_nanos_ < kKeepAfterSnapshotNanos);
  if (HasPeers() && serving_snapshots && bytes <= kLogBytesHardMax) return;
  const uint64_t from = HasPeers() && !large ? snapshot_index_ : applied_index_;
  if (from <= keep) return;
  const uint64_t trim_to = std::min(from - keep, raft_storage_.LastIndex());
  // In steps, so that the cost is spread; behind a snapshot at once.
  const uint64_t step = HasPeers() && !large ? 1 : 512;
  if (trim_to < raft_storage_.FirstIndex() + step) return;
  // A follower that needs what is gone is sent a snapshot of now (SendSnapshot); raft has to know that there
  // is one.
  if (raft_storage_.LatestSnapshot()->metadata.index < trim_to) {
    if (const Status made = raft_storage_.CreateSnapshot(trim_to, &conf_state_, {}); !made.ok()) {
      LOG_WARN("failed to mark the log in memory", {"error", Message(made)});
      return;
    }
  }
  if (const Status status = raft_storage_.Compact(trim_to); !status.ok()) {
    LOG_WARN("failed to compact the raft log in memory", {"error", Message(status)});
  }
}

}  // namespace quorate::server
