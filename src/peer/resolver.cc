#include "peer/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>
#include <memory>
#include <utility>

namespace quorate::peer {
namespace {

using Addresses = std::vector<SocketAddress>;

StatusOr<Addresses> LookUp(const std::string& host, uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int rc = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (rc != 0) return NotFound("lookup " + host + ": " + gai_strerror(rc));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    if (a->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress address;
    std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
    address.size = a->ai_addrlen;
    addresses.push_back(address);
  }
  if (addresses.empty()) return NotFound("lookup " + host + ": no address");
  return addresses;
}

}  // namespace

std::string AddressText(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
}

void Resolver::Resolve(const std::string& host, uint16_t port, Done done) {
  StatusOr<Addresses> digits = LookUp(host, port, AI_NUMERICHOST);
  if (digits.ok()) return done(std::move(digits));
  auto found = std::make_shared<StatusOr<Addresses>>(Addresses());
  auto shared = std::make_shared<Done>(std::move(done));
  const bool running = threads_.Run([found, host, port] { *found = LookUp(host, port, 0); },
                                    [found, shared] { (*shared)(std::move(*found)); });
  if (running) return;
  loop_->Post([shared, host] {
    (*shared)(ResourceExhausted("lookup " + host + ": too many names wait for the name server"));
  });
}

}  // namespace quorate::peer
