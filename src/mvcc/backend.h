// All replicated state on disk: etcd's buckets in one db file, written in batches.
//
// The core never waits. Changes go into an in-memory batch; every 100 ms or 10,000 operations, or when asked,
// the batch is frozen and handed to Lane::kDb, where one bolt transaction applies and commits it, while a new
// batch fills. Durability comes from the write-ahead log: the file may trail it, and the consistent index in
// the file says by how much.
//
// Invariants:
//  1. At most one commit is under way; further wishes are served by one commit after it. A defragmentation
//  goes on in steps that commits take along.
//  2. A frozen batch never changes. The records of bucket `key` in a batch ascend by revision, and are all
//  newer than
//     those of the batch before and of the file.
//  3. What a read sees is open batch over frozen batch over committed file.
//  4. meta/consistent_index is written in the same bolt transaction as the changes made until it was set,
//  never goes
//     back, and never names a change that is not in the file.
//  5. After a failed commit nothing is committed again: `on_fatal` is called once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/limits.h"
#include "base/status.h"
#include "mvcc/read_view.h"
#include "mvcc/revision.h"

namespace quorate::mvcc {

// The buckets of the schema of 3.4; names as etcd has them (etcd: mvcc/kvstore.go, lease/lessor.go,
// auth/store.go, etcdserver/api/membership/store.go). All are created at open.
enum class Bucket : uint8_t {
  kKey,
  kMeta,
  kLease,
  kAlarm,
  kCluster,
  kMembers,
  kMembersRemoved,
  kAuth,
  kAuthUsers,
  kAuthRoles,
};
constexpr size_t kBucketCount = 10;
std::string_view BucketName(Bucket bucket);

// Keys of bucket `meta` (frozen).
constexpr std::string_view kConsistentIndexKey = "consistent_index";
constexpr std::string_view kTermKey = "term";
constexpr std::string_view kScheduledCompactKey = "scheduledCompactRev";
constexpr std::string_view kFinishedCompactKey = "finishedCompactRev";

struct BackendOptions {
  int64_t batch_interval_nanos = limits::kDbBatchIntervalNanos;
  size_t batch_operations = limits::kDbBatchOperations;
  bool sync = true;         // False: --unsafe-no-fsync.
  size_t map_bytes = 0;     // Address space reserved for the file's mapping; 0 leaves it to bolt.
  bool write_term = false;  // Whether meta/term is kept (cluster version 3.5 and above).
  // A commit or its sync failed: nothing more will be written. On the core's thread. The program is expected
  // to end.
  std::function<void(const Status&)> on_fatal;
};

// Owner: the core's thread; ReadViews may leave it.
class Backend {
 public:
  // Creates the file and the missing buckets.
  static StatusOr<std::unique_ptr<Backend>> Open(const Env& env, const std::string& path,
                                                 BackendOptions options);
  // Without Close, what is in the batches is lost (the log has it).
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // Commits everything, on the caller's thread, waiting for a commit under way. Nothing may be called
  // afterwards but the destructor; views taken before stay valid. Callbacks not yet run are dropped.
  Status Close();

  // --- changes: into the open batch
  // ------------------------------------------------------------------------------- The bytes are copied. Not
  // for Bucket::kKey.
  void Put(Bucket bucket, std::string_view key, std::string_view value);
  void Delete(Bucket bucket, std::string_view key);

  // Bytes of the open batch's arena; they never move and live as long as the batch. The caller fills them
  // before anything else is called.
  char* Allocate(size_t bytes);
  // A record of bucket `key`; `value` lies in the arena (Allocate). Revisions only ascend.
  void PutRecord(Revision revision, bool tombstone, std::string_view value);
  // Keeps what has been allocated in the open batch.
  std::shared_ptr<const void> PinBatch() const;
  // Removes a record that is in the file or in a batch (compaction). Views go on seeing it until that is
  // committed.
  void DeleteRecord(Revision revision, bool tombstone);

  // The raft index (and term) of the entry whose changes are being made, or have been made, in this round of
  // the loop. An index that is not greater than the present one is ignored. On disk it appears with the next
  // commit that carries a change, or with the next one asked for by Commit().
  void SetConsistentIndex(uint64_t index, uint64_t term);
  // The newest one set, or found at open.
  uint64_t consistent_index() const;
  uint64_t consistent_term() const;
  void set_write_term(bool write_term);

