// Leases: who holds keys for how long. Semantics: etcd 3.4.23's lease/lessor.go with the later checkpoint
// fixes.
//
// Owner: the core's thread. What the log decides (grant, revoke, checkpoint) is the same on every member and
// is kept in bucket `lease`; time counts only on the primary (the raft leader), which finds what has expired
// and has it revoked through the log. Seconds are whole seconds of TTL, nanos are of Clock::MonotonicNanos.
//
// Invariants (checked by CheckInvariants()):
//  1. A key is attached to at most one lease, and that one exists.
//  2. Bucket `lease` has a row for exactly the leases in memory.
//  3. On the primary every lease has an expiry and an entry in the expiry heap; elsewhere none expires.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/status.h"
#include "lease/due_heap.h"
#include "mvcc/backend.h"
#include "mvcc/lease_binding.h"

namespace quorate::lease {

using LeaseId = int64_t;
constexpr LeaseId kNoLease = 0;
constexpr int64_t kTtlMaxSeconds = 9'000'000'000;  // etcd: MaxLeaseTTL

// Texts that clients match on: NotFound, FailedPrecondition, OutOfRange.
constexpr std::string_view kLeaseNotFoundText = "etcdserver: requested lease not found";
constexpr std::string_view kLeaseExistsText = "etcdserver: lease already exists";
constexpr std::string_view kTtlTooLargeText = "etcdserver: too large lease TTL";

// The least TTL in seconds, for LessorOptions: 1.5 election timeouts, rounded up (formats.md 6.5; etcd:
// NewServer).
int64_t MinTtlSeconds(int64_t election_ticks, int64_t heartbeat_ms);

struct LessorOptions {
  int64_t min_ttl_seconds = 2;
  size_t revoke_rate = 1000;                   // Leases a second.
  int64_t revoke_retry_nanos = 3'000'000'000;  // An expired lease not revoked by then is given out again.
  bool checkpoint = false;                     // --experimental-enable-lease-checkpoint
  bool checkpoint_persist = false;             // Or the cluster's version is 3.6 or above.
  int64_t checkpoint_interval_nanos = 300'000'000'000;
};

enum class RenewResult {
  kRenewed,
  kNotFound,         // The client gets TTL 0.
  kNotPrimary,       // To be sent to the leader.
  kExpired,          // Its revocation is under way: wait until this turns into kNotFound or kNotPrimary.
  kNeedsCheckpoint,  // Propose Checkpoint(id, 0) and call again once it is applied.
};
struct RenewOutcome {
  RenewResult result = RenewResult::kNotFound;
  int64_t ttl_seconds = 0;
};

struct TimeToLive {
  int64_t granted_seconds = 0;
  int64_t remaining_seconds = 0;  // Below 0 once expired; huge where not primary.
  std::vector<std::string> keys;  // Sorted; only when asked for.
};

// What is known of the keys of a lease without looking at them. The two marks are 0 for an unknown lease;
// otherwise no value of them ever comes again, also not for another lease of the same ID.
struct KeySet {
  size_t size = 0;
  uint64_t attached = 0;  // Moves with each key that comes.
  uint64_t detached = 0;  // With each that goes.
};

struct LeaseCheckpoint {
  LeaseId id = kNoLease;
  int64_t remaining_seconds = 0;
};

struct LessorStats {
  uint64_t granted = 0;
  uint64_t revoked = 0;
  uint64_t renewed = 0;
};

class Lessor final : public mvcc::LeaseBinding {
 public:
  // Loads the bucket. Keys are attached afterwards, by Store::Open. Not primary. DataLoss for a row that is
  // no lease. `backend` must outlive it.
  static StatusOr<std::unique_ptr<Lessor>> Open(const Env& env, mvcc::Backend* backend,
                                                LessorOptions options);
  ~Lessor() override;
  Lessor(const Lessor&) = delete;
  Lessor& operator=(const Lessor&) = delete;

  // Drops everything and loads from `backend` (a snapshot took the store's place). Demotes.
  Status Recover(mvcc::Backend* backend);

  // --- applied from the log ---
  // Returns the TTL that was stored. Errors, nothing changed: id 0 NotFound, TTL too large OutOfRange, id
  // taken FailedPrecondition.
  StatusOr<int64_t> Grant(LeaseId id, int64_t ttl_seconds);
  // Calls delete_key for each attached key, ascending (the store then detaches it), and deletes the lease's
  // row: inside one write transaction, so that both reach the disk together. NotFound when there is no such
  // lease.
  Status Revoke(LeaseId id, const std::function<void(std::string_view key)>& delete_key);
  // Sets what a new primary starts from; 0 for the full TTL. An unknown lease is no error.
  void Checkpoint(LeaseId id, int64_t remaining_seconds);

