// The door as a client of HTTP sees it, in front of services that only pretend.
#include "gateway/json_gateway.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/test_client.h"
#include "rpc.pb.h"

namespace quorate::gateway {
namespace {

using net::Code;

// Runs jobs when told.
class HeldExecutor : public Executor {
 public:
  void Submit(Lane, std::function<void()> work, std::function<void()> done) override {
    jobs_.emplace_back(std::move(work), std::move(done));
  }
  size_t size() const { return jobs_.size(); }
  size_t RunAll() {
    const auto jobs = std::exchange(jobs_, {});
    for (const auto& [work, done] : jobs) {
      work();
      done();
    }
    return jobs.size();
  }

 private:
  std::vector<std::pair<std::function<void()>, std::function<void()>>> jobs_;
};

// Answers each request with one response a message, and ends by the words "end" and "fail" as keys.
class FakeWatch : public net::StreamHandler {
 public:
  FakeWatch(net::StreamCall call, std::vector<std::string>* log, int* asked)
      : call_(call), log_(log), asked_(*asked) {}
  void OnMessage(std::string_view bytes) override {
    etcdserverpb::WatchRequest request;
    ASSERT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    const std::string& key = request.create_request().key();
    if (key == "end") return call_.Finish(Code::kOk, "");
    if (key == "fail") return call_.Finish(Code::kNotFound, "no <such> thing");
    etcdserverpb::WatchResponse response;
    response.set_watch_id(request.create_request().watch_id());
    if (key == "flood") {
      response.set_cancel_reason(std::string(1000, 'f'));
      for (int i = 0; i < 1000; ++i) call_.Send(response.SerializeAsString());
      return;
    }
    ++asked_;
    if (key == "wide") response.set_cancel_reason(std::string(300, 'w'));
    call_.Send(response.SerializeAsString());
  }
  void OnHalfClose() override { log_->push_back("half-close"); }
  void OnClosed(Code code) override { log_->push_back("closed " + std::to_string(static_cast<int>(code))); }

 private:
  net::StreamCall call_;
  std::vector<std::string>* log_;
  int& asked_;
};

class JsonGatewayTest : public testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void Start(net::ServerOptions options) {
    gateway_.reset();
    options.message_bytes_max = 300'000;
    server_ = std::make_unique<net::Server>(&loop_, options);
    server_->RegisterUnary("/etcdserverpb.KV/Range", [this](net::UnaryCall call, std::string_view bytes) {
      etcdserverpb::RangeRequest request;
      ASSERT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
      if (request.key() == "wait") {
        call.OnCancel(
            [this](Code code) { log_.push_back("cancelled " + std::to_string(static_cast<int>(code))); });
        return;
      }
      if (request.limit() != 0) return call.Fail(static_cast<Code>(request.limit()), "because");
      etcdserverpb::RangeResponse response;
      response.add_kvs()->set_key(request.key());
      for (const char* name : {"authorization", "token", "x-bin"}) {
        if (const auto value = call.metadata(name)) response.add_kvs()->set_key(std::string(*value));
      }
      call.Respond(response.SerializeAsString());
    });
    server_->RegisterStreaming("/etcdserverpb.Watch/Watch", [this](net::StreamCall call) {
      return std::make_unique<FakeWatch>(call, &log_, &asked_);
    });
    gateway_ = std::make_unique<JsonGateway>(server_.get(), &executor_, [this] { return era_; });
    server_->SetHttpHandler([this](const net::HttpRequest& request, net::HttpReply reply) {
      if (!JsonGateway::Owns(request.path)) return reply.Send(200, {}, "not ours");
      gateway_->Handle(request, std::move(reply), {{"X-Common", "yes"}});
    });
    const auto port = server_->Listen("127.0.0.1", 0);
    ASSERT_TRUE(port.ok());
    port_ = *port;
  }

