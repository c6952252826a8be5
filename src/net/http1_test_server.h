// For tests of HTTP/1.1: a server that says what it was asked, in the test's own thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/server.h"
#include "net/test_client.h"

namespace quorate::net {

class Http1Test : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    server_ = std::make_unique<Server>(&loop_, options);
    server_->SetHttpHandler([this](HttpRequest request, HttpReply reply) {
      requests_.push_back(request);
      if (request.path.starts_with("/wait")) {
        replies_.push_back(reply);
      } else if (request.path == "/drop") {
        return;
      } else {
        reply.Send(200, {{"X-Path", request.path}}, "[" + request.method + " " + request.body + "]");
      }
    });
    const StatusOr<uint16_t> port = server_->Listen("127.0.0.1", 0);
    ASSERT_TRUE(port.ok()) << port.status();
    port_ = *port;
  }
  std::string Ask(std::string_view input) {
    RawClient raw(&loop_, port_);
    raw.Write(input);
    return raw.ReadAll();
  }

  Loop loop_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  std::vector<HttpRequest> requests_;
  std::vector<HttpReply> replies_;
};

}  // namespace quorate::net
