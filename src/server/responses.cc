#include "server/responses.h"

#include <algorithm>
#include <cstring>

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

void AppendPutResponse(std::string& out, const ResponseHeader& header, std::string_view prev_kv,
                       bool has_prev_kv) {
  AppendHeader(out, header);
  if (has_prev_kv) AppendBytesField(out, 2, prev_kv);
}

void AppendDeleteRangeResponse(std::string& out, const ResponseHeader& header, int64_t deleted,
                               std::span<const std::string_view> prev_kvs) {
  AppendHeader(out, header);
  AppendVarintFieldNonZero(out, 2, static_cast<uint64_t>(deleted));
  for (std::string_view kv : prev_kvs) AppendBytesField(out, 3, kv);
}

size_t EncodedSize(const RangeResponseView& r) {
  std::string header;
  AppendHeader(header, r.header);
  size_t n = header.size();
  for (std::string_view kv : r.key_values) n += wire::BytesFieldSize(2, kv.size());
  if (r.more) n += wire::VarintFieldSize(3, 1);
  if (r.count != 0) n += wire::VarintFieldSize(4, static_cast<uint64_t>(r.count));
  return n;
}

void Encode(const RangeResponseView& r, char* out) {
  std::string header;
  AppendHeader(header, r.header);
  out = std::copy(header.begin(), header.end(), out);
  for (std::string_view kv : r.key_values) {
    out = wire::WriteVarint(out, wire::Tag(2, wire::Type::kBytes));
    out = wire::WriteVarint(out, kv.size());
    std::memcpy(out, kv.data(), kv.size());
    out += kv.size();
  }
  const auto field = [&out](uint32_t number, uint64_t value) {
    if (value == 0) return;
    out = wire::WriteVarint(out, wire::Tag(number, wire::Type::kVarint));
    out = wire::WriteVarint(out, value);
  };
  field(3, r.more);
  field(4, static_cast<uint64_t>(r.count));
}

void AppendRangeResponse(std::string& out, const ResponseHeader& header,
                         std::span<const std::string_view> key_values, bool more, int64_t count) {
  const RangeResponseView response{header, key_values, more, count};
  const size_t begin = out.size();
  out.resize(begin + EncodedSize(response));
  Encode(response, out.data() + begin);
}

}  // namespace quorate::server
