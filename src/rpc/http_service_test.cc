#include "rpc/http_service.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/server.h"
#include "net/test_client.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {
namespace {

using net::H2Client;

// The second half of what is sent to a body that stays open, more than any window.
constexpr size_t kMuchBytes = 40'000'000;

class HttpServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.Start();
    health_ = std::make_unique<HealthChecks>(world_.member.get());
    service_ = std::make_unique<HttpService>(
        world_.member.get(), health_.get(), [] { return std::string("# none\n"); },
        HttpOptions{.host_whitelist = {"good"}});
    service_->AddDoor({[](std::string_view path) { return path.starts_with("/door/"); },
                       [](const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers) {
                         reply.Send(202, headers, request.method + " " + request.body);
                       },
                       [](const net::HttpRequest& request) { return request.method == "POST"; }});
    port_ = Listen(&server_);
    server_.SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
      service_->Handle(request, std::move(reply));
    });
    server_.SetHttpBodyHandler(
        [this](const net::HttpRequest& request) { return service_->TakeBody(request); });
    metrics_port_ = Listen(&metrics_server_);
    metrics_server_.SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
      service_->HandleMetricsOnly(request, std::move(reply));
    });
    metrics_server_.SetHttpBodyHandler(
        [this](const net::HttpRequest& request) { return service_->TakeBodyMetricsOnly(request); });
  }
  static uint16_t Listen(net::Server* server) {
    const auto port = server->Listen("127.0.0.1", 0);
    EXPECT_TRUE(port.ok()) << port.status();
    return port.value_or(0);
  }
  // An open body is reset soon after its answer.
  static net::ServerOptions Options() { return {.early_end_grace = std::chrono::milliseconds(1)}; }
  static net::H2Session::Headers Head(const std::string& method, const std::string& path,
                                      const std::string& host = "good:1") {
    return {{":method", method}, {":scheme", "http"}, {":path", path}, {":authority", host}};
  }
  bool Until(H2Client* client, const std::function<bool()>& condition) {
    return client->Until([&] {
      world_.RunUntilIdle();
      return condition();
    });
  }

  server::MemberHarness world_{3};
  net::Loop loop_;
  std::unique_ptr<HealthChecks> health_;
  std::unique_ptr<HttpService> service_;
  net::Server server_{&loop_, Options()};
  net::Server metrics_server_{&loop_, Options()};
  uint16_t port_ = 0;
  uint16_t metrics_port_ = 0;
};

struct Asked {
  std::string method, path, host, status;
};

// Its body is open and stays so.
TEST_F(HttpServiceTest, WhatTheHeadDecidesIsAnsweredAtTheHeadOverHttp2) {
  const std::vector<Asked> asked = {
      {"POST", "/nosuch", "good:1", "404"}, {"POST", "/version", "good:1", "405"},
      {"POST", "/door/x", "bad:1", "421"},  {"POST", "/door//x", "good:1", "301"},
      {"PUT", "/door/x", "good:1", "202"},  {"OPTIONS", "/door/x", "good:1", "200"},
      {"GET", "/version", "good:1", "200"}, {"GET", "/health", "good:1", "200"},
      {"POST", "/health", "good:1", "405"}, {"POST", "/metrics", "good:1", "200"},
      {"HEAD", "/nosuch", "good:1", "404"},
  };
  for (const uint16_t port : {port_, metrics_port_}) {
    for (const Asked& a : asked) {
      SCOPED_TRACE(a.method + " " + a.path + " at " + a.host);
      const bool only_metrics = port == metrics_port_ && a.path != "/metrics" && a.path != "/health" &&
                                (a.status[0] == '2' || a.status == "405") && a.method != "OPTIONS";
      H2Client open(&loop_, port);
      const int32_t id = open.Request(Head(a.method, a.path, a.host), "{\"half\":", false);
      ASSERT_TRUE(Until(&open, [&] { return open.answer(id).closed; }));
      EXPECT_EQ(only_metrics ? "404" : a.status, open.answer(id).get(":status"));
      EXPECT_EQ(uint32_t{NGHTTP2_NO_ERROR}, open.answer(id).error);
      // One that is whole gets the same.
      H2Client whole(&loop_, port);
      const int32_t other = whole.Request(Head(a.method, a.path, a.host), "{\"half\":");
      ASSERT_TRUE(Until(&whole, [&] { return whole.answer(other).closed; }));
      net::H2Session::Answer first = open.answer(id), second = whole.answer(other);
      first.head.erase("date");
      second.head.erase("date");
      EXPECT_EQ(first.head, second.head);
      EXPECT_EQ(first.data, second.data);
    }
  }
  EXPECT_EQ(0u, server_.stats().request_bytes_held);
}

TEST_F(HttpServiceTest, WhoReadsTheBodyGetsAllOfIt) {
  H2Client client(&loop_, port_);
  const int32_t id = client.Request(Head("POST", "/door/x"), "one ", false);
  ASSERT_TRUE(Until(&client, [&] { return server_.stats().request_bytes_held >= 4; }));
  EXPECT_EQ("(none)", client.answer(id).get(":status"));
  client.MoreBody(id, "two", true);
  EXPECT_EQ("POST one two", client.Await(id).data);
}

// An answer before the body's end would end the connection.
TEST_F(HttpServiceTest, OverHttp11ItWaitsForTheBodyAndTheConnectionGoesOn) {
  net::RawClient raw(&loop_, port_);
  for (int i = 0; i < 3; ++i) {
    raw.Write("POST /nosuch HTTP/1.1\r\nHost: good\r\nContent-Length: 4\r\n\r\n");
    for (int round = 0; round < 20; ++round) loop_.RunRound(false);
    EXPECT_EQ("", raw.Read());
    raw.Write("body");
    const std::string answer = raw.ReadUntil("404 page not found\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ")) << answer;
    EXPECT_EQ(std::string::npos, answer.find("onnection: close")) << answer;
  }
}

// Each stream keeps its window's worth on the way when it is answered.
TEST_F(HttpServiceTest, WhatComesBehindAnAnswerIsNotKeptAndGivesItsWindowBack) {
  H2Client client(&loop_, port_);
  const std::string part(50'000, 'x');
  for (size_t sent = 0; sent < kMuchBytes; sent += part.size()) {
    const int32_t id = client.Request(Head("POST", "/nosuch"), part, false);
    ASSERT_TRUE(client.Until([&] { return client.answer(id).closed; })) << sent;
    ASSERT_EQ("404", client.answer(id).get(":status"));
    ASSERT_LT(server_.stats().request_bytes_held, 100'000u);
  }
  EXPECT_EQ("POST " + part, client.Await(client.Request(Head("POST", "/door/x"), part)).data);
  EXPECT_EQ(0u, server_.stats().request_bytes_held);
}

}  // namespace
}  // namespace quorate::rpc
