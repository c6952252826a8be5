#include "quorate/client/session.h"

#include <utility>

#include "base/status.h"

namespace quorate::client {

StatusOr<std::unique_ptr<Session>> Session::Start(Client* client, const SessionOptions& options) {
  int64_t lease = options.lease;
  if (lease == 0) {
    QUORATE_ASSIGN_OR_RETURN(const LeaseGrantResponse granted,
                             client->leases().Grant(options.ttl, 0, options.call));
    lease = granted.id();
  }
  return std::unique_ptr<Session>(new Session(client, lease, options.ttl, client->leases().KeepAlive(lease)));
}

Session::Session(Client* client, int64_t lease, std::chrono::seconds ttl,
                 std::unique_ptr<KeepAlive> keep_alive)
    : client_(*client), lease_(lease), ttl_(ttl), keep_alive_(std::move(keep_alive)) {}

Session::~Session() {
  if (!owned_) return;
  keep_alive_->Cancel();
  // What can't be revoked soon runs out by itself.
  (void)client_.leases().Revoke(lease_);
}

void Session::Orphan() {
  owned_ = false;
  keep_alive_->Cancel();
}

Status Session::Close() {
  owned_ = false;
  keep_alive_->Cancel();
  CallOptions call;
  call.timeout = ttl_;
  const Status revoked = client_.leases().Revoke(lease_, call).status();
  return IsLeaseNotFound(revoked) ? absl::OkStatus() : revoked;
}

}  // namespace quorate::client