  // --- mvcc::LeaseBinding ---
  Status Attach(LeaseId id, std::string_view key) override;
  void Detach(LeaseId id, std::string_view key) override;
  LeaseId LeaseOf(std::string_view key) const override;

  // --- the primary ---
  bool primary() const { return primary_; }
  // This member leads: every lease gets its TTL (or what a checkpoint left of it) plus `extend_nanos` (the
  // election timeout), spread so that they don't all expire at once.
  void Promote(int64_t extend_nanos);
  void Demote();
  RenewOutcome Renew(LeaseId id);
  // The leases to be revoked now: at most half the rate, not oftener than each 500 ms; each again after the
  // retry time. The caller keeps no more than 16 revocations under way.
  std::vector<LeaseId> TakeExpired();
  // The checkpoints to be proposed now, at most `max` in one entry; when it returns `max`, there may be more.
  std::vector<LeaseCheckpoint> TakeCheckpoints(size_t max = 1000);
  // When TakeExpired or TakeCheckpoints has something to give; INT64_MAX for never. Lies in the past while
  // something is waiting to be taken, so one who is at the limit of revocations under way should not ask.
  int64_t NextDeadlineNanos() const;
  // Follows the cluster's version.
  void set_checkpoint_persist(bool persist) { options_.checkpoint_persist = persist; }

  // --- look-ups ---
  bool Exists(LeaseId id) const { return leases_.contains(id); }
  // NotFound when there is no such lease (the client gets TTL -1).
  StatusOr<TimeToLive> Lookup(LeaseId id, bool with_keys) const;
  // In order of expiry, equals by id.
  std::vector<LeaseId> Leases() const;
  // The attached keys, ascending; none for an unknown lease.
  std::vector<std::string> Keys(LeaseId id) const;
  // The same without copies, in no order; false ends it.
  void ForEachKey(LeaseId id, const std::function<bool(std::string_view key)>& fn) const;
  KeySet keys(LeaseId id) const;
  size_t size() const { return leases_.size(); }
  const LessorStats& stats() const { return stats_; }
  void CheckInvariants() const;

 private:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  struct Lease;
  // An attached key. Its bytes are kept once.
  struct Item {
    std::string key;
    Lease* lease;
    uint32_t slot;  // In lease->items.
  };
  struct ItemHash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return StringHash()(key); }
    size_t operator()(const Item* item) const { return StringHash()(item->key); }
  };
  struct ItemEq {
    using is_transparent = void;
    static std::string_view Key(std::string_view key) { return key; }
    static std::string_view Key(const Item* item) { return item->key; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Key(a) == Key(b);
    }
  };
  struct Lease {
    LeaseId id = kNoLease;
    int64_t ttl_seconds = 0;
    int64_t remaining_ttl_seconds = 0;  // From a checkpoint; 0: none.
    int64_t expiry_nanos = kForever;
    uint32_t expiry_slot = kNotInHeap;
    uint32_t checkpoint_slot = kNotInHeap;
    uint64_t attached = 0;  // See KeySet.
    uint64_t detached = 0;
    std::vector<Item*> items;

    int64_t start_ttl_seconds() const {
      return remaining_ttl_seconds > 0 ? remaining_ttl_seconds : ttl_seconds;
    }
  };

  Lessor(const Env& env, mvcc::Backend* backend, LessorOptions options);
  void Clear();
  Status Load();
  Lease* Find(LeaseId id) const;
  void Persist(const Lease& lease);
  void RemoveItem(Item* item);
  // Sets the expiry `extend_nanos` plus `ttl_seconds` from `now`.
  void Refresh(Lease* lease, int64_t now, int64_t ttl_seconds, int64_t extend_nanos);
  void SpreadExpiries(int64_t now, int64_t extend_nanos);
  void ScheduleCheckpoint(Lease* lease, int64_t now);
  std::vector<Lease*> ByExpiry() const;

  const Env env_;
  mvcc::Backend* backend_;
  LessorOptions options_;
  LessorStats stats_;
  uint64_t key_changes_ = 0;  // Counts them for KeySet.
  bool primary_ = false;
  absl::flat_hash_map<LeaseId, std::unique_ptr<Lease>> leases_;
  absl::flat_hash_set<Item*, ItemHash, ItemEq> items_;
  DueHeap<Lease, &Lease::expiry_slot> expiries_;  // By expiry, or by when to give it out again.
  DueHeap<Lease, &Lease::checkpoint_slot> checkpoints_;
  int64_t next_revoke_round_nanos_ = 0;
};

}  // namespace quorate::lease
