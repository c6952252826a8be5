// Names to addresses without blocking the loop. (Asio's own resolver does not work with the loop's lock-free
// io_context.)
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/lookup_threads.h"
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

  // `done` of lookups under way is not called any more once this is gone.
  explicit Resolver(net::Loop* loop) : loop_(loop), threads_(loop) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `done` runs once on the loop's thread: within this call for an address in digits, else in a later round.
  // At most LookupThreads::kWaitingMax wait; lookups beyond fail. At least one address, or NotFound.
  void Resolve(const std::string& host, uint16_t port, Done done);

 private:
  net::Loop* const loop_;
  net::LookupThreads threads_;
};

}  // namespace quorate::peer
