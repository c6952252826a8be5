// Calls with messages for bytes, and the three ways to have the answer: a callback, a future, or waiting.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <future>
#include <memory>
#include <utility>

#include "base/status.h"
#include "client/core.h"
#include "client/method.h"

namespace quorate::client {

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message);
// kInternal when they are no such message.
Status FromBytes(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message);

// What a call that waits says on the loop's thread.
Status WouldWaitForItself();

template <typename Response>
void StartCall(Core* core, const Method& method, const google::protobuf::MessageLite& request,
               CallOptions options, std::function<void(StatusOr<Response>)> done) {
  core->Call(method, ToBytes(request), std::move(options),
             [done = std::move(done)](Status status, const grpc::ByteBuffer& bytes) {
               Response response;
               if (status.ok()) status = FromBytes(bytes, &response);
               if (!status.ok()) return done(std::move(status));
               done(std::move(response));
             });
}

// The answer that a future waits for. A call that is dropped answers, too.
template <typename Response>
class PromisedAnswer {
 public:
  ~PromisedAnswer() {
    if (!given_) promise_.set_value(MakeStatus(absl::StatusCode::kCancelled, "the client is closed"));
  }
  std::future<StatusOr<Response>> Future() { return promise_.get_future(); }
  void Give(StatusOr<Response> response) {
    given_ = true;
    promise_.set_value(std::move(response));
  }

 private:
  std::promise<StatusOr<Response>> promise_;
  bool given_ = false;
};

template <typename Response>
std::future<StatusOr<Response>> PromiseCall(Core* core, const Method& method,
                                            const google::protobuf::MessageLite& request,
                                            CallOptions options) {
  auto answer = std::make_shared<PromisedAnswer<Response>>();
  auto future = answer->Future();
  StartCall<Response>(
      core, method, request, std::move(options),
      [answer = std::move(answer)](StatusOr<Response> response) { answer->Give(std::move(response)); });
  return future;
}

template <typename Response>
StatusOr<Response> Call(Core* core, const Method& method, const google::protobuf::MessageLite& request,
                        CallOptions options) {
  if (core->loop().InLoop()) return WouldWaitForItself();
  return PromiseCall<Response>(core, method, request, std::move(options)).get();
}

}  // namespace quorate::client
