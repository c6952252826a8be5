// What a gRPC service sees of a call. Source of the protocol:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; texts are grpc-go's.
//
// Handles are small values: copy and keep them as you like, until the Loop is destroyed. They are used on the
// loop's thread only (from elsewhere: Loop::Post). Once the call is over (answered, cancelled, connection
// lost) every method is a silent no-op, metadata() is empty and closed() is true.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quorate::net {

// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
enum class Code : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

struct H2Stream;  // Internal; pooled by the loop, so a stale handle may look at it.

class CallHandle {
 public:
  CallHandle() = default;

  bool closed() const;
  // A request header other than those of HTTP/2 and gRPC itself, by its lower-case name; the first one if
  // repeated. The view holds until control returns to the loop: copy what is needed later.
  std::optional<std::string_view> metadata(std::string_view name) const;
  // "192.0.2.1:4321", "[2001:db8::1]:4321" or "unix:PATH". Same lifetime.
  std::string_view peer() const;
  // The common name (CN) of the client's certificate, which was verified; empty if it has none. Nothing if
  // the client has shown no certificate. Same lifetime.
  std::optional<std::string_view> tls_common_name() const;
  // From grpc-timeout, on the scale of Loop::now(). When it passes, net ends the call with DEADLINE_EXCEEDED.
  std::optional<int64_t> deadline() const;
  // What a service keeps of the call's requests, by now: it counts as held for the client until the call is
  // over. False: this client makes us keep too much; what is asked now should be refused. Never for what is
  // no more than before.
  bool HoldRequest(size_t bytes);
  // As given to Server::RegisterUnary / RegisterStreaming. Stays when the call is over.
  uint32_t method_index() const { return method_index_; }

 protected:
  friend class Http2Connection;
  friend class LocalCall;
  CallHandle(H2Stream* stream, uint64_t generation, uint32_t method_index)
      : stream_(stream), generation_(generation), method_index_(method_index) {}
  H2Stream* live() const;  // Null when the call is over.

  H2Stream* stream_ = nullptr;
  uint64_t generation_ = 0;
  uint32_t method_index_ = 0;
};

// A call with one request and one response.
class UnaryCall : public CallHandle {
 public:
  UnaryCall() = default;

  // Sends OK with the message, copied. The call is over.
  void Respond(std::string_view message);
  void Respond(std::span<const std::string_view> pieces);
  // Room for a message of `size` bytes in the output, to be filled before control returns to the loop; null
  // when the call is over. The call is answered with OK by this.
  char* RespondInPlace(size_t size);
  // The message is UTF-8 and is percent-encoded here. (kOk would send no message, which clients take for an
  // error.)
  void Fail(Code code, std::string_view message);

  // Runs once if the call ends before it is answered: kCancelled (reset, connection lost) or
  // kDeadlineExceeded. The call is over when it runs. For calls that wait long; replaces an earlier function.
  void OnCancel(std::function<void(Code)> fn);

 private:
  friend class Http2Connection;
  friend class LocalCall;
  using CallHandle::CallHandle;
};

// A call with any number of messages in both directions.
class StreamCall : public CallHandle {
 public:
  StreamCall() = default;

  // Queues one message, copied; goes out at the end of the round as windows and socket allow. While full()
  // stop until OnWritable(): a client that makes us hold too much all the same has its stream reset.
  void Send(std::string_view message);
  void Send(std::span<const std::string_view> pieces);
  // Room for a message of `size` bytes, to be filled before the next call on this handle; null when the call
  // is over, or about to be.
  char* SendInPlace(size_t size);
  // Bytes of this stream not yet taken by the connection plus bytes of the connection not yet taken by the
  // socket.
  size_t pending_bytes() const;
  // Whether that is at least kStreamPendingHigh, or other streams of the connection hold too much, or all
  // clients together do and this one more than its share; then OnWritable() is armed.
  bool full() const;
  // Ends the call after what is queued; OnClosed() is not called afterwards.
  void Finish(Code code, std::string_view message);

 private:
  friend class Http2Connection;
  friend class LocalCall;
  using CallHandle::CallHandle;
};

// A Send that leaves at least this much pending arms one OnWritable().
constexpr size_t kStreamPendingHigh = 1024 * 1024;
// OnWritable() comes when pending falls to this.
constexpr size_t kStreamPendingLow = 256 * 1024;

// The service's side of one streaming call; owned by net, on the loop's thread. Destroyed after Finish() or
// OnClosed(), never inside one of its own methods.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // One whole message, decompressed; the bytes are valid during the call.
  virtual void OnMessage(std::string_view message) = 0;
  // The client sends no more. Not called when it only cancels.
  virtual void OnHalfClose() = 0;
  // The call ended, not by Finish(): kCancelled, kDeadlineExceeded, or the code net has refused a message
  // with. It is the last call on the handler. The StreamCall is over.
  virtual void OnClosed(Code reason) = 0;
  // Room again after kStreamPendingHigh.
  virtual void OnWritable() {}
};

// The request is de-framed and decompressed; its bytes are valid during the call.
using UnaryHandler = std::function<void(UnaryCall call, std::string_view request)>;
// Called when the request headers are complete. It may already Send or Finish. Null (after Finish) is
// allowed.
using StreamFactory = std::function<std::unique_ptr<StreamHandler>(StreamCall call)>;

}  // namespace quorate::net
