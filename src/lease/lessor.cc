#include "lease/lessor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "lease/lease_record.h"

namespace quorate::lease {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kRevokeRoundNanos = 500'000'000;  // etcd: lessor.runLoop.
constexpr int64_t kNanosMax = std::numeric_limits<int64_t>::max();

Status LeaseNotFound() { return NotFound(kLeaseNotFoundText); }

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? kNanosMax : std::numeric_limits<int64_t>::min();
}

int64_t SaturatingSeconds(int64_t seconds) {
  int64_t nanos;
  return __builtin_mul_overflow(seconds, kNanosPerSecond, &nanos) ? kNanosMax : nanos;
}

}  // namespace

int64_t MinTtlSeconds(int64_t election_ticks, int64_t heartbeat_ms) {
  const int64_t min_ms = 3 * election_ticks / 2 * heartbeat_ms;
  return (min_ms + 999) / 1000;
}

// --- life ---

Lessor::Lessor(const Env& env, mvcc::Backend* backend, LessorOptions options)
    : env_(env), backend_(backend), options_(options) {}

Lessor::~Lessor() { Clear(); }

StatusOr<std::unique_ptr<Lessor>> Lessor::Open(const Env& env, mvcc::Backend* backend,
                                               LessorOptions options) {
  auto lessor = std::unique_ptr<Lessor>(new Lessor(env, backend, options));
  QUORATE_RETURN_IF_ERROR(lessor->Load());
  return lessor;
}

Status Lessor::Recover(mvcc::Backend* backend) {
  Clear();
  backend_ = backend;
  return Load();
}

void Lessor::Clear() {
  Demote();
  for (Item* item : items_) delete item;
  items_.clear();
  leases_.clear();
}

Status Lessor::Load() {
  Status status;
  const auto load = [&](std::string_view key, std::string_view value) {
    if (!status.ok()) return;
    const StatusOr<LeaseRecord> record = DecodeLeaseRecord(key, value);
    if (!record.ok()) {
      status = record.status();
      return;
    }
    auto lease = std::make_unique<Lease>();
    lease->id = record->id;
    lease->ttl_seconds = std::max(record->ttl_seconds, options_.min_ttl_seconds);
    lease->remaining_ttl_seconds = record->remaining_ttl_seconds;
    lease->attached = lease->detached = ++key_changes_;
    leases_.emplace(record->id, std::move(lease));
  };
  QUORATE_RETURN_IF_ERROR(backend_->ForEach(mvcc::Bucket::kLease, load));
  return status;
}

// --- applied from the log ---

Lessor::Lease* Lessor::Find(LeaseId id) const {
  const auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : it->second.get();
}

void Lessor::Persist(const Lease& lease) {
  backend_->Put(mvcc::Bucket::kLease, EncodeLeaseKey(lease.id),
                EncodeLeaseRecord({lease.id, lease.ttl_seconds, lease.remaining_ttl_seconds}));
}

StatusOr<int64_t> Lessor::Grant(LeaseId id, int64_t ttl_seconds) {
  if (id == kNoLease) return LeaseNotFound();
  if (ttl_seconds > kTtlMaxSeconds) return OutOfRange(kTtlTooLargeText);
  auto [it, added] = leases_.try_emplace(id);
  if (!added) return FailedPrecondition(kLeaseExistsText);
  it->second = std::make_unique<Lease>();
  Lease* lease = it->second.get();
  lease->id = id;
  lease->ttl_seconds = std::max(ttl_seconds, options_.min_ttl_seconds);
  lease->attached = lease->detached = ++key_changes_;
  Persist(*lease);
  ++stats_.granted;
  if (primary_) {
    const int64_t now = env_.clock->MonotonicNanos();
    Refresh(lease, now, lease->ttl_seconds, 0);
    ScheduleCheckpoint(lease, now);
  }
  return lease->ttl_seconds;
}

Status Lessor::Revoke(LeaseId id, const std::function<void(std::string_view key)>& delete_key) {
  Lease* lease = Find(id);
  if (lease == nullptr) return LeaseNotFound();
  // A copy: the store detaches each key as it goes. In order, or the members' hashes would differ.
  for (const std::string& key : Keys(id)) delete_key(key);
  while (!lease->items.empty()) RemoveItem(lease->items.back());
  backend_->Delete(mvcc::Bucket::kLease, EncodeLeaseKey(id));
  expiries_.Remove(lease);
  checkpoints_.Remove(lease);
  leases_.erase(id);
  ++stats_.revoked;
  return absl::OkStatus();
}

void Lessor::Checkpoint(LeaseId id, int64_t remaining_seconds) {
  Lease* lease = Find(id);
  if (lease == nullptr) return;
  lease->remaining_ttl_seconds = remaining_seconds;
  if (options_.checkpoint_persist) Persist(*lease);
  // The expiry stays: only the next primary starts from what remains.
  if (primary_) ScheduleCheckpoint(lease, env_.clock->MonotonicNanos());
}

// --- keys ---

