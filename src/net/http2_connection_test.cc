// An HTTP/2 connection as a whole: flow control, plain requests, pings, drain, malformed input.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "net/h2_test_services.h"

namespace quorate::net {
namespace {

using std::chrono::milliseconds;

TEST_F(Http2Test, SlowReaderStopsTheSourceAndLosesNothing) {
  Start();
  left_ = 2000;
  H2Client client(&loop_, port_, 4096);
  const int32_t id = client.Grpc("/t.T/Source", Frame("go"));
  for (int i = 0; i < 500; ++i) {
    client.raw().Write(client.TakeOutput());
    loop_.RunRound(false);
  }
  EXPECT_GT(left_, 0);
  const int left_when_stuck = left_;
  for (int i = 0; i < 500; ++i) loop_.RunRound(false);
  EXPECT_EQ(left_when_stuck, left_);
  const auto& answer = client.Await(id);
  EXPECT_EQ("0", answer.get("grpc-status"));
  EXPECT_EQ(2000u * (10'000 + kMessageHeaderBytes), answer.data.size());
  EXPECT_LE(pending_max_, kStreamPendingHigh + 10'000 + kMessageHeaderBytes + 512 * 1024);
}

TEST_F(Http2Test, WindowsAreHonouredAndOneFullStreamDoesNotStopOthers) {
  Start();
  left_ = 100;
  H2Client client(&loop_, port_, 0, true);
  const int32_t id = client.Grpc("/t.T/Source", Frame("go"));
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data.size() == 65535; }));
  // The connection's window is full, too, so an answer with data waits, but one without does not.
  EXPECT_EQ("5", client.Await(client.Grpc("/t.T/Fail", Frame("x"))).get("grpc-status"));
  const int32_t blocked = client.Grpc("/t.T/Echo", Frame("x"));
  for (int i = 0; i < 100; ++i) client.Step();
  EXPECT_FALSE(client.answer(blocked).closed);
  nghttp2_session_set_local_window_size(client.session(), NGHTTP2_FLAG_NONE, 0, 1 << 30);
  EXPECT_EQ("x", client.Await(blocked).message());
  EXPECT_EQ(65535u, client.answer(id).data.size());
  nghttp2_session_set_local_window_size(client.session(), NGHTTP2_FLAG_NONE, id, 1 << 30);
  EXPECT_EQ(100u * (10'000 + kMessageHeaderBytes), client.Await(id).data.size());
}

TEST_F(Http2Test, AnswersPilingUpRefuseNewCalls) {
  ServerOptions options;
  options.output_bytes_max = 1'000'000;
  Start(options);
  H2Client client(&loop_, port_, 0, true);
  std::vector<int32_t> ids;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(client.Grpc("/t.T/Echo", Frame(std::string(60'000, 'p'))));
    for (int k = 0; k < 50; ++k) client.Step();
  }
  EXPECT_TRUE(client.Until([&] {
    return std::any_of(ids.begin(), ids.end(), [&](int32_t id) {
      return client.answer(id).closed && client.answer(id).get("grpc-status") == "8";
    });
  }));
}

TEST_F(Http2Test, BadContentTypeAndMethodAreNotGrpc) {
  Start();
  H2Client client(&loop_, port_);
  H2Client::Headers headers = H2Client::GrpcHeaders("/t.T/Echo");
  headers.back().second = "application/json";
  EXPECT_EQ("404", client.Await(client.Request(headers, "{}")).get(":status"));
  headers.back().second = "application/grpcx";
  EXPECT_EQ("404", client.Await(client.Request(headers, "{}")).get(":status"));
  headers.back().second = "application/grpc";
  headers[0].second = "GET";
  EXPECT_EQ("405", client.Await(client.Request(headers, "")).get(":status"));
}

TEST_F(Http2Test, PlainRequestsGoToTheHttpHandler) {
  Start();
  HttpReply later;
  HttpRequest seen;
  server_->SetHttpHandler([&](HttpRequest request, HttpReply reply) {
    seen = request;
    if (request.path == "/now") reply.Send(201, {{"X-Thing", "yes"}}, "body of " + request.method);
    if (request.path == "/later") {
      reply.Begin(200, {});
      reply.Write("one ");
      later = reply;
      later.OnClosed([this] { log_.push_back("http closed"); });
    }
  });
  H2Client client(&loop_, port_);
  const H2Client::Headers headers = {{":method", "PUT"},
                                     {":scheme", "http"},
                                     {":path", "/now?a=b"},
                                     {":authority", "http://host:1"},  // As etcdctl 3.4 sends it.
                                     {"x-up", "Q"}};
  const auto& now = client.Await(client.Request(headers, "data"));
  EXPECT_EQ("201", now.get(":status"));
  EXPECT_EQ("yes", now.get("x-thing"));
  EXPECT_EQ("body of PUT", now.data);
  EXPECT_EQ("data", seen.body);
  EXPECT_EQ("a=b", seen.query);
  EXPECT_EQ("http://host:1", seen.host);
  EXPECT_EQ("Q", seen.header("X-Up"));
  EXPECT_EQ(20, seen.version);

  H2Client::Headers get = {{":method", "GET"}, {":scheme", "http"}, {":path", "/later"}, {":authority", "h"}};
  const int32_t id = client.Request(get, "");
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data == "one "; }));
  later.Write("two");
  later.End();
  EXPECT_EQ("one two", client.Await(id).data);
  const int32_t lost = client.Request(get, "");
  ASSERT_TRUE(client.Until([&] { return client.answer(lost).data == "one "; }));
  client.Reset(lost);
  ASSERT_TRUE(client.Until([&] { return !log_.empty(); }));
  EXPECT_TRUE(later.closed());
  later.Write("nobody reads this");
  later.End();
  get[0].second = "HEAD";
  get[2].second = "/now";
  EXPECT_EQ("", client.Await(client.Request(get, "")).data);
  get[2].second = "/dropped";
  EXPECT_EQ("500", client.Await(client.Request(get, "")).get(":status"));
}

TEST_F(Http2Test, PingFloodEndsTheConnection) {
  Start();
  H2Client client(&loop_, port_);
  const int32_t id = client.Grpc("/t.T/Wait", Frame("w"));
  ASSERT_TRUE(client.Until([&] { return !waiting_.empty(); }));
  for (int i = 0; i < 6; ++i) {
    client.Ping();
    client.Step();
  }
  ASSERT_TRUE(client.Until([&] { return client.raw().ended(); }));
  EXPECT_EQ(uint32_t{NGHTTP2_ENHANCE_YOUR_CALM}, client.goaway_error);
  EXPECT_EQ("too_many_pings", client.goaway_debug);
  EXPECT_FALSE(client.answer(id).head.contains("grpc-status"));
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ((Log{"cancelled w 1"}), log_);
}

TEST_F(Http2Test, PingsBetweenAnswersAreAllowed) {
  Start();
  H2Client client(&loop_, port_);
  for (int i = 0; i < 20; ++i) {
    client.Ping();
    EXPECT_EQ("x", client.Await(client.Grpc("/t.T/Echo", Frame("x"))).message());
  }
  EXPECT_EQ(0, client.goaways);
}

TEST_F(Http2Test, AClientThatDoesNotAnswerPingsIsDropped) {
  ServerOptions options;
  options.keepalive_interval = milliseconds(10);
  options.keepalive_timeout = milliseconds(1000);  // What a busy machine may take for an answer is less.
  Start(options);
  H2Client client(&loop_, port_);
  EXPECT_EQ("x", client.Await(client.Grpc("/t.T/Echo", Frame("x"))).message());
  ASSERT_TRUE(client.Until([&] { return client.pings >= 3; }));  // Answered by nghttp2: stays.
  EXPECT_EQ(1u, server_->stats().connections_open);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
}

TEST_F(Http2Test, DrainLetsRunningCallsEnd) {
  Start();
  H2Client client(&loop_, port_);
  H2Client idle(&loop_, port_);
  const int32_t id = client.Grpc("/t.T/Wait", Frame("w"));
  ASSERT_TRUE(client.Until([&] { return !waiting_.empty(); }));
  EXPECT_EQ("x", idle.Await(idle.Grpc("/t.T/Echo", Frame("x"))).message());
  bool done = false;
  server_->Drain(std::chrono::minutes(1), [&] { done = true; });
  // A request that crosses the first GOAWAY is still answered.
  const int32_t crossing = idle.Grpc("/t.T/Echo", Frame("crossing"));
  idle.raw().Write(idle.TakeOutput());
  EXPECT_EQ("crossing", idle.Await(crossing).message());
  ASSERT_TRUE(idle.Until([&] { return idle.raw().ended(); }));
  const std::string goaway("\0\0\x8\7\0\0\0\0\0", 9);
  EXPECT_NE(std::string::npos, idle.received.find(goaway + std::string("\x7f\xff\xff\xff\0\0\0\0", 8)));
  EXPECT_TRUE(idle.received.ends_with(goaway + std::string("\0\0\0\3\0\0\0\0", 8)));
  idle.raw().Close();
  ASSERT_TRUE(client.Until([&] { return client.goaways == 2; }));
  EXPECT_FALSE(client.raw().ended());
  EXPECT_FALSE(done);
  waiting_[0].Respond("last words");
  EXPECT_EQ("last words", client.Await(id).message());
  ASSERT_TRUE(client.Until([&] { return client.raw().ended(); }));
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return done; }));
}

TEST_F(Http2Test, DrainEndsWithItsGrace) {
  Start();
  H2Client client(&loop_, port_);
  client.Grpc("/t.T/Wait", Frame("w"));
  ASSERT_TRUE(client.Until([&] { return !waiting_.empty(); }));
  bool done = false;
  server_->Drain(milliseconds(20), [&] { done = true; });
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return done; }));
  EXPECT_EQ((Log{"cancelled w 1"}), log_);
}

