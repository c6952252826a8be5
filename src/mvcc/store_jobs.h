// The store's long work in small steps: compactions and hashes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "mvcc/store.h"

namespace quorate::mvcc {

// Compactions are done one after the other, in the order in which they were asked for, each: a pass over the
// index, which forgets the revisions and tells which; sorting them (on a reader thread), so that the
// deletions go through the file in one direction; the deletions, in batches, a commit each;
// finishedCompactRev with the last batch.
//
// A hash needs one pass over the index too. It goes before any compaction's: so the index is as it was when
// the hash was asked for, or compacted at a revision that the hash lies above, which makes no difference to
// it. The file may go on to be compacted: the hash has a view of its own.
class Store::Jobs : public std::enable_shared_from_this<Store::Jobs> {
 public:
  explicit Jobs(Store* store) : store_(store) {}

  // Compacts at store_->compacted_revision().
  void AddCompaction(std::function<void()> done);
  // Runs `done` when the last compaction so far has ended.
  void AfterCompactions(std::function<void()> done);
  void AddHashKv(int64_t revision, std::function<void(StatusOr<HashKvResult>)> done);
  // Hashes what a compaction at `revision`, which is to be added next, begins with, and keeps the hash in the
  // store. Not while another compaction is under way.
  void AddCompactionHash(int64_t revision);

  bool busy() const;
  void Step(size_t budget);

 private:
  enum class Phase { kIndex, kSort, kDelete };

  struct Compaction {
    int64_t revision = 0;
    int64_t begin_nanos = 0;
    Phase phase = Phase::kIndex;
    bool waiting = false;  // For a thread or a commit.
    KeyIndex::Pass pass;
    std::vector<DroppedRecord> dropped;
    size_t deleted = 0;
    std::vector<std::function<void()>> done;
  };

  struct HashKvJob {
    int64_t revision = 0;
    HashKvResult result;
    bool skip_tombstone = false;
    bool tombstone_counts = false;  // See KeyIndex::KeepStep.
    ReadView view;
    KeyIndex::Pass pass;
    std::vector<Revision> kept;  // Of those up to the compacted revision.
    bool keeps_any = false;
    std::function<void(StatusOr<HashKvResult>)> done;

    Status Compute();
  };

  std::shared_ptr<HashKvJob> NewHashKv(int64_t revision) const;
  void StepDelete(Compaction& compaction);
  void Sort(const std::shared_ptr<Compaction>& compaction);
  void Finish();
  void ComputeHash(const std::shared_ptr<HashKvJob>& job);

  Store* const store_;
  std::deque<std::shared_ptr<Compaction>> compactions_;
  std::deque<std::shared_ptr<HashKvJob>> hashes_;
};

}  // namespace quorate::mvcc
