// What a stream needs before it starts: a token that was not refused, and a connected endpoint. Loop thread.
#pragma once

#include <functional>
#include <memory>

#include "base/status.h"
#include "client/balancer.h"
#include "quorate/client/options.h"

namespace quorate::client {

class Core;

class StreamOpening : public std::enable_shared_from_this<StreamOpening> {
 public:
  using Done = std::function<void(StatusOr<std::shared_ptr<Endpoint>>)>;

  // `done` runs once, perhaps within Start; not after Cancel.
  StreamOpening(Core* core, Done done);

  // Waits until the deadline for a token and a connection.
  void Start(const CallOptions& options, Clock::time_point deadline);
  // Nothing is kept of it.
  void Cancel();

 private:
  void Pick(const CallOptions& options, Clock::time_point deadline);
  void Finish(StatusOr<std::shared_ptr<Endpoint>> endpoint);

  Core& core_;
  Done done_;  // Null: over.
  Timer login_end_;
  Balancer::Ticket ticket_ = 0;
};

}  // namespace quorate::client
