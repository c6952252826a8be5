// TLS sessions for outgoing connections, made on a thread of its own: certificates and keys are looked at for
// each, and a file system that hangs under them must hold up nobody but those who connect.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "base/status.h"
#include "net/loop.h"
#include "net/tls_context.h"

namespace quorate::peer {

// Owner: the loop's thread.
class SessionMaker {
 public:
  using Done = std::function<void(StatusOr<net::TlsSession>)>;

  static constexpr size_t kWaitingMax = 1024;
  // For what is under way at the end. What hangs for longer is let go.
  static constexpr std::chrono::nanoseconds kFarewell = std::chrono::seconds(1);

  explicit SessionMaker(net::Loop* loop);
  // `done` of what is under way is not called any more.
  ~SessionMaker();
  SessionMaker(const SessionMaker&) = delete;
  SessionMaker& operator=(const SessionMaker&) = delete;

  // `done` runs once, in a later round; or not at all if `wanted` is gone by then. Beyond kWaitingMax it gets
  // an error.
  void Make(std::shared_ptr<net::TlsContext> context, std::weak_ptr<const void> wanted, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the thread.
};

}  // namespace quorate::peer
