#include "peer/http_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "peer/peer_client.h"
#include "peer/peer_test_harness.h"

namespace quorate::peer {
namespace {

class Recorder : public HttpCall::Handler {
 public:
  void OnHead(const HttpHead& h) override { head = h; }
  void OnBody(std::string_view bytes) override { body.append(bytes); }
  void OnEnd() override { ended = true; }
  void OnFailed(const Status& s) override {
    failed = true;
    status = s;
  }
  bool over() const { return ended || failed; }

  HttpHead head;
  std::string body;
  bool ended = false;
  bool failed = false;
  Status status;
};

class HttpClientTest : public testing::Test {
 protected:
  void SetUp() override { KeepQuiet(); }
  std::shared_ptr<HttpCall> Get(const std::string& url, Recorder* recorder, ClientRequest request = {}) {
    request.target = "/x";
    return client_.Start(ParseEndpoint(url).value(), std::move(request), recorder);
  }
  // What becomes of this answer.
  void AskRaw(const std::string& answer, Recorder* recorder, bool close = true) {
    RawListener listener(&loop_);
    const auto call = Get(listener.url(), recorder);
    const auto socket = listener.Accept();
    socket->ReadUntil("\r\n\r\n");
    socket->Write(answer);
    if (close) socket->Close();
    ASSERT_TRUE(TurnUntil(&loop_, [&] { return recorder->over(); })) << answer;
  }

  net::Loop loop_;
  HttpClient client_{&loop_};
};

TEST_F(HttpClientTest, ReadsAnswersOfEveryLength) {
  const std::vector<std::pair<std::string, std::string>> good = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
      {"HTTP/1.0 200 OK\r\n\r\nabc", "abc"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"},
      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
  };
  for (const auto& [answer, body] : good) {
    Recorder recorder;
    AskRaw(answer, &recorder);
    EXPECT_TRUE(recorder.ended) << answer << recorder.status;
    EXPECT_EQ(body, recorder.body);
  }
}

TEST_F(HttpClientTest, BrokenAnswersFail) {
  const std::vector<std::string> bad = {
      "",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
      "SSH-2.0-OpenSSH\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(500'000, 'x'),
  };
  for (const std::string& answer : bad) {
    Recorder recorder;
    AskRaw(answer, &recorder);
    EXPECT_TRUE(recorder.failed) << answer.substr(0, 100);
  }
}

TEST_F(HttpClientTest, KeptConnectionsAreUsedAgainUntilTheOtherClosesThem) {
  RawListener listener(&loop_);
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  Recorder first;
  auto call = Get(listener.url(), &first);
  auto socket = listener.Accept();
  socket->ReadUntil("\r\n\r\n");
  socket->Write(answer);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return first.ended; }));
  Recorder second;
  call = Get(listener.url(), &second);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return socket->Read().rfind("GET /x") > 10; }));
  socket->Write(answer);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return second.ended; }));
  // The third finds it closed and dials.
  Recorder third;
  call = Get(listener.url(), &third);
  socket->Close();
  socket = listener.Accept();
  socket->ReadUntil("\r\n\r\n");
  socket->Write(answer);
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return third.ended; }));
}

TEST_F(HttpClientTest, NobodyThereAndNobodyAnswering) {
  uint16_t port = 0;
  {
    RawListener gone(&loop_);
    port = gone.port();
  }
  Recorder refused;
  const auto first = Get("http://localhost:" + std::to_string(port), &refused);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return refused.over(); }));
  EXPECT_NE(std::string_view::npos, Message(refused.status).find("refused")) << refused.status;

  RawListener silent(&loop_);
  Recorder late;
  const auto second = Get(silent.url(), &late, {.idle_timeout_nanos = 20'000'000});
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return late.over(); }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.status)) << late.status;

  Recorder nameless;
  const auto third = Get("http://no-such-host.invalid:1", &nameless);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return nameless.over(); }));
  EXPECT_TRUE(nameless.failed);
}

TEST_F(HttpClientTest, ACancelledCallSaysNothing) {
  RawListener listener(&loop_);
  Recorder recorder;
  {
    const auto call = Get(listener.url(), &recorder);
    loop_.RunRound(false);
  }
  const auto socket = listener.Accept();
  EXPECT_TRUE(TurnUntil(&loop_, [&] { return socket->ended(); }));
  EXPECT_FALSE(recorder.over());
}

TEST_F(HttpClientTest, EndpointsOfUrls) {
  const auto name = ParseEndpoint("http://host:2380");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ("host", name->host);
  EXPECT_EQ(2380, name->port);
  EXPECT_EQ("host:2380", name->authority);
  EXPECT_EQ("::1", ParseEndpoint("http://[::1]:1").value().host);
  EXPECT_EQ("a:1", ParseEndpoint("unix://a:1").value().unix_path);
  EXPECT_FALSE(name->tls);
  EXPECT_TRUE(ParseEndpoint("https://h:1").value().tls);
  EXPECT_TRUE(ParseEndpoint("unixs://a:1").value().tls);
  EXPECT_EQ("a", ParseEndpoint("unixs://a:1").value().host);
  for (const char* bad :
       {"host:1", "http://host", "http://host:99999", "http://host:x", "ftp://h:1", "unix://"}) {
    EXPECT_FALSE(ParseEndpoint(bad).ok()) << bad;
  }
}

TEST_F(HttpClientTest, TheClientTriesUrlsInTurn) {
  PeerClient peers(&client_);
  net::Server server(&loop_, {});
  server.SetHttpHandler([](const net::HttpRequest& request, net::HttpReply reply) {
    reply.Send(418, {{"X-Y", std::string(request.header("Authorization").value_or(""))}}, request.body);
  });
  const uint16_t port = server.Listen("127.0.0.1", 0).value();
  StatusOr<HttpAnswer> got = Unknown("none");
  peers.Ask({"http://127.0.0.1:1", "nonsense", "http://127.0.0.1:" + std::to_string(port)},
            {.method = "POST", .path = "/p", .body = "b", .content_type = "", .token = "t"}, {},
            [&](StatusOr<HttpAnswer> answer) { got = std::move(answer); });
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return got.ok(); }));
  EXPECT_EQ(418, got->head.status);
  EXPECT_EQ("t", got->head.header("x-y"));
  EXPECT_EQ("b", got->body);
}

}  // namespace
}  // namespace quorate::peer
