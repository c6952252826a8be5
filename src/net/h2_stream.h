// One HTTP/2 stream as we keep it, pooled: memory of a finished one serves the next. A local call
// (local_call.h) uses one without HTTP/2 around it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/byte_queue.h"
#include "net/grpc.h"
#include "net/grpc_framing.h"
#include "net/h2_header_rules.h"
#include "net/http.h"
#include "net/timer_heap.h"

namespace quorate::net {

class CallCarrier;
class Http2Connection;
class Http2Exchange;
struct Method;

// Life: acquired at the first header of a request, released when nghttp2 closes the stream. The call (what
// handles see) ends earlier or then; `generation` changes at that moment. Invariants: (1) carrier is null
// exactly while the stream is in the pool, connection then and in a local call; (2) `open` implies carrier;
// (3) the deadline timer is set only while `open`; (4) handler and on_cancel are empty when not `open`.
struct H2Stream {
  enum class Kind : uint8_t { kNew, kUnary, kStreaming, kHttp, kRefused };

  struct HeaderRef {
    uint32_t name;
    uint32_t name_size;
    uint32_t value;
    uint32_t value_size;
  };

  uint64_t generation = 0;
  CallCarrier* carrier = nullptr;
  Http2Connection* connection = nullptr;
  H2Stream* next = nullptr;  // In the connection's list, or in the pool's.
  H2Stream* previous = nullptr;
  int32_t id = 0;
  Kind kind = Kind::kNew;
  bool open = false;            // The call is live: handles may act on it.
  bool dispatched = false;      // Unary: the handler has its message.
  bool remote_closed = false;   // The client has half-closed.
  bool head_sent = false;       // Response headers are submitted.
  bool deferred = false;        // nghttp2 waits for nghttp2_session_resume_data.
  bool ended = false;           // Nothing is appended to `out` any more.
  bool bare = false;            // Plain HTTP: ends without trailers.
  bool no_body = false;         // Of the answer.
  bool wants_writable = false;  // OnWritable is owed.
  bool overfull = false;        // Reset for what its client leaves unread: nothing more is queued.
  bool body_paused = false;
  bool has_timeout = false;
  bool grpc_content = false;
  bool post = false;
  bool head_request = false;
  bool unknown_encoding = false;
  bool gzip = false;
  Code code = Code::kOk;
  const Method* method = nullptr;
  int64_t timeout = 0;
  int64_t deadline = 0;
  Timer timer;

  size_t head_bytes = 0;  // What the header fields below cost, as counted by the connection.
  size_t odd_bytes = 0;   // Of method_name to bad_timeout, which few requests have.
  size_t held_bytes = 0;  // Kept by the service while `open`.
  H2HeaderRules header_rules;
  std::string header_bytes;
  std::vector<HeaderRef> headers;
  std::string path;
  std::string method_name;
  std::string encoding;
  std::string content_type;  // Of the answer; empty: kGrpcContentType.
  std::string bad_timeout;
  MessageReader reader;
  // Of a plain HTTP request: the body, or who takes it and what he keeps of it.
  std::string body;
  std::shared_ptr<HttpBodySink> sink;
  size_t part_bytes = 0;
  size_t unreturned = 0;  // Of the window: received while the body is paused.

  ByteQueue out;        // Framed, not yet taken by nghttp2.
  std::string message;  // grpc-message, encoded.
  std::function<void(Code)> on_cancel;
  std::unique_ptr<StreamHandler> handler;
  Http2Exchange* exchange = nullptr;

  // So much of `out` is taken.
  void ConsumeOutput(size_t bytes);
  void AddHeader(std::string_view name, std::string_view value);
  // Gives the header fields' memory back; they are gone.
  void DropHeaders();
  std::optional<std::string_view> FindHeader(std::string_view name) const;
};

class StreamPool {
 public:
  H2Stream* Acquire();
  // The stream's call is over and nothing refers to it but stale handles.
  void Release(H2Stream* stream);

 private:
  static constexpr size_t kSlab = 64;
  // A pooled stream keeps at most this much in each of its buffers.
  static constexpr size_t kKeepBytes = 4096;

  std::vector<std::unique_ptr<H2Stream[]>> slabs_;
  H2Stream* free_ = nullptr;
};

}  // namespace quorate::net
