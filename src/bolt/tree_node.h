// A page of the tree while a write transaction changes it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "bolt/page.h"

namespace quorate::bolt {

// One element. The value lies right after the key, as on the page; both in the mapping or in the
// transaction's arena.
struct TreeItem {
  const char* data = nullptr;
  uint32_t key_size = 0;
  uint32_t value_size = 0;      // 0 in a branch.
  uint64_t child_or_flags = 0;  // Of a branch the child's page (0 before it has one), of a leaf the flags.

  std::string_view key() const { return {data, key_size}; }
  std::string_view value() const { return {data + key_size, value_size}; }
  uint64_t bytes() const { return kElementBytes + uint64_t{key_size} + value_size; }
  LeafElement leaf_element() const { return {static_cast<uint32_t>(child_or_flags), key(), value()}; }
};

// Invariants: items ascend strictly by key; of a branch, kids.size() == items.size() (null: not loaded), of a
// leaf kids is empty; bytes is the size of the whole as one page.
struct TreeNode {
  bool leaf = true;
  bool shrunk = false;  // Lost an element: may need to merge.
  PageId page = 0;      // Where it was read from, to be freed; 0: nowhere.
  uint64_t page_count = 0;
  PageId reserved = 0;  // Where a move wants it written if it still has page_count pages then; 0: anywhere.
  uint64_t bytes = kPageHeaderBytes;
  std::vector<TreeItem> items;
  std::vector<TreeNode*> kids;

  // The first item whose key is >= `key`.
  uint32_t LowerBound(std::string_view key) const;
  // The child under which `key` lies; a branch with items.
  uint32_t ChildIndex(std::string_view key) const;
};

// Writes header, elements and data of one page at `out`; returns the end. Fewer than 65535 items.
char* StorePage(char* out, const PageHeader& header, std::span<const TreeItem> items);

}  // namespace quorate::bolt
