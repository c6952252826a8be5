// What the index holds of one key: its bytes and its revisions, as compact as can be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "mvcc/revision.h"

namespace quorate::mvcc {

// One change of a key. `offset` counts the changes before it in its generation (from the put that brought the
// key into being to the tombstone that ended it); after compaction it may reach back before the first record
// that is left.
struct KeyRecord {
  int64_t main;
  uint32_t sub;
  uint32_t tombstone : 1;
  uint32_t offset : 31;
  Revision revision() const { return {main, static_cast<int64_t>(sub)}; }
};
static_assert(sizeof(KeyRecord) == 16);

// The changes before the newest, oldest first. created and version belong to records[0].
struct OlderRecords {
  uint32_t count;
  uint32_t capacity;
  int64_t first_created;
  int64_t first_version;
  KeyRecord records[1];  // `capacity` of them.
};

// A key as it was at some revision.
struct KeyVersion {
  Revision modified;
  int64_t created = 0;  // Main revision.
  int64_t version = 0;
};

// A record that compaction took out of the index.
struct DroppedRecord {
  int64_t main;
  uint32_t sub;
  bool tombstone;
  Revision revision() const { return {main, static_cast<int64_t>(sub)}; }
};

// Invariants: records ascend by revision; older == null when there is one record. Lives in a KeyNodeArena;
// never moves.
struct KeyNode {
  KeyRecord last;
  int64_t created;  // Of the generation of `last`.
  int64_t version;  // Of `last`; a tombstone counts, as in etcd.
  OlderRecords* older;
  uint32_t key_size;
  char key_bytes[4];  // key_size of them.

  std::string_view key() const { return {key_bytes, key_size}; }
  bool alive() const { return !last.tombstone; }
};

// Allocates key nodes and counts the bytes of all of them with their older records. One owner thread.
class KeyNodeArena {
 public:
  KeyNodeArena() = default;
  ~KeyNodeArena();
  KeyNodeArena(const KeyNodeArena&) = delete;
  KeyNodeArena& operator=(const KeyNodeArena&) = delete;

  // With everything but the records filled in.
  KeyNode* New(std::string_view key);
  void Delete(KeyNode* node);

  // The newest record becomes {revision, tombstone}; it must be newer than all. A put on a dead key begins a
  // generation.
  void Append(KeyNode* node, Revision revision, bool tombstone);
  // Forgets the first `count` records, of which there must be more, and gives them to `dropped`.
  void DropFirst(KeyNode* node, uint32_t count, std::vector<DroppedRecord>* dropped);

  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kGranule = 8;
  static constexpr size_t kSmallMax = 512;
  static constexpr size_t kChunkBytes = 64 * 1024;
  static size_t NodeBytes(size_t key_size);

  void* Allocate(size_t bytes);
  OlderRecords* Resize(OlderRecords* older, uint32_t capacity);
  void FreeOlder(OlderRecords* older);

  struct FreeSlot {
    FreeSlot* next;
  };
  std::array<FreeSlot*, kSmallMax / kGranule + 1> free_{};
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* bump_ = nullptr;
  char* bump_end_ = nullptr;
  size_t bytes_ = 0;
};

// Records of the node, counted from the oldest.
inline uint32_t RecordCount(const KeyNode& node) { return (node.older ? node.older->count : 0) + 1; }
inline const KeyRecord& RecordAt(const KeyNode& node, uint32_t i) {
  return node.older && i < node.older->count ? node.older->records[i] : node.last;
}
// The position of the newest record with main <= at, or -1.
int64_t NewestAt(const KeyNode& node, int64_t at);
// The key as its i-th record left it.
KeyVersion VersionOf(const KeyNode& node, uint32_t i);
// What the key was at that revision; false when it did not exist then (etcd: keyIndex.get).
bool VersionAt(const KeyNode& node, int64_t at, KeyVersion* out);

}  // namespace quorate::mvcc
