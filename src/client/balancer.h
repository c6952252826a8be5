// Which endpoint a call goes to: the connected ones in turn, those that failed lately only when there is no
// other. Loop thread.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/endpoint.h"
#include "client/loop.h"

namespace quorate::client {

class Balancer {
 public:
  using Picked = std::function<void(StatusOr<std::shared_ptr<Endpoint>>)>;

  struct Want {
    Clock::time_point deadline;
    std::string endpoint = {};         // This one only, listed or not. Empty: any.
    const void* rather_not = nullptr;  // The endpoint that was tried last.
    bool fail_fast = false;
  };
  using Ticket = uint64_t;

  Balancer(Loop* loop, EndpointFactory factory);

  // Nothing is changed when one of them is malformed. Those who wait for any connection wait for one of these
  // then.
  Status SetEndpoints(const std::vector<std::string>& urls);
  size_t size() const { return endpoints_.size(); }
  // Another one is connected, and has not failed lately.
  bool HasOther(const Endpoint& than) const;
  // How many wait for a connection.
  size_t waiting() const { return waiting_.size(); }

  // `picked` runs once, perhaps at once: with a connected endpoint, or when there was none until the deadline
  // with kDeadlineExceeded (kUnavailable with fail_fast) saying why. Not after Forget.
  Ticket Pick(Want want, Picked picked);
  void Forget(Ticket ticket) { waiting_.erase(ticket); }
  // Fails all who wait, and all who come.
  void Close();

 private:
  struct Waiter {
    Want want;
    Picked picked;
    std::vector<std::shared_ptr<Endpoint>> candidates;
  };

  StatusOr<std::vector<std::shared_ptr<Endpoint>>> Candidates(const Want& want);
  std::shared_ptr<Endpoint> Choose(const std::vector<std::shared_ptr<Endpoint>>& candidates,
                                   const void* rather_not);
  bool AllDown(const Waiter& waiter);
  Status NoConnection(const Waiter& waiter) const;
  // Serves whom it can, and has gRPC tell when the others' endpoints change.
  void Serve();
  void Observe(const std::shared_ptr<Endpoint>& endpoint);

  Loop& loop_;
  const EndpointFactory factory_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::map<std::string, std::weak_ptr<Endpoint>> unlisted_;
  size_t next_ = 0;
  std::map<Ticket, Waiter> waiting_;
  Ticket last_ticket_ = 0;
  std::map<Endpoint*, std::shared_ptr<Endpoint>> observed_;
  bool closed_ = false;
};

}  // namespace quorate::client
