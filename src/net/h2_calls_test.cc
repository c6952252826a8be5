// gRPC calls against an nghttp2 client in the same thread.
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "net/h2_test_services.h"

namespace quorate::net {
namespace {

std::string Gzip(std::string_view in) {
  z_stream z{};
  EXPECT_EQ(Z_OK, deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY));
  std::string out(deflateBound(&z, in.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(Z_STREAM_END, deflate(&z, Z_FINISH));
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

TEST_F(Http2Test, UnaryAnswersInHeadDataAndTrailers) {
  Start();
  H2Client client(&loop_, port_);
  const auto& answer = client.Await(client.Grpc("/t.T/Echo", Frame("hello")));
  EXPECT_EQ("200", answer.get(":status"));
  EXPECT_EQ("application/grpc", answer.get("content-type"));
  EXPECT_EQ(Frame("hello"), answer.data);
  EXPECT_EQ("0", answer.get("grpc-status"));
  EXPECT_EQ(2, answer.header_blocks);
  EXPECT_EQ(uint32_t{NGHTTP2_NO_ERROR}, answer.error);
  EXPECT_EQ(Frame(""), client.Await(client.Grpc("/t.T/Echo", Frame(""))).data);
  EXPECT_EQ(5u, server_->stats().grpc_received_bytes);
  EXPECT_EQ(5u, server_->stats().grpc_sent_bytes);
}

// In clear text; with TLS see TlsServerTest.
TEST_F(Http2Test, TheSubtypeOfTheContentComesBack) {
  Start();
  H2Client client(&loop_, port_);
  const struct {
    const char* sent;
    const char* back;
  } cases[] = {
      {"application/grpc+proto", "application/grpc+proto"},
      {"application/grpc+json", "application/grpc+json"},
      {"application/grpc;foo", "application/grpc+foo"},
      {"application/grpc+", "application/grpc"},
      {"application/grpc;", "application/grpc"},
      {"application/grpc", "application/grpc"},
  };
  for (const auto& c : cases) {
    for (const char* path : {"/t.T/Echo", "/t.T/Stream", "/t.T/Fail", "/t.T/Nosuch"}) {
      H2Client::Headers headers = H2Client::GrpcHeaders(path);
      headers.back().second = c.sent;
      EXPECT_EQ(c.back, client.Await(client.Request(headers, Frame("x"))).get("content-type"))
          << c.sent << path;
    }
  }
  H2Client::Headers headers = H2Client::GrpcHeaders("/t.T/Echo");
  headers.back().second = "application/grpc+" + std::string(1000, 'x');
  const auto& answer = client.Await(client.Request(headers, Frame("x")));
  EXPECT_EQ("application/grpc", answer.get("content-type"));
  EXPECT_EQ("0", answer.get("grpc-status"));
}

TEST_F(Http2Test, InputMayBeSplitAnywhere) {
  Start();
  H2Client client(&loop_, port_);
  std::vector<int32_t> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(client.Grpc("/t.T/Echo", Frame("message " + std::to_string(i))));
  const int32_t stream = client.Grpc("/t.T/Stream", Frame("a") + Frame("bcd"));
  for (const char c : client.TakeOutput()) client.raw().Write({&c, 1});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ("message " + std::to_string(i), client.Await(ids[static_cast<size_t>(i)]).message());
  }
  EXPECT_EQ(Frame("a") + Frame("bcd"), client.Await(stream).data);
}

TEST_F(Http2Test, StatusOfFailuresIsEncoded) {
  Start();
  H2Client client(&loop_, port_);
  const auto& answer = client.Await(client.Grpc("/t.T/Fail", Frame("50% \xc3\xa4")));
  EXPECT_EQ("5", answer.get("grpc-status"));
  EXPECT_EQ("50%25 %C3%A4", answer.get("grpc-message"));
  EXPECT_EQ(1, answer.header_blocks);
}

TEST_F(Http2Test, RequestsThatGrpcGoRefuses) {
  Start();
  struct Case {
    std::string path;
    std::string body;
    H2Client::Headers extra;
    std::string code;
    std::string message;
  };
  const Case cases[] = {
      {"/t.T/Nope", Frame(""), {}, "12", "unknown method Nope for service t.T"},
      {"/x.Y/Z", Frame(""), {}, "12", "unknown service x.Y"},
      {"/nothing", Frame(""), {}, "12", "malformed method name: \"/nothing\""},
      {"/t.T/Echo",
       Frame("x"),
       {{"grpc-encoding", "snappy"}},
       "12",
       "grpc: Decompressor is not installed for grpc-encoding \"snappy\""},
      {"/t.T/Echo", Frame("x"), {{"grpc-timeout", "abc"}}, "13", "malformed grpc-timeout: \"abc\""},
      {"/t.T/Echo", Frame("x"), {{"grpc-timeout", "0S"}}, "4", "context deadline exceeded"},
      {"/t.T/Echo", Frame("x", true), {}, "13", "grpc: compressed flag set with identity or empty encoding"},
      {"/t.T/Echo",
       Frame("x", true),
       {{"grpc-encoding", "gzip"}},
       "13",
       "grpc: failed to decompress the received message: gzip: invalid data"},
      {"/t.T/Echo", Frame("xyz").substr(0, 6), {}, "13", "unexpected EOF"},
      {"/t.T/Echo", "", {}, "13", "EOF: a request without its message"},
      {"/t.T/Echo",
       std::string("\0\x7f\0\0\0", 5),
       {},
       "8",
       "grpc: received message larger than max (2130706432 vs. 2097152)"},
      {"/t.T/Stream",
       std::string("\0\x7f\0\0\0", 5),
       {},
       "8",
       "grpc: received message larger than max (2130706432 vs. 2097152)"},
      {"/t.T/Refused", "", {}, "7", "no"},
  };
  H2Client client(&loop_, port_);
  for (const Case& c : cases) {
    const auto& answer = client.Await(client.Grpc(c.path, c.body, c.extra));
    EXPECT_EQ("200", answer.get(":status"));
    EXPECT_EQ(c.code, answer.get("grpc-status")) << c.message;
    EXPECT_EQ(c.message, answer.get("grpc-message"));
  }
  EXPECT_EQ("still fine", client.Await(client.Grpc("/t.T/Echo", Frame("still fine"))).message());
}

TEST_F(Http2Test, CompressedMessagesAreOpened) {
  Start();
  H2Client client(&loop_, port_);
  const std::string text(100'000, 'z');
  const H2Client::Headers gzip = {{"grpc-encoding", "gzip"}};
  EXPECT_EQ(text, client.Await(client.Grpc("/t.T/Echo", Frame(Gzip(text), true), gzip)).message());
  EXPECT_EQ("plain", client.Await(client.Grpc("/t.T/Echo", Frame("plain"), gzip)).message());
  const auto& bomb =
      client.Await(client.Grpc("/t.T/Echo", Frame(Gzip(std::string(3'000'000, 0)), true), gzip));
  EXPECT_EQ("8", bomb.get("grpc-status"));
}

TEST_F(Http2Test, LargestMessagePassesAndOneByteMoreDoesNot) {
  ServerOptions options;
  options.message_bytes_max = 3'000'000;
  Start(options);
  H2Client client(&loop_, port_);
  const std::string largest(3'000'000, 'm');
  EXPECT_EQ(largest, client.Await(client.Grpc("/t.T/Echo", Frame(largest))).message());
  const auto& refused = client.Await(client.Grpc("/t.T/Echo", Frame(largest + "m")));
  EXPECT_EQ("grpc: received message larger than max (3000001 vs. 3000000)", refused.get("grpc-message"));
  // The client was stopped in the middle of its request, by a reset that is not an error.
  EXPECT_EQ(uint32_t{NGHTTP2_NO_ERROR}, refused.error);
}

TEST_F(Http2Test, MetadataPeerDeadlineAndMethodIndex) {
  Start();
  H2Client client(&loop_, port_);
  EXPECT_EQ("secret",
            client.Await(client.Grpc("/t.T/Meta", Frame("token"), {{"token", "secret"}})).message());
  EXPECT_EQ("Bearer x",
            client.Await(client.Grpc("/t.T/Meta", Frame("authorization"), {{"authorization", "Bearer x"}}))
                .message());
  EXPECT_EQ("absent", client.Await(client.Grpc("/t.T/Meta", Frame("hasleader"))).message());
  const int32_t id = client.Grpc("/t.T/Wait", Frame(""), {{"grpc-timeout", "100S"}});
  ASSERT_TRUE(client.Until([&] { return !waiting_.empty(); }));
  EXPECT_TRUE(waiting_[0].peer().starts_with("127.0.0.1:"));
  ASSERT_TRUE(waiting_[0].deadline().has_value());
  EXPECT_LE(*waiting_[0].deadline(), loop_.now() + int64_t{100} * 1'000'000'000);
  waiting_[0].Respond("done");
  EXPECT_TRUE(waiting_[0].closed());
  EXPECT_EQ("done", client.Await(id).message());
}

TEST_F(Http2Test, AnswersLongAfterAndTwiceAreSafe) {
  Start();
  H2Client client(&loop_, port_);
  const int32_t id = client.Grpc("/t.T/Wait", Frame("w"));
  ASSERT_TRUE(client.Until([&] { return !waiting_.empty(); }));
  const UnaryCall copy = waiting_[0];
  waiting_[0].Respond("first");
  waiting_[0].Respond("second");
  waiting_[0].Fail(Code::kInternal, "third");
  EXPECT_EQ(nullptr, waiting_[0].RespondInPlace(3));
  EXPECT_TRUE(copy.closed());
  EXPECT_EQ("first", client.Await(id).message());
  // Its pooled stream serves another call now: the old handle must not touch it.
  const int32_t next = client.Grpc("/t.T/Wait", Frame("w"));
  ASSERT_TRUE(client.Until([&] { return waiting_.size() == 2; }));
  waiting_[0].Fail(Code::kInternal, "stale");
  EXPECT_FALSE(waiting_[1].closed());
  waiting_[1].Respond("second call");
  EXPECT_EQ("second call", client.Await(next).message());
  EXPECT_TRUE(log_.empty());
}

TEST_F(Http2Test, ResetLossAndDeadlineCancel) {
  Start();
  H2Client client(&loop_, port_);
  const int32_t reset = client.Grpc("/t.T/Wait", Frame("reset"));
  const int32_t late = client.Grpc("/t.T/Wait", Frame("late"), {{"grpc-timeout", "500m"}});
  const int32_t stream = client.Grpc("/t.T/Stream", Frame("x"), {{"grpc-timeout", "500m"}}, false);
  const int32_t lost = client.Grpc("/t.T/Wait", Frame("lost"));
  ASSERT_TRUE(client.Until([&] { return waiting_.size() == 3; }));
  client.Reset(reset);
  const auto& answer = client.Await(late);
  EXPECT_EQ("4", answer.get("grpc-status"));
  EXPECT_EQ("context deadline exceeded", answer.get("grpc-message"));
  EXPECT_EQ("4", client.Await(stream).get("grpc-status"));
  EXPECT_FALSE(client.answer(lost).closed);
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return log_.size() == 5; }));
  EXPECT_EQ((Log{"cancelled reset 1", "cancelled late 4", "closed 4", "destroyed", "cancelled lost 1"}),
            log_);
  EXPECT_EQ(0u, server_->stats().connections_open);
  EXPECT_EQ(0u, server_->stats().streams_open);
}

TEST_F(Http2Test, StreamsEchoFinishAndHalfClose) {
  Start();
  H2Client client(&loop_, port_);
  const int32_t id = client.Grpc("/t.T/Stream", Frame("one"), {}, false);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data == Frame("one"); }));
  client.MoreBody(id, Frame("two") + Frame("three").substr(0, 7), false);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data == Frame("one") + Frame("two"); }));
  client.MoreBody(id, Frame("three").substr(7), true);
  const auto& answer = client.Await(id);
  EXPECT_EQ(Frame("one") + Frame("two") + Frame("three"), answer.data);
  EXPECT_EQ("0", answer.get("grpc-status"));
  EXPECT_EQ((Log{"half-close", "destroyed"}), log_);

  log_.clear();
  const int32_t finished = client.Grpc("/t.T/Stream", Frame("a") + Frame("finish") + Frame("b"), {}, false);
  const auto& aborted = client.Await(finished);
  EXPECT_EQ(Frame("a"), aborted.data);
  EXPECT_EQ("10", aborted.get("grpc-status"));
  EXPECT_EQ("as asked", aborted.get("grpc-message"));
  EXPECT_EQ((Log{"destroyed"}), log_);

  log_.clear();
  EXPECT_EQ("0", client.Await(client.Grpc("/t.T/Stream", "")).get("grpc-status"));
  EXPECT_EQ((Log{"half-close", "destroyed"}), log_);
}

TEST_F(Http2Test, ManyStreamsAtOnce) {
  Start();
  H2Client client(&loop_, port_);
  std::vector<int32_t> ids;
  for (int i = 0; i < 3000; ++i) ids.push_back(client.Grpc("/t.T/Echo", Frame(std::to_string(i))));
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(std::to_string(i), client.Await(ids[static_cast<size_t>(i)]).message());
  }
  EXPECT_EQ(0u, server_->stats().streams_open);
}

}  // namespace
}  // namespace quorate::net
