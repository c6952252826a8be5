#include "server/responses.h"

#include "base/wire.h"

namespace quorate::server {

using wire::AppendBytesField;
using wire::AppendVarintFieldNonZero;

void AppendHeader(std::string& out, const ResponseHeader& h) {
  char inner[4 * (1 + wire::kVarintMax)];
  char* p = inner;
  const auto field = [&p](uint32_t number, uint64_t value) {
    if (value == 0) return;
    p = wire::WriteVarint(p, wire::Tag(number, wire::Type::kVarint));
    p = wire::WriteVarint(p, value);
  };
  field(1, h.cluster_id);
  field(2, h.member_id);
  field(3, static_cast<uint64_t>(h.revision));
  field(4, h.raft_term);
  AppendBytesField(out, 1, {inner, static_cast<size_t>(p - inner)});
}

void AppendPutResponse(std::string& out, const ResponseHeader& header, std::string_view prev_kv, bool has_prev_kv) {
  AppendHeader(out, header);
  if (has_prev_kv) AppendBytesField(out, 2, prev_kv);
}

void AppendDeleteRangeResponse(std::string& out, const ResponseHeader& header, int64_t deleted,
                               std::span<const std::string_view> prev_kvs) {
  AppendHeader(out, header);
  AppendVarintFieldNonZero(out, 2, static_cast<uint64_t>(deleted));
  for (std::string_view kv : prev_kvs) AppendBytesField(out, 3, kv);
}

size_t RangeResponseSize(std::span<const std::string_view> key_values) {
  size_t n = 64;
  for (std::string_view kv : key_values) n += wire::BytesFieldSize(2, kv.size());
  return n;
}

void AppendRangeResponse(std::string& out, const ResponseHeader& header, std::span<const std::string_view> key_values,
                         bool more, int64_t count) {
  out.reserve(out.size() + RangeResponseSize(key_values));
  AppendHeader(out, header);
  for (std::string_view kv : key_values) AppendBytesField(out, 2, kv);
  AppendVarintFieldNonZero(out, 3, more);
  AppendVarintFieldNonZero(out, 4, static_cast<uint64_t>(count));
}

}  // namespace quorate::server
