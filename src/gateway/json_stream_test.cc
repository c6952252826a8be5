#include "gateway/json_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/gateway_test_server.h"

namespace quorate::gateway {
namespace {

TEST_F(JsonGatewayTest, StreamsAreOneObjectALine) {
  net::RawClient raw(&loop_, port_);
  raw.Write(Request("/v3/watch", R"({"create_request":{"watch_id":1}} {"create_request":{"watch_id":"2"}})"));
  const std::string answer = raw.ReadUntil(R"("2"}})");
  EXPECT_EQ("200", StatusOf(answer));
  EXPECT_NE(std::string::npos, answer.find("Transfer-Encoding: chunked\r\n"));
  EXPECT_NE(std::string::npos, answer.find("{\"result\":{\"watch_id\":\"1\"}}\n"));
  EXPECT_EQ((std::vector<std::string>{"half-close"}), log_);
  raw.Close();
  EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return log_.size() == 2; }));
  EXPECT_EQ("closed 1", log_[1]);
}

TEST_F(JsonGatewayTest, StreamsEndWithTheirStatus) {
  // "end", "fail" in base64.
  EXPECT_EQ("200", StatusOf(Ask("/v3/watch", R"({"create_request":{"key":"ZW5k"}})")));
  const std::string fail = R"({"create_request":{"key":"ZmFpbA=="}})";
  const std::string at_once = Ask("/v3/watch", fail);
  EXPECT_EQ("404", StatusOf(at_once));
  const std::string line =
      R"({"error":{"grpc_code":5,"http_code":404,"message":"no \u003csuch\u003e thing","http_status":"Not Found"}})";
  EXPECT_NE(std::string::npos, at_once.find(line));
  const std::string later = Ask("/v3/watch", R"({"create_request":{"watch_id":1}})" + fail);
  EXPECT_EQ("200", StatusOf(later));
  EXPECT_NE(std::string::npos, later.find(line));
  era_ = Era::k36;
  EXPECT_NE(
      std::string::npos,
      Ask("/v3/watch", fail).find("{\"error\":{\"code\":5,\"message\":\"no \\u003csuch\\u003e thing\"}}\n"));
}

std::string Chunk(std::string_view text) {
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", text.size());
  return size + std::string(text) + "\r\n";
}

constexpr std::string_view kOpen = "POST /v3/watch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

// What the client has said is worked when it is whole, and answered, while the body is open.
TEST_F(JsonGatewayTest, RequestsAreWorkedWhileTheBodyIsOpen) {
  net::RawClient raw(&loop_, port_);
  raw.Write(kOpen);
  raw.Write(Chunk(R"({"create_request":{"watch_id":1}})"));
  const std::string head = raw.ReadUntil(R"("1"}})");
  EXPECT_EQ("200", StatusOf(head));
  EXPECT_NE(std::string::npos, head.find("X-Common: yes\r\n"));
  raw.Write(Chunk(" \n") + Chunk(R"( {"create_request":{"wat)"));
  raw.Write(Chunk(R"(ch_id":2}} {"create_request":{"watch_id":3}}null)"));
  raw.ReadUntil(R"("3"}})");
  EXPECT_EQ(3, asked_);
  raw.Write(Chunk(" "));  // Only now it is seen that the literal is over: an empty request.
  ASSERT_TRUE(net::TurnUntil(&loop_, [&] { return asked_ == 4; }));
  EXPECT_TRUE(log_.empty());
  raw.Write("0\r\n\r\n");
  EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return !log_.empty(); }));
  EXPECT_EQ((std::vector<std::string>{"half-close"}), log_);

  net::H2Client client(&loop_, port_);
  const int32_t id = client.Request(PostTo("/v3/watch"), R"({"create_request":{"watch_id":5}})", false);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data == "{\"result\":{\"watch_id\":\"5\"}}\n"; }));
  // "end" in base64: the answer ends before the body does.
  client.MoreBody(id, R"({"create_request":{"key":"ZW5k"}})", false);
  client.Await(id);
  EXPECT_EQ(0u, client.answer(id).error);
  raw.Close();
  ASSERT_TRUE(net::TurnUntil(&loop_, [&] { return log_.back() == "closed 1"; }));
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

