// One call of the JSON gateway over a WebSocket: each message of the client holds requests as JSON, each
// response is a message, and so is an error, the last. Loop-thread only. It keeps itself until the call is
// over or the client has gone. Behaviour: github.com/tmc/grpc-websocket-proxy, but that cookies are no
// credentials: any page may open a WebSocket.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/errors.h"
#include "gateway/routes.h"
#include "net/local_call.h"
#include "net/web_socket.h"

namespace quorate::gateway {

class JsonSocket : public net::WebSocket::Receiver, public net::LocalCall::Receiver {
 public:
  static void Open(const Route& route, Era era, net::Server* server, const net::HttpRequest& request,
                   net::HttpReply reply);

  // From the client.
  void OnMessage(std::string_view text) override;
  void OnClosed() override;
  // From the call.
  void OnResponse(std::string_view message) override;
  void OnEnd(net::Code code, std::string_view message) override;
  size_t pending_bytes() const override { return socket_->pending_bytes(); }

 private:
  JsonSocket(const Route& route, Era era) : route_(route), era_(era) {}

  // With a last word, if there is one.
  void End(std::string_view text);

  const Route& route_;
  const Era era_;
  std::shared_ptr<net::WebSocket> socket_;
  std::shared_ptr<net::LocalCall> call_;
  bool asked_ = false;                // The client has sent a request.
  std::shared_ptr<JsonSocket> self_;  // Until the end.
};

}  // namespace quorate::gateway
