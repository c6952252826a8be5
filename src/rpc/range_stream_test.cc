#include "rpc/range_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rpc/service_harness_test.h"

namespace quorate::rpc {
namespace {

class RangeStreamTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    context_->AddStreaming(servers(), "etcdserverpb.KV", "RangeStream", CallType::kServerStream,
                           [this](Stream stream) { return MakeRangeStream(context_.get(), stream); });
  }
  // Of all keys from `key` on.
  static std::string Request(const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(std::string(1, '\0'));
    return request.SerializeAsString();
  }
  void Ask(TestClient* client, const std::string& request) {
    ServiceTest::Ask("/etcdserverpb.KV/RangeStream", request, client);
    Rounds();
  }
  static std::vector<std::string> Keys(const TestClient& client) {
    std::vector<std::string> keys;
    for (const auto& response : client.Parsed<etcdserverpb::RangeStreamResponse>()) {
      for (const auto& kv : response.range_response().kvs()) keys.push_back(kv.key());
    }
    return keys;
  }
};

// The request is kept to the end, and beside it the key to go on from, which may be as long.
TEST_F(RangeStreamTest, TwiceItsRequestCountsAsHeldUntilTheEnd) {
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(world_.Put(key, "v").ok());
  const std::string request = Request(std::string("a"));
  TestClient client;
  Ask(&client, request);
  EXPECT_TRUE(client.ended);
  EXPECT_EQ(client.code, net::Code::kOk) << client.text;
  EXPECT_EQ(Keys(client), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(client.held_most, 2 * request.size());
  EXPECT_EQ(client.held, 0U);
}

TEST_F(RangeStreamTest, WhoReadsNothingHasItHeld) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(world_.Put("k" + std::to_string(100 + i), "v").ok());
  const std::string request = Request(std::string(5000, 'a'));
  TestClient client;
  client.reads_nothing = true;
  Ask(&client, request);
  EXPECT_FALSE(client.ended);
  EXPECT_LT(Keys(client).size(), 50U);
  EXPECT_EQ(client.held, 2 * request.size());
  calls_.back()->Abandon();
  Rounds();
  EXPECT_EQ(client.code, net::Code::kOk);  // It heard no more.
}

TEST_F(RangeStreamTest, ARequestThatMayNotBeKeptIsRefusedAtOnce) {
  ASSERT_TRUE(world_.Put("b", "v").ok());
  const std::string request = Request(std::string(5000, 'a'));
  for (const size_t bound : {2 * request.size(), 2 * request.size() - 1}) {
    TestClient client;
    client.may_be_held = bound;
    Ask(&client, request);
    EXPECT_TRUE(client.ended);
    EXPECT_EQ(client.held, 0U);
    if (bound == 2 * request.size()) {
      EXPECT_EQ(client.code, net::Code::kOk) << client.text;
      EXPECT_EQ(Keys(client), std::vector<std::string>{"b"});
      continue;
    }
    EXPECT_EQ(client.code, net::Code::kResourceExhausted);
    EXPECT_EQ(client.text, Message(TooMuchKept()));
    EXPECT_TRUE(Keys(client).empty());
  }
}

}  // namespace
}  // namespace quorate::rpc
