// Responses, written straight as protobuf: stored key-value bytes are already in the wire form and are copied
// once. Field numbers: proto/rpc.proto.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace quorate::server {

// The header of a response. In answers nested in a transaction only the revision is set.
struct ResponseHeader {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  int64_t revision = 0;
  uint64_t raft_term = 0;
};

// Each appends to `out`. AppendHeader writes field 1 of any response.
void AppendHeader(std::string& out, const ResponseHeader& header);
void AppendPutResponse(std::string& out, const ResponseHeader& header, std::string_view prev_kv,
                       bool has_prev_kv);
void AppendDeleteRangeResponse(std::string& out, const ResponseHeader& header, int64_t deleted,
                               std::span<const std::string_view> prev_kvs);
void AppendRangeResponse(std::string& out, const ResponseHeader& header,
                         std::span<const std::string_view> key_values, bool more, int64_t count);

// The same in two steps, for output that is written in place: the exact size, then the bytes. The views of
// `key_values` live until both are done.
struct RangeResponseView {
  ResponseHeader header;
  std::span<const std::string_view> key_values;
  bool more = false;
  int64_t count = 0;
};
size_t EncodedSize(const RangeResponseView& response);
// Writes exactly EncodedSize bytes at `out`.
void Encode(const RangeResponseView& response, char* out);

}  // namespace quorate::server
