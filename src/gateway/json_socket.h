// One call of the JSON gateway over a WebSocket: each message of the client holds requests as JSON, each
// response is a message, and so is an error, the last. Many requests are worked in slices (json_turns.h), and
// no faster than the client takes the answers. Loop-thread only. It keeps itself until the call is over or
// the client has gone. Behaviour: github.com/tmc/grpc-websocket-proxy, but that cookies are no credentials:
// any page may open a WebSocket.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/errors.h"
#include "gateway/json_exchange.h"
#include "gateway/json_syntax.h"
#include "gateway/json_turns.h"
#include "gateway/routes.h"
#include "net/local_call.h"
#include "net/web_socket.h"

namespace quorate::gateway {

class JsonSocket : public net::WebSocket::Receiver, public net::LocalCall::Receiver, public JsonTurns::Body {
 public:
  static void Open(const Route& route, Era era, net::Server* server, JsonTurns* turns,
                   const net::HttpRequest& request, net::HttpReply reply);

  // From the client.
  void OnMessage(std::string_view text) override;
  void OnWritable() override;
  void OnClosed() override;
  // From the call.
  void OnResponse(std::string_view message) override;
  void OnEnd(net::Code code, std::string_view message) override;
  size_t pending_bytes() const override { return socket_->pending_bytes(); }
  bool full() override { return socket_->full(); }
  bool MayTake(size_t bytes) override { return socket_->MayTake(JsonBytes(bytes)); }
  void OnQueued(size_t bytes) override { socket_->HoldOutput(JsonBytes(bytes)); }
  bool OnHeld(size_t bytes) override;
  void OnWaitOver() override { OnWritable(); }
  // From the turns.
  bool Work(Slice& slice) override;

 private:
  JsonSocket(const Route& route, Era era, JsonTurns* turns) : route_(route), era_(era), turns_(*turns) {}

  // Sends of one message what fits into the slice. False: that was all, or the end of the call.
  bool SendSome(JsonValues& values, Slice& slice);
  // Keeps it, and reads nothing further, until it has been sent.
  void Keep(std::string_view text);
  void Want();
  // Of kept_, and by the call.
  bool CountHeld() { return socket_->HoldRequest(kept_bytes_ + held_by_call_); }
  // With a last word, if there is one.
  void End(std::string_view text);

  const Route& route_;
  const Era era_;
  JsonTurns& turns_;
  std::shared_ptr<net::WebSocket> socket_;
  std::shared_ptr<net::LocalCall> call_;
  std::deque<std::string> kept_;  // Messages that are not sent yet, or not all of it.
  size_t kept_bytes_ = 0;
  size_t held_by_call_ = 0;
  size_t front_sent_ = 0;             // Of the first.
  bool wants_turn_ = false;           // Waits for one.
  bool waits_ = false;                // For the client to take answers.
  bool asked_ = false;                // The client has sent a request.
  std::shared_ptr<JsonSocket> self_;  // Until the end.
};

}  // namespace quorate::gateway