Status Lessor::Attach(LeaseId id, std::string_view key) {
  Lease* lease = Find(id);
  if (lease == nullptr) return LeaseNotFound();
  if (const auto it = items_.find(key); it != items_.end()) {
    if ((*it)->lease == lease) return absl::OkStatus();
    RemoveItem(*it);
  }
  auto* item = new Item{std::string(key), lease, static_cast<uint32_t>(lease->items.size())};
  lease->items.push_back(item);
  lease->attached = ++key_changes_;
  items_.insert(item);
  return absl::OkStatus();
}

void Lessor::Detach(LeaseId id, std::string_view key) {
  const auto it = items_.find(key);
  if (it != items_.end() && (*it)->lease->id == id) RemoveItem(*it);
}

void Lessor::RemoveItem(Item* item) {
  std::vector<Item*>& items = item->lease->items;
  items[item->slot] = items.back();
  items[item->slot]->slot = item->slot;
  items.pop_back();
  item->lease->detached = ++key_changes_;
  items_.erase(item);
  delete item;
}

LeaseId Lessor::LeaseOf(std::string_view key) const {
  const auto it = items_.find(key);
  return it == items_.end() ? kNoLease : (*it)->lease->id;
}

std::vector<std::string> Lessor::Keys(LeaseId id) const {
  std::vector<std::string> keys;
  if (const Lease* lease = Find(id); lease != nullptr) {
    keys.reserve(lease->items.size());
    for (const Item* item : lease->items) keys.push_back(item->key);
    std::sort(keys.begin(), keys.end());
  }
  return keys;
}

void Lessor::ForEachKey(LeaseId id, const std::function<bool(std::string_view key)>& fn) const {
  const Lease* const lease = Find(id);
  if (lease == nullptr) return;
  for (const Item* item : lease->items) {
    if (!fn(item->key)) return;
  }
}

KeySet Lessor::keys(LeaseId id) const {
  const Lease* const lease = Find(id);
  return lease == nullptr ? KeySet{} : KeySet{lease->items.size(), lease->attached, lease->detached};
}

// --- the primary ---

void Lessor::Refresh(Lease* lease, int64_t now, int64_t ttl_seconds, int64_t extend_nanos) {
  const int64_t ttl_nanos = SaturatingAdd(SaturatingSeconds(ttl_seconds), extend_nanos);
  // One below kForever, which is no expiry at all.
  lease->expiry_nanos = std::min(SaturatingAdd(now, ttl_nanos), kForever - 1);
  expiries_.Set(lease, lease->expiry_nanos);
}

void Lessor::Promote(int64_t extend_nanos) {
  primary_ = true;
  const int64_t now = env_.clock->MonotonicNanos();
  next_revoke_round_nanos_ = now;
  for (const auto& [id, lease] : leases_) {
    Refresh(lease.get(), now, lease->start_ttl_seconds(), extend_nanos);
    ScheduleCheckpoint(lease.get(), now);
  }
  if (leases_.size() >= options_.revoke_rate) SpreadExpiries(now, extend_nanos);
}

// As many leases as the rate allows expire in one second; further ones of the same second are put off in turn
// (etcd: lessor.Promote). Targets three quarters of the rate, to leave room for those that pile up.
void Lessor::SpreadExpiries(int64_t now, int64_t extend_nanos) {
  const std::vector<Lease*> leases = ByExpiry();
  if (leases.empty()) return;
  const auto target = static_cast<int64_t>(3 * options_.revoke_rate / 4);
  if (target == 0) return;
  int64_t base = leases.front()->expiry_nanos - now;
  int64_t next = SaturatingAdd(base, kNanosPerSecond);
  int64_t expiring = 0;
  for (Lease* lease : leases) {
    const int64_t remaining = lease->expiry_nanos - now;
    if (remaining > next) {
      base = remaining;
      next = SaturatingAdd(base, kNanosPerSecond);
      expiring = 1;
      continue;
    }
    if (++expiring <= target) continue;
    double delay =
        static_cast<double>(kNanosPerSecond) * (static_cast<double>(expiring) / static_cast<double>(target));
    // Those n seconds ahead of the window's base are not put off by n seconds more.
    delay -= static_cast<double>(remaining - base);
    const auto delay_nanos = static_cast<int64_t>(delay);
    next = SaturatingAdd(base, delay_nanos);
    Refresh(lease, now, lease->start_ttl_seconds(), SaturatingAdd(delay_nanos, extend_nanos));
  }
}

void Lessor::Demote() {
  primary_ = false;
  expiries_.Clear();
  checkpoints_.Clear();
  for (const auto& [id, lease] : leases_) lease->expiry_nanos = kForever;
}

RenewOutcome Lessor::Renew(LeaseId id) {
  if (!primary_) return {RenewResult::kNotPrimary, 0};
  Lease* lease = Find(id);
  if (lease == nullptr) return {RenewResult::kNotFound, 0};
  const int64_t now = env_.clock->MonotonicNanos();
  // Too late even if it could still be saved: its revocation may be in the log already.
  if (lease->expiry_nanos <= now) return {RenewResult::kExpired, 0};
  if (options_.checkpoint && lease->remaining_ttl_seconds > 0) return {RenewResult::kNeedsCheckpoint, 0};
  // The full TTL, also where an old checkpoint remains and checkpoints are off: there the original would
  // renew for only what remained and yet answer with the full TTL.
  Refresh(lease, now, lease->ttl_seconds, 0);
  ++stats_.renewed;
  return {RenewResult::kRenewed, lease->ttl_seconds};
}

