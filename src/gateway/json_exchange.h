// One request of the JSON gateway from its JSON to its answer. Loop-thread only. It lives as long as its HTTP
// exchange: the reply's OnClosed holds it until the answer is complete or the client is gone, which cancels
// the call.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/wipe.h"
#include "gateway/errors.h"
#include "gateway/routes.h"
#include "net/http.h"
#include "net/local_call.h"

namespace quorate::gateway {

// A response of so many bytes and its JSON, about: keys and values are base64 there.
constexpr size_t JsonBytes(size_t message_bytes) { return message_bytes + message_bytes / 3 * 4; }

class JsonExchange : public net::LocalCall::Receiver, public std::enable_shared_from_this<JsonExchange> {
 public:
  JsonExchange(const Route& route, Era era, net::HttpHeaders headers, Executor* executor)
      : route_(route), era_(era), headers_(std::move(headers)), executor_(executor) {}

  // Of a method that takes one request.
  void Start(net::Server* server, const net::HttpRequest& request, net::HttpReply reply);

  // From the call.
  void OnResponse(std::string_view message) override;
  void OnEnd(net::Code code, std::string_view message) override;
  size_t pending_bytes() const override { return reply_.pending_bytes(); }
  bool full() override { return reply_.full(); }
  bool MayTake(size_t bytes) override { return reply_.MayTake(JsonBytes(bytes)); }
  void OnQueued(size_t bytes) override { reply_.HoldOutput(JsonBytes(bytes)); }
  bool OnHeld(size_t bytes) override;
  void OnWaitOver() override { OnRoom(); }

 protected:
  // Opens the call that the headers ask for. Without one the request was refused.
  void Open(net::Server* server, const net::HttpRequest& request, net::HttpReply reply);
  // What is kept of the request, beside the call itself, by now. False: its client makes us keep too much;
  // never for what is no more than before.
  bool Hold(size_t bytes);
  // The reply was full, or the service had to wait, and is not any more.
  virtual void OnRoom() {}
  void DropCall();
  // The answer is this error, if none has begun; else it ends with it.
  void Refuse(net::Code code, std::string_view message);

  const Route& route_;
  const Era era_;
  net::HttpReply reply_;
  std::shared_ptr<net::LocalCall> call_;

 private:
  void BeginStream(int status);
  void SendBody(std::string_view json);
  void EncodeElsewhere(std::string message);

  net::HttpHeaders headers_;
  Executor* const executor_;
  std::string response_;  // Of a method that has one, as it came.
  size_t held_ = 0;       // Here, of the request.
  size_t held_by_call_ = 0;
  bool begun_ = false;  // The head of a stream's answer is out.
};

// The JSON of a response, which is a message of the route's type.
std::string ResponseJson(const Route& route, std::string_view message);
// A request's JSON as the bytes of its message.
Status ReadRequest(const Route& route, std::string_view json, Secret* bytes);

}  // namespace quorate::gateway