  static std::string Request(const std::string& path, const std::string& body,
                             const std::string& headers = {}, const std::string& method = "POST") {
    return method + " " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // The whole answer.
  std::string Ask(const std::string& path, const std::string& body, const std::string& headers = {},
                  const std::string& method = "POST") {
    net::RawClient raw(&loop_, port_);
    raw.Write(Request(path, body, headers, method));
    return raw.ReadAll();
  }
  static std::string Body(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "no body" : answer.substr(end + 4);
  }
  static std::string StatusOf(const std::string& answer) { return answer.substr(9, 3); }
  static std::string Repeated(std::string_view what, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out.append(what);
    return out;
  }
  static net::H2Client::Headers PostTo(const std::string& path) {
    return {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}};
  }
  static std::string Upgrade() {
    return "GET /v3/watch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  }
  // A WebSocket's text, masked with zeros.
  static std::string Text(std::string_view payload) {
    std::string frame = "\x81\xff";
    for (int shift = 56; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(payload.size() >> shift));
    return frame + std::string(4, '\0') + std::string(payload);
  }

  net::Loop loop_;
  HeldExecutor executor_;
  Era era_ = Era::k34;
  std::vector<std::string> log_;
  int asked_ = 0;  // Requests that a stream has answered.
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<JsonGateway> gateway_;
  uint16_t port_ = 0;
};

TEST_F(JsonGatewayTest, AnswersInJson) {
  for (const char* path : {"/v3/kv/range", "/v3beta/kv/range"}) {
    const std::string answer = Ask(path, R"({"key":"YQ=="})");
    EXPECT_EQ("200", StatusOf(answer));
    EXPECT_EQ(R"({"kvs":[{"key":"YQ=="}]})", Body(answer));
    for (const char* header : {"Content-Type: application/json\r\n", "X-Common: yes\r\n",
                               "Grpc-Metadata-Content-Type: application/grpc\r\n"}) {
      EXPECT_NE(std::string::npos, answer.find(header)) << header;
    }
  }
  EXPECT_EQ(R"({"kvs":[{}]})", Body(Ask("/v3/kv/range", "")));
  EXPECT_EQ("not ours", Body(Ask("/v3alpha/kv/range", "{}")));
}

TEST_F(JsonGatewayTest, HeadersBecomeMetadata) {
  EXPECT_EQ(R"({"kvs":[{},{"key":"dG9r"},{"key":"bWV0YQ=="},{"key":"AAE="}]})",
            Body(Ask("/v3/kv/range", "{}",
                     "authorization: tok\r\nGrpc-Metadata-Token: meta\r\nGrpc-Metadata-X-Bin: AAE=\r\n")));
  EXPECT_EQ("400", StatusOf(Ask("/v3/kv/range", "{}", "Grpc-Metadata-X-Bin: ?\r\n")));
}

TEST_F(JsonGatewayTest, ErrorsLookAsTheClustersVersionHasThem) {
  struct Case {
    Code code;
    Era era;
    std::string status;
  };
  const std::vector<Case> cases = {
      {Code::kCancelled, Era::k34, "408"},
      {Code::kCancelled, Era::k36, "499"},
      {Code::kUnknown, Era::k34, "500"},
      {Code::kInvalidArgument, Era::k35, "400"},
      {Code::kDeadlineExceeded, Era::k34, "504"},
      {Code::kNotFound, Era::k36, "404"},
      {Code::kAlreadyExists, Era::k34, "409"},
      {Code::kPermissionDenied, Era::k34, "403"},
      {Code::kResourceExhausted, Era::k34, "429"},
      {Code::kFailedPrecondition, Era::k34, "412"},
      {Code::kFailedPrecondition, Era::k35, "400"},
      {Code::kAborted, Era::k34, "409"},
      {Code::kOutOfRange, Era::k34, "400"},
      {Code::kUnimplemented, Era::k34, "501"},
      {Code::kInternal, Era::k34, "500"},
      {Code::kUnavailable, Era::k35, "503"},
      {Code::kDataLoss, Era::k34, "500"},
      {Code::kUnauthenticated, Era::k34, "401"},
  };
  for (const Case& c : cases) {
    era_ = c.era;
    const std::string number = std::to_string(static_cast<int>(c.code));
    const std::string answer = Ask("/v3/kv/range", "{\"limit\":" + number + "}");
    EXPECT_EQ(c.status, StatusOf(answer)) << number;
    EXPECT_EQ(c.era == Era::k36 ? "{\"code\":" + number + ",\"message\":\"because\"}"
                                : R"({"error":"because","message":"because","code":)" + number + "}",
              Body(answer));
  }
}

TEST_F(JsonGatewayTest, PathsAndMethodsThatAreNotThere) {
  const std::string unknown = Ask("/v3/nosuch", "{}");
  EXPECT_EQ("404", StatusOf(unknown));
  EXPECT_EQ("Not Found\n", Body(unknown));
  const std::string get = Ask("/v3/kv/range", "", {}, "GET");
  EXPECT_EQ("405", StatusOf(get));
  EXPECT_EQ("Method Not Allowed\n", Body(get));
  era_ = Era::k36;
  EXPECT_EQ(R"({"code":5,"message":"Not Found"})", Body(Ask("/v3/nosuch", "{}")));
  EXPECT_EQ("501", StatusOf(Ask("/v3/kv/range", "", {}, "GET")));
  // A method of the table that this server doesn't have.
  era_ = Era::k34;
  EXPECT_EQ("501", StatusOf(Ask("/v3/kv/put", "{}")));
}

TEST_F(JsonGatewayTest, TimeoutsAreTheCalls) {
  EXPECT_EQ("504", StatusOf(Ask("/v3/kv/range", R"({"key":"d2FpdA=="})", "Grpc-Timeout: 1m\r\n")));
  EXPECT_EQ((std::vector<std::string>{"cancelled 4"}), log_);
  EXPECT_EQ("504", StatusOf(Ask("/v3/kv/range", "{}", "Grpc-Timeout: -5S\r\n")));
  EXPECT_EQ("200", StatusOf(Ask("/v3/kv/range", "{}", "Grpc-Timeout: 0S\r\n")));
  EXPECT_EQ("200", StatusOf(Ask("/v3/kv/range", "{}", "Grpc-Timeout: 9223372036854775807H\r\n")));
  EXPECT_EQ(R"({"error":"invalid grpc-timeout: 5","message":"invalid grpc-timeout: 5","code":3})",
            Body(Ask("/v3/kv/range", "{}", "Grpc-Timeout: 5\r\n")));
}

TEST_F(JsonGatewayTest, AClientThatGoesCancelsItsCall) {
  {
    net::RawClient raw(&loop_, port_);
    raw.Write(Request("/v3/kv/range", R"({"key":"d2FpdA=="})"));
    for (int i = 0; i < 5; ++i) loop_.RunRound(false);
    EXPECT_TRUE(log_.empty());
  }
  EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return !log_.empty(); }));
  EXPECT_EQ((std::vector<std::string>{"cancelled 1"}), log_);
}

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

