#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "client/fake_server_test.h"
#include "client/turn.h"
#include "quorate/client/client.h"

namespace quorate::client {
namespace {

using etcdserverpb::LeaseKeepAliveRequest;
using ServerCall = FakeServer::Call;

// Renews every lease for `ttl` seconds.
class LeaseServer : public FakeServer {
 public:
  LeaseServer() {
    On("Lease/LeaseKeepAlive", [this](ServerCall* call, const grpc::ByteBuffer& bytes) {
      if (logins && !logins->Knows(*call))
        return call->End(grpc::UNAUTHENTICATED, "etcdserver: invalid auth token");
      LeaseKeepAliveResponse response;
      response.set_id(Parse<LeaseKeepAliveRequest>(bytes).id());
      response.set_ttl(ttl);
      {
        const std::lock_guard lock(calls_mutex_);
        last_call_ = call;
        ++renewals_;
        changed_.notify_all();
      }
      if (!silent) call->Send(response);
    });
  }
  ~LeaseServer() override { Stop(); }
  void WaitForRenewals(int count) {
    std::unique_lock lock(calls_mutex_);
    changed_.wait(lock, [&] { return renewals_ >= count; });
  }
  void BreakStream(grpc::StatusCode code) {
    const std::lock_guard lock(calls_mutex_);
    if (last_call_ != nullptr) last_call_->End(code, "broken");
  }
  std::atomic<int64_t> ttl = 1;
  std::atomic<bool> silent = false;
  Logins* logins = nullptr;  // Who has to be known.

 private:
  void Gone(ServerCall* call) override {
    const std::lock_guard lock(calls_mutex_);
    if (last_call_ == call) last_call_ = nullptr;
  }

