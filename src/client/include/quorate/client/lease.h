// Leases: keys that go when nobody renews them. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseLeasesResponse;
using etcdserverpb::LeaseRevokeResponse;
using etcdserverpb::LeaseTimeToLiveResponse;

// A lease that the client renews in the background, every third of its time to live, over any endpoint that
// answers: one that does not answer for a third of it (1 to 3 s) is left for another one that is connected.
// Destroying it ends the renewing; the lease itself then runs out by itself. Must not outlive its client by
// more than its destruction. Any thread.
class KeepAlive {
 public:
  virtual ~KeepAlive() = default;
  virtual int64_t id() const = 0;
  // Signalled when renewing has ended: the lease ran out, was revoked, could not be renewed in time, or the
  // client is closed.
  virtual std::stop_token ended() const = 0;
  // Why it ended; OK while it goes on.
  virtual Status status() const = 0;
  // Blocks until it has ended, and returns why.
  virtual Status Wait() = 0;
  // Ends it with kCancelled, as destroying it does: the lease then runs out by itself. `renewed` is not
  // called any more then, nor running: this waits for it, except where it is called on the client's thread
  // itself, as `renewed` may do.
  virtual void Cancel() = 0;
};

class Leases {
 public:
  explicit Leases(Core* core) : core_(*core) {}

  // `id` zero: the server chooses. The answer's TTL may be longer than asked for.
  StatusOr<LeaseGrantResponse> Grant(std::chrono::seconds ttl, int64_t id = 0, const CallOptions& call = {});
  // Deletes the lease and its keys.
  StatusOr<LeaseRevokeResponse> Revoke(int64_t id, const CallOptions& call = {});
  // TTL -1: there is no such lease. `keys`: name its keys, too.
  StatusOr<LeaseTimeToLiveResponse> TimeToLive(int64_t id, bool keys = false, const CallOptions& call = {});
  StatusOr<LeaseLeasesResponse> List(const CallOptions& call = {});

  // Renews once. "etcdserver: requested lease not found" when it is gone.
  StatusOr<LeaseKeepAliveResponse> KeepAliveOnce(int64_t id, const CallOptions& call = {});
  // `renewed`, if given, hears of each renewal on the client's thread; it must not block.
  std::unique_ptr<client::KeepAlive> KeepAlive(
      int64_t id, std::function<void(const LeaseKeepAliveResponse&)> renewed = {});

 private:
  Core& core_;
};

}  // namespace quorate::client
