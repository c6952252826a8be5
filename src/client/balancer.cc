#include "client/balancer.h"

#include <algorithm>
#include <utility>

namespace quorate::client {
namespace {

// A look-out for a change of state can't be called off, so it is short: the end of a client waits for it. It
// is kept up only while a call waits for a connection.
constexpr std::chrono::milliseconds kObserveFor(50);

}  // namespace

Balancer::Balancer(Loop* loop, EndpointFactory factory) : loop_(*loop), factory_(std::move(factory)) {}

Status Balancer::SetEndpoints(const std::vector<std::string>& urls) {
  if (urls.empty()) return InvalidArgument("at least one endpoint is required");
  std::vector<std::shared_ptr<Endpoint>> endpoints;
  for (const std::string& url : urls) {
    const auto known = std::find_if(endpoints_.begin(), endpoints_.end(),
                                    [&](const auto& one) { return one->address().url == url; });
    if (known != endpoints_.end()) {
      endpoints.push_back(*known);
      continue;
    }
    QUORATE_ASSIGN_OR_RETURN(auto endpoint, factory_.Make(url));
    endpoints.push_back(std::move(endpoint));
  }
  endpoints_ = std::move(endpoints);
  for (const auto& endpoint : endpoints_) endpoint->State();
  // Streams wait without an end: they must hear of it.
  for (auto& [ticket, waiter] : waiting_) {
    if (waiter.want.endpoint.empty()) waiter.candidates = endpoints_;
  }
  // Not from here, which may be within what a waiter does next.
  if (!waiting_.empty()) loop_.Post([this] { Serve(); });
  return absl::OkStatus();
}

StatusOr<std::vector<std::shared_ptr<Endpoint>>> Balancer::Candidates(const Want& want) {
  if (want.endpoint.empty()) return endpoints_;
  for (const auto& endpoint : endpoints_) {
    if (endpoint->address().url == want.endpoint) return std::vector{endpoint};
  }
  std::weak_ptr<Endpoint>& known = unlisted_[want.endpoint];
  std::shared_ptr<Endpoint> endpoint = known.lock();
  if (!endpoint) {
    std::erase_if(unlisted_, [&](const auto& one) { return one.second.expired(); });
    QUORATE_ASSIGN_OR_RETURN(endpoint, factory_.Make(want.endpoint));
    unlisted_[want.endpoint] = endpoint;
  }
  return std::vector{std::move(endpoint)};
}

std::shared_ptr<Endpoint> Balancer::Choose(const std::vector<std::shared_ptr<Endpoint>>& candidates,
                                           const void* rather_not) {
  std::shared_ptr<Endpoint> second_best;
  const auto now = Clock::now();
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto& endpoint = candidates[(next_ + i) % candidates.size()];
    if (endpoint->State() != GRPC_CHANNEL_READY) continue;
    if (endpoint.get() != rather_not && !endpoint->Avoided(now)) {
      next_ = (next_ + i + 1) % candidates.size();
      return endpoint;
    }
    if (!second_best || second_best.get() == rather_not) second_best = endpoint;
  }
  return second_best;
}

Balancer::Ticket Balancer::Pick(Want want, Picked picked) {
  const Ticket ticket = ++last_ticket_;
  if (closed_) {
    picked(MakeStatus(absl::StatusCode::kCancelled, "the client is closed"));
    return ticket;
  }
  auto candidates = Candidates(want);
  if (!candidates.ok()) {
    picked(candidates.status());
    return ticket;
  }
  if (auto endpoint = Choose(*candidates, want.rather_not)) {
    picked(std::move(endpoint));
    return ticket;
  }
  waiting_.emplace(ticket, Waiter{std::move(want), std::move(picked), *std::move(candidates)});
  Serve();
  return ticket;
}

bool Balancer::HasOther(const Endpoint& than) const {
  const auto now = Clock::now();
  return std::any_of(endpoints_.begin(), endpoints_.end(), [&](const auto& one) {
    return one.get() != &than && one->State() == GRPC_CHANNEL_READY && !one->Avoided(now);
  });
}

bool Balancer::AllDown(const Waiter& waiter) {
  return std::all_of(waiter.candidates.begin(), waiter.candidates.end(), [](const auto& endpoint) {
    return endpoint->State() == GRPC_CHANNEL_TRANSIENT_FAILURE && !endpoint->connect_error().empty();
  });
}

Status Balancer::NoConnection(const Waiter& waiter) const {
  std::string text;
  for (const auto& endpoint : waiter.candidates) {
    text += (text.empty() ? "" : "; ") + endpoint->address().url + ": " +
            (endpoint->connect_error().empty() ? "not connected yet" : endpoint->connect_error());
  }
  // etcd's words first: scripts look for them.
  return waiter.want.fail_fast && Clock::now() < waiter.want.deadline
             ? Unavailable("there is no connection available: " + text)
             : MakeStatus(absl::StatusCode::kDeadlineExceeded,
                          "context deadline exceeded: no connection to " + text);
}

void Balancer::Serve() {
  const auto now = Clock::now();
  std::vector<std::pair<Picked, StatusOr<std::shared_ptr<Endpoint>>>> served;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Waiter& waiter = it->second;
    if (auto endpoint = Choose(waiter.candidates, waiter.want.rather_not)) {
      served.emplace_back(std::move(waiter.picked), std::move(endpoint));
    } else if (now >= waiter.want.deadline || (waiter.want.fail_fast && AllDown(waiter))) {
      served.emplace_back(std::move(waiter.picked), NoConnection(waiter));
    } else {
      ++it;
      continue;
    }
    it = waiting_.erase(it);
  }
  for (const auto& [ticket, waiter] : waiting_) {
    for (const auto& endpoint : waiter.candidates) Observe(endpoint);
  }
  for (auto& [picked, result] : served) picked(std::move(result));
}

void Balancer::Observe(const std::shared_ptr<Endpoint>& endpoint) {
  if (!observed_.emplace(endpoint.get(), endpoint).second) return;
  const grpc_connectivity_state state = endpoint->State();
  if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) Endpoint::LearnConnectError(endpoint, &loop_);
  endpoint->channel().NotifyOnStateChange(state, ToGrpc(Clock::now() + kObserveFor), loop_.queue(),
                                          loop_.Tag([this, one = endpoint.get()](bool) {
                                            const auto keep = observed_.extract(one);
                                            if (!waiting_.empty()) Serve();
                                          }));
}

void Balancer::Close() {
  closed_ = true;
  for (auto& [ticket, waiter] : std::exchange(waiting_, {})) {
    waiter.picked(MakeStatus(absl::StatusCode::kCancelled, "the client is closed"));
  }
}

}  // namespace quorate::client