TEST_F(Http2Test, MalformedInputCostsOnlyItsConnection) {
  Start();
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::string inputs[] = {
      preface + std::string("\0\0\1\4\0\0\0\0\0x", 10),                            // SETTINGS of one byte.
      preface + settings + std::string("\xff\xff\xff\0\0\0\0\0\1", 9),             // A frame of 16 MiB.
      preface + settings + std::string("\0\0\4\0\0\0\0\0\1abcd", 13),              // DATA on an idle stream.
      preface + settings + std::string("\0\0\4\1\4\0\0\0\1\xff\xff\xff\xff", 13),  // HPACK garbage.
      preface + settings + std::string("\0\0\4\x8\0\0\0\0\0\0\0\0\0", 13),         // WINDOW_UPDATE of 0.
      preface + settings + std::string("\0\0\0\1\4\0\0\0\2", 9),                   // An even stream.
      preface + settings + std::string("\0\0\4\x9\4\0\0\0\1abcd", 13),             // CONTINUATION of nothing.
      "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
      preface + std::string(1000, '\xee'),
  };
  H2Client healthy(&loop_, port_);
  for (const std::string& input : inputs) {
    RawClient raw(&loop_, port_);
    raw.Write(input);
    raw.ReadAll();
    EXPECT_EQ("x", healthy.Await(healthy.Grpc("/t.T/Echo", Frame("x"))).message());
  }
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 1; }));
}

