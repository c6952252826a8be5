// Which revisions each key has: etcd's treeIndex and keyIndex, in a fraction of the memory.
//
// A key's history falls into generations: from the put that brings it into being to the tombstone that ends
// it. What compaction keeps, and what a key was at a revision, is exactly as in etcd (mvcc/key_index.go,
// mvcc/index.go). Cost: about 75 bytes a key beyond its own bytes, 16 to 24 bytes a further revision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mvcc/key_node.h"
#include "mvcc/key_tree.h"
#include "mvcc/revision.h"

namespace quorate::mvcc {

// "\0" as range_end: no upper bound (etcd: mkGteRange).
inline bool IsOpenEnd(std::string_view range_end) { return range_end.size() == 1 && range_end[0] == '\0'; }

// Owner: the core's thread. range_end: empty is the one key, "\0" everything from key on, else exclusive.
class KeyIndex {
 public:
  KeyIndex() = default;
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  struct PutResult {
    bool existed = false;  // Whether the key was alive before.
    int64_t created = 0;   // Main revision.
    int64_t version = 0;   // From 1.
  };
  // `revision` is newer than everything in the index.
  PutResult Put(std::string_view key, Revision revision);
  // False, and no change, when the key is not alive.
  bool Tombstone(std::string_view key, Revision revision);

  // False when the key did not exist at that revision.
  bool Get(std::string_view key, int64_t at, KeyVersion* out) const;

  // Calls fn(key, const KeyVersion&) -> bool for each key that existed at that revision, in order; false ends
  // it. The keys' bytes live until the key is compacted away.
  template <typename Fn>
  void Range(std::string_view key, std::string_view range_end, int64_t at, Fn&& fn) const;
  // The number of keys that Range would visit; for the newest revision without visiting them.
  int64_t Count(std::string_view key, std::string_view range_end, int64_t at) const;

  // A walk over all keys in steps, changes allowed in between.
  struct Pass {
    std::string after;  // The last key that was seen.
    bool begun = false;
    bool done = false;
  };
  // Forgets what a compaction at `at` deletes, and tells it. keep_tombstone: a tombstone at exactly `at`
  // stays.
  void CompactStep(Pass* pass, int64_t at, bool keep_tombstone, size_t budget,
                   std::vector<DroppedRecord>* dropped);
  // What a compaction at `at` would keep (etcd: treeIndex.Keep): of each key the newest record with main <=
  // at, unless it is a tombstone. Those with main <= only_until are listed, in order of keys; *any tells
  // whether there are any at all. `tombstone_counts`: a tombstone at exactly `at` is one of them, as in the
  // compaction itself (etcd: treeIndex.Compact).
  void KeepStep(Pass* pass, int64_t at, int64_t only_until, bool tombstone_counts, size_t budget,
                std::vector<Revision>* kept, bool* any) const;

  // Rebuilds an empty index from records given in ascending order of revision. `created` and `version` are
  // the stored pair's and count only where the key is new to the index, since what came before has been
  // compacted away.
  class Builder;

  // Main revision of the newest record; 0 when there was none.
  int64_t newest() const { return newest_; }
  int64_t alive() const { return tree_.live(); }
  // Keys known, dead ones included.
  size_t size() const { return tree_.size(); }
  // Memory, keys included.
  size_t bytes() const { return arena_.bytes() + tree_.bytes(); }
  std::string CheckInvariants() const { return tree_.CheckInvariants(); }

 private:
  // Where a pass goes on.
  KeyTree::Place Resume(const Pass& pass) const;

  KeyTree tree_;
  KeyNodeArena arena_;
  int64_t newest_ = 0;
};

// Takes records as they come and sorts the keys once, at the end. Lives within one call of its owner.
class KeyIndex::Builder {
 public:
  explicit Builder(KeyIndex* index);
  ~Builder();

  struct Record {
    std::string_view key;  // Lives until Finish.
    Revision revision;
    bool tombstone = false;
    int64_t created = 0;
    int64_t version = 0;
    int64_t lease = 0;
  };
  // Revisions ascend.
  void Add(const Record& record);
  // fn(key, lease) for each live key whose newest pair has a lease, in order of keys.
  template <typename Fn>
  void Finish(Fn&& fn);

 private:
  struct Slot {
    uint64_t hash;
    KeyNode* node;  // Null: free.
  };
  struct Pending {
    Record record;
    uint64_t hash = 0;
  };
  static constexpr size_t kPendingMax =
      16;  // Lookups under way at once, so that they wait for memory together.

  void Apply(const Pending& pending);
  Slot* FindSlot(const Pending& pending);
  void Grow();
  void Load();
  int64_t LeaseOf(const KeyNode* node) const;

  KeyIndex* index_;
  std::vector<Slot> slots_;
  size_t used_ = 0;
  Pending pending_[kPendingMax];
  size_t added_ = 0;
  size_t applied_ = 0;
  std::vector<KeyNode*> nodes_;
  struct Leases;
  std::unique_ptr<Leases> leases_;
};

template <typename Fn>
void KeyIndex::Builder::Finish(Fn&& fn) {
  Load();
  for (const KeyNode* node : nodes_) {
    const int64_t lease = LeaseOf(node);
    if (lease != 0) fn(node->key(), lease);
  }
}

template <typename Fn>
void KeyIndex::Range(std::string_view key, std::string_view range_end, int64_t at, Fn&& fn) const {
  KeyVersion version;
  if (range_end.empty()) {
    const KeyNode* node = tree_.Find(key);
    if (node != nullptr && VersionAt(*node, at, &version)) fn(node->key(), version);
    return;
  }
  const bool open = IsOpenEnd(range_end);
  if (!open && range_end <= key) return;
  for (KeyTree::Place place = tree_.LowerBound(key); !place.end(); place.Advance()) {
    constexpr uint32_t kAhead = 4;
    if (place.position + kAhead < place.leaf->count)
      __builtin_prefetch(place.leaf->entry[place.position + kAhead].node);
    const KeyNode* node = place.node();
    if (!open && node->key() >= range_end) return;
    if (VersionAt(*node, at, &version) && !fn(node->key(), version)) return;
  }
}

}  // namespace quorate::mvcc