TEST_F(JsonGatewayTest, RequestsThatCantBeRead) {
  EXPECT_EQ(R"({"error":"unexpected EOF","message":"unexpected EOF","code":3})",
            Body(Ask("/v3/kv/range", "{")));
  // The first of a stream is the answer, a later one the end of the requests.
  EXPECT_EQ(R"({"error":"unexpected EOF","message":"unexpected EOF","code":2})", Body(Ask("/v3/watch", "{")));
  log_.clear();
  net::RawClient raw(&loop_, port_);
  raw.Write(Request("/v3/watch", R"({"create_request":{"watch_id":1}}{)"));
  raw.ReadUntil("\"1\"");
  EXPECT_EQ((std::vector<std::string>{"half-close"}), log_);
  raw.Close();
}

// A connection that holds more than its share is ended while its responses are being written to it; and what
// services answer is bounded before it is JSON.
TEST_F(JsonGatewayTest, AStreamThatIsOverItsShareEnds) {
  net::ServerOptions options;
  options.output_bytes_in_all_max = 64 * 1024;
  const std::string flood = R"({"create_request":{"key":"Zmxvb2Q="}})";
  for (const std::string& request : {Request("/v3/watch", flood), Upgrade() + Text(flood)}) {
    Start(options);
    log_.clear();
    std::vector<std::unique_ptr<net::RawClient>> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(std::make_unique<net::RawClient>(&loop_, port_, 4096));
      clients.back()->Send(request);
    }
    // By the connection's end, or by the call's, whichever bound is met first.
    EXPECT_TRUE(net::TurnUntil(&loop_, [this] {
      EXPECT_LE(server_->stats().output_bytes_held, 200'000u);
      return std::count(log_.begin(), log_.end(), "closed 1") +
                 std::count(log_.begin(), log_.end(), "closed 8") ==
             3;
    })) << testing::PrintToString(log_);
    clients.clear();
    EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return server_->stats().connections_open == 0; }));
    loop_.RunRound(false);
    EXPECT_EQ(0u, server_->stats().output_bytes_held);
  }
}

