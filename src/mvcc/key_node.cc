#include "mvcc/key_node.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace quorate::mvcc {
namespace {

constexpr uint32_t kOffsetMax = (1u << 31) - 1;

size_t OlderBytes(uint32_t capacity) {
  return offsetof(OlderRecords, records) + capacity * sizeof(KeyRecord);
}

KeyRecord MakeRecord(Revision revision, bool tombstone, uint32_t offset) {
  QUORATE_CHECK(revision.sub >= 0 && revision.sub <= UINT32_MAX);
  KeyRecord record;
  record.main = revision.main;
  record.sub = static_cast<uint32_t>(revision.sub);
  record.tombstone = tombstone ? 1 : 0;
  record.offset = offset & kOffsetMax;
  return record;
}

}  // namespace

size_t KeyNodeArena::NodeBytes(size_t key_size) {
  const size_t bytes = std::max(sizeof(KeyNode), offsetof(KeyNode, key_bytes) + key_size);
  return (bytes + kGranule - 1) / kGranule * kGranule;
}

KeyNodeArena::~KeyNodeArena() =
    default;  // The owner deletes the nodes: large ones and older records are on the heap.

void* KeyNodeArena::Allocate(size_t bytes) {
  bytes_ += bytes;
  if (bytes > kSmallMax) return ::operator new(bytes);
  FreeSlot*& slot = free_[bytes / kGranule];
  if (slot != nullptr) {
    FreeSlot* taken = slot;
    slot = taken->next;
    return taken;
  }
  if (static_cast<size_t>(bump_end_ - bump_) < bytes) {
    chunks_.emplace_back(new char[kChunkBytes]);
    bump_ = chunks_.back().get();
    bump_end_ = bump_ + kChunkBytes;
  }
  void* result = bump_;
  bump_ += bytes;
  return result;
}

KeyNode* KeyNodeArena::New(std::string_view key) {
  QUORATE_CHECK(key.size() < UINT32_MAX);
  auto* node = static_cast<KeyNode*>(Allocate(NodeBytes(key.size())));
  node->last = MakeRecord({}, false, 0);
  node->created = 0;
  node->version = 0;
  node->older = nullptr;
  node->key_size = static_cast<uint32_t>(key.size());
  key.copy(node->key_bytes, key.size());
  return node;
}

void KeyNodeArena::Delete(KeyNode* node) {
  FreeOlder(node->older);
  const size_t bytes = NodeBytes(node->key_size);
  bytes_ -= bytes;
  if (bytes > kSmallMax) {
    ::operator delete(node);
    return;
  }
  auto* slot = reinterpret_cast<FreeSlot*>(node);
  slot->next = free_[bytes / kGranule];
  free_[bytes / kGranule] = slot;
}

OlderRecords* KeyNodeArena::Resize(OlderRecords* older, uint32_t capacity) {
  if (older != nullptr) bytes_ -= OlderBytes(older->capacity);
  auto* resized = static_cast<OlderRecords*>(std::realloc(older, OlderBytes(capacity)));
  QUORATE_CHECK_MSG(resized != nullptr, "out of memory for the key index");
  resized->capacity = capacity;
  bytes_ += OlderBytes(capacity);
  return resized;
}

void KeyNodeArena::FreeOlder(OlderRecords* older) {
  if (older == nullptr) return;
  bytes_ -= OlderBytes(older->capacity);
  std::free(older);
}

void KeyNodeArena::Append(KeyNode* node, Revision revision, bool tombstone) {
  const bool first = node->version == 0;
  if (first) {
    node->last = MakeRecord(revision, tombstone, 0);
    node->created = tombstone ? 0 : revision.main;
    node->version = 1;
    return;
  }
  QUORATE_CHECK_MSG(revision > node->last.revision(), "a change of a key is not newer than the one before");
  if (node->older == nullptr) {
    node->older = Resize(nullptr, 1);
    node->older->count = 0;
    node->older->first_created = node->created;
    node->older->first_version = node->version;
  } else if (node->older->count == node->older->capacity) {
    const uint32_t capacity = node->older->capacity;
    QUORATE_CHECK(capacity < kOffsetMax / 2);
    node->older = Resize(node->older, capacity + capacity / 2 + 1);
  }
  node->older->records[node->older->count++] = node->last;
  const bool reborn = node->last.tombstone && !tombstone;
  const uint32_t offset = node->last.tombstone ? 0 : std::min<uint32_t>(node->last.offset + 1u, kOffsetMax);
  node->last = MakeRecord(revision, tombstone, offset);
  node->created = reborn ? revision.main : node->created;
  node->version = reborn ? 1 : node->version + 1;
}

void KeyNodeArena::DropFirst(KeyNode* node, uint32_t count, std::vector<DroppedRecord>* dropped) {
  if (count == 0) return;
  QUORATE_CHECK(count < RecordCount(*node));
  OlderRecords* older = node->older;
  for (uint32_t i = 0; i < count; ++i) {
    const KeyRecord& record = older->records[i];
    dropped->push_back({record.main, record.sub, record.tombstone != 0});
  }
  if (count == older->count) {
    FreeOlder(older);
    node->older = nullptr;
    return;
  }
  const KeyVersion first = VersionOf(*node, count);
  older->first_created = first.created;
  older->first_version = first.version;
  older->count -= count;
  std::memmove(older->records, older->records + count, older->count * sizeof(KeyRecord));
  if (older->count < older->capacity / 2) node->older = Resize(older, older->count);
}

int64_t NewestAt(const KeyNode& node, int64_t at) {
  const uint32_t older = node.older ? node.older->count : 0;
  if (node.last.main <= at) return older;
  if (older == 0) return -1;
  const KeyRecord* begin = node.older->records;
  const KeyRecord* found =
      std::partition_point(begin, begin + older, [at](const KeyRecord& record) { return record.main <= at; });
  return found - begin - 1;
}

KeyVersion VersionOf(const KeyNode& node, uint32_t i) {
  const KeyRecord& record = RecordAt(node, i);
  if (&record == &node.last) return {record.revision(), node.created, node.version};
  if (record.offset >= i)
    return {record.revision(), node.older->first_created, node.older->first_version + i};
  return {record.revision(), node.older->records[i - record.offset].main, int64_t{record.offset} + 1};
}

bool VersionAt(const KeyNode& node, int64_t at, KeyVersion* out) {
  const int64_t i = NewestAt(node, at);
  if (i < 0) return false;
  if (RecordAt(node, static_cast<uint32_t>(i)).tombstone) return false;
  *out = VersionOf(node, static_cast<uint32_t>(i));
  return true;
}

}  // namespace quorate::mvcc
