#include "rpc/election_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "election.pb.h"
#include "rpc/service_harness_test.h"

namespace quorate::rpc {
namespace {

class ElectionTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    service_ = std::make_unique<ElectionService>(context_.get(), &loop_);
    service_->Register(servers());
  }
  void Ask(const char* method, TestClient* client) {
    v3electionpb::LeaderRequest request;
    request.set_name("e");
    ServiceTest::Ask(std::string("/v3electionpb.Election/") + method, request.SerializeAsString(), client);
  }
  static std::vector<std::string> Leaders(const TestClient& client) {
    std::vector<std::string> leaders;
    for (const auto& response : client.Parsed<v3electionpb::LeaderResponse>())
      leaders.push_back(response.kv().key());
    return leaders;
  }
  // Contenders, 100 of an age.
  void Fill(int count) {
    for (int i = 0; i < count;) {
      etcdserverpb::TxnRequest txn;
      for (int n = 0; n < 100 && i < count; ++n, ++i) {
        auto* put = txn.add_success()->mutable_request_put();
        put->set_key("e/" + std::to_string(1'000'000 - i));
      }
      ASSERT_TRUE(world_.Txn(txn).ok());
    }
  }

  std::unique_ptr<ElectionService> service_;
};

TEST_F(ElectionTest, TheOldestKeyLeads) {
  TestClient nobody;
  Ask("Leader", &nobody);
  Rounds();
  EXPECT_EQ(nobody.text, "election: no leader");
  ASSERT_TRUE(world_.Put("e/2", "v").ok());
  ASSERT_TRUE(world_.Put("e/1", "v").ok());
  TestClient client;
  Ask("Leader", &client);
  Rounds();
  EXPECT_EQ(client.code, net::Code::kOk) << client.text;
  EXPECT_EQ(Leaders(client), (std::vector<std::string>{"e/2"}));
}

// Whoever asks for the leader among many keys may not hold up everybody else: a few a round.
TEST_F(ElectionTest, ManyKeysAreLookedAtWhenThereIsTime) {
  const auto keys = static_cast<int>(PacedWork::kKeysAtOnce) + 1;
  Fill(keys);
  constexpr size_t kAsked = 100;
  std::vector<TestClient> clients(kAsked);
  for (TestClient& client : clients) Ask("Leader", &client);
  const auto answered = [&] {
    return static_cast<size_t>(
        std::count_if(clients.begin(), clients.end(), [](const TestClient& client) { return client.ended; }));
  };
  world_.RunUntilIdle();
  size_t rounds = 0;
  size_t before = answered();
  EXPECT_EQ(before, 0U);
  for (; answered() < kAsked && rounds < 1000; ++rounds) {
    loop_.RunRound(false);
    world_.RunUntilIdle();
    EXPECT_LE((answered() - before) * static_cast<size_t>(keys) * PacedWork::kCostOfKey,
              PacedWork::kCostPerRound + static_cast<size_t>(keys) * PacedWork::kCostOfKey);
    before = answered();
  }
  EXPECT_GE(rounds, kAsked * static_cast<size_t>(keys) * PacedWork::kCostOfKey / PacedWork::kCostPerRound);
  for (const TestClient& client : clients)
    EXPECT_EQ(Leaders(client), (std::vector<std::string>{"e/1000000"}));
}

// Changes that come while a look is under way are seen by the next one.
TEST_F(ElectionTest, AnObserverSeesTheLastLeader) {
  Fill(static_cast<int>(PacedWork::kKeysAtOnce) + 10);
  TestClient client;
  Ask("Observe", &client);
  Rounds();
  EXPECT_EQ(Leaders(client), (std::vector<std::string>{"e/1000000"}));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(world_.Delete("e/" + std::to_string(1'000'000 - i)).ok());
    if (i % 2 == 0) loop_.RunRound(false);
  }
  Rounds();
  EXPECT_FALSE(client.ended) << client.text;
  EXPECT_EQ(Leaders(client).back(), "e/999901");  // Of the equally old ones the first key.
}

}  // namespace
}  // namespace quorate::rpc
