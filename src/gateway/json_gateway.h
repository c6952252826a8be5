// The JSON door to the gRPC services: POST /v3/... with a JSON body, answered in JSON, or a WebSocket on the
// same path. A request becomes a net::LocalCall of the method that its path stands for, so it passes the same
// checks and counters as a call over gRPC. Who calls is told by a token only, never by a certificate.
// Loop-thread only. Behaviour: grpc-gateway's runtime/{mux,handler,errors}.go as built into etcd (errors.h on
// versions).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "gateway/errors.h"
#include "gateway/json_turns.h"
#include "gateway/routes.h"
#include "net/http.h"
#include "net/server.h"

namespace quorate::gateway {

class JsonGateway {
 public:
  // `server` has the methods; `executor` writes the JSON of large responses. Both must outlive the gateway
  // and the requests in progress. `era` is asked for each request.
  JsonGateway(net::Server* server, Executor* executor, std::function<Era()> era)
      : server_(server), executor_(executor), era_(std::move(era)), turns_(server->loop()) {}

  // Whether the path is the gateway's: below /v3/, or /v3beta/, which means the same.
  static bool Owns(std::string_view path);

  // Whether Handle() reads the body of such a request.
  static bool ReadsBody(const net::HttpRequest& request);
  // Takes the body of a method that works its requests while they come; null: collect it, for Handle().
  // `headers` go with every answer.
  std::shared_ptr<net::HttpBodySink> TakeBody(const net::HttpRequest& request, net::HttpHeaders headers);
  // Answers now or later.
  void Handle(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers);

 private:
  static const Route* RouteOf(const net::HttpRequest& request);

  net::Server* const server_;
  Executor* const executor_;
  const std::function<Era()> era_;
  JsonTurns turns_;
};

}  // namespace quorate::gateway
