#include "rpc/kv_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "net/local_call.h"
#include "net/server.h"
#include "rpc.pb.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {
namespace {

class Client : public net::LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override {
    ASSERT_TRUE(response.ParseFromString(std::string(message)));
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
  bool OnHeld(size_t bytes) override {
    held = bytes;
    return true;
  }

  etcdserverpb::RangeResponse response;
  size_t held = 0;
  bool ended = false;
  net::Code code = net::Code::kOk;
  std::string text;
};

class KvServiceTest : public testing::Test {
 protected:
  static constexpr int kKeys = static_cast<int>(PacedWork::kKeysAtOnce) + 100;

  void SetUp() override {
    world_.Start();
    life_ = std::make_unique<server::ClusterLife>(world_.member.get());
    context_ = std::make_unique<Context>(world_.member.get(), life_.get(), &metrics_, &loop_);
    service_ = std::make_unique<KvService>(context_.get());
    net::Server* const servers[] = {&server_};
    service_->Register(servers);
    for (int i = 0; i < kKeys;) {
      etcdserverpb::TxnRequest txn;
      for (int n = 0; n < 100 && i < kKeys; ++n, ++i) {
        txn.add_success()->mutable_request_put()->set_key("k" + std::to_string(100'000 + i));
      }
      ASSERT_TRUE(world_.Txn(txn).ok());
    }
  }
  void TearDown() override {
    for (const auto& call : calls_) call->Abandon();
    calls_.clear();
    Rounds();
  }
  void Rounds(int count = 20) {
    for (int i = 0; i < count; ++i) {
      world_.RunUntilIdle();
      loop_.RunRound(false);
    }
  }
  static etcdserverpb::RangeRequest AllKeys() {
    etcdserverpb::RangeRequest request;
    request.set_key("k");
    request.set_range_end("l");
    request.set_serializable(true);
    return request;
  }
  void Ask(const etcdserverpb::RangeRequest& request, Client* client) {
    calls_.push_back(net::LocalCall::Open(
        &server_, {.path = "/etcdserverpb.KV/Range", .metadata = {}, .peer = "192.0.2.1:1", .timeout = {}},
        client));
    calls_.back()->Send(request.SerializeAsString());
    calls_.back()->HalfClose();
  }

  server::MemberHarness world_{5, InlineExecutor::Mode::kQueued};
  net::Loop loop_;
  net::Server server_{&loop_, net::ServerOptions{}};
  CallMetrics metrics_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<KvService> service_;
  std::vector<std::shared_ptr<net::LocalCall>> calls_;
};

// Each has a list of all its keys: the others wait as requests.
TEST_F(KvServiceTest, FewLongRangesAreUnderWayAtOnce) {
  std::vector<Client> clients(30);
  for (Client& client : clients) Ask(AllKeys(), &client);
  for (int round = 0; round < 20; ++round) loop_.RunRound(false);
  EXPECT_EQ(world_.executor.queued(), 8U);
  EXPECT_GT(clients.back().held, 0U);
  // Whoever goes away makes no room, and costs none.
  calls_[20]->Abandon();
  calls_[3]->Abandon();
  Rounds(60);
  for (size_t i = 0; i < clients.size(); ++i) {
    if (i == 3 || i == 20) continue;
    ASSERT_TRUE(clients[i].ended) << i;
    EXPECT_EQ(clients[i].code, net::Code::kOk) << clients[i].text;
    EXPECT_EQ(clients[i].response.kvs_size(), kKeys) << i;
    EXPECT_EQ(clients[i].held, 0U);
  }
}

// What the index answers with few steps is not made to wait.
TEST_F(KvServiceTest, RangesThatVisitFewKeysDoNotWait) {
  etcdserverpb::RangeRequest limited = AllKeys();
  limited.set_limit(10);
  etcdserverpb::RangeRequest count = AllKeys();
  count.set_count_only(true);
  etcdserverpb::RangeRequest part = AllKeys();
  part.set_range_end("k100010");
  std::vector<Client> clients(3);
  Ask(limited, &clients[0]);
  Ask(count, &clients[1]);
  Ask(part, &clients[2]);
  for (const Client& client : clients) EXPECT_EQ(client.held, 0U);
  Rounds();
  EXPECT_EQ(clients[0].response.kvs_size(), 10);
  EXPECT_TRUE(clients[0].response.more());
  EXPECT_EQ(clients[0].response.count(), kKeys);
  EXPECT_EQ(clients[1].response.count(), kKeys);
  EXPECT_EQ(clients[2].response.kvs_size(), 10);
  // The order of another field takes a look at all of them, and the revision of the past has to be counted.
  etcdserverpb::RangeRequest sorted = limited;
  sorted.set_sort_target(etcdserverpb::RangeRequest::MOD);
  sorted.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  etcdserverpb::RangeRequest past = limited;
  past.set_revision(3);
  std::vector<Client> others(2);
  Ask(sorted, &others[0]);
  Ask(past, &others[1]);
  for (const Client& client : others) EXPECT_GT(client.held, 0U);
  Rounds();
  EXPECT_EQ(others[0].response.kvs_size(), 10);
  EXPECT_EQ(others[1].response.count(), 200);
}

}  // namespace
}  // namespace quorate::rpc
