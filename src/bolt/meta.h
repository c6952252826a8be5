// The meta page: which tree is the newest. Two of them lie in pages 0 and 1, so that writing one leaves the
// other.
//   after the page header: magic u32 | version u32 | page size u32 | flags u32 | root page u64 | root
//   sequence u64 | free list page u64 | high water u64 | txid u64 | checksum u64 (FNV-64a of the 56 bytes
//   before it)
// Source: bbolt, db.go (type meta).
#pragma once

#include <cstdint>
#include <optional>

#include "bolt/page.h"

namespace quorate::bolt {

struct Meta {
  static constexpr uint32_t kMagic = 0xED0CDAED;
  static constexpr uint32_t kVersion = 2;
  static constexpr size_t kBytes = 64;

  uint32_t page_size = 0;
  PageId root = 0;
  uint64_t root_sequence = 0;
  PageId freelist = kFreelistNone;
  uint64_t high_water = 0;
  uint64_t txid = 0;

  // `p` has kPageHeaderBytes + kBytes bytes. Nothing when magic, version, checksum, the page size or a page
  // id can't be.
  static std::optional<Meta> Parse(const char* p);
  // Header and meta, for page `id`.
  void Store(char* p, PageId id) const;
};

}  // namespace quorate::bolt
