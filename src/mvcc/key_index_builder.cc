#include <algorithm>
#include <span>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/hash.h"
#include "mvcc/key_index.h"

namespace quorate::mvcc {
namespace {

struct Sortable {
  uint64_t head;
  KeyNode* node;
};

// Sorts by the bytes after `skip`, which are the first ones that differ. Eight bytes are compared at a time;
// only runs of equals look further.
void SortKeys(std::span<Sortable> keys, size_t skip) {
  constexpr size_t kSmall = 16;
  if (keys.size() <= kSmall) {
    std::sort(keys.begin(), keys.end(),
              [](const Sortable& a, const Sortable& b) { return a.node->key() < b.node->key(); });
    return;
  }
  for (Sortable& s : keys) s.head = KeyHead(s.node->key(), skip);
  std::sort(keys.begin(), keys.end(), [](const Sortable& a, const Sortable& b) { return a.head < b.head; });
  for (size_t begin = 0; begin < keys.size();) {
    size_t end = begin + 1;
    size_t longest = keys[begin].node->key_size;
    for (; end < keys.size() && keys[end].head == keys[begin].head; ++end) {
      longest = std::max<size_t>(longest, keys[end].node->key_size);
    }
    const std::span<Sortable> run = keys.subspan(begin, end - begin);
    begin = end;
    if (run.size() < 2) continue;
    if (longest > skip + 8) {
      SortKeys(run, skip + 8);
    } else {  // They end within these eight bytes, and differ in how many zeros they end with.
      std::sort(run.begin(), run.end(),
                [](const Sortable& a, const Sortable& b) { return a.node->key_size < b.node->key_size; });
    }
  }
}

}  // namespace

struct KeyIndex::Builder::Leases {
  absl::flat_hash_map<const KeyNode*, int64_t> of;
};

KeyIndex::Builder::Builder(KeyIndex* index)
    : index_(index), slots_(1024), leases_(std::make_unique<Leases>()) {
  QUORATE_CHECK(index->size() == 0);
}

KeyIndex::Builder::~Builder() = default;

void KeyIndex::Builder::Add(const Record& record) {
  if (added_ - applied_ == kPendingMax) Apply(pending_[applied_++ % kPendingMax]);
  Pending& pending = pending_[added_++ % kPendingMax];
  pending.record = record;
  pending.hash = StringHash()(record.key);
  __builtin_prefetch(&slots_[pending.hash & (slots_.size() - 1)]);
}

KeyIndex::Builder::Slot* KeyIndex::Builder::FindSlot(const Pending& pending) {
  const size_t mask = slots_.size() - 1;
  size_t i = pending.hash & mask;
  while (slots_[i].node != nullptr) {
    if (slots_[i].hash == pending.hash && slots_[i].node->key() == pending.record.key) break;
    i = (i + 1) & mask;
  }
  return &slots_[i];
}

void KeyIndex::Builder::Grow() {
  std::vector<Slot> old(slots_.size() * 4);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.node == nullptr) continue;
    size_t i = slot.hash & mask;
    while (slots_[i].node != nullptr) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

void KeyIndex::Builder::Apply(const Pending& pending) {
  const Record& record = pending.record;
  Slot* slot = FindSlot(pending);
  const bool known = slot->node != nullptr;
  if (!known) {
    KeyNode* made = index_->arena_.New(record.key);
    *slot = {pending.hash, made};
    nodes_.push_back(made);
    index_->arena_.Append(made, record.revision, record.tombstone);
    if (!record.tombstone) {
      made->created = record.created;
      made->version = record.version;
    }
    if (record.lease != 0 && !record.tombstone) leases_->of[made] = record.lease;
    if (++used_ * 2 > slots_.size()) Grow();
    return;
  }
  KeyNode* node = slot->node;
  index_->arena_.Append(node, record.revision, record.tombstone);
  if (record.lease != 0 && !record.tombstone) {
    leases_->of[node] = record.lease;
  } else if (!leases_->of.empty()) {
    leases_->of.erase(node);
  }
}

void KeyIndex::Builder::Load() {
  while (applied_ < added_) Apply(pending_[applied_++ % kPendingMax]);
  if (added_ > 0) index_->newest_ = pending_[(added_ - 1) % kPendingMax].record.revision.main;
  std::vector<Slot>().swap(slots_);
  if (nodes_.empty()) return;
  size_t common = nodes_.front()->key_size;
  for (const KeyNode* node : nodes_) {
    common = CommonPrefix(nodes_.front()->key().substr(0, common), node->key());
  }
  std::vector<Sortable> sorted;
  sorted.reserve(nodes_.size());
  for (KeyNode* node : nodes_) sorted.push_back({0, node});
  SortKeys(sorted, common);
  for (size_t i = 0; i < sorted.size(); ++i) nodes_[i] = sorted[i].node;
  index_->tree_.BulkLoad(nodes_);
}

int64_t KeyIndex::Builder::LeaseOf(const KeyNode* node) const {
  if (leases_->of.empty()) return 0;
  const auto found = leases_->of.find(node);
  return found == leases_->of.end() ? 0 : found->second;
}

}  // namespace quorate::mvcc
