#include "client/stream_opening.h"

#include <string>
#include <utility>

#include "client/core.h"

namespace quorate::client {

StreamOpening::StreamOpening(Core* core, Done done) : core_(*core), done_(std::move(done)) {}

void StreamOpening::Start(const CallOptions& options, Clock::time_point deadline) {
  if (core_.closed()) return Finish(MakeStatus(absl::StatusCode::kCancelled, "the client is closed"));
  if (core_.token().refused() && deadline != Clock::time_point::max()) {
    core_.loop().Set(&login_end_, deadline, [self = shared_from_this()] {
      self->Finish(MakeStatus(absl::StatusCode::kDeadlineExceeded,
                              "context deadline exceeded: " + std::string(kLoginTooSlow)));
    });
  }
  core_.token().Ensure([self = shared_from_this(), options, deadline](const Status& ensured) {
    if (!self->done_) return;
    self->login_end_.Cancel();
    if (!ensured.ok()) return self->Finish(ensured);
    self->Pick(options, deadline);
  });
}

void StreamOpening::Pick(const CallOptions& options, Clock::time_point deadline) {
  ticket_ = core_.balancer().Pick(
      {.deadline = deadline, .endpoint = options.endpoint, .fail_fast = options.fail_fast},
      [self = shared_from_this()](StatusOr<std::shared_ptr<Endpoint>> endpoint) {
        self->Finish(std::move(endpoint));
      });
}

void StreamOpening::Cancel() {
  done_ = nullptr;
  login_end_.Cancel();
  core_.balancer().Forget(ticket_);
}

void StreamOpening::Finish(StatusOr<std::shared_ptr<Endpoint>> endpoint) {
  if (const Done done = std::exchange(done_, nullptr)) done(std::move(endpoint));
}

}  // namespace quorate::client
