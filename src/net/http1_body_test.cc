// Bodies of HTTP/1.1 that are taken as they come.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "net/http1_test_server.h"

namespace quorate::net {
namespace {

// Takes bodies of /sink as they come.
class RecordingSink : public HttpBodySink {
 public:
  void OnBegin(HttpReply r) override {
    reply = std::move(r);
    reply.OnClosed([this] { lost = true; });
    if (refuse) reply.Send(412, {}, "no");
  }
  void OnBytes(std::string_view bytes) override {
    body.append(bytes);
    ++pieces;
    if (pause_at != 0 && body.size() >= pause_at) reply.PauseBody(true);
  }
  void OnEnd() override {
    ended = true;
    if (answer) reply.Send(204, {}, "");
  }

  Part part() const override { return {keeps ? body.size() : 0, 1}; }

  HttpReply reply;
  std::string body;
  bool keeps = false;
  int pieces = 0;
  size_t pause_at = 0;
  bool refuse = false;
  bool answer = true;
  bool ended = false;
  bool lost = false;
};

class BodySinkTest : public Http1Test {
 protected:
  void SetUp() override {
    Start({.http_body_bytes_max = 100});
    server_->SetHttpBodyHandler([this](const HttpRequest& request) {
      EXPECT_EQ("", request.body);
      return request.path == "/sink" ? sink_ : nullptr;
    });
  }

  std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
};

TEST_F(BodySinkTest, GetsTheBodyAsItComesAndTheConnectionGoesOn) {
  RawClient raw(&loop_, port_);
  raw.Write("POST /sink HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string sent;
  for (int i = 0; i < 50; ++i) {
    const std::string piece(10, static_cast<char>('a' + i % 26));
    raw.Write("a\r\n" + piece + "\r\n");
    sent += piece;
    ASSERT_TRUE(TurnUntil(&loop_, [&] { return sink_->body == sent; }));
  }
  EXPECT_FALSE(sink_->ended);
  raw.Write("0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(raw.ReadUntil("[GET ]").starts_with("HTTP/1.1 204 No Content\r\n"));
  EXPECT_TRUE(sink_->ended);
}

// What a sink keeps of a body that is not whole counts like what the connection keeps.
TEST_F(BodySinkTest, WhatASinkKeepsIsHeld) {
  Start({.message_bytes_max = 1000, .request_bytes_in_all_max = 100'000});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  server_->SetHttpBodyHandler([&](const HttpRequest&) {
    sinks.push_back(std::make_shared<RecordingSink>());
    sinks.back()->keeps = true;
    return sinks.back();
  });
  const std::string head = "POST /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
  RawClient first(&loop_, port_);
  first.Write(head + std::string(90'000, 'a'));
  RawClient second(&loop_, port_);
  second.Write(head + std::string(20'000, 'b'));  // Over the sum, but no more than its share.
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return sinks.size() == 2 && sinks[1]->body.size() == 20'000; }));
  EXPECT_GE(server_->stats().request_bytes_held, 110'000u);
  EXPECT_FALSE(sinks[1]->lost);
  second.Write(std::string(50'000, 'b'));
  EXPECT_TRUE(second.ReadAll().starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(sinks[1]->lost);
  EXPECT_FALSE(sinks[0]->lost);
  first.Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

TEST_F(BodySinkTest, OthersAreStillCollectedAndLimited) {
  EXPECT_TRUE(Ask("POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
                  .ends_with("[POST abc]"));
  EXPECT_TRUE(Ask("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n").starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(Ask("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n")
                  .starts_with("HTTP/1.1 413 "));
}

TEST_F(BodySinkTest, APausedBodyWaitsInTheSocket) {
  sink_->pause_at = 1000;
  RawClient raw(&loop_, port_);
  raw.Write("POST /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n" + std::string(1000, 'x'));
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return sink_->body.size() == 1000; }));
  raw.Write(std::string(1000, 'y'));
  for (int i = 0; i < 100; ++i) loop_.RunRound(false);
  EXPECT_EQ(1000u, sink_->body.size());
  sink_->pause_at = 0;
  sink_->reply.PauseBody(false);
  raw.ReadUntil("204 No Content");
  EXPECT_EQ(std::string(1000, 'x') + std::string(1000, 'y'), sink_->body);
}

TEST_F(BodySinkTest, AnAnswerBeforeTheEndEndsTheConnection) {
  sink_->refuse = true;
  RawClient raw(&loop_, port_);
  raw.Write("POST /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\nabc");
  const std::string answer = raw.ReadAll();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 412 ")) << answer;
  EXPECT_NE(std::string::npos, answer.find("Connection: close"));
  EXPECT_TRUE(answer.ends_with("no"));
  EXPECT_EQ("", sink_->body);
  EXPECT_FALSE(sink_->ended);
}

TEST_F(BodySinkTest, ABodyThatBreaksOffIsNeverWhole) {
  for (const std::string& rest : {std::string("3\r\nabc\r\nzz\r\n"), std::string("3\r\nab")}) {
    sink_ = std::make_shared<RecordingSink>();
    RawClient raw(&loop_, port_);
    raw.Write("POST /sink HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + rest);
    ASSERT_TRUE(TurnUntil(&loop_, [&] { return sink_->body.starts_with("ab"); }));
    raw.HalfClose();
    EXPECT_TRUE(TurnUntil(&loop_, [&] { return sink_->lost; })) << rest;
    EXPECT_FALSE(sink_->ended);
  }
}

TEST_F(BodySinkTest, AnAnswerMayComeLongAfterTheEnd) {
  sink_->answer = false;
  RawClient raw(&loop_, port_);
  raw.Write("POST /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return sink_->ended; }));
  sink_->reply.Send(500, {}, "late");
  raw.ReadUntil("late");
}

}  // namespace
}  // namespace quorate::net
