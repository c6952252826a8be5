#include "server/snapshot_intake.h"

#include <atomic>
#include <utility>

#include "base/check.h"
#include "server/database_check.h"

namespace quorate::server {
namespace {

// Handed to the disk at a time.
constexpr size_t kPieceBytes = 256 * 1024;

// Two senders at once must not meet in one file. SnapshotFiles::RemoveTemporary knows it by its first
// letters.
std::string TemporaryPath(const Env& env, const wal::SnapshotFiles& files) {
  return files.dir() + "/tmp-intake-" + std::to_string(env.random->Next());
}

}  // namespace

// The counters and callbacks belong to the core's thread, the rest to the jobs, which run one after the
// other.
struct SnapshotIntake::State {
  State(const Env& e, const wal::SnapshotFiles& files, uint64_t snapshot_index)
      : env(e),
        index(snapshot_index),
        directory(files.dir()),
        final_path(files.DatabasePath(snapshot_index)),
        temporary_path(TemporaryPath(e, files)) {}

  void Write(std::string_view bytes) {
    if (!status.ok()) return;
    if (file == nullptr) {
      auto opened = env.files->Open(temporary_path, {.write = true, .create = true, .truncate = true});
      if (!opened.ok()) {
        status = opened.status();
        return;
      }
      file = *std::move(opened);
    }
    status = file->WriteAt(written, bytes);
    written += bytes.size();
  }

  Status Publish() {
    QUORATE_RETURN_IF_ERROR(status);
    if (file == nullptr) return DataLoss("the snapshot came without a database");
    const auto is_wanted = [this] { return wanted.load(std::memory_order_relaxed); };
    QUORATE_RETURN_IF_ERROR(CheckReceivedDatabase(env.files, temporary_path, index, is_wanted));
    QUORATE_RETURN_IF_ERROR(file->Sync());
    if (!is_wanted()) return absl::CancelledError("nobody waits for the snapshot any more");
    file.reset();
    QUORATE_RETURN_IF_ERROR(env.files->Rename(temporary_path, final_path));
    return env.files->SyncDirectory(directory);
  }

  // What is left over is removed at the next start, too, so a failure here harms nobody.
  void Discard() {
    file.reset();
    static_cast<void>(env.files->Remove(temporary_path));
  }

  const Env env;
  const uint64_t index;
  const std::string directory;
  const std::string final_path;
  const std::string temporary_path;

  // Both: cleared by the core when nobody waits for the file any more. A check of many GB, which would hold
  // up the end of the process, ends by it.
  std::atomic<bool> wanted{true};

  // Jobs.
  std::unique_ptr<File> file;
  uint64_t written = 0;
  Status status;

  // Core.
  size_t pending_bytes = 0;
  uint64_t received_bytes = 0;
  std::function<void()> on_drained;
  Done done;
  bool finished = false;  // Finish was called.
};

SnapshotIntake::SnapshotIntake(const Env& env, const wal::SnapshotFiles& files, uint64_t index)
    : state_(std::make_shared<State>(env, files, index)) {}

SnapshotIntake::~SnapshotIntake() {
  state_->wanted.store(false, std::memory_order_relaxed);
  state_->on_drained = nullptr;
  state_->done = nullptr;
  if (state_->finished || state_->received_bytes == 0) return;
  state_->env.executor->Submit(
      Lane::kBackground, [state = state_] { state->Discard(); }, [] {});
}

void SnapshotIntake::Append(std::string_view bytes) {
  QUORATE_CHECK(!state_->finished);
  state_->pending_bytes += bytes.size();
  state_->received_bytes += bytes.size();
  piece_.append(bytes);
  if (piece_.size() >= kPieceBytes) SubmitPiece();
}

void SnapshotIntake::SubmitPiece() {
  if (piece_.empty()) return;
  auto piece = std::make_shared<const std::string>(std::exchange(piece_, {}));
  state_->env.executor->Submit(
      Lane::kBackground, [state = state_, piece] { state->Write(*piece); },
      [state = state_, piece] {
        state->pending_bytes -= piece->size();
        if (state->pending_bytes > kPendingLow || !state->on_drained) return;
        std::exchange(state->on_drained, nullptr)();
      });
}

void SnapshotIntake::Finish(Done done) {
  QUORATE_CHECK(!state_->finished);
  SubmitPiece();
  state_->finished = true;
  state_->done = std::move(done);
  const auto result = std::make_shared<Status>();
  state_->env.executor->Submit(
      Lane::kBackground,
      [state = state_, result] {
        *result = state->Publish();
        if (!result->ok()) state->Discard();
      },
      [state = state_, result] {
        if (state->done) std::exchange(state->done, nullptr)(*result);
      });
}

size_t SnapshotIntake::pending_bytes() const { return state_->pending_bytes; }
void SnapshotIntake::OnDrained(std::function<void()> fn) { state_->on_drained = std::move(fn); }
uint64_t SnapshotIntake::received_bytes() const { return state_->received_bytes; }

}  // namespace quorate::server