std::vector<LeaseId> Lessor::TakeExpired() {
  std::vector<LeaseId> expired;
  if (!primary_ || expiries_.empty()) return expired;
  const int64_t now = env_.clock->MonotonicNanos();
  if (now < next_revoke_round_nanos_) return expired;
  const size_t limit = std::max<size_t>(options_.revoke_rate / 2, 1);
  while (expired.size() < limit && expiries_.first_due() <= now) {
    Lease* lease = expiries_.first();
    expiries_.Set(lease, now + options_.revoke_retry_nanos);
    expired.push_back(lease->id);
  }
  if (!expired.empty()) next_revoke_round_nanos_ = now + kRevokeRoundNanos;
  return expired;
}

void Lessor::ScheduleCheckpoint(Lease* lease, int64_t now) {
  if (!options_.checkpoint) return;
  if (lease->start_ttl_seconds() > options_.checkpoint_interval_nanos / kNanosPerSecond)
    checkpoints_.Set(lease, now + options_.checkpoint_interval_nanos);
}

std::vector<LeaseCheckpoint> Lessor::TakeCheckpoints(size_t max) {
  std::vector<LeaseCheckpoint> due;
  if (!primary_ || checkpoints_.empty()) return due;
  const int64_t now = env_.clock->MonotonicNanos();
  while (!checkpoints_.empty() && due.size() < max && checkpoints_.first_due() <= now) {
    Lease* lease = checkpoints_.first();
    checkpoints_.Remove(lease);
    if (lease->expiry_nanos <= now) continue;
    const int64_t remaining = (lease->expiry_nanos - now - 1) / kNanosPerSecond + 1;
    if (remaining >= lease->ttl_seconds) {  // Renewed just now: nothing to remember yet.
      ScheduleCheckpoint(lease, now);
      continue;
    }
    due.push_back({lease->id, remaining});
  }
  return due;
}

int64_t Lessor::NextDeadlineNanos() const {
  int64_t deadline = kForever;
  if (!expiries_.empty()) deadline = std::max(expiries_.first_due(), next_revoke_round_nanos_);
  if (!checkpoints_.empty()) deadline = std::min(deadline, checkpoints_.first_due());
  return deadline;
}

// --- look-ups ---

StatusOr<TimeToLive> Lessor::Lookup(LeaseId id, bool with_keys) const {
  const Lease* lease = Find(id);
  if (lease == nullptr) return LeaseNotFound();
  TimeToLive out;
  out.granted_seconds = lease->ttl_seconds;
  const int64_t now = env_.clock->MonotonicNanos();
  out.remaining_seconds =
      (lease->expiry_nanos == kForever ? kNanosMax : lease->expiry_nanos - now) / kNanosPerSecond;
  if (with_keys) out.keys = Keys(id);
  return out;
}

std::vector<Lessor::Lease*> Lessor::ByExpiry() const {
  std::vector<Lease*> leases;
  leases.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) leases.push_back(lease.get());
  std::sort(leases.begin(), leases.end(), [](const Lease* a, const Lease* b) {
    return a->expiry_nanos != b->expiry_nanos ? a->expiry_nanos < b->expiry_nanos : a->id < b->id;
  });
  return leases;
}

std::vector<LeaseId> Lessor::Leases() const {
  std::vector<LeaseId> ids;
  ids.reserve(leases_.size());
  for (const Lease* lease : ByExpiry()) ids.push_back(lease->id);
  return ids;
}

void Lessor::CheckInvariants() const {
  size_t items = 0;
  for (const auto& [id, lease] : leases_) {
    QUORATE_CHECK(lease->id == id);
    for (uint32_t i = 0; i < lease->items.size(); ++i) {
      const Item* item = lease->items[i];
      QUORATE_CHECK(item->lease == lease.get() && item->slot == i);
      const auto it = items_.find(std::string_view(item->key));
      QUORATE_CHECK(it != items_.end() && *it == item);
    }
    items += lease->items.size();
    QUORATE_CHECK(primary_ == (lease->expiry_nanos != kForever));
    QUORATE_CHECK(primary_ == (lease->expiry_slot != kNotInHeap));
    QUORATE_CHECK(primary_ || lease->checkpoint_slot == kNotInHeap);
  }
  QUORATE_CHECK(items == items_.size());
  size_t rows = 0;
  const Status status =
      backend_->ForEach(mvcc::Bucket::kLease, [&](std::string_view key, std::string_view value) {
        const StatusOr<LeaseRecord> record = DecodeLeaseRecord(key, value);
        QUORATE_CHECK(record.ok() && leases_.contains(record->id));
        ++rows;
      });
  QUORATE_CHECK(status.ok() && rows == leases_.size());
  expiries_.CheckInvariants();
  checkpoints_.CheckInvariants();
}

}  // namespace quorate::lease