  // --- commits
  // ----------------------------------------------------------------------------------------------------
  // Starts a commit when the interval has passed since the batch's first change or the batch is full.
  void MaybeCommit(int64_t now_nanos);
  // When MaybeCommit has something to do at the latest; INT64_MAX when the batch is empty.
  int64_t next_commit_nanos() const;
  // Commits what is in the batch now, the consistent index included; `done` (may be empty) runs in a later
  // round of the loop, when all of it is durable. Not within an open WriteTxn.
  void Commit(std::function<void()> done);

  // --- reads
  // ------------------------------------------------------------------------------------------------------
  // The small buckets (not kKey), pending changes included.
  StatusOr<std::optional<std::string>> Get(Bucket bucket, std::string_view key) const;
  // In ascending order of keys. The views live during the call of fn; fn makes no changes here.
  Status ForEach(Bucket bucket,
                 const std::function<void(std::string_view key, std::string_view value)>& fn) const;

  // Bucket `key` as it is now. Cheap: one counted reference.
  ReadView View() const;
  // Like View().GetKeyValue(revision), without the counting: the bytes live until the next commit is started
  // or ended, that is at least until the control goes back to the loop, unless the caller commits.
  StatusOr<std::optional<std::string_view>> GetKeyValue(Revision revision) const;

  // --- whole file
  // ------------------------------------------------------------------------------------------------- A
  // consistent copy of the file as it is committed. Everything runs on any one thread.
  class Snapshot {
   public:
    virtual ~Snapshot() = default;
    virtual uint64_t size_bytes() const = 0;
    // Hands out exactly size_bytes() bytes, in order; an error of `write` ends it.
    virtual Status CopyTo(const std::function<Status(std::string_view chunk)>& write) = 0;
    // CRC-32C over all buckets: name, then key and value of each pair, ascending. For these keys of `meta`
    // the pair is left out (etcd: mvcc/backend Hash with DefaultIgnores).
    virtual StatusOr<uint32_t> Hash(const std::vector<std::string>& ignored_meta_keys) = 0;
  };
  // Commits, then hands over a snapshot that has all changes made until this call; or the error.
  void BeginSnapshot(std::function<void(StatusOr<std::shared_ptr<Snapshot>>)> done);
  // `frozen` runs at the moment whose state the snapshot shows, later changes excluded: now, or when the
  // commit under way has ended. It makes no changes here.
  void BeginSnapshot(std::function<void()> frozen,
                     std::function<void(StatusOr<std::shared_ptr<Snapshot>>)> done);

  // Gives the free pages of the file back while it is in use: see defragmenter.h. `done` is told when that
  // has ended; when readers still hold the end of the file after a while, it is cut later and `done` hears
  // OK. A call while one is under way joins it. On any failure all is as valid as before.
  void Defragment(std::function<void(Status)> done);
  bool defragmenting() const;
  // Ends the one under way between two of its steps and refuses each further one, telling `reason`: at the
  // end, and before another file takes this one's place by a job of Lane::kDb, where a copy that took the
  // name after it would put the old state again.
  void RefuseDefragmentation(const Status& reason);

  // --- figures
  // ----------------------------------------------------------------------------------------------------
  struct Stats {
    uint64_t size_bytes = 0;         // etcd's Size(): high-water mark times page size.
    uint64_t size_in_use_bytes = 0;  // Without free pages.
    uint64_t pending_bytes = 0;      // Memory of the batches: what the file lacks.
    size_t pending_operations = 0;
    int open_reads = 0;
    uint64_t commits = 0;
    int64_t last_commit_nanos = 0;  // Duration.
  };
  Stats stats() const;
  uint64_t size_bytes() const;
  uint64_t pending_bytes() const;
  // Called after each commit with its duration; for histograms.
  void set_commit_observer(std::function<void(int64_t nanos)> observer);
  // The same after each defragmentation that went well.
  void set_defragment_observer(std::function<void(int64_t nanos)> observer);

 private:
  friend class Defragmenter;
  struct Impl;
  explicit Backend(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // Shared only so that a completion can tell that it comes too late.
};

}  // namespace quorate::mvcc
