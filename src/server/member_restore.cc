// A leader's snapshot takes the place of everything: its file, its record in the log, its database, and the
// state that is read from it. Each step is durable before the next, so that a start after a crash at any
// point finds either the old state or the new one (Member::ChooseDatabase completes a step that was cut off).
#include <string>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "server/database_check.h"
#include "server/member.h"

namespace quorate::server {
namespace {

// Whoever put it there was to check it (SnapshotIntake); what it replaces can't be had again.
Status CheckStands(FileSystem* files, const std::string& received, uint64_t index) {
  QUORATE_ASSIGN_OR_RETURN(const uint64_t stands_at, ReadConsistentIndex(files, received));
  if (stands_at >= index) return absl::OkStatus();
  return DataLoss("the database " + received + " stands at raft index " + std::to_string(stands_at) +
                  ", before the snapshot at " + std::to_string(index) +
                  "; restore the member from a snapshot");
}

}  // namespace

void Member::BeginRestore(raft::Ready ready) {
  QUORATE_CHECK(restore_ == nullptr && ready.committed_entries.empty());
  restore_ = std::make_unique<Restore>();
  restore_->snapshot = ready.snapshot;
  const raft::SnapshotMetadata& metadata = ready.snapshot->metadata;
  LOG_INFO("applying snapshot", {"current-snapshot-index", snapshot_index_},
           {"current-applied-index", applied_index_}, {"incoming-leader-snapshot-index", metadata.index},
           {"incoming-leader-snapshot-term", metadata.term});
  auto status = std::make_shared<Status>();
  auto waiting = std::make_shared<raft::Ready>(std::move(ready));
  env_.executor->Submit(
      Lane::kBackground, [this, status, waiting] { *status = snapshots_->Save(*waiting->snapshot); },
      [this, status, waiting, started = now()] {
        metrics_.snapshot_file_fsync.ObserveNanos(now() - started);
        if (!status->ok()) {
          config_.on_fatal(*status);
          return;
        }
        LogRestored(std::move(*waiting));
      });
}

// The record first: the hard state that commits it must not be found without it.
void Member::LogRestored(raft::Ready ready) {
  const raft::SnapshotMetadata& metadata = ready.snapshot->metadata;
  wal_->SaveSnapshotRecord({metadata.index, metadata.term, metadata.conf_state});
  wal_->Append(ready.entries, ready.hard_state.value_or(raft::HardState{}));
  release_index_ = metadata.index;
  restore_->logged = true;
  in_flight_.push_back({std::move(ready.entries), ready.hard_state, std::move(ready.persist)});
}

// The lane of commits: none of the old database is under way when the new one comes. And no copy of the old
// one may take the name afterwards.
void Member::OpenRestored() {
  backend_->RefuseDefragmentation(
      Unavailable("a snapshot of the leader is taking the place of the database; defragment again later"));
  struct Opening {
    Status status;
    Parts parts;
  };
  auto opening = std::make_shared<Opening>();
  const uint64_t index = restore_->snapshot->metadata.index;
  const std::string received = snapshots_->DatabasePath(index);
  env_.executor->Submit(
      Lane::kDb,
      [this, opening, received, index] {
        opening->status = [&]() -> Status {
          QUORATE_RETURN_IF_ERROR(CheckStands(env_.files, received, index));
          QUORATE_RETURN_IF_ERROR(env_.files->Rename(received, dirs_.db));
          QUORATE_RETURN_IF_ERROR(env_.files->SyncDirectory(dirs_.snap));
          QUORATE_ASSIGN_OR_RETURN(opening->parts, OpenParts());
          return absl::OkStatus();
        }();
      },
      [this, opening] {
        if (!opening->status.ok()) {
          config_.on_fatal(opening->status);
          return;
        }
        FinishRestore(std::move(opening->parts));
      });
}

void Member::FinishRestore(Parts parts) {
  const std::shared_ptr<const raft::Snapshot> snapshot = restore_->snapshot;
  const raft::SnapshotMetadata& metadata = snapshot->metadata;
  Status status = InstallParts(std::move(parts), snapshot.get());
  if (status.ok()) status = raft_storage_.ApplySnapshot(snapshot);
  if (!status.ok()) {
    config_.on_fatal(status);
    return;
  }
  conf_state_ = metadata.conf_state;
  applied_index_ = metadata.index;
  applied_term_ = metadata.term;
  snapshot_index_ = metadata.index;
  snapshot_writing_ = false;
  ++metrics_.snapshots_applied;
  ConnectMembers();
  LOG_INFO("applied snapshot", {"snapshot-index", metadata.index}, {"snapshot-term", metadata.term},
           {"current-revision", store_->current_revision()});

  restore_.reset();
  AcknowledgeLog(1);
  ReleaseReceived(metadata.index);
  PersistHeld();
  RunReadyReads();
}

}  // namespace quorate::server
