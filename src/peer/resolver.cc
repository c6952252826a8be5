#include "peer/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
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

struct Resolver::State {
  struct Lookup {
    std::string host;
    uint16_t port = 0;
    Done done;
  };

  // On a thread of its own: serves lookups until none waits.
  static void Run(const std::shared_ptr<State>& state) {
    std::unique_lock lock(state->mutex);
    while (!state->waiting.empty() && state->loop != nullptr) {
      Lookup lookup = std::move(state->waiting.front());
      state->waiting.pop_front();
      lock.unlock();
      StatusOr<Addresses> result = LookUp(lookup.host, lookup.port, 0);
      lock.lock();
      if (state->loop == nullptr) break;
      // `done` must run, and be destroyed, on the loop's thread.
      auto answer =
          std::make_shared<std::pair<Done, StatusOr<Addresses>>>(std::move(lookup.done), std::move(result));
      state->loop->Post([weak = std::weak_ptr<State>(state), answer = std::move(answer)] {
        const std::shared_ptr<State> alive = weak.lock();
        if (alive != nullptr && alive->open) answer->first(std::move(answer->second));
      });
    }
    --state->threads;
  }

  bool open = true;  // Loop's thread only.

  std::mutex mutex;  // Guards what follows.
  net::Loop* loop = nullptr;
  std::deque<Lookup> waiting;
  size_t threads = 0;
};

Resolver::Resolver(net::Loop* loop) : state_(std::make_shared<State>()) { state_->loop = loop; }

Resolver::~Resolver() {
  state_->open = false;
  std::deque<State::Lookup> dropped;
  const std::lock_guard lock(state_->mutex);
  state_->loop = nullptr;
  dropped.swap(state_->waiting);
}

void Resolver::Resolve(const std::string& host, uint16_t port, Done done) {
  StatusOr<Addresses> digits = LookUp(host, port, AI_NUMERICHOST);
  if (digits.ok()) return done(std::move(digits));
  bool start = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->waiting.size() >= kWaitingMax) {
      state_->loop->Post([done = std::move(done), host] {
        done(ResourceExhausted("lookup " + host + ": too many names wait for the name server"));
      });
      return;
    }
    state_->waiting.push_back({host, port, std::move(done)});
    start = state_->threads < kThreadsMax;
    if (start) ++state_->threads;
  }
  if (start) std::thread(&State::Run, state_).detach();
}

}  // namespace quorate::peer
