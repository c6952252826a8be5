#include "rpc/range_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/local_call.h"
#include "net/server.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {
namespace {

// Says how much may be kept of what it sends, and remembers how much was.
class Client : public net::LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override {
    etcdserverpb::RangeStreamResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(message)));
    for (const auto& kv : response.range_response().kvs()) keys.push_back(kv.key());
  }
  void OnEnd(net::Code c, std::string_view m) override {
    ended = true;
    code = c;
    text = m;
  }
  size_t pending_bytes() const override { return 0; }
  bool full() override { return reads_nothing; }
  bool MayTake(size_t) override { return true; }
  void OnQueued(size_t) override {}
  bool OnHeld(size_t bytes) override {
    held = bytes;
    held_most = std::max(held_most, bytes);
    return bytes <= may_be_held;
  }

  size_t may_be_held = SIZE_MAX;
  bool reads_nothing = false;
  size_t held = 0, held_most = 0;
  std::vector<std::string> keys;
  bool ended = false;
  net::Code code = net::Code::kOk;
  std::string text;
};

class RangeStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.Start();
    life_ = std::make_unique<server::ClusterLife>(world_.member.get());
    context_ = std::make_unique<Context>(world_.member.get(), life_.get(), &metrics_, &loop_);
    net::Server* const servers[] = {&server_};
    context_->AddStreaming(servers, "etcdserverpb.KV", "RangeStream", CallType::kServerStream,
                           [this](Stream stream) { return MakeRangeStream(context_.get(), stream); });
  }
  void TearDown() override {
    if (call_ != nullptr) call_->Abandon();
    call_.reset();
    Rounds();
  }
  void Rounds() {
    for (int i = 0; i < 5; ++i) {
      world_.RunUntilIdle();
      loop_.RunRound(false);
    }
  }
  // Of all keys from `key` on.
  static std::string Request(const std::string& key) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(std::string(1, '\0'));
    return request.SerializeAsString();
  }
  void Ask(Client* client, const std::string& request) {
    call_ = net::LocalCall::Open(
        &server_,
        {.path = "/etcdserverpb.KV/RangeStream", .metadata = {}, .peer = "192.0.2.1:1", .timeout = {}},
        client);
    call_->Send(request);
    call_->HalfClose();
    Rounds();
  }

  server::MemberHarness world_{5};
  net::Loop loop_;
  net::Server server_{&loop_, net::ServerOptions{}};
  CallMetrics metrics_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<Context> context_;
  std::shared_ptr<net::LocalCall> call_;
};

// The request is kept to the end, and beside it the key to go on from, which may be as long.
TEST_F(RangeStreamTest, TwiceItsRequestCountsAsHeldUntilTheEnd) {
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(world_.Put(key, "v").ok());
  const std::string request = Request(std::string("a"));
  Client client;
  Ask(&client, request);
  EXPECT_TRUE(client.ended);
  EXPECT_EQ(client.code, net::Code::kOk) << client.text;
  EXPECT_EQ(client.keys, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(client.held_most, 2 * request.size());
  EXPECT_EQ(client.held, 0U);
}

TEST_F(RangeStreamTest, WhoReadsNothingHasItHeld) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(world_.Put("k" + std::to_string(100 + i), "v").ok());
  const std::string request = Request(std::string(5000, 'a'));
  Client client;
  client.reads_nothing = true;
  Ask(&client, request);
  EXPECT_FALSE(client.ended);
  EXPECT_LT(client.keys.size(), 50U);
  EXPECT_EQ(client.held, 2 * request.size());
  call_->Abandon();
  Rounds();
  EXPECT_EQ(client.code, net::Code::kOk);  // It heard no more.
}

TEST_F(RangeStreamTest, ARequestThatMayNotBeKeptIsRefusedAtOnce) {
  ASSERT_TRUE(world_.Put("b", "v").ok());
  const std::string request = Request(std::string(5000, 'a'));
  for (const size_t bound : {2 * request.size(), 2 * request.size() - 1}) {
    Client client;
    client.may_be_held = bound;
    Ask(&client, request);
    EXPECT_TRUE(client.ended);
    EXPECT_EQ(client.held, 0U);
    if (bound == 2 * request.size()) {
      EXPECT_EQ(client.code, net::Code::kOk) << client.text;
      EXPECT_EQ(client.keys, std::vector<std::string>{"b"});
      continue;
    }
    EXPECT_EQ(client.code, net::Code::kResourceExhausted);
    EXPECT_EQ(client.text, Message(TooMuchKept()));
    EXPECT_TRUE(client.keys.empty());
  }
}

}  // namespace
}  // namespace quorate::rpc
