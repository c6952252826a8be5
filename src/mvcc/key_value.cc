#include "mvcc/key_value.h"

#include "base/wire.h"

namespace quorate::mvcc {
namespace {

using wire::Type;

size_t VarintFieldBytes(int64_t v) { return v == 0 ? 0 : 1 + wire::VarintSize(static_cast<uint64_t>(v)); }

size_t BytesFieldBytes(std::string_view v) {
  return v.empty() ? 0 : 1 + wire::VarintSize(v.size()) + v.size();
}

char* WriteVarintField(char* out, uint32_t field, int64_t v) {
  if (v == 0) return out;
  *out++ = static_cast<char>(wire::Tag(field, Type::kVarint));
  return wire::WriteVarint(out, static_cast<uint64_t>(v));
}

char* WriteBytesField(char* out, uint32_t field, std::string_view v) {
  if (v.empty()) return out;
  *out++ = static_cast<char>(wire::Tag(field, Type::kBytes));
  out = wire::WriteVarint(out, v.size());
  return out + v.copy(out, v.size());
}

}  // namespace

size_t EncodedSize(const KeyValue& kv) {
  return BytesFieldBytes(kv.key) + VarintFieldBytes(kv.create_revision) + VarintFieldBytes(kv.mod_revision) +
         VarintFieldBytes(kv.version) + BytesFieldBytes(kv.value) + VarintFieldBytes(kv.lease);
}

char* Encode(const KeyValue& kv, char* out) {
  out = WriteBytesField(out, 1, kv.key);
  out = WriteVarintField(out, 2, kv.create_revision);
  out = WriteVarintField(out, 3, kv.mod_revision);
  out = WriteVarintField(out, 4, kv.version);
  out = WriteBytesField(out, 5, kv.value);
  return WriteVarintField(out, 6, kv.lease);
}

std::string_view EncodedKey(std::string_view bytes, size_t key_size) {
  if (key_size == 0) return {};
  return bytes.substr(1 + wire::VarintSize(key_size), key_size);
}

bool Decode(std::string_view bytes, KeyValue* kv) {
  *kv = {};
  wire::Reader reader(bytes);
  while (reader.Next()) {
    const bool is_bytes = reader.field() == 1 || reader.field() == 5;
    if (reader.field() > 6) continue;
    if (reader.type() != (is_bytes ? Type::kBytes : Type::kVarint)) return false;
    switch (reader.field()) {
      case 1:
        kv->key = reader.bytes();
        break;
      case 2:
        kv->create_revision = reader.int64();
        break;
      case 3:
        kv->mod_revision = reader.int64();
        break;
      case 4:
        kv->version = reader.int64();
        break;
      case 5:
        kv->value = reader.bytes();
        break;
      case 6:
        kv->lease = reader.int64();
        break;
    }
  }
  return reader.ok();
}

}  // namespace quorate::mvcc