// A mistake is told at once, not when the body ends.
TEST_F(JsonGatewayTest, WhatCanBecomeNoRequestIsRefusedWhileTheBodyIsOpen) {
  const std::string error = R"({"error":"invalid character 'x' looking for beginning of value","message":)"
                            R"("invalid character 'x' looking for beginning of value","code":2})";
  for (const char* text : {"x", " x", "x{"}) {
    net::RawClient raw(&loop_, port_);
    raw.Write(kOpen);
    raw.Write(Chunk(text));
    const std::string answer = raw.ReadAll();
    EXPECT_EQ("500", StatusOf(answer));
    EXPECT_EQ(error, Body(answer)) << text;
    net::H2Client client(&loop_, port_);
    const int32_t id = client.Request(PostTo("/v3/watch"), text, false);
    EXPECT_EQ(error, client.Await(id).data) << text;
  }
  // Behind others it is the end of the requests.
  log_.clear();
  net::RawClient raw(&loop_, port_);
  raw.Write(kOpen);
  raw.Write(Chunk(R"({"create_request":{"watch_id":1}})") + Chunk("{x"));
  raw.ReadUntil("\"1\"");
  EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return !log_.empty(); }));
  EXPECT_EQ((std::vector<std::string>{"half-close"}), log_);
  raw.Write(Chunk(R"({"create_request":{"watch_id":1}})"));
  for (int i = 0; i < 20; ++i) loop_.RunRound(false);
  EXPECT_EQ(1, asked_);
}

TEST_F(JsonGatewayTest, ARequestOfAnyLengthIsRefusedBeforeItIsWhole) {
  net::ServerOptions options;
  options.http_body_bytes_max = 100'000;
  Start(options);
  const std::string half = R"({"create_request":{"key":")" + Repeated("QUFB", 30'000);
  net::H2Client client(&loop_, port_);
  const int32_t first = client.Request(PostTo("/v3/watch"), half, false);
  EXPECT_EQ("429", client.Await(first).get(":status"));
  // After an answer it is the last line.
  const int32_t second = client.Request(PostTo("/v3/watch"), R"({"create_request":{}})", false);
  ASSERT_TRUE(client.Until([&] { return client.answer(second).data == "{\"result\":{}}\n"; }));
  client.MoreBody(second, half, false);
  EXPECT_TRUE(client.Await(second).data.ends_with(
      R"("message":"transport: a request of more than 100000 bytes of JSON","http_status":"Too Many Requests"}})"))
      << client.answer(second).data;
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

// A body may be silent, but not before its first request.
TEST_F(JsonGatewayTest, TheFirstRequestIsToComeInTime) {
  net::ServerOptions options;
  options.header_timeout = std::chrono::milliseconds(20);
  Start(options);
  net::RawClient silent(&loop_, port_);
  silent.Write(std::string(kOpen) + Chunk(R"({"create_request":{"watch_id":1}})"
                                          "\n"));
  silent.ReadUntil(R"("1"}})");
  net::RawClient nothing(&loop_, port_);
  nothing.Write(kOpen);
  EXPECT_EQ("", nothing.ReadAll());
  net::RawClient half(&loop_, port_);
  half.Write(std::string(kOpen) + Chunk(R"({"create_request":)"));
  EXPECT_EQ("", half.ReadAll());
  silent.Write(Chunk(R"({"create_request":{"watch_id":2}})"));
  silent.ReadUntil(R"("2"}})");
}

