#include "mvcc/write_txn.h"

#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/check.h"
#include "mvcc/key_value.h"
#include "mvcc/store.h"

namespace quorate::mvcc {

WriteTxn::WriteTxn(Store* store) : store_(store), begin_revision_(store->current_revision()) {
  QUORATE_CHECK_MSG(!store->in_txn_, "a write transaction is open already");
  store->in_txn_ = true;
}

WriteTxn::WriteTxn(WriteTxn&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      begin_revision_(other.begin_revision_),
      changes_(other.changes_),
      calls_(other.calls_) {}

WriteTxn::~WriteTxn() { QUORATE_CHECK_MSG(store_ == nullptr, "a write transaction was not ended"); }

int64_t WriteTxn::Put(std::string_view key, std::string_view value, int64_t lease_id) {
  Store& store = *store_;
  const Revision revision{begin_revision_ + 1, changes_++};
  const KeyIndex::PutResult put = store.index_.Put(key, revision);
  const KeyValue kv{key, put.created, revision.main, put.version, value, lease_id};
  const size_t size = EncodedSize(kv);
  char* bytes = store.backend_->Allocate(size);
  Encode(kv, bytes);
  const std::string_view stored(bytes, size);
  store.backend_->PutRecord(revision, false, stored);

  Event& event = store.events_.events.emplace_back();
  event.type = EventType::kPut;
  event.revision = revision;
  event.create = put.version == 1;
  event.key = EncodedKey(stored, key.size());
  event.key_value = stored;

  if (store.leases_ != nullptr) {
    Rebind(event.key, put.existed ? store.leases_->LeaseOf(event.key) : 0, lease_id);
  }
  ++calls_;
  ++store.stats_.puts;
  store.stats_.total_put_bytes += key.size() + value.size();
  return revision.main;
}

void WriteTxn::Rebind(std::string_view key, int64_t old_lease, int64_t lease) {
  if (old_lease == lease) return;
  if (old_lease != 0) store_->leases_->Detach(old_lease, key);
  if (lease == 0) return;
  const Status attached = store_->leases_->Attach(lease, key);
  QUORATE_CHECK_MSG(attached.ok(),
                    "a key was put with lease " + std::to_string(lease) + ", which is not there");
}

int64_t WriteTxn::DeleteRange(std::string_view key, std::string_view range_end) {
  ++calls_;
  ++store_->stats_.deletes;
  absl::InlinedVector<std::string_view, 8>
      keys;  // The index keeps the bytes of dead keys until a compaction.
  store_->index_.Range(key, range_end, revision(), [&keys](std::string_view found, const KeyVersion&) {
    keys.push_back(found);
    return true;
  });
  for (const std::string_view found : keys) DeleteKey(found);
  return static_cast<int64_t>(keys.size());
}

void WriteTxn::DeleteKey(std::string_view key) {
  Store& store = *store_;
  const Revision revision{begin_revision_ + 1, changes_++};
  QUORATE_CHECK(store.index_.Tombstone(key, revision));
  // What watchers get has the revision behind the key; what is stored has the key alone: a prefix of it.
  const KeyValue sent = DeletionSent(key, revision.main);
  const size_t size = EncodedSize(sent);
  char* bytes = store.backend_->Allocate(size);
  Encode(sent, bytes);
  store.backend_->PutRecord(revision, true, {bytes, EncodedSize(DeletionSent(key, 0))});

  Event& event = store.events_.events.emplace_back();
  event.type = EventType::kDelete;
  event.revision = revision;
  event.key_value = {bytes, size};
  event.key = EncodedKey(event.key_value, key.size());

  if (store.leases_ != nullptr) Rebind(event.key, store.leases_->LeaseOf(event.key), 0);
}

void WriteTxn::CountRange() {
  ++calls_;
  ++store_->stats_.ranges;
}

StatusOr<RangeResult> WriteTxn::Range(const RangeOptions& options) {
  CountRange();
  QUORATE_ASSIGN_OR_RETURN(const RangePlan plan, store_->PlanRangeAt(options, revision()));
  return plan.Finish();
}

StatusOr<std::optional<std::string_view>> WriteTxn::Get(std::string_view key) const {
  KeyVersion version;
  if (!store_->index_.Get(key, revision(), &version)) return std::optional<std::string_view>();
  return store_->backend_->GetKeyValue(version.modified);
}

int64_t WriteTxn::End() {
  Store& store = *std::exchange(store_, nullptr);
  store.in_txn_ = false;
  if (calls_ > 1) ++store.stats_.txns;
  if (changes_ == 0) return begin_revision_;
  store.current_revision_ = begin_revision_ + 1;
  if (store.observer_) {
    store.events_.revision = store.current_revision_;
    store.events_.pin = store.backend_->PinBatch();
    store.observer_(store.events_);
    store.events_.pin = nullptr;
  }
  store.events_.events.clear();
  return store.current_revision_;
}

}  // namespace quorate::mvcc
