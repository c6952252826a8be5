// Where TLS connections wait until their handshake is done: on a thread with a loop of its own, so that a
// storm of clients, whose handshakes cost a thousand requests' work each, holds up neither consensus nor the
// clients that are in. Names are looked up on further threads. Who is through is handed over with its socket.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "net/address_check.h"
#include "net/tls_context.h"
#include "net/tls_stream.h"

namespace quorate::net {

// How a listener does TLS. Immutable, shared by its connections.
struct TlsListening {
  std::shared_ptr<TlsContext> context;
  // Clients' certificates must fit where they come from (address_check.h). Not asked of unix sockets.
  bool check_addresses = false;
  // Who begins with something else than a handshake is admitted without a stream, for clear text.
  bool clear_too = false;
  std::string endpoint = "client";  // In the log: "rejected connection on ENDPOINT endpoint".
  NameService names = SystemNameService();
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);  // etcd's.
};

// A socket on its way. Closes it unless Take() came first.
class TlsGuest {
 public:
  TlsGuest(int fd, std::string peer) : fd_(fd), peer_(std::move(peer)) {}
  ~TlsGuest();
  TlsGuest(const TlsGuest&) = delete;
  TlsGuest& operator=(const TlsGuest&) = delete;

  int Take() { return std::exchange(fd_, -1); }
  int fd() const { return fd_; }
  const std::string& peer() const { return peer_; }

  std::unique_ptr<TlsStream> stream;  // Its handshake is done; null: clear text.
  std::shared_ptr<void> place;        // The door's, which counts its guests.

 private:
  int fd_;
  const std::string peer_;
};

class TlsDoor {
 public:
  // On the door's thread.
  using Admit = std::function<void(std::shared_ptr<TlsGuest>)>;
  // More than `waiting_max`, or these if they are fewer, wait at once only when the oldest makes room.
  static constexpr size_t kWaitingMax = 4096;

  explicit TlsDoor(size_t waiting_max = kWaitingMax);
  // Closes who still waits; `admit` is not called any more.
  ~TlsDoor();
  TlsDoor(const TlsDoor&) = delete;
  TlsDoor& operator=(const TlsDoor&) = delete;

  // Any thread. Closes the guest if twice as many as may wait are on their way: the door's thread is as slow
  // as their handshakes, and does not see them all at once.
  void Enter(std::shared_ptr<TlsGuest> guest, std::shared_ptr<const TlsListening> listening, Admit admit);

 private:
  class Room;
  std::unique_ptr<Room> room_;
};

}  // namespace quorate::net
