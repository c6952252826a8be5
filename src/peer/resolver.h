// Names to addresses without blocking the loop. (Asio's own resolver does not work with the loop's lock-free
// io_context.) getaddrinfo can't be interrupted, so lookups run on threads of their own, at most kThreadsMax
// at a time, so that a dead name server holds up nobody for long; they are let go when the resolver goes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/loop.h"

namespace quorate::peer {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// "127.0.0.1:2380", "[::1]:2380".
std::string AddressText(const SocketAddress& address);

class Resolver {
 public:
  using Done = std::function<void(StatusOr<std::vector<SocketAddress>>)>;
  static constexpr size_t kThreadsMax = 16;
  static constexpr size_t kWaitingMax = 1024;  // Lookups beyond fail at once.

  explicit Resolver(net::Loop* loop);
  // `done` of lookups under way is not called any more.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `done` runs once on the loop's thread: within this call for an address in digits, else in a later round.
  // At least one address, or NotFound.
  void Resolve(const std::string& host, uint16_t port, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the threads.
};

}  // namespace quorate::peer