  std::mutex calls_mutex_;
  std::condition_variable changed_;
  ServerCall* last_call_ = nullptr;
  int renewals_ = 0;
};

std::unique_ptr<Client> ConnectTo(const std::string& url, Options options = {}) {
  options.endpoints = {url};
  auto client = Client::Connect(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

TEST(LeaseTest, IsRenewedAgainAndAgain) {
  LeaseServer server;
  server.ttl = 3;
  const auto client = ConnectTo(server.url());
  const auto kept = client->leases().KeepAlive(7);
  server.WaitForRenewals(3);
  EXPECT_TRUE(kept->status().ok());
  EXPECT_FALSE(kept->ended().stop_requested());
}

TEST(LeaseTest, ABrokenStreamIsOpenedAgain) {
  LeaseServer server;
  server.ttl = 60;
  const auto client = ConnectTo(server.url());
  const auto kept = client->leases().KeepAlive(7);
  server.WaitForRenewals(1);
  server.BreakStream(grpc::UNAVAILABLE);
  server.WaitForRenewals(2);
  server.BreakStream(grpc::UNKNOWN);
  server.WaitForRenewals(3);
  EXPECT_TRUE(kept->status().ok());
}

TEST(LeaseTest, TheTokenIsKeptUntilAServerRefusesIt) {
  Logins logins;
  LeaseServer server;
  logins.ServeAt(&server);
  server.logins = &logins;
  server.ttl = 60;
  const auto client = ConnectTo(server.url(), {.username = "u", .password = "p"});
  const auto kept = client->leases().KeepAlive(7);
  for (int i = 1; i <= 3; ++i) {
    server.WaitForRenewals(i);
    server.BreakStream(grpc::UNAVAILABLE);
  }
  server.WaitForRenewals(4);
  EXPECT_EQ(logins.count(), 1);
  logins.Forget();
  server.BreakStream(grpc::UNAVAILABLE);
  server.WaitForRenewals(5);
  EXPECT_TRUE(kept->status().ok());
  EXPECT_EQ(logins.count(), 2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client->leases().KeepAliveOnce(7).ok());
  EXPECT_EQ(logins.count(), 2);
  logins.Forget();
  ASSERT_TRUE(client->leases().KeepAliveOnce(7).ok());
  EXPECT_EQ(logins.count(), 3);
}

TEST(LeaseTest, ALeaseThatIsGoneEnds) {
  LeaseServer server;
  server.ttl = 0;
  const auto client = ConnectTo(server.url());
  const auto kept = client->leases().KeepAlive(7);
  EXPECT_TRUE(IsLeaseNotFound(kept->Wait()));
  EXPECT_TRUE(kept->ended().stop_requested());
  EXPECT_TRUE(IsLeaseNotFound(client->leases().KeepAliveOnce(7).status()));
}

TEST(LeaseTest, WithoutAnAnswerItIsGivenUpAfterItsTimeToLive) {
  LeaseServer server;
  const auto client = ConnectTo(server.url());
  std::promise<void> once;
  std::atomic<bool> first = true;
  const auto kept = client->leases().KeepAlive(7, [&](const LeaseKeepAliveResponse& response) {
    EXPECT_EQ(response.id(), 7);
    if (first.exchange(false)) once.set_value();
  });
  once.get_future().wait();
  server.silent = true;
  EXPECT_EQ(kept->Wait().code(), absl::StatusCode::kDeadlineExceeded);
}

// Long before the lease is lost.
TEST(LeaseTest, AMemberThatDoesNotAnswerIsLeft) {
  LeaseServer silent;
  silent.silent = true;
  LeaseServer other;
  other.ttl = 60;
  Options options;
  options.dial_timeout = std::chrono::minutes(1);
  const auto client = ConnectTo(silent.url(), options);
  std::promise<void> known;
  std::once_flag once;
  const auto tell = [&] { std::call_once(once, [&] { known.set_value(); }); };
  const auto kept = client->leases().KeepAlive(7, [&](const LeaseKeepAliveResponse&) { tell(); });
  // On the same stream, as long as there is no other member.
  silent.WaitForRenewals(3);
  ASSERT_TRUE(client->SetEndpoints({silent.url(), other.url()}).ok());
  const std::stop_callback lost(kept->ended(), tell);
  known.get_future().wait();
  EXPECT_TRUE(kept->status().ok()) << kept->status();
  other.WaitForRenewals(1);
}

TEST(LeaseTest, TwoMayKeepOneAndOneMayLeave) {
  LeaseServer server;
  server.ttl = 3;
  const auto client = ConnectTo(server.url());
  auto first = client->leases().KeepAlive(7);
  const auto second = client->leases().KeepAlive(7);
  server.WaitForRenewals(1);
  first.reset();
  server.WaitForRenewals(3);
  EXPECT_TRUE(second->status().ok());
}

// Both are to hear of the same answer: whichever is first cancels the other, and then itself.
TEST(LeaseTest, AfterCancelInACallbackNoneIsCalled) {
  LeaseServer server;
  server.silent = true;
  auto client = ConnectTo(server.url());
  std::mutex mutex;  // The server makes the same order, but by gRPC, where ThreadSanitizer does not see it.
  std::unique_ptr<KeepAlive> kept[2];
  std::promise<void> heard;
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    const std::lock_guard lock(mutex);
    kept[i] =
        client->leases().KeepAlive(7, [&, i, held = std::make_shared<int>(0)](const LeaseKeepAliveResponse&) {
          const std::lock_guard locked(mutex);
          kept[1 - i].reset();
          kept[i].reset();
          ++*held;
          if (++calls == 1) heard.set_value();
        });
  }
  server.silent = false;
  heard.get_future().wait();
  client.reset();
  EXPECT_EQ(calls, 1);
}

TEST(LeaseTest, TheEndOfTheClientIsTheEndOfRenewing) {
  LeaseServer server;
  auto client = ConnectTo(server.url());
  const auto kept = client->leases().KeepAlive(7);
  server.WaitForRenewals(1);
  client.reset();
  EXPECT_TRUE(absl::IsCancelled(kept->Wait()));
}

TEST(LeaseTest, OnceAnswersWithTheTimeToLive) {
  LeaseServer server;
  server.ttl = 42;
  const auto client = ConnectTo(server.url());
  const auto renewed = client->leases().KeepAliveOnce(7);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(renewed->ttl(), 42);
}

TEST(SessionKeyTest, IsThatOfEtcdsClients) {
  EXPECT_EQ(SessionKey("lock/", 0x694d81417acd4a05), "lock/694d81417acd4a05");
}

}  // namespace
}  // namespace quorate::client