// Bodies that wait are their connection's, however many streams it has. No answer is read here, and for a
// stream with 1 MiB of them nothing more is worked: some 600 requests of each body at most, whether they come
// before the next bytes or after. So three whole bodies are below the bound, and what is left of four is
// above it.
TEST_F(JsonGatewayTest, BodiesThatWaitCountForTheirConnection) {
  net::ServerOptions options;
  options.request_bytes_max = 1'250'000;
  Start(options);
  net::H2Client client(&loop_, port_, 0, true);
  // "wider" in base64.
  const std::string body = Repeated(R"({"create_request":{"key":"d2lkZXI="}})", 10'000);
  for (int i = 0; i < 10; ++i) client.Request(PostTo("/v3/watch"), body);
  const auto refused = [&] { return std::count(log_.begin(), log_.end(), "closed 1"); };
  EXPECT_TRUE(client.Until([&] { return refused() == 7; }));
  EXPECT_GT(server_->stats().request_bytes_held, 700'000u);
  EXPECT_LE(server_->stats().request_bytes_held, 1'250'000u);
  client.raw().Close();
  ASSERT_TRUE(net::TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ(10, refused());
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

// Others of its connection may come in between a mistake and its turn, and hold more than they should.
TEST_F(JsonGatewayTest, AMistakeIsToldWhileTooMuchOfOthersIsHeld) {
  net::ServerOptions options;
  options.request_bytes_max = 100'000;
  Start(options);
  net::H2Client client(&loop_, port_);
  const int32_t id = client.Request(PostTo("/v3/watch"), R"({"create_request":{"watch_id":1}})", false);
  std::vector<int32_t> keepers;
  for (int i = 0; i < 30; ++i) keepers.push_back(client.Grpc("/etcdserverpb.Watch/Watch", "", {}, false));
  client.Request(PostTo("/v3/kv/range"), std::string(80'000, ' '), false);
  ASSERT_TRUE(client.Until(
      [&] { return !client.answer(id).data.empty() && server_->stats().request_bytes_held > 80'000; }));
  ASSERT_LT(server_->stats().request_bytes_held, 100'000u);
  client.MoreBody(id, "{x", false);
  etcdserverpb::WatchRequest keep;
  keep.mutable_create_request()->set_key("keep");
  const std::string message = keep.SerializeAsString();
  for (const int32_t keeper : keepers) {
    client.MoreBody(keeper, std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message, false);
  }
  ASSERT_TRUE(client.Until([&] { return asked_ == 31 && !log_.empty(); }));
  EXPECT_GT(server_->stats().request_bytes_held, 100'000u);
  EXPECT_EQ((std::vector<std::string>{"half-close"}), log_);
  EXPECT_FALSE(client.answer(id).closed);
}

// An open call has its price, whatever its client says or not.
TEST_F(JsonGatewayTest, OpenCallsCount) {
  net::ServerOptions options;
  options.request_bytes_max = 1'000'000;
  Start(options);
  net::H2Client client(&loop_, port_);
  std::vector<int32_t> ids;
  for (int i = 0; i < 1000; ++i) ids.push_back(client.Request(PostTo("/v3/watch"), "", false));
  const auto refused = [&] {
    return std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return client.answer(id).closed; });
  };
  ASSERT_TRUE(client.Until([&] { return refused() > 700; }));
  EXPECT_LT(refused(), 900);
  EXPECT_EQ(uint32_t{NGHTTP2_REFUSED_STREAM}, client.answer(ids.back()).error);
  EXPECT_FALSE(client.answer(ids.front()).closed);
}

// A body is worked in slices, and others have their turn in between.
TEST_F(JsonGatewayTest, ABodyOfManyRequestsIsWorkedInSlices) {
  constexpr int kRequests = 20'000;
  const std::string body = Repeated(R"({"create_request":{}})", kRequests);
  for (const std::string& request : {Request("/v3/watch", body), Upgrade() + Text(body)}) {
    asked_ = 0;
    net::RawClient raw(&loop_, port_);
    std::string_view rest = request;
    bool halfway = false;
    ASSERT_TRUE(net::TurnUntil(&loop_, [&, before = 0]() mutable {
      rest.remove_prefix(raw.SendSome(rest));
      raw.Read();
      // In one round at most the slice that comes with the body, and one by its turn.
      EXPECT_LE(asked_ - before, 2 * static_cast<int>(Slice::kRequestsMax));
      if (asked_ > kRequests / 2 && !std::exchange(halfway, true)) {
        EXPECT_GT(server_->stats().request_bytes_held, 10'000u);
        EXPECT_EQ(R"({"kvs":[{"key":"YQ=="}]})", Body(Ask("/v3/kv/range", R"({"key":"YQ=="})")));
      }
      before = asked_;
      return asked_ == kRequests;
    }));
    EXPECT_TRUE(halfway);
    raw.Close();
    EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return server_->stats().connections_open == 0; }));
    EXPECT_EQ(0u, server_->stats().request_bytes_held);
  }
}

// Who takes no answers is not worked for; and what is kept of him counts.
TEST_F(JsonGatewayTest, ABodyWaitsForItsAnswersToBeRead) {
  constexpr int kRequests = 100'000;
  const std::string body = Repeated(R"({"create_request":{"key":"d2lkZQ=="}})", kRequests);
  for (const std::string& request : {Request("/v3/watch", body), Upgrade() + Text(body)}) {
    asked_ = 0;
    net::RawClient raw(&loop_, port_, 4096);
    std::string_view rest = request;
    for (int same = 0, before = -1; same < 1000; same = asked_ == before ? same + 1 : 0) {
      before = asked_;
      rest.remove_prefix(raw.SendSome(rest));
      loop_.RunRound(false);
    }
    EXPECT_GT(asked_, 0);
    EXPECT_LT(asked_, kRequests);
    EXPECT_GT(server_->stats().request_bytes_held, 10'000u);
    EXPECT_LT(server_->stats().output_bytes_held, 3'000'000u);
    EXPECT_TRUE(net::TurnUntil(&loop_, [&] {
      rest.remove_prefix(raw.SendSome(rest));
      raw.Read();
      return asked_ == kRequests;
    }));
    raw.Close();
    EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return server_->stats().connections_open == 0; }));
    EXPECT_EQ(0u, server_->stats().request_bytes_held);
  }
}

// Answers as long as its client has room.
class PatientWatch : public net::StreamHandler {
 public:
  PatientWatch(net::StreamCall call, int* answered, int* waiting_most)
      : call_(call), answered_(*answered), waiting_most_(*waiting_most) {}
  void OnMessage(std::string_view) override {
    ++waiting_;
    OnWritable();
    waiting_most_ = std::max(waiting_most_, waiting_);
  }
  void OnWritable() override {
    etcdserverpb::WatchResponse response;
    response.set_cancel_reason(std::string(300, 'w'));
    for (; waiting_ > 0 && !call_.full(); --waiting_, ++answered_) call_.Send(response.SerializeAsString());
  }
  void OnHalfClose() override {}
  void OnClosed(net::Code) override {}

 private:
  net::StreamCall call_;
  int waiting_ = 0;
  int& answered_;
  int& waiting_most_;
};

// A service that waits for its client to take answers is sent no more, also while it has taken a few.
TEST_F(JsonGatewayTest, AServiceThatWaitsIsSentNothing) {
  constexpr int kRequests = 100'000;
  int answered = 0;
  int waiting_most = 0;
  other_watch_ = [&](net::StreamCall call) {
    return std::make_unique<PatientWatch>(call, &answered, &waiting_most);
  };
  const std::string body = Repeated(R"({"create_request":{}})", kRequests);
  for (const std::string& request : {Request("/v3/watch", body), Upgrade() + Text(body)}) {
    answered = waiting_most = 0;
    net::RawClient raw(&loop_, port_, 4096);
    std::string_view rest = request;
    int rounds_without = 0;
    ASSERT_TRUE(net::TurnUntil(&loop_, [&, before = 0]() mutable {
      rest.remove_prefix(raw.SendSome(rest));
      raw.Read();
      if (answered == before) ++rounds_without;
      before = answered;
      return answered == kRequests || raw.ended();
    }));
    EXPECT_GT(rounds_without, 100);
    EXPECT_EQ(kRequests, answered);
    EXPECT_LE(waiting_most, 2 * static_cast<int>(Slice::kRequestsMax));
  }
}

}  // namespace
}  // namespace quorate::gateway
