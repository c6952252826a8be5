// One streaming call at one endpoint. Loop thread; lives until gRPC has given everything back.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <deque>
#include <functional>
#include <memory>

#include "base/status.h"
#include "client/endpoint.h"
#include "client/method.h"

namespace quorate::client {

class Core;

// S1: `ended` runs exactly once, after the last `message`; neither runs after Cancel.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  struct Events {
    std::function<void(const grpc::ByteBuffer&)> message;
    std::function<void(const Status&)> ended;  // OK: the server has ended it in peace.
  };

  Stream(Core* core, const Method& method, std::shared_ptr<Endpoint> endpoint, Events events);

  void Start(bool require_leader, Clock::time_point deadline);
  // In order; what a broken stream can't take is dropped.
  void Write(grpc::ByteBuffer message);
  void CloseWrites();
  // Asks for one message. The end of the stream is noticed only while a message is asked for.
  void Read();
  void Cancel();
  // Runs `ended` with this error instead of what the server would say.
  void CancelWith(const Status& why);

  Endpoint& endpoint() { return *endpoint_; }

 private:
  void Opened(bool ok);
  void WriteNext();
  void OnRead(bool ok);
  void Finish();
  void End();

  Core& core_;
  const Method method_;
  const std::shared_ptr<Endpoint> endpoint_;
  Events events_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  std::deque<grpc::ByteBuffer> writes_;
  grpc::ByteBuffer message_;
  grpc::Status status_;
  bool open_ = false;
  bool writing_ = false;
  bool close_writes_ = false;
  bool read_wanted_ = false;
  bool reading_ = false;
  bool cancelled_ = false;
  bool finishing_ = false;
};

}  // namespace quorate::client
