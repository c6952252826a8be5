#include "gateway/json_gateway.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/gateway_test_server.h"

namespace quorate::gateway {
namespace {

using net::Code;

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
