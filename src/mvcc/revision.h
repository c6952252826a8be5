// Revisions: the version numbers of the key space.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/endian.h"

namespace quorate::mvcc {

// `main` is the revision of the store after the transaction, `sub` the position of the change within it, from
// 0.
struct Revision {
  int64_t main = 0;
  int64_t sub = 0;
  auto operator<=>(const Revision&) const = default;  // NOLINT(modernize-use-nullptr): not a pointer
};

// The key in bucket `key`: main (8 bytes, big-endian) '_' sub (8 bytes), and a trailing 't' for a tombstone.
constexpr size_t kRevisionKeyBytes = 17;
constexpr size_t kTombstoneKeyBytes = 18;
constexpr char kTombstoneMark = 't';

struct RevisionKey {
  char bytes[kTombstoneKeyBytes];
  uint8_t size = 0;
  std::string_view view() const { return {bytes, size}; }
};

inline RevisionKey EncodeRevision(Revision rev, bool tombstone) {
  RevisionKey key;
  StoreBig64(key.bytes, static_cast<uint64_t>(rev.main));
  key.bytes[8] = '_';
  StoreBig64(key.bytes + 9, static_cast<uint64_t>(rev.sub));
  key.bytes[17] = kTombstoneMark;
  key.size = tombstone ? kTombstoneKeyBytes : kRevisionKeyBytes;
  return key;
}

// False when the bytes are no revision key.
inline bool DecodeRevision(std::string_view key, Revision* rev, bool* tombstone) {
  if (key.size() != kRevisionKeyBytes && key.size() != kTombstoneKeyBytes) return false;
  if (key[8] != '_' || (key.size() == kTombstoneKeyBytes && key[17] != kTombstoneMark)) return false;
  rev->main = static_cast<int64_t>(LoadBig64(key.data()));
  rev->sub = static_cast<int64_t>(LoadBig64(key.data() + 9));
  *tombstone = key.size() == kTombstoneKeyBytes;
  return rev->main >= 0 && rev->sub >= 0;
}

}  // namespace quorate::mvcc
