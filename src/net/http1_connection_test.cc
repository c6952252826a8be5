// HTTP/1.1 against a raw socket in the same thread.
#include <gtest/gtest.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "net/server.h"
#include "net/test_client.h"

namespace quorate::net {
namespace {

using std::chrono::milliseconds;

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

TEST_F(Http1Test, AnswersAndKeepsTheConnection) {
  Start();
  RawClient raw(&loop_, port_);
  for (int i = 0; i < 3; ++i) {
    raw.Write(
        "POST /a%20b?x=1&y=%2B+ HTTP/1.1\r\nHost: h:1\r\nX-Thing: Value\r\nContent-Length: 3\r\n\r\nabc");
    const std::string answer = raw.ReadUntil("[POST abc]");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(std::string::npos, answer.find("X-Path: /a b\r\n"));
    EXPECT_NE(std::string::npos, answer.find("Content-Length: 10\r\n"));
    EXPECT_NE(std::string::npos, answer.find("Date: "));
    EXPECT_EQ(std::string::npos, answer.find("Connection: close"));
  }
  ASSERT_EQ(3u, requests_.size());
  EXPECT_EQ("h:1", requests_[0].host);
  EXPECT_EQ("Value", requests_[0].header("x-thing"));
  EXPECT_EQ("/a%20b?x=1&y=%2B+", requests_[0].target);
  EXPECT_EQ((std::vector<std::string>{"+ "}), requests_[0].query_values("y"));
  EXPECT_TRUE(requests_[0].peer.starts_with("127.0.0.1:"));
}

TEST_F(Http1Test, InputMayBeSplitAnywhere) {
  Start();
  RawClient raw(&loop_, port_);
  const std::string input =
      "POST /split HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
      "PUT /split HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy";
  for (const char c : input) raw.Write({&c, 1});
  raw.ReadUntil("[PUT xy]");
  ASSERT_EQ(2u, requests_.size());
  EXPECT_EQ("abcde", requests_[0].body);
}

TEST_F(Http1Test, ABodyInAnotherCodingIsNoRequest) {
  Start();
  const std::string answer =
      Ask("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: "
          "h\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 501 Not Implemented\r\n")) << answer;
  EXPECT_NE(std::string::npos, answer.find("Connection: close\r\n"));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(Http1Test, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  RawClient raw(&loop_, port_);
  raw.Write(
      "GET /wait1 HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\nGET /wait3 "
      "HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
  EXPECT_EQ(1u, requests_.size());
  replies_[0].Send(200, {}, "first");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 2; }));
  const std::string answers = raw.ReadUntil("[GET ]");
  EXPECT_LT(answers.find("first"), answers.find("X-Path: /two"));
  replies_[1].Send(204, {}, "");
  EXPECT_EQ(std::string::npos, raw.ReadUntil("204 No Content").find("Content-Length"));
}

