#include "rpc/kv_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "rpc.pb.h"
#include "rpc/service_harness_test.h"

namespace quorate::rpc {
namespace {

class KvServiceTest : public ServiceTest {
 protected:
  static constexpr int kKeys = static_cast<int>(PacedWork::kKeysAtOnce) + 100;

  KvServiceTest() : ServiceTest(InlineExecutor::Mode::kQueued) {}
  void SetUp() override {
    ServiceTest::SetUp();
    service_ = std::make_unique<KvService>(context_.get());
    service_->Register(servers());
    for (int i = 0; i < kKeys;) {
      etcdserverpb::TxnRequest txn;
      for (int n = 0; n < 100 && i < kKeys; ++n, ++i) {
        txn.add_success()->mutable_request_put()->set_key("k" + std::to_string(100'000 + i));
      }
      ASSERT_TRUE(world_.Txn(txn).ok());
    }
  }
  static etcdserverpb::RangeRequest AllKeys() {
    etcdserverpb::RangeRequest request;
    request.set_key("k");
    request.set_range_end("l");
    request.set_serializable(true);
    return request;
  }
  void Ask(const etcdserverpb::RangeRequest& request, TestClient* client) {
    ServiceTest::Ask("/etcdserverpb.KV/Range", request.SerializeAsString(), client);
  }
  static etcdserverpb::RangeResponse Answer(const TestClient& client) {
    const auto answers = client.Parsed<etcdserverpb::RangeResponse>();
    EXPECT_EQ(answers.size(), 1U) << client.text;
    return answers.empty() ? etcdserverpb::RangeResponse() : answers[0];
  }

  std::unique_ptr<KvService> service_;
};

// Each has a list of all its keys: the others wait as requests.
TEST_F(KvServiceTest, FewLongRangesAreUnderWayAtOnce) {
  std::vector<TestClient> clients(30);
  for (TestClient& client : clients) Ask(AllKeys(), &client);
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
    EXPECT_EQ(Answer(clients[i]).kvs_size(), kKeys) << i;
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
  std::vector<TestClient> clients(3);
  Ask(limited, &clients[0]);
  Ask(count, &clients[1]);
  Ask(part, &clients[2]);
  for (const TestClient& client : clients) EXPECT_EQ(client.held, 0U);
  Rounds();
  EXPECT_EQ(Answer(clients[0]).kvs_size(), 10);
  EXPECT_TRUE(Answer(clients[0]).more());
  EXPECT_EQ(Answer(clients[0]).count(), kKeys);
  EXPECT_EQ(Answer(clients[1]).count(), kKeys);
  EXPECT_EQ(Answer(clients[2]).kvs_size(), 10);
  // The order of another field takes a look at all of them, and the revision of the past has to be counted.
  etcdserverpb::RangeRequest sorted = limited;
  sorted.set_sort_target(etcdserverpb::RangeRequest::MOD);
  sorted.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  etcdserverpb::RangeRequest past = limited;
  past.set_revision(3);
  std::vector<TestClient> others(2);
  Ask(sorted, &others[0]);
  Ask(past, &others[1]);
  for (const TestClient& client : others) EXPECT_GT(client.held, 0U);
  Rounds();
  EXPECT_EQ(Answer(others[0]).kvs_size(), 10);
  EXPECT_EQ(Answer(others[1]).count(), 200);
}

}  // namespace
}  // namespace quorate::rpc
