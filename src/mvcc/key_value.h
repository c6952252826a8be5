// mvccpb.KeyValue as bytes: what bucket `key` holds and what the wire carries are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate::mvcc {

// Field numbers 1 to 6, in this order (etcd: mvcc/mvccpb/kv.proto, frozen). Zero values are left out. A
// tombstone's stored value has the key alone.
struct KeyValue {
  std::string_view key = {};
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  std::string_view value = {};
  int64_t lease = 0;
};

// What watchers get for a deletion: the key and the revision of its end.
inline KeyValue DeletionSent(std::string_view key, int64_t mod_revision) {
  KeyValue kv;
  kv.key = key;
  kv.mod_revision = mod_revision;
  return kv;
}

size_t EncodedSize(const KeyValue& kv);
// Writes EncodedSize(kv) bytes; returns the end.
char* Encode(const KeyValue& kv, char* out);

// The key within what Encode wrote for a KeyValue with a key of this size.
std::string_view EncodedKey(std::string_view bytes, size_t key_size);

// False on malformed bytes; unknown fields are skipped. The views point into `bytes`.
bool Decode(std::string_view bytes, KeyValue* kv);

}  // namespace quorate::mvcc
