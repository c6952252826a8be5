// A world in memory, ruled by seeds, for tests and the simulator.
//
// The fault model of SimFileSystem:
//   - A write, truncation or allocation shows at once to every reader (the page cache), and is durable after
//   the next
//     successful Sync of any handle of the file. Syncing a file does not make its name durable.
//   - Creating, renaming and removing names shows at once, and is durable after SyncDirectory of the
//   directory (either
//     one for a rename between two). A rename is atomic: never both names, never neither.
//   - Crash() is the loss of power. Each unsynced change of a file's bytes survives wholly, in part, or not
//   at all,
//     whatever becomes of its neighbours: the part is a range cut at any byte or at a sector of 512 bytes. Of
//     the unsynced changes of a directory's names a prefix survives. The seed decides.
//   - Kill() is the death of the process: nothing is lost, but for what a failed Sync has lost already.
//   - After either, open files fail with Unavailable for ever, and locks are free.
//   - A Sync that fails has made a random part durable and lost the rest: later Syncs succeed and do not
//   bring it back
//     (what Linux does; https://wiki.postgresql.org/wiki/Fsync_Errors). Readers go on to see all of it, as if
//     nothing had happened, until Kill() or Crash(); after a Kill() they see it or not, as the seed decides.
//   - Of thousands of unsynced changes of one file the oldest become durable.
//   - A full disk gives ResourceExhausted; a write then leaves the part that fitted. Use is the sum of the
//   sizes of all
//     files that have a name.
//   - Errors can be ordered for the nth operation of a kind, bits can be flipped, and a hook sees every
//   operation first.
// Not modelled: permissions, links, short reads, changed file modes.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace quorate {

// splitmix64 (https://prng.di.unimi.it/splitmix64.c).
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t Next() override;

 private:
  uint64_t state_;
};

// Stands still unless moved. Thread-safe.
class SimClock final : public Clock {
 public:
  // 2026-01-01T00:00:00Z.
  static constexpr int64_t kWallStartNanos = 1'767'225'600'000'000'000;

  int64_t MonotonicNanos() const override { return monotonic_.load(); }
  int64_t WallNanos() const override { return monotonic_.load() + wall_offset_.load(); }
  void Advance(int64_t nanos) { monotonic_ += nanos; }
  // Makes the wall clock jump.
  void AdvanceWall(int64_t nanos) { wall_offset_ += nanos; }

