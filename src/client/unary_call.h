// One call with its attempts. Loop thread; lives until it is finished.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/status.h"
#include "client/balancer.h"
#include "client/method.h"
#include "client/retry.h"

namespace quorate::client {

class Core;

class UnaryCall : public std::enable_shared_from_this<UnaryCall> {
 public:
  using Done = std::function<void(Status, grpc::ByteBuffer)>;

  UnaryCall(Core* core, const Method& method, grpc::ByteBuffer request, CallOptions options, Done done);

  void Start();
  // Ends it with this error; nothing when it is finished.
  void Cancel(const Status& why);

 private:
  void Attempt();
  void OnPicked(StatusOr<std::shared_ptr<Endpoint>> endpoint);
  void Send();
  void OnAnswer();
  // Of an attempt, with the mark of one that never left.
  Status AttemptStatus();
  void Failed(const Status& status);
  Status OutOfTime() const;
  // Goes on with a new one, if it comes in time.
  void RenewToken();
  void Retry();
  void Finish(Status status);

  Core& core_;
  const Method method_;
  const grpc::ByteBuffer request_;
  CallOptions options_;
  Done done_;  // Empty: finished.
  Clock::time_point deadline_;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;

  int attempt_ = 0;
  bool attempt_bounded_ = false;  // By read_attempt_timeout, before the end of the call.
  bool perhaps_done_ = false;     // An attempt was sent, and nobody knows what became of it.
  std::string last_error_;        // Of the attempt before.
  Balancer::Ticket ticket_ = 0;
  std::shared_ptr<Endpoint> endpoint_;  // Of the attempt under way, or the last one.
  uint64_t token_generation_ = 0;
  Timer wait_;                                    // Until the next attempt, or until there is a token.
  std::unique_ptr<grpc::ClientContext> context_;  // Of the attempt under way.
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer response_;
  grpc::Status grpc_status_;
};

}  // namespace quorate::client