// HPACK gives out one buffer for a field that a client repeats; what was found of it is remembered.
TEST_F(Http2Test, RepeatedFieldsAreJudgedAsTheFirstTime) {
  Start();
  H2Client client(&loop_, port_);
  for (int round = 0; round < 3; ++round) {
    for (const std::string value : {"one", "two", ""}) {
      EXPECT_EQ(value,
                client.Await(client.Grpc("/t.T/Meta", Frame("x-token"), {{"x-token", value}})).message());
    }
    const H2Session::Headers bad[] = {
        H2Session::GrpcHeaders("/t.T/Echo", {{"x-token", "a\rb"}}),
        H2Session::GrpcHeaders("/t.T/Echo", {{"te", "gzip"}}),
        H2Session::GrpcHeaders("/t.T/Echo", {{":method", "POST"}}),
        {{":method", "POST"}, {"te", "trailers"}, {":scheme", "http"}, {":path", "/t.T/Echo"}},
        {{":method", "POST"}, {":scheme", "http"}, {":path", "/t.T/Echo"}, {":path", "/t.T/Echo"}},
    };
    for (const H2Session::Headers& headers : bad)
      EXPECT_EQ(uint32_t{NGHTTP2_PROTOCOL_ERROR}, client.Await(client.Request(headers, Frame("x"))).error);
    EXPECT_EQ("x", client.Await(client.Grpc("/t.T/Echo", Frame("x"))).message());
  }
}

TEST_F(Http2Test, HeadersBeyondTheLimitCostTheStream) {
  ServerOptions options;
  options.header_bytes_max = 2000;
  Start(options);
  H2Client client(&loop_, port_);
  const auto& answer =
      client.Await(client.Grpc("/t.T/Echo", Frame("x"), {{"x-big", std::string(3000, 'h')}}));
  EXPECT_EQ(uint32_t{NGHTTP2_ENHANCE_YOUR_CALM}, answer.error);
  EXPECT_EQ("x", client.Await(client.Grpc("/t.T/Echo", Frame("x"))).message());
}

TEST_F(Http2Test, PartialMessagesHaveABudget) {
  ServerOptions options;
  options.message_bytes_max = 300'000;
  options.request_bytes_max = 1'500'000;
  Start(options);
  H2Client client(&loop_, port_);
  const std::string part = Frame(std::string(300'000, 'x')).substr(0, 290'000);
  std::vector<int32_t> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(client.Grpc("/t.T/Echo", part, {}, false));
  const auto refused = [&] {
    return std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return client.answer(id).closed; });
  };
  ASSERT_TRUE(client.Until([&] { return refused() > 0; }));
  EXPECT_EQ(1, refused());
  for (const int32_t id : ids) {
    if (client.answer(id).closed) {
      EXPECT_EQ("8", client.answer(id).get("grpc-status"));
    }
  }
  EXPECT_LE(server_->stats().request_bytes_held, 1'500'000u);
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

TEST_F(Http2Test, DestroyingTheServerCancelsAndHandlesStaySafe) {
  Start();
  H2Client client(&loop_, port_);
  client.Grpc("/t.T/Wait", Frame("w"));
  client.Grpc("/t.T/Stream", Frame("s"), {}, false);
  ASSERT_TRUE(client.Until([&] { return !waiting_.empty() && server_->stats().streams_open == 2; }));
  server_.reset();
  EXPECT_TRUE(waiting_[0].closed());
  waiting_[0].Respond("into the void");
  EXPECT_EQ(3u, log_.size());
  loop_.RunRound(false);
}

}  // namespace
}  // namespace quorate::net
