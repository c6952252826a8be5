// gRPC over HTTP/2, byte for byte, without the HTTP/2: message frames, grpc-timeout, grpc-message.
// A message frame is: 1 byte compressed flag (0 or 1), 4 bytes big-endian length, the message.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/byte_queue.h"
#include "net/grpc.h"

namespace quorate::net {

constexpr size_t kMessageHeaderBytes = 5;
// Of requests it may have a subtype, behind "+" or ";".
constexpr std::string_view kGrpcContentType = "application/grpc";
// Of one answer, as with etcd (v3rpc/grpc.go: maxSendBytes). No client takes more.
constexpr size_t kAnswerBytesMax = 0x7fffffff;
// What a call ends with whose answer would be larger, with RESOURCE_EXHAUSTED.
std::string AnswerTooLarge(size_t size);

// Writes the frame header of an uncompressed message of `size` bytes, which fits in 32 bits.
void WriteMessageHeader(char* out, size_t size);

struct CallError {
  Code code = Code::kOk;
  std::string message;
};

// Cuts the bytes of one request stream into messages. A frame that lies whole in the input is given out in
// place; only one that is split is copied, and memory grows with what was received, not with what a header
// claims.
class MessageReader {
 public:
  enum class Result { kNeedMore, kMessage, kError };

  void Reset(bool gzip);
  // Takes bytes from the front of *input. With kMessage, *message is valid until the next call and as long as
  // the input. With kNeedMore, *input is empty. After kError the reader is finished. `scratch` holds
  // decompressed bytes.
  Result Next(std::string_view* input, size_t message_bytes_max, std::string* scratch,
              std::string_view* message);
  const CallError& error() const { return error_; }
  // Part of a message is there.
  bool mid_message() const { return !buffer_.empty(); }
  size_t buffered_bytes() const { return buffer_.size(); }
  void Recycle(size_t keep) { buffer_.Recycle(keep); }

 private:
  Result Open(std::string_view frame, size_t message_bytes_max, std::string* scratch,
              std::string_view* message);
  Result Refuse(Code code, std::string message);
  // Zero when refused: see error_.
  size_t FrameBytes(const char* header, size_t message_bytes_max);

  bool gzip_ = false;
  size_t given_out_ = 0;  // Bytes of buffer_ that hold the message last given out.
  InputQueue buffer_;
  CallError error_;
};

// At most 8 digits and a unit (H M S m u n), in nanoseconds, cut off at INT64_MAX / 2. Nothing when
// malformed.
std::optional<int64_t> ParseGrpcTimeout(std::string_view s);
// grpc-message: %XX for '%' and all but printable ASCII.
std::string EncodeGrpcMessage(std::string_view s);
// Go's %q for texts that name what a client sent.
std::string GoQuote(std::string_view s);

enum class GunzipResult { kOk, kCorrupt, kTooLarge };
// Decompresses one or more gzip members; stops when the output would exceed `max` bytes.
GunzipResult Gunzip(std::string_view in, size_t max, std::string* out);

}  // namespace quorate::net
