#include "mvcc/backend_job.h"

#include <utility>

#include "mvcc/batch_writer.h"
#include "mvcc/defrag_limits.h"

namespace quorate::mvcc {

void BackendJob::Run() {
  int expected = kQueued;
  if (!state_.compare_exchange_strong(expected, kRunning)) return;
  status_ = Execute();
  if (status_.ok()) {
    StatusOr<std::shared_ptr<const CommittedFile>> file = CommittedFile::Pin(db_);
    if (file.ok()) {
      file_ = *std::move(file);
    } else {
      status_ = file.status();
    }
  }
  state_.store(kFinished);
  state_.notify_all();
}

void BackendJob::RunOrWait() {
  Run();
  state_.wait(kRunning);
}

void BackendJob::CancelOrWait() {
  int expected = kQueued;
  if (state_.compare_exchange_strong(expected, kFinished)) return;
  state_.wait(kRunning);
}

Status CommitJob::Execute() {
  const bool changes = batch_->operations() > 0 || batch_->has_consistent_index();
  if (!changes && step_ == nullptr) return {};
  wrote_ = true;
  const int64_t begin = clock_->MonotonicNanos();
  // A page that can't be moved must not cost the batch: then it is committed without the moves.
  Status status = Commit(step_ != nullptr);
  if (step_ != nullptr && !step_->status.ok()) status = Commit(false);
  nanos_ = clock_->MonotonicNanos() - begin;
  if (status.ok() && step_ != nullptr && step_->status.ok()) status = AfterCommit();
  return status;
}

Status CommitJob::Commit(bool moving) {
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::WriteTx> tx, db_->BeginWrite());
  QUORATE_RETURN_IF_ERROR(WriteBatch(*batch_, write_term_, nullptr, *tx));
  if (moving && step_->copy == nullptr) {
    step_->status = Move(*tx);
    if (!step_->status.ok()) return {};
    tx->LowerHighWater();
  }
  return tx->Commit();
}

std::function<bool()> CommitJob::Deadline() const {
  return [clock = clock_, end = clock_->MonotonicNanos() + limits::kDefragStepNanos] {
    return clock->MonotonicNanos() >= end;
  };
}

Status CommitJob::Move(bolt::WriteTx& tx) {
  constexpr size_t kPagesPerLook = 16;
  const std::function<bool()> enough = Deadline();
  size_t& i = step_->next;
  for (i = step_->begin; i < step_->end; ++i) {
    if ((i - step_->begin) % kPagesPerLook == kPagesPerLook - 1 && enough()) break;
    const bolt::TailPage& page = (*step_->tail)[i];
    QUORATE_ASSIGN_OR_RETURN(const bolt::WriteTx::MoveResult result, tx.Move(page));
    if (result == bolt::WriteTx::MoveResult::kMoved) ++step_->moved;
    // The file can't be cut below this page: what lies lower need not move.
    if (result == bolt::WriteTx::MoveResult::kNoRoom) {
      step_->no_room_end = page.page + 1;
      break;
    }
  }
  return {};
}

Status CommitJob::AfterCommit() {
  if (step_->copy != nullptr) return FollowCopy();
  StatusOr<bolt::CutResult> cut = db_->CutFile(limits::kDefragCutBytes);
  step_->status = cut.status();
  if (cut.ok()) step_->cut = *cut;
  return {};
}

// Fails only when it is unknown which file has the name.
Status CommitJob::FollowCopy() {
  FileCopy& copy = *step_->copy;
  step_->status = [&]() -> Status {
    QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx from, db_->BeginRead());
    // Twice what the batch brought, at least: else the end might move away as fast as the copy comes near.
    FileCopy::Share share{0, step_->copy_bytes_max, Deadline()};
    if (share.bytes_max > 0) {
      share.bytes_min = 2 * batch_->bytes();
      share.bytes_max += share.bytes_min;
    }
    QUORATE_RETURN_IF_ERROR(copy.Follow(from, *batch_, write_term_, share));
    return copy.complete() ? copy.Switch() : Status();
  }();
  if (!copy.replaced()) return {};
  db_ = copy.db();
  return step_->status;
}

}  // namespace quorate::mvcc
