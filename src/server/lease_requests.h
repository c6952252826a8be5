// Renewals of leases and questions for their time to live, which only the leader can answer: here on the
// leader, elsewhere by asking it over the peer port, until it has answered or a request's time is over.
// Source: etcd v3_server.go (LeaseRenew, LeaseTimeToLive), leasehttp/http.go.
//
// A leader answers only when a read-index round that began at most 1.5 ticks ago has confirmed that it leads.
// Whoever leads next starts every lease anew, an election timeout longer, later than that; so the lease lives
// as long as the answer promises, even when this process was paused in between. (The original looks whether
// its own clock ticks, which a pause right before the answer slips through.)
//
// Core thread only. Tick() is to be called with the member's.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/status.h"
#include "lease/lessor.h"
#include "server/transport.h"

namespace quorate::server {

class Member;

class LeaseRequests {
 public:
  using RenewDone = std::function<void(StatusOr<int64_t> ttl_seconds)>;
  using TimeToLiveDone = std::function<void(StatusOr<lease::TimeToLive>)>;

  explicit LeaseRequests(Member* member);
  ~LeaseRequests();
  LeaseRequests(const LeaseRequests&) = delete;
  LeaseRequests& operator=(const LeaseRequests&) = delete;

  // For clients. `done` runs once, at once when nothing has to be waited for; never after the destruction.
  // Errors: ErrLeaseNotFound for an unknown or expired lease, ErrNoLeader, ErrTimeout, ErrTooManyRequests.
  void Renew(int64_t id, RenewDone done);
  void TimeToLive(int64_t id, bool keys, TimeToLiveDone done);

  // For other members: ErrLeaseNotFound; ErrNotPrimary when this one doesn't lead; DeadlineExceeded after a
  // second. (etcd: applyTimeout)
  void RenewHere(int64_t id, RenewDone done);
  void TimeToLiveHere(int64_t id, bool keys, TimeToLiveDone done);

  void Tick();

 private:
  struct Request;

  void Start(Request request);
  // Ends it, sends it on, or leaves it for later.
  void Attempt(const std::shared_ptr<Request>& request);
  void AttemptHere(const std::shared_ptr<Request>& request);
  void Ask(const std::shared_ptr<Request>& request);
  void OnAnswer(const std::shared_ptr<Request>& request, const StatusOr<PeerAnswer>& answer);
  void Checkpoint(const std::shared_ptr<Request>& request);
  void Fail(const std::shared_ptr<Request>& request, const Status& error);
  bool LeadershipConfirmed();
  void AttemptAll();

  Member& member_;
  std::list<std::shared_ptr<Request>> waiting_;
  size_t calls_under_way_ = 0;
  int64_t confirmed_nanos_ = 0;  // When the newest round that confirmed the leadership began.
  uint64_t confirmed_term_ = 0;
  bool confirming_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// Does not reach clients.
inline Status ErrNotPrimary() { return FailedPrecondition("not a primary lessor"); }

}  // namespace quorate::server
