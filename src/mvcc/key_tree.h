// The keys in order: a B+tree of pointers to key nodes, that knows how many of them are alive.
//
// A lookup compares eight bytes at a time: each tree node keeps, for each of its entries, the 8 bytes
// (big-endian) after the prefix that all its entries share, so a hit touches no key but the one that is
// found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "mvcc/key_node.h"

namespace quorate::mvcc {

// The 8 bytes of `key` after `skip`, big-endian, padded with zeros.
uint64_t KeyHead(std::string_view key, size_t skip);
size_t CommonPrefix(std::string_view a, std::string_view b);

// Does not own the key nodes. One owner thread. Invariants:
//  1. Keys ascend over the leaves, which are chained in order; no leaf is empty except a lone root.
//  2. Every leaf is at the same depth; separator i is > all keys below child i and <= all keys below child
//  i+1.
//  3. live counts of a leaf and of each child are the number of alive nodes below.
class KeyTree {
 public:
  static constexpr int kLeafMax = 32;
  static constexpr int kInnerMax = 64;
  static constexpr int kDepthMax = 16;

  struct Entry {
    uint64_t head;
    KeyNode* node;
  };
  struct Leaf {
    uint32_t count = 0;
    uint32_t skip = 0;  // Length of a prefix that all keys share.
    int64_t live = 0;
    Leaf* next = nullptr;
    Leaf* prev = nullptr;
    Entry entry[kLeafMax];
  };

  // A place in the order: before entry `position` of `leaf`; position may be leaf->count only in the last
  // leaf.
  struct Place {
    const Leaf* leaf = nullptr;
    uint32_t position = 0;
    bool end() const { return leaf == nullptr || position == leaf->count; }
    KeyNode* node() const { return leaf->entry[position].node; }
    void Advance() {
      if (++position == leaf->count && leaf->next != nullptr) *this = {leaf->next, 0};
    }
  };

  KeyTree();
  ~KeyTree();
  KeyTree(const KeyTree&) = delete;
  KeyTree& operator=(const KeyTree&) = delete;

  KeyNode* Find(std::string_view key) const;

  // Runs change(KeyNode*) on the key's node (null when missing). It may change whether the node is alive, or
  // return a new node, which is put in; it must not return null when the key is missing.
  template <typename Change>
  void Upsert(std::string_view key, Change&& change);

  // Takes the key out; it must be there. The node is not freed.
  void Erase(std::string_view key);

  // Fills an empty tree; `nodes` ascend by key.
  void BulkLoad(std::span<KeyNode* const> nodes);

  Place Begin() const { return {first_, 0}; }
  // The first key >= key.
  Place LowerBound(std::string_view key) const;
  // Alive keys < key.
  int64_t LiveBefore(std::string_view key) const;
  int64_t live() const { return live_; }
  size_t size() const { return size_; }
  size_t bytes() const { return bytes_; }

  // Walks everything; for tests. The text names the broken invariant, empty when all is well.
  std::string CheckInvariants() const;

 private:
  struct Inner;
  struct Path {
    Inner* inner[kDepthMax];
    uint32_t child[kDepthMax];
    Leaf* leaf = nullptr;
  };

  Leaf* Descend(std::string_view key, Path* path) const;
  static uint32_t FindInLeaf(const Leaf& leaf, std::string_view key, bool* found);
  static uint32_t LeafLowerBound(const Leaf& leaf, std::string_view key, bool* found);
  static void Rehead(Leaf& leaf);
  static std::string Separator(const Leaf& left, const Leaf& right);
  void InsertAt(Path& path, uint32_t position, std::string_view key, KeyNode* node);
  void SplitLeaf(Path& path, uint32_t keep);
  void InsertChild(Path& path, int level, std::string separator, void* child, int64_t child_live);
  void AddLive(const Path& path, int64_t delta);
  void Unlink(Leaf* leaf);
  void RemoveLeaf(Path& path);
  void MergeWithNext(Path& path);
  void CollapseRoot();
  Leaf* NewLeaf();
  Inner* NewInner();
  void FreeSubtree(void* node, int depth);
  int64_t CheckSubtree(const void* node, int depth, std::string_view low, const std::string* high,
                       std::string* problem) const;

  void* root_ = nullptr;  // Leaf when depth_ == 0, else Inner.
  int depth_ = 0;
  Leaf* first_ = nullptr;
  int64_t live_ = 0;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

template <typename Change>
void KeyTree::Upsert(std::string_view key, Change&& change) {
  Path path;
  Leaf* leaf = Descend(key, &path);
  bool found = false;
  uint32_t position = FindInLeaf(*leaf, key, &found);
  if (found) {
    KeyNode* node = leaf->entry[position].node;
    const bool alive = node->alive();
    change(node);
    if (node->alive() != alive) AddLive(path, node->alive() ? 1 : -1);
    return;
  }
  KeyNode* node = change(nullptr);
  position = LeafLowerBound(*leaf, key, &found);
  InsertAt(path, position, node->key(), node);
}

}  // namespace quorate::mvcc
