// Raft's output on its way to the log and back.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "server/errors.h"
#include "server/member.h"

namespace quorate::server {

void Member::DrainRaft() {
  while (raft_->HasReady()) HandleReady(raft_->NextReady());
  if (!log_writing_ && wal_->pending_must_sync()) StartLogWrite();
}

void Member::HandleReady(raft::Ready ready) {
  if (ready.soft_state) OnLeaderChange(*ready.soft_state);
  if (ready.hard_state) {
    term_ = ready.hard_state->term;
    committed_index_ = std::max(committed_index_, ready.hard_state->commit);
  }
  QUORATE_CHECK_MSG(ready.snapshot == nullptr, "a single member has nobody to receive a snapshot from");

  if (ready.NeedsPersist()) {
    wal_->Append(ready.entries, ready.hard_state.value_or(raft::HardState{}));
    in_flight_.push_back({std::move(ready.entries), ready.hard_state, std::move(ready.persist)});
    // A change of the commit index alone need not be synced; it only keeps its place in the order.
    if (!ready.must_sync && in_flight_.size() == 1 && !log_writing_) AcknowledgeLog(1);
  }
  for (auto& read : ready.read_states) OnReadState(read);
  if (!ready.committed_entries.empty()) {
    for (const raft::Entry& entry : ready.committed_entries) ApplyEntry(entry);
    raft_->OnApplied(ready.apply);
    TrimRaftLog();
    MaybeSnapshot();
  }
  RunReadyReads();
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
        metrics_.wal_fsync.ObserveNanos(write->nanos);
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
    if (done.hard_state) raft_storage_.SetHardState(*done.hard_state);
    raft_storage_.Append(done.entries);
    raft_->OnPersisted(std::move(done.ack), &outgoing);
    in_flight_.pop_front();
  }
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
  if (previous != raft::kNone || leader_ != raft::kNone) {
    if (leader_ != raft::kNone) ++metrics_.leader_changes_seen;
  }
  if (is_leader()) {
    LOG_INFO("elected leader", log::HexId("local-member-id", id_), {"term", term_});
  } else if (previous == id_) {
    lessor_->Demote();
  }
}

void Member::TrimRaftLog() {
  // A single voter needs its log in memory for nobody; what is kept serves a member that is added next.
  const uint64_t keep = config_.snapshot_catchup_entries;
  if (applied_index_ <= keep) return;
  const uint64_t trim_to = std::min(applied_index_ - keep, raft_storage_.LastIndex());
  // In steps, so that the cost is spread.
  constexpr uint64_t kTrimStep = 512;
  if (trim_to < raft_storage_.FirstIndex() + kTrimStep) return;
  if (const Status status = raft_storage_.Compact(trim_to); !status.ok()) {
    LOG_WARN("failed to compact the raft log in memory", {"error", Message(status)});
  }
}

}  // namespace quorate::server
