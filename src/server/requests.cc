#include "server/requests.h"

#include "base/wire.h"

namespace quorate::server {
namespace {

using wire::AppendBytesField;
using wire::AppendBytesFieldNonEmpty;
using wire::AppendVarintFieldNonZero;
using wire::Reader;
using wire::Type;

constexpr uint32_t kHeaderField = 100;
// Bodies with a field number below the header's are written before it, the others after it.
bool BodyFirst(EntryKind kind) { return static_cast<uint32_t>(kind) < kHeaderField; }

size_t EncodedSize(const PutRequest& r) {
  size_t n = wire::BytesFieldSize(1, r.key.size());
  if (!r.value.empty()) n += wire::BytesFieldSize(2, r.value.size());
  if (r.lease != 0) n += wire::VarintFieldSize(3, static_cast<uint64_t>(r.lease));
  return n + 2 * (size_t{r.prev_kv} + r.ignore_value + r.ignore_lease) -
         (r.key.empty() ? wire::BytesFieldSize(1, 0) : 0);
}

void AppendHeader(std::string& out, const RequestHeader& header) {
  std::string inner;
  AppendVarintFieldNonZero(inner, 1, header.id);
  AppendBytesFieldNonEmpty(inner, 2, header.username);
  AppendVarintFieldNonZero(inner, 3, header.auth_revision);
  AppendBytesField(out, kHeaderField, inner);
}

bool DecodeHeader(std::string_view bytes, RequestHeader* out) {
  Reader in(bytes);
  while (in.Next()) {
    if (in.Is(1, Type::kVarint)) out->id = in.varint();
    if (in.Is(2, Type::kBytes)) out->username = in.bytes();
    if (in.Is(3, Type::kVarint)) out->auth_revision = in.varint();
  }
  return in.ok();
}

}  // namespace

bool Decode(std::string_view bytes, PutRequest* out) {
  Reader in(bytes);
  while (in.Next()) {
    if (in.type() == Type::kBytes) {
      if (in.field() == 1) out->key = in.bytes();
      if (in.field() == 2) out->value = in.bytes();
    } else if (in.type() == Type::kVarint) {
      switch (in.field()) {
        case 3:
          out->lease = in.int64();
          break;
        case 4:
          out->prev_kv = in.varint() != 0;
          break;
        case 5:
          out->ignore_value = in.varint() != 0;
          break;
        case 6:
          out->ignore_lease = in.varint() != 0;
          break;
        default:
          break;
      }
    }
  }
  return in.ok();
}

bool Decode(std::string_view bytes, DeleteRangeRequest* out) {
  Reader in(bytes);
  while (in.Next()) {
    if (in.Is(1, Type::kBytes)) out->key = in.bytes();
    if (in.Is(2, Type::kBytes)) out->range_end = in.bytes();
    if (in.Is(3, Type::kVarint)) out->prev_kv = in.varint() != 0;
  }
  return in.ok();
}

bool Decode(std::string_view bytes, RangeRequest* out) {
  Reader in(bytes);
  while (in.Next()) {
    if (in.type() == Type::kBytes) {
      if (in.field() == 1) out->key = in.bytes();
      if (in.field() == 2) out->range_end = in.bytes();
    } else if (in.type() == Type::kVarint) {
      switch (in.field()) {
        case 3:
          out->limit = in.int64();
          break;
        case 4:
          out->revision = in.int64();
          break;
        case 5:
          out->sort_order = static_cast<int32_t>(in.varint());
          break;
        case 6:
          out->sort_target = static_cast<int32_t>(in.varint());
          break;
        case 7:
          out->serializable = in.varint() != 0;
          break;
        case 8:
          out->keys_only = in.varint() != 0;
          break;
        case 9:
          out->count_only = in.varint() != 0;
          break;
        case 10:
          out->min_mod_revision = in.int64();
          break;
        case 11:
          out->max_mod_revision = in.int64();
          break;
        case 12:
          out->min_create_revision = in.int64();
          break;
        case 13:
          out->max_create_revision = in.int64();
          break;
        default:
          break;
      }
    }
  }
  return in.ok();
}

void Append(std::string& out, const PutRequest& r) {
  AppendBytesFieldNonEmpty(out, 1, r.key);
  AppendBytesFieldNonEmpty(out, 2, r.value);
  AppendVarintFieldNonZero(out, 3, static_cast<uint64_t>(r.lease));
  AppendVarintFieldNonZero(out, 4, r.prev_kv);
  AppendVarintFieldNonZero(out, 5, r.ignore_value);
  AppendVarintFieldNonZero(out, 6, r.ignore_lease);
}

void Append(std::string& out, const DeleteRangeRequest& r) {
  AppendBytesFieldNonEmpty(out, 1, r.key);
  AppendBytesFieldNonEmpty(out, 2, r.range_end);
  AppendVarintFieldNonZero(out, 3, r.prev_kv);
}

bool DecodeEntry(std::string_view data, EntryView* out) {
  Reader in(data);
  while (in.Next()) {
    if (in.Is(1, Type::kVarint)) {
      out->header.id = in.varint();
    } else if (in.Is(kHeaderField, Type::kBytes)) {
      if (!DecodeHeader(in.bytes(), &out->header)) return false;
    } else if (in.type() == Type::kBytes) {
      out->field = in.field();
      out->kind = static_cast<EntryKind>(in.field());
      out->body = in.bytes();
    }
  }
  return in.ok() && out->kind != EntryKind::kNone;
}

std::string EncodeEntry(EntryKind kind, std::string_view body, const RequestHeader& header) {
  std::string out;
  out.reserve(body.size() + header.username.size() + 48);
  if (BodyFirst(kind)) AppendBytesField(out, static_cast<uint32_t>(kind), body);
  AppendHeader(out, header);
  if (!BodyFirst(kind)) AppendBytesField(out, static_cast<uint32_t>(kind), body);
  return out;
}

std::string EncodePutEntry(const PutRequest& request, const RequestHeader& header) {
  const size_t size = EncodedSize(request);
  std::string out;
  out.reserve(size + header.username.size() + 48);
  wire::AppendVarint(out, wire::Tag(static_cast<uint32_t>(EntryKind::kPut), Type::kBytes));
  wire::AppendVarint(out, size);
  Append(out, request);
  AppendHeader(out, header);
  return out;
}

}  // namespace quorate::server
