// A session is a lease that is kept alive; locks and candidacies belong to one and go with it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>

#include "quorate/client/client.h"

namespace quorate::client {

struct SessionOptions {
  std::chrono::seconds ttl{60};  // How long locks outlive a program that has died.
  int64_t lease = 0;             // A lease to take over instead of a new one.
  CallOptions call = {};         // Of the grant.
};

// Any thread. The client must outlive it.
class Session {
 public:
  static StatusOr<std::unique_ptr<Session>> Start(Client* client, const SessionOptions& options = {});
  // Revokes the lease, if the server can be reached within Options::request_timeout.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Client& client() { return client_; }
  int64_t lease() const { return lease_; }
  // Signalled when the lease could not be kept: whoever holds a lock of this session must stop relying on it.
  // Also at the orderly end, with status() kCancelled: by Orphan, Close and the destructor.
  std::stop_token lost() const { return keep_alive_->ended(); }
  Status status() const { return keep_alive_->status(); }

  // Stops renewing, and leaves the lease to run out or to another program. The destructor then revokes
  // nothing.
  void Orphan();
  // Revokes the lease, trying for as long as it could live.
  Status Close();

 private:
  Session(Client* client, int64_t lease, std::chrono::seconds ttl, std::unique_ptr<KeepAlive> keep_alive);

  Client& client_;
  const int64_t lease_;
  const std::chrono::seconds ttl_;
  std::unique_ptr<KeepAlive> keep_alive_;
  std::atomic<bool> owned_ = true;
};

}  // namespace quorate::client
