// The multi-version key space: etcd's store, revision for revision.
//
// Invariants:
//  1. current_revision() starts at 1, moves only at the end of a write transaction that changed something, by
//  one.
//  2. compacted_revision() <= current_revision(); it is -1 before the first compaction and only grows.
//  3. The index knows every record of bucket `key` (file and batches) except those that a finished index pass
//  of a
//     compaction has handed over for deletion.
//  4. At most one index pass (compaction or hash) is under way; they run in the order in which they were
//  asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "mvcc/backend.h"
#include "mvcc/event.h"
#include "mvcc/history.h"
#include "mvcc/key_index.h"
#include "mvcc/lease_binding.h"
#include "mvcc/range.h"
#include "mvcc/write_txn.h"

namespace quorate::mvcc {

// Texts that clients match on; both have code OutOfRange.
constexpr std::string_view kCompactedText = "etcdserver: mvcc: required revision has been compacted";
constexpr std::string_view kFutureRevisionText = "etcdserver: mvcc: required revision is a future revision";
Status CompactedError();
Status FutureRevisionError();
bool IsCompacted(const Status& status);

struct StoreOptions {
  // Since 3.4.34, 3.5.16 and 3.6 a tombstone at exactly the compacted revision stays (and HashKV leaves it
  // out, and may be asked for at the compacted revision itself). False is the rule of 3.4.23.
  bool keep_tombstone_at_compaction = false;
  size_t compaction_batch = 1000;  // Deletions a commit.
  // Each compaction first hashes what it begins with (see CompactionHashes), for which a reader thread reads
  // the whole key space up to there.
  bool hash_compactions = false;
};

struct HashKvResult {
  uint32_t hash = 0;
  int64_t compact_revision = 0;
  int64_t current_revision = 0;
};
// What a compaction at `revision` began with: the key space up to there, after the compaction before it.
struct CompactionHash {
  int64_t revision = 0;
  int64_t compact_revision = 0;  // Of the compaction before; -1: there was none.
  uint32_t hash = 0;

  friend bool operator==(const CompactionHash&, const CompactionHash&) = default;
};
struct HashResult {
  uint32_t hash = 0;
  int64_t current_revision = 0;
};

// Owner: the core's thread.
class Store {
 public:
  // Rebuilds the index from bucket `key`, binds leases, and resumes an unfinished compaction. Nothing is
  // owned; `leases` may be null when no key has a lease. The backend and the leases outlive the store.
  static StatusOr<std::unique_ptr<Store>> Open(const Env& env, Backend* backend, LeaseBinding* leases,
                                               StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  int64_t current_revision() const { return current_revision_; }
  int64_t compacted_revision() const { return compacted_revision_; }

  // --- reads
  // ------------------------------------------------------------------------------------------------------
  // Errors: CompactedError, FutureRevisionError.
  StatusOr<RangePlan> PlanRange(const RangeOptions& options);
  // PlanRange and Finish, on the core.
  StatusOr<RangeResult> Range(const RangeOptions& options);
  // Where the version of the key that was visible at revision `at` is stored (for Backend::GetKeyValue or a
  // ReadView); none when it did not exist then, or `at` has been compacted.
  std::optional<Revision> Find(std::string_view key, int64_t at) const;
  // Everything until now. Compare with compacted_revision() first.
  HistoryView History() const;

  // --- writes
  // -----------------------------------------------------------------------------------------------------
  WriteTxn BeginWrite();
  // Gets the events of every transaction at its end, after current_revision() has moved. It may read but not
  // write.
  void set_observer(std::function<void(const EventBatch&)> observer);

  // --- compaction
  // ------------------------------------------------------------------------------------------------- Errors
  // (no change): FutureRevisionError; CompactedError, `done` then runs when the compactions under way have
  // ended (that is what a physical request waits for before it is told). On success compacted_revision() is
  // `revision` at once, and `done` (may be empty) runs when the revisions are gone and that is durable. With
  // FutureRevisionError it is dropped.
  Status Compact(int64_t revision, std::function<void()> done);

  // True while there is an index pass or a deletion to carry on with: then Step is to be called each round of
  // the loop.
  bool busy() const;
  // Does up to `budget` keys' worth of work (a key is about 0.1 us).
  void Step(size_t budget);

  // --- hashes
  // -----------------------------------------------------------------------------------------------------
  // revision <= 0: the current one. Errors: CompactedError (at the compacted revision too, but for
  // keep_tombstone_at_compaction), FutureRevisionError. `done` runs in a later round, errors too. At the
  // revision of a compaction whose hash is kept: that one, as in etcd since 3.5.
  void HashKv(int64_t revision, std::function<void(StatusOr<HashKvResult>)> done);
  // Of the last kCompactionHashesMax compactions, oldest first (hash_compactions). Left out are compactions
  // that began before the one before them had ended, or that another process began (etcd #15919).
  static constexpr size_t kCompactionHashesMax = 10;
  const std::vector<CompactionHash>& CompactionHashes() const { return compaction_hashes_; }
  // The whole db, meta/consistent_index left out.
  void Hash(std::function<void(StatusOr<HashResult>)> done);

  // --- figures
  // ----------------------------------------------------------------------------------------------------
  struct Stats {
    int64_t keys = 0;     // Alive now.
    uint64_t ranges = 0;  // These four as etcd counts them: calls, and transactions with more than one.
    uint64_t puts = 0;
    uint64_t deletes = 0;
    uint64_t txns = 0;
    uint64_t total_put_bytes = 0;
    uint64_t compaction_keys_deleted = 0;
    uint64_t compactions = 0;
    int64_t last_compaction_nanos = 0;
    size_t index_bytes = 0;  // Memory of the index, keys included.
  };
  Stats stats() const;
  // A transaction that only read was answered from this many ranges.
  void CountReadTxn(size_t ranges) {
    if (ranges > 1) ++stats_.txns;
  }

  const KeyIndex& index() const { return index_; }

 private:
  friend class WriteTxn;
  class Jobs;

  Store(const Env& env, Backend* backend, LeaseBinding* leases, StoreOptions options);
  Status Restore();
  Status LoadCompactRevision(std::string_view key, int64_t* revision) const;
  Status RestoreIndex();
  // Checks the revision of a range against the bounds; *at gets the one to read at.
  Status ResolveRevision(int64_t asked, int64_t current, int64_t* at) const;
  StatusOr<RangePlan> PlanRangeAt(const RangeOptions& options, int64_t current) const;

  const Env env_;
  Backend* const backend_;
  LeaseBinding* const leases_;
  const StoreOptions options_;

  KeyIndex index_;
  int64_t current_revision_ = 1;
  int64_t compacted_revision_ = -1;
  std::vector<CompactionHash> compaction_hashes_;
  bool in_txn_ = false;
  EventBatch events_;  // Of the open transaction; reused.
  std::function<void(const EventBatch&)> observer_;
  std::shared_ptr<Jobs> jobs_;  // Shared only so that a completion can tell that it comes too late.
  Stats stats_;
};

}  // namespace quorate::mvcc
