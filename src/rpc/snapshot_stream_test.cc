#include "rpc/snapshot_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/local_call.h"
#include "net/server.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {
namespace {

class Client : public net::LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override { bytes += message.size(); }
  void OnEnd(net::Code c, std::string_view m) override {
    ended = true;
    code = c;
    text = m;
  }
  size_t pending_bytes() const override { return 0; }
  bool full() override { return reads_nothing; }
  bool MayTake(size_t) override { return true; }
  void OnQueued(size_t) override {}
  bool OnHeld(size_t) override { return true; }

  bool reads_nothing = false;
  size_t bytes = 0;
  bool ended = false;
  net::Code code = net::Code::kOk;
  std::string text;
};

class SnapshotStreamTest : public testing::Test {
 protected:
  void Start(const SnapshotPatience& patience) {
    world_.Start();
    life_ = std::make_unique<server::ClusterLife>(world_.member.get());
    context_ = std::make_unique<Context>(world_.member.get(), life_.get(), &metrics_, &loop_);
    net::Server* const servers[] = {&server_};
    context_->AddStreaming(servers, "etcdserverpb.Maintenance", "Snapshot", CallType::kServerStream,
                           [this, patience](Stream stream) {
                             return MakeSnapshotStream(context_.get(), &loop_, stream, patience);
                           });
  }
  void TearDown() override {
    for (const auto& call : calls_) call->Abandon();
    calls_.clear();
    for (int i = 0; i < 5; ++i) Round();
  }
  void Round() {
    world_.RunUntilIdle();
    loop_.RunRound(false);
  }
  void Ask(Client* client) {
    calls_.push_back(net::LocalCall::Open(
        &server_,
        {.path = "/etcdserverpb.Maintenance/Snapshot", .metadata = {}, .peer = "192.0.2.1:1", .timeout = {}},
        client));
    calls_.back()->Send("");
    calls_.back()->HalfClose();
  }
  // The copies have threads of their own.
  bool Until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      Round();
      std::this_thread::yield();
    }
    return condition();
  }

  server::MemberHarness world_{5};
  net::Loop loop_;
  net::Server server_{&loop_, net::ServerOptions{}};
  CallMetrics metrics_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<Context> context_;
  std::vector<std::shared_ptr<net::LocalCall>> calls_;
};

// There are few places: those who hold them and read nothing make room for one who reads.
TEST_F(SnapshotStreamTest, WhoReadsNothingMakesRoom) {
  Start({.look = std::chrono::milliseconds(1), .looks_while_others_wait = 3, .looks = 1'000'000'000});
  std::vector<Client> unread(limits::kSnapshotStreamsMax);
  for (Client& client : unread) {
    client.reads_nothing = true;
    Ask(&client);
  }
  ASSERT_TRUE(Until([&] { return unread.back().bytes > 0; }));
  for (const Client& client : unread) EXPECT_FALSE(client.ended) << client.text;
  Client reader;
  Ask(&reader);
  ASSERT_TRUE(Until([&] { return reader.ended; }));
  EXPECT_EQ(reader.code, net::Code::kOk) << reader.text;
  size_t ended = 0;
  for (const Client& client : unread) {
    if (!client.ended) continue;
    ++ended;
    EXPECT_EQ(client.code, net::Code::kResourceExhausted);
    EXPECT_EQ(client.text.substr(0, 49), "etcdserver: nothing of the snapshot was read for ");
  }
  EXPECT_GT(ended, 0U);
}

TEST_F(SnapshotStreamTest, WhoReadsNothingForLongIsEndedInAnyCase) {
  Start({.look = std::chrono::milliseconds(1), .looks_while_others_wait = 1'000'000'000, .looks = 5});
  Client unread;
  unread.reads_nothing = true;
  Ask(&unread);
  ASSERT_TRUE(Until([&] { return unread.ended; }));
  EXPECT_EQ(unread.code, net::Code::kResourceExhausted);
  // One who reads is not looked at.
  Client reader;
  Ask(&reader);
  ASSERT_TRUE(Until([&] { return reader.ended; }));
  EXPECT_EQ(reader.code, net::Code::kOk) << reader.text;
}

}  // namespace
}  // namespace quorate::rpc
