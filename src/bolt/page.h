// Pages of the db file and the views through which they are read. The format is bbolt's
// (https://github.com/etcd-io/bbolt, page.go, bucket.go), all integers little-endian:
//   page header     id u64 | flags u16 | count u16 | overflow u32; a page spans 1+overflow pages of the file
//   leaf element    flags u32 | pos u32 | ksize u32 | vsize u32    key at element+pos, the value right after
//   branch element  pos u32 | ksize u32 | child u64                key at element+pos
//   bucket value    root u64 | sequence u64; root 0: a whole leaf page follows ("inline", its id is 0)
// Elements stand in one array after the header, sorted by key.
//
// Nothing read here is trusted: a view hands out only bytes that lie inside its page, and PageSource only
// pages that lie below the high-water mark. All of it is immutable and may be used on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/endian.h"
#include "base/status.h"

namespace quorate::bolt {

using PageId = uint64_t;

// The free list is not in the file (bbolt: pgidNoFreelist).
constexpr PageId kFreelistNone = UINT64_MAX;

constexpr uint16_t kBranchPage = 0x01;
constexpr uint16_t kLeafPage = 0x02;
constexpr uint16_t kMetaPage = 0x04;
constexpr uint16_t kFreelistPage = 0x10;
// Of a leaf element: its value is a nested bucket.
constexpr uint32_t kBucketElement = 0x01;

constexpr size_t kPageHeaderBytes = 16;
constexpr size_t kElementBytes = 16;
constexpr size_t kBucketHeaderBytes = 16;
// 1024 << 14 is the last offset at which bbolt looks for the second meta.
constexpr uint32_t kPageBytesMin = 1024;
constexpr uint32_t kPageBytesMax = 1024u << 14;
// With two keys a page, deeper trees would not fit into 2^64 bytes: deeper means a circle.
constexpr int kTreeDepthMax = 64;
// Nested buckets deeper than this are refused before recursion can hurt the stack.
constexpr int kBucketDepthMax = 64;

struct PageHeader {
  PageId id = 0;
  uint16_t flags = 0;
  uint16_t count = 0;
  uint32_t overflow = 0;

  static PageHeader Load(const char* p) {
    return {LoadLittle<uint64_t>(p), LoadLittle<uint16_t>(p + 8), LoadLittle<uint16_t>(p + 10),
            LoadLittle<uint32_t>(p + 12)};
  }
  void Store(char* p) const {
    StoreLittle(p, id);
    StoreLittle(p + 8, flags);
    StoreLittle(p + 10, count);
    StoreLittle(p + 12, overflow);
  }
};

struct LeafElement {
  uint32_t flags = 0;
  std::string_view key;
  std::string_view value;

  bool is_bucket() const { return (flags & kBucketElement) != 0; }
};

// A branch or leaf page whose element array is known to lie inside it. Borrowed from the mapping.
class PageView {
 public:
  PageView() = default;

  // False unless the header says branch or leaf and the elements fit into `extent` bytes at `data`.
  static bool Parse(const char* data, uint64_t extent, PageView* out);

  bool is_leaf() const { return leaf_; }
  uint32_t count() const { return count_; }
  PageId id() const { return id_; }
  uint64_t extent() const { return extent_; }
  const char* data() const { return data_; }

  // Each is false when the element points outside the page. i < count().
  bool Key(uint32_t i, std::string_view* key) const {
    const char* element = Element(i);
    const uint64_t pos = LoadLittle<uint32_t>(leaf_ ? element + 4 : element);
    const uint64_t key_size = LoadLittle<uint32_t>(leaf_ ? element + 8 : element + 4);
    if (Offset(i) + pos + key_size > extent_) [[unlikely]]
      return false;
    *key = {element + pos, static_cast<size_t>(key_size)};
    return true;
  }
  bool Leaf(uint32_t i, LeafElement* out) const {
    const char* element = Element(i);
    const uint64_t pos = LoadLittle<uint32_t>(element + 4);
    const uint64_t key_size = LoadLittle<uint32_t>(element + 8);
    const uint64_t value_size = LoadLittle<uint32_t>(element + 12);
    if (Offset(i) + pos + key_size + value_size > extent_) [[unlikely]]
      return false;
    out->flags = LoadLittle<uint32_t>(element);
    out->key = {element + pos, static_cast<size_t>(key_size)};
    out->value = {element + pos + key_size, static_cast<size_t>(value_size)};
    return true;
  }
  PageId Child(uint32_t i) const { return LoadLittle<uint64_t>(Element(i) + 8); }

  // The first element whose key is >= `key`; count() when there is none. False on a damaged element.
  bool LowerBound(std::string_view key, uint32_t* index) const;
  // The child of a branch page under which `key` lies. False on a damaged element; count() > 0.
  bool ChildIndex(std::string_view key, uint32_t* index) const;

 private:
  static uint64_t Offset(uint32_t i) { return kPageHeaderBytes + uint64_t{i} * kElementBytes; }
  const char* Element(uint32_t i) const { return data_ + Offset(i); }

  const char* data_ = nullptr;
  uint64_t extent_ = 0;
  PageId id_ = 0;
  uint32_t count_ = 0;
  bool leaf_ = false;
};

// The pages of one committed state. Borrows the mapping and the path.
struct PageSource {
  const char* base = nullptr;
  uint64_t high_water = 0;  // Pages at and beyond it don't exist.
  uint32_t page_size = 0;
  const std::string* path = nullptr;

  // The pages spanned by page `id`, 0 when its header can't be right.
  uint64_t Span(PageId id) const;
  // A branch or leaf page; false when `id` names no such page. Damage() then tells why.
  bool Load(PageId id, PageView* out) const;
  // DataLoss that names file, page, byte offset and the way out. Page 0 stands for an inline bucket.
  Status Damage(PageId id, std::string_view what) const;
};

// A bucket as its value in the parent's leaf tells it.
struct BucketHeader {
  PageId root = 0;  // 0: inline.
  uint64_t sequence = 0;
  PageView inline_page;  // Set when root is 0.

  // False when the value is too short or its inline page is damaged.
  static bool Parse(std::string_view value, BucketHeader* out);
};

}  // namespace quorate::bolt
