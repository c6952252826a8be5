// What stands behind the handles of a call: the HTTP/2 connection that its client is on, or a caller in this
// process (local_call.h). Loop-thread only.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "net/grpc.h"

namespace quorate::net {

// An answer of this size is queued however much the client leaves unread; kStreamsHardMax of them are 50 MB.
constexpr size_t kAnswerAlwaysBytes = 1024;

class CallCarrier {
 public:
  virtual ~CallCarrier() = default;
  // The stream is open in all of these.
  virtual char* RespondInPlace(H2Stream* s, size_t size) = 0;
  virtual char* SendInPlace(H2Stream* s, size_t size) = 0;
  // At or above kStreamPendingHigh; then OnWritable() is owed.
  virtual bool Full(H2Stream* s) = 0;
  // Ends the call with a status after what is queued. The handler is not told.
  virtual void Finish(H2Stream* s, Code code, std::string_view message) = 0;
  virtual size_t pending_bytes(const H2Stream* s) const = 0;
  // As CallHandle::HoldRequest().
  virtual bool Hold(H2Stream* s, size_t bytes) = 0;
  virtual std::string_view peer() const = 0;
  // As CallHandle::tls_common_name().
  virtual std::optional<std::string_view> tls_common_name() const = 0;
};

}  // namespace quorate::net