// What services have answered and nobody has made JSON of yet is its client's, too.
TEST_F(JsonGatewayTest, AnswersThatAreNoJsonYetCountForTheirConnection) {
  net::ServerOptions options;
  options.output_bytes_max = 1'000'000;
  Start(options);
  net::H2Client client(&loop_, port_, 0, true);
  const std::string body = R"({"key":")" + Repeated("QUFB", 50'000) + R"("})";
  std::vector<int32_t> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(client.Request(PostTo("/v3/kv/range"), body));
    ASSERT_TRUE(
        client.Until([&] { return executor_.size() == ids.size() || client.answer(ids.back()).closed; }));
  }
  const std::string refused = client.answer(ids.back()).get(":status");
  EXPECT_TRUE(refused == "429" || refused == "503") << refused;
  EXPECT_EQ(3u, executor_.size());
  EXPECT_LE(server_->stats().output_bytes_held, 1'400'000u);
  executor_.RunAll();
  EXPECT_TRUE(client.Until([&] { return client.answer(ids.front()).get(":status") == "200"; }));
  client.raw().Close();
  ASSERT_TRUE(net::TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ(0u, server_->stats().output_bytes_held);
}

// Bodies that wait are their connection's, however many streams it has.
TEST_F(JsonGatewayTest, BodiesThatWaitCountForTheirConnection) {
  net::ServerOptions options;
  options.request_bytes_max = 1'000'000;
  Start(options);
  net::H2Client client(&loop_, port_, 0, true);
  const std::string body = Repeated(R"({"create_request":{"key":"d2lkZQ=="}})", 8'000);
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    const int32_t id = client.Request(PostTo("/v3/watch"), body);
    const int before = asked_;
    const auto is_refused = [&] {
      const std::string status = client.answer(id).get(":status");
      return status == "429" || status == "503";
    };
    ASSERT_TRUE(client.Until([&] { return asked_ > before || is_refused(); }));
    for (int k = 0; k < 20; ++k) client.Step();
    refused += is_refused() ? 1 : 0;
  }
  EXPECT_GE(refused, 5);
  EXPECT_GT(server_->stats().request_bytes_held, 700'000u);
  EXPECT_LE(server_->stats().request_bytes_held, 1'300'000u);
  client.raw().Close();
  ASSERT_TRUE(net::TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
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
        EXPECT_GT(server_->stats().request_bytes_held, 0u);
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
    raw.Write(request);
    for (int same = 0, before = -1; same < 1000; same = asked_ == before ? same + 1 : 0) {
      before = asked_;
      loop_.RunRound(false);
    }
    EXPECT_GT(asked_, 0);
    EXPECT_LT(asked_, kRequests);
    EXPECT_GT(server_->stats().request_bytes_held, 0u);
    EXPECT_LT(server_->stats().output_bytes_held, 3'000'000u);
    EXPECT_TRUE(net::TurnUntil(&loop_, [&] {
      raw.Read();
      return asked_ == kRequests;
    }));
    raw.Close();
    EXPECT_TRUE(net::TurnUntil(&loop_, [this] { return server_->stats().connections_open == 0; }));
    EXPECT_EQ(0u, server_->stats().request_bytes_held);
  }
}

TEST_F(JsonGatewayTest, LargeResponsesAreWrittenElsewhere) {
  const std::string key(300'000, 'A');
  net::RawClient raw(&loop_, port_);
  raw.Write(Request("/v3/kv/range", "{\"key\":\"" + key + "\"}"));
  size_t jobs = 0;
  EXPECT_TRUE(net::TurnUntil(&loop_, [&] { return (jobs += executor_.RunAll()) == 1; }));
  EXPECT_EQ(R"({"kvs":[{"key":")" + key + R"("}]})", Body(raw.ReadAll()));
  // Its client may have gone meanwhile.
  net::RawClient gone(&loop_, port_);
  gone.Write(Request("/v3/kv/range", "{\"key\":\"" + key + "\"}"));
  for (int i = 0; i < 20; ++i) loop_.RunRound(false);
  gone.Close();
  for (int i = 0; i < 20; ++i) loop_.RunRound(false);
  executor_.RunAll();
  // And one that no service takes is refused as over gRPC.
  const std::string over = Ask("/v3/kv/range", "{\"key\":\"" + std::string(500'000, 'A') + "\"}");
  EXPECT_EQ("429", StatusOf(over));
  EXPECT_NE(std::string::npos, over.find("grpc: received message larger than max (375004 vs. 300000)"))
      << over;
}

}  // namespace
}  // namespace quorate::gateway
