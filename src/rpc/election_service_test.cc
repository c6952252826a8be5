#include "rpc/election_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "election.pb.h"
#include "net/local_call.h"
#include "net/server.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {
namespace {

class Client : public net::LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override {
    v3electionpb::LeaderResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(message)));
    leaders.push_back(response.kv().key());
  }
  void OnEnd(net::Code c, std::string_view m) override {
    ended = true;
    code = c;
    text = m;
  }
  size_t pending_bytes() const override { return 0; }
  bool full() override { return false; }
  bool MayTake(size_t) override { return true; }
  void OnQueued(size_t) override {}
  bool OnHeld(size_t) override { return true; }

  std::vector<std::string> leaders;
  bool ended = false;
  net::Code code = net::Code::kOk;
  std::string text;
};

class ElectionTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.Start();
    life_ = std::make_unique<server::ClusterLife>(world_.member.get());
    context_ = std::make_unique<Context>(world_.member.get(), life_.get(), &metrics_, &loop_);
    service_ = std::make_unique<ElectionService>(context_.get(), &loop_);
    net::Server* const servers[] = {&server_};
    service_->Register(servers);
  }
  void TearDown() override {
    for (const auto& call : calls_) call->Abandon();
    calls_.clear();
    Rounds();
  }
  void Rounds(int count = 10) {
    for (int i = 0; i < count; ++i) {
      world_.RunUntilIdle();
      loop_.RunRound(false);
    }
  }
  void Ask(const char* method, Client* client) {
    v3electionpb::LeaderRequest request;
    request.set_name("e");
    calls_.push_back(net::LocalCall::Open(&server_,
                                          {.path = std::string("/v3electionpb.Election/") + method,
                                           .metadata = {},
                                           .peer = "192.0.2.1:1",
                                           .timeout = {}},
                                          client));
    calls_.back()->Send(request.SerializeAsString());
    calls_.back()->HalfClose();
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

  server::MemberHarness world_{5};
  net::Loop loop_;
  net::Server server_{&loop_, net::ServerOptions{}};
  CallMetrics metrics_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<ElectionService> service_;
  std::vector<std::shared_ptr<net::LocalCall>> calls_;
};

TEST_F(ElectionTest, TheOldestKeyLeads) {
  Client nobody;
  Ask("Leader", &nobody);
  Rounds();
  EXPECT_EQ(nobody.text, "election: no leader");
  ASSERT_TRUE(world_.Put("e/2", "v").ok());
  ASSERT_TRUE(world_.Put("e/1", "v").ok());
  Client client;
  Ask("Leader", &client);
  Rounds();
  EXPECT_EQ(client.code, net::Code::kOk) << client.text;
  EXPECT_EQ(client.leaders, (std::vector<std::string>{"e/2"}));
}

// Whoever asks for the leader among many keys may not hold up everybody else: a few a round.
TEST_F(ElectionTest, ManyKeysAreLookedAtWhenThereIsTime) {
  const auto keys = static_cast<int>(PacedWork::kKeysAtOnce) + 1;
  Fill(keys);
  constexpr size_t kAsked = 100;
  std::vector<Client> clients(kAsked);
  for (Client& client : clients) Ask("Leader", &client);
  const auto answered = [&] {
    return static_cast<size_t>(
        std::count_if(clients.begin(), clients.end(), [](const Client& client) { return client.ended; }));
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
  for (const Client& client : clients) EXPECT_EQ(client.leaders, (std::vector<std::string>{"e/1000000"}));
}

// Changes that come while a look is under way are seen by the next one.
TEST_F(ElectionTest, AnObserverSeesTheLastLeader) {
  Fill(static_cast<int>(PacedWork::kKeysAtOnce) + 10);
  Client client;
  Ask("Observe", &client);
  Rounds();
  EXPECT_EQ(client.leaders, (std::vector<std::string>{"e/1000000"}));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(world_.Delete("e/" + std::to_string(1'000'000 - i)).ok());
    if (i % 2 == 0) loop_.RunRound(false);
  }
  Rounds();
  EXPECT_FALSE(client.ended) << client.text;
  EXPECT_EQ(client.leaders.back(), "e/999901");  // Of the equally old ones the first key.
}

}  // namespace
}  // namespace quorate::rpc