TEST_F(Http1Test, ConnectionCloseHttp10AndHead) {
  Start();
  EXPECT_NE(std::string::npos,
            Ask("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").find("Connection: close\r\n"));
  EXPECT_TRUE(Ask("GET /x HTTP/1.0\r\n\r\n").ends_with("[GET ]"));
  const std::string head = Ask("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(std::string::npos, head.find("Content-Length: 7\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  RawClient raw(&loop_, port_);
  raw.Write("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  raw.ReadUntil("Connection: keep-alive\r\n");
  raw.Write("GET /x HTTP/1.0\r\n\r\n");
  raw.ReadAll();
}

TEST_F(Http1Test, StreamedAnswersAreChunked) {
  Start();
  RawClient raw(&loop_, port_);
  raw.Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
  replies_[0].Begin(200, {{"Content-Type", "text/event-stream"}});
  replies_[0].Write("one");
  EXPECT_NE(std::string::npos, raw.ReadUntil("3\r\none\r\n").find("Transfer-Encoding: chunked\r\n"));
  replies_[0].Write("");
  replies_[0].Write(std::string(20, 'x'));
  replies_[0].End();
  raw.ReadUntil("14\r\nxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
  EXPECT_TRUE(replies_[0].closed());

  RawClient old(&loop_, port_);
  old.Write("GET /wait HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 2; }));
  replies_[1].Begin(200, {});
  replies_[1].Write("one");
  replies_[1].End();
  EXPECT_TRUE(old.ReadAll().ends_with("\r\n\r\none"));
}

TEST_F(Http1Test, ALostClientIsNoticed) {
  Start();
  auto raw = std::make_unique<RawClient>(&loop_, port_);
  raw->Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
  int closed = 0;
  replies_[0].OnClosed([&] { ++closed; });
  raw->Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return closed == 1; }));
  replies_[0].Send(200, {}, "nobody");
  EXPECT_TRUE(replies_[0].closed());
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
}

TEST_F(Http1Test, AHalfClosedClientGetsItsAnswer) {
  Start();
  RawClient raw(&loop_, port_);
  raw.Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  raw.HalfClose();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
  for (int i = 0; i < 10; ++i) loop_.RunRound(false);
  replies_[0].Send(200, {}, "late");
  EXPECT_TRUE(raw.ReadAll().ends_with("late"));
}

TEST_F(Http1Test, SlowReadersSeeBackPressure) {
  Start();
  RawClient raw(&loop_, port_, 4096);
  raw.Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
  size_t left = 10'000'000;
  HttpReply& reply = replies_[0];
  const auto pump = [&] {
    while (left > 0 && reply.pending_bytes() < kStreamPendingHigh) {
      const size_t n = std::min<size_t>(left, 10'000);
      reply.Write(std::string(n, 'b'));
      left -= n;
    }
    if (left == 0) reply.End();
  };
  reply.Begin(200, {});
  reply.OnWritable(pump);
  pump();
  for (int i = 0; i < 200; ++i) loop_.RunRound(false);
  EXPECT_GT(left, 0u);
  const std::string all = raw.ReadUntil("\r\n0\r\n\r\n");
  EXPECT_EQ(10'000'000, std::count(all.begin(), all.end(), 'b'));
}

// Whoever writes may own all that OnClosed drops, as the gateway's exchanges do.
TEST_F(Http1Test, MoreThanItsShareEndsAConnectionButNotWithinTheCall) {
  ServerOptions options;
  options.output_bytes_in_all_max = 1000;
  Start(options);
  for (const bool ends : {false, true}) {
    replies_.clear();
    RawClient raw(&loop_, port_, 4096);
    raw.Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
    HttpReply& reply = replies_[0];
    bool closed = false;
    reply.OnClosed([&] { closed = true; });
    reply.Begin(200, {});
    const std::string piece(4 * kStreamPendingHigh, 'b');
    for (int i = 0; i < 100 && server_->stats().output_bytes_held == 0; ++i) {
      reply.Write(piece);
      loop_.RunRound(false);
    }
    ASSERT_GT(server_->stats().output_bytes_held, 1000u);
    ASSERT_FALSE(closed);
    reply.Write(piece);
    reply.Write(piece);
    EXPECT_FALSE(closed);
    EXPECT_FALSE(reply.closed());
    if (ends) reply.End();
    EXPECT_FALSE(raw.ReadAll().ends_with("\r\n0\r\n\r\n"));
    EXPECT_EQ(!ends, closed);
    EXPECT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().output_bytes_held == 0; }));
  }
}

TEST_F(Http1Test, MalformedInputGetsOneErrorAndTheDoor) {
  Start();
  struct Case {
    std::string input;
    std::string status;
  };
  const Case cases[] = {
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
      {"GET /\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"},
      {"GET / HTTP/9.9\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", "400"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "413"},
      {"GET / HTTP/1.1\r\nX: " + std::string(2'000'000, 'x') + "\r\n\r\n", "431"},
      {"GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", "431"},
      {"GET / HTTP/1.1\r\nX: " + std::string(65'534, 'x') + "\r\n\r\n", "431"},
      {"PRI * HTTP/1.1\r\n\r\n\x01", "400"},
  };
  for (const Case& c : cases) {
    requests_.clear();
    const std::string answer = Ask(c.input);
    EXPECT_TRUE(answer.ends_with(c.status + " " + std::string(HttpReason(std::stoi(c.status)))) ||
                requests_.size() == 1)
        << c.input.substr(0, 60) << " -> " << answer;
  }
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
}

TEST_F(Http1Test, ExpectContinue) {
  Start();
  RawClient raw(&loop_, port_);
  raw.Write("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  raw.ReadUntil("HTTP/1.1 100 Continue\r\n\r\n");
  raw.Write("ok");
  raw.ReadUntil("[POST ok]");
}

TEST_F(Http1Test, ServicesThatForgetAndHeadersThatInject) {
  Start();
  EXPECT_TRUE(Ask("GET /drop HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 500 "));
  const std::string answer = Ask("GET /a%0d%0aEvil:%201 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(std::string::npos, answer.find("X-Path: /a  Evil: 1\r\n"));
}

TEST_F(Http1Test, SilenceIsNotAwaitedForever) {
  ServerOptions options;
  options.first_byte_timeout = milliseconds(10);
  options.header_timeout = milliseconds(20);
  Start(options);
  RawClient silent(&loop_, port_);
  EXPECT_EQ("", silent.ReadAll());
  RawClient slow(&loop_, port_);
  slow.Write("GET / HT");
  EXPECT_EQ("", slow.ReadAll());
  RawClient preface(&loop_, port_);
  preface.Write("PRI *");
  EXPECT_EQ("", preface.ReadAll());
  // A connection between requests is not slow.
  RawClient idle(&loop_, port_);
  idle.Write("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.ReadUntil("[GET ]");
  bool later = false;
  loop_.After(milliseconds(50), [&] { later = true; });
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return later; }));
  EXPECT_EQ(1u, server_->stats().connections_open);
}

TEST_F(Http1Test, DrainAnswersWhatRuns) {
  Start();
  RawClient idle(&loop_, port_);
  idle.Write("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.ReadUntil("[GET ]");
  RawClient busy(&loop_, port_);
  busy.Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return replies_.size() == 1; }));
  bool done = false;
  server_->Drain(std::chrono::minutes(1), [&] { done = true; });
  EXPECT_EQ("", idle.ReadAll());
  idle.Close();
  EXPECT_FALSE(done);
  replies_[0].Send(200, {}, "bye");
  const std::string answer = busy.ReadAll();
  EXPECT_TRUE(answer.ends_with("bye"));
  EXPECT_NE(std::string::npos, answer.find("Connection: close\r\n"));
  busy.Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return done; }));
}