 private:
  std::atomic<int64_t> monotonic_{1'000'000'000};
  std::atomic<int64_t> wall_offset_{kWallStartNanos - 1'000'000'000};
};

// Runs everything on the caller's thread. `done` runs only in RunCompletions().
class InlineExecutor final : public Executor {
 public:
  enum class Mode {
    kImmediate,  // Work runs inside Submit.
    kQueued,     // Work waits for Step().
  };
  // With `random` (not owned) Step() picks among the lanes, and among all jobs of kRead; without, the oldest
  // job.
  explicit InlineExecutor(Mode mode = Mode::kImmediate, Random* random = nullptr)
      : mode_(mode), random_(random) {}

  void Submit(Lane lane, std::function<void()> work, std::function<void()> done) override;
  // Runs the work of one job; false when there is none.
  bool Step();
  // The oldest of one lane.
  bool Step(Lane lane);
  // Runs the `done` of all jobs completed before the call; returns their number.
  size_t RunCompletions();
  // Steps and completions until nothing is left.
  void RunUntilIdle();
  // Forgets all jobs and completions, as a crash does.
  void Drop();

  size_t queued() const { return jobs_.size(); }
  size_t completed() const { return completed_.size(); }

 private:
  struct Job {
    Lane lane;
    std::function<void()> work;
    std::function<void()> done;
  };
  void RunAt(size_t position);

  const Mode mode_;
  Random* const random_;
  std::deque<Job> jobs_;  // In order of submission.
  std::vector<std::function<void()>> completed_;
};

enum class SimOperation {
  kOpen,
  kRead,
  kWrite,
  kSync,
  kTruncate,
  kAllocate,
  kSize,
  kMap,
  kRename,
  kRemove,  // RemoveAll too.
  kCreateDirectories,
  kList,
  kStat,
  kSyncDirectory,
};

// Whether the operation changes anything, durability included: where a crash is worth trying.
constexpr bool Changes(SimOperation op) {
  return op != SimOperation::kRead && op != SimOperation::kSize && op != SimOperation::kMap &&
         op != SimOperation::kList && op != SimOperation::kStat;
}

class SimFile;
class SimMapping;

// Paths are taken from one root; "a//b/", "./a/b" and "/a/b" are the same. Thread-safe, and outlives its
// files.
class SimFileSystem final : public FileSystem {
 public:
  explicit SimFileSystem(uint64_t seed);
  ~SimFileSystem() override;

  StatusOr<std::unique_ptr<File>> Open(const std::string& path, const OpenOptions& options) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status CreateDirectories(const std::string& path, uint32_t mode) override;
  StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  StatusOr<FileInfo> Stat(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;

  // Runs when a Sync or a SyncDirectory has failed, on the thread where it did, before the caller hears of
  // it; perhaps on several at once. Set before the first use.
  using OnFailedSync = std::function<void(const std::string& path)>;
  void set_on_failed_sync(OnFailedSync fn) { on_failed_sync_ = std::move(fn); }

  // See the fault model. May be called from the hook: the operation under way then fails if it is on an open
  // file.
  void Crash();
  void Kill();

  // Called before each operation, without locks held; an error becomes the operation's result and it has no
  // effect, but for a Sync, which then fails as told above.
  using Hook = std::function<Status(SimOperation, const std::string& path)>;
  void set_before_operation(Hook hook);

  // The nth operation of this kind from now (1 is the next), of those whose path contains `path_part`, fails
  // with DataLoss (EIO). Orders add up.
  void InjectError(SimOperation op, uint64_t nth, std::string path_part = "");

  // Whether Crash() may cut a write within a sector. Real disks don't, and a log may take such a cut for
  // damage.
  void set_byte_tears(bool byte_tears);

  void set_capacity_bytes(uint64_t bytes);
  uint64_t capacity_bytes() const;
  uint64_t used_bytes() const;

  // Inverts one bit (0 to 7) of a file, on the disk and in memory. The offset lies within the file.
  Status FlipBit(const std::string& path, uint64_t offset, int bit);

  // What Mapping::Resident answers; without it, true.
  using Residency = std::function<bool(const std::string& path, size_t offset, size_t length)>;
  void set_residency(Residency residency);

  // Operations so far, the failed ones included.
  uint64_t operations() const;

 private:
  friend class SimFile;
  friend class SimMapping;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;

  // Takes from.name away and puts `node` at to.name, in one; either side may be missing.
  struct NameChange {
    NodePtr from_directory;
    std::string from_name;
    NodePtr to_directory;
    std::string to_name;
    NodePtr node;

    void Apply() const;
  };

  struct Order {
    SimOperation op;
    uint64_t countdown;
    std::string path_part;
  };

  Status Before(SimOperation op, const std::string& path);

  // The rest is under mutex_.
  NodePtr Find(std::string_view path) const;
  // The directory of `path` and its last name.
  Status FindParent(const std::string& path, NodePtr* parent, std::string* name) const;
  StatusOr<NodePtr> FindOrCreate(const std::string& path, const OpenOptions& options);
  std::unique_ptr<File> NewFile(NodePtr node, const std::string& path, const OpenOptions& options);
  void Change(NameChange change);
  void UnlinkAll(const NodePtr& directory, const std::string& name);
  void CrashNames();
  void CrashContents(Node& node);
  // Makes a random part of the file's unsynced changes durable, and forgets the rest.
  void SurviveInPart(Node& node);
  // Each file of which a sync has failed is read from the disk again, or not.
  void MayDropCache(Node& node);
  uint64_t RoomBytes() const;

  mutable std::mutex mutex_;
  SeededRandom random_;
  NodePtr root_;
  std::vector<NameChange> name_changes_;  // Not durable yet, oldest first.
  std::vector<Order> orders_;
  Hook hook_;
  Residency residency_;
  OnFailedSync on_failed_sync_;
  uint64_t capacity_bytes_ = UINT64_MAX;
  bool byte_tears_ = true;
  uint64_t operations_ = 0;
  bool cache_lies_ = false;  // Of any file.
  uint64_t epoch_ = 0;       // Counts crashes and kills; an open file of an older epoch is dead.
};

}  // namespace quorate
