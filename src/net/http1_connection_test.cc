// HTTP/1.1 against a raw socket in the same thread.
#include <gtest/gtest.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "net/http1_test_server.h"

namespace quorate::net {
namespace {

using std::chrono::milliseconds;

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
  EXPECT_NE(std::string::npos,
            Ask("GET /x HTTP/1.1\r\nHost: h\r\nConnection: x, keep-alive\r\nConnection: close\r\n\r\n")
                .find("Connection: close\r\n"));
  EXPECT_TRUE(Ask("GET /x HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n").ends_with("[GET ]"));
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

TEST_F(Http1Test, ServicesThatForgetAndHeadersThatInject) {
  Start();
  EXPECT_TRUE(Ask("GET /drop HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 500 "));
  const std::string answer = Ask("GET /a%0d%0aEvil:%201 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(std::string::npos, answer.find("X-Path: /a  Evil: 1\r\n"));
}

TEST_F(Http1Test, SilenceIsNotAwaitedForever) {
  ServerOptions options;
  options.first_byte_timeout = milliseconds(100);
  options.header_timeout = milliseconds(200);
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
  loop_.After(milliseconds(500), [&] { later = true; });
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

}  // namespace
}  // namespace quorate::net