TEST_F(Http1Test, ConnectionsMayBeLimitedAndDealt) {
  ServerOptions options;
  options.connections_max = 1;
  Start(options);
  Server other(&loop_, {});
  other.SetHttpHandler([](HttpRequest, HttpReply reply) { reply.Send(200, {}, "other"); });
  RawClient first(&loop_, port_);
  first.Write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(TurnUntil(&loop_, [this] { return replies_.size() == 1; }));
  RawClient second(&loop_, port_);
  EXPECT_EQ("", second.ReadAll());
  server_->DealTo({&other});
  RawClient third(&loop_, port_);
  third.Write("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  third.ReadUntil("other");
  third.Close();
  server_->DealTo({});
}

TEST_F(Http1Test, ListenReportsWhatIsWrong) {
  Start();
  const StatusOr<uint16_t> taken = server_->Listen("127.0.0.1", port_);
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(std::string_view::npos, Message(taken.status()).find("127.0.0.1:" + std::to_string(port_)));
  EXPECT_FALSE(server_->ListenUnix(std::string(300, 'p')).ok());
  EXPECT_TRUE(server_->Listen("", 0).ok());
}

TEST_F(Http1Test, UnixSockets) {
  Start();
  const std::string path = testing::TempDir() + "net_test_" + std::to_string(getpid()) + ".sock";
  ASSERT_TRUE(server_->ListenUnix(path).ok());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  const std::string_view input = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
  ASSERT_EQ(static_cast<ssize_t>(input.size()), write(fd, input.data(), input.size()));
  char buffer[1000];
  ssize_t n = 0;
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return (n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0; }));
  EXPECT_TRUE(std::string_view(buffer, static_cast<size_t>(n)).ends_with("[GET ]"));
  EXPECT_EQ("unix:" + path, requests_[0].peer);
  close(fd);
  server_->StopListening();
  EXPECT_NE(0, access(path.c_str(), F_OK));
}

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

TEST(Http, PercentDecoding) {
  EXPECT_EQ("a b", PercentDecode("a%20b", false));
  EXPECT_EQ("a+b", PercentDecode("a+b", false));
  EXPECT_EQ("a b", PercentDecode("a+b", true));
  for (const char* bad : {"%", "%2", "%zz", "a%2"}) EXPECT_EQ(std::nullopt, PercentDecode(bad, false)) << bad;
  HttpRequest request;
  request.SetTarget("/health?exclude=NOSPACE&&exclude=CORRUPT&x&bad=%zz");
  EXPECT_EQ((std::vector<std::string>{"NOSPACE", "CORRUPT"}), request.query_values("exclude"));
  EXPECT_EQ((std::vector<std::string>{""}), request.query_values("x"));
  EXPECT_TRUE(request.query_values("bad").empty());
}

TEST(Http, TargetsAsForAProxy) {
  const struct {
    std::string target;
    std::string host;
    std::string path;
    std::string query;
  } cases[] = {
      {"/version", "", "/version", ""},
      {"http://a:1/version?x=%20", "a:1", "/version", "x=%20"},
      {"HTTPS://[::1]:1/v%33/", "[::1]:1", "/v3/", ""},
      {"http://u:p@a", "a", "/", ""},
      {"http://a?x", "a", "/", "x"},
      {"http:///version", "", "/version", ""},
      {"ftp://a/version", "", "ftp://a/version", ""},
      {"//a/version", "", "//a/version", ""},
      {"*", "", "*", ""},
  };
  for (const auto& c : cases) {
    HttpRequest request;
    request.SetTarget(c.target);
    EXPECT_EQ(request.target, c.target);
    EXPECT_EQ(request.host, c.host) << c.target;
    EXPECT_EQ(request.path, c.path) << c.target;
    EXPECT_EQ(request.query, c.query) << c.target;
  }
}

}  // namespace
}  // namespace quorate::net
