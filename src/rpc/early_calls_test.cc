#include "rpc/early_calls.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "net/local_call.h"
#include "net/server.h"
#include "rpc/context.h"
#include "rpc/service_harness_test.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20;

// A member whose log goes on when a test says so, on a loop.
class EarlyCallsTest : public testing::Test {
 protected:
  void SetUp() override { world_.Start(); }
  void TearDown() override { EXPECT_TRUE(world_.fatal.ok()) << world_.fatal; }

  server::Member& member() { return *world_.member; }
  // Of a login that will be applied so many entries from now.
  std::string Token(uint64_t ahead) {
    return "abcdefghijklmnop." + std::to_string(member().applied_index() + ahead);
  }
  void ApplyOne() { ASSERT_TRUE(world_.Put("k", "v", 0, {"root", member().auth().revision()}).ok()); }

  server::MemberHarness world_{3};
  net::Loop loop_;
};

TEST_F(EarlyCallsTest, OnlyWhatMayBecomeKnownWaits) {
  EarlyCalls early(&member(), &loop_);
  const std::string peer = "192.0.2.1:1";
  const struct {
    std::string token;
    bool waits;
  } cases[] = {{Token(1), true},
               {Token(10'000), true},
               {Token(10'001), false},
               {Token(0), false},
               {"abcdefghijklmnop.18446744073709551615", false},
               {"abcdefghijklmnop.x", false},
               {"abcdefghijklmnop", false},
               {"", false}};
  for (const auto& c : cases) EXPECT_EQ(early.PlaceFor(c.token, peer, 0).has_value(), c.waits) << c.token;
  EXPECT_EQ(early.PlaceFor(Token(7), peer, 0)->index, member().applied_index() + 7);
}

TEST_F(EarlyCallsTest, EachIsServedWhenItsLoginIsApplied) {
  EarlyCalls early(&member(), &loop_);
  std::vector<int> served;
  const int ahead[] = {2, 1, 3, 2};
  for (int i = 0; i < 4; ++i) {
    early.Wait(*early.PlaceFor(Token(static_cast<uint64_t>(ahead[i])), "192.0.2.1:1", 0),
               [&served, i] { served.push_back(i); });
  }
  const std::vector<int> wanted[] = {{}, {1}, {1, 0, 3}, {1, 0, 3, 2}};
  for (const std::vector<int>& now : wanted) {
    loop_.RunRound(false);
    EXPECT_EQ(served, now);
    ApplyOne();
  }
  EXPECT_EQ(early.waiting(), 0U);
}

TEST_F(EarlyCallsTest, NoLongerThanARequestTakes) {
  EarlyCalls early(&member(), &loop_);
  int served = 0;
  early.Wait(*early.PlaceFor(Token(5), "192.0.2.1:1", 0), [&] { ++served; });
  loop_.RunRound(false);
  world_.clock.Advance(member().config().request_timeout_nanos() - 1);
  loop_.RunRound(false);
  EXPECT_EQ(served, 0);
  world_.clock.Advance(1);
  loop_.RunRound(false);
  EXPECT_EQ(served, 1);
}

// Those who write to sockets and propose have had their turn in the round in which they are served.
TEST_F(EarlyCallsTest, WhatIsServedIsFollowedByARound) {
  EarlyCalls early(&member(), &loop_);
  early.Wait(*early.PlaceFor(Token(1), "192.0.2.1:1", 0), [] {});
  ApplyOne();
  loop_.RunRound(false);
  EXPECT_EQ(early.waiting(), 0U);
  bool waited = false;
  loop_.After(std::chrono::seconds(5), [&] { waited = true; });
  loop_.RunRound(true);
  EXPECT_FALSE(waited);
}

TEST_F(EarlyCallsTest, AHostTakesHalfOfWhatIsLeft) {
  EarlyCalls early(&member(), &loop_);
  int served = 0;
  const auto fill = [&](const std::string& host, size_t bytes) {
    size_t taken = 0;
    // Each by a connection of its own.
    for (; taken < 5000; ++taken) {
      auto place = early.PlaceFor(Token(1), host + ":" + std::to_string(taken), bytes);
      if (!place) return taken;
      early.Wait(*std::move(place), [&] { ++served; });
    }
    return taken;
  };
  EXPECT_EQ(fill("192.0.2.1", 0), 500U);
  EXPECT_EQ(fill("192.0.2.2", 0), 250U);
  EXPECT_EQ(fill("[2001:db8::1]", 0), 125U);
  ApplyOne();
  loop_.RunRound(false);
  EXPECT_EQ(served, 875);
  // The same by bytes, of which there are 16 MB; all of it was given back.
  EXPECT_EQ(fill("192.0.2.1", kMegabyte), 8U);
  EXPECT_EQ(fill("192.0.2.2", kMegabyte), 4U);
  EXPECT_EQ(fill("192.0.2.1", 0), 0U);  // It has more than what is left.
}

// Answers with what it is sent, and says goodbye when the client has ended.
class Echo : public net::StreamHandler {
 public:
  Echo(net::StreamCall call, std::vector<net::Code>* closed) : call_(call), closed_(*closed) {}
  void OnMessage(std::string_view message) override { call_.Send(message); }
  void OnHalfClose() override { call_.Finish(net::Code::kNotFound, "goodbye"); }
  void OnClosed(net::Code reason) override { closed_.push_back(reason); }

 private:
  net::StreamCall call_;
  std::vector<net::Code>& closed_;
};

class EarlyStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<net::Server>(&loop_, net::ServerOptions{});
    server_->RegisterStreaming("/t.T/Early", [this](net::StreamCall call) {
      auto early = std::make_unique<EarlyStream>(
          call,
          [this, call] {
            ++made_;
            return std::make_unique<Echo>(call, &closed_);
          },
          [this](net::Code reason) { closed_early_.push_back(reason); });
      serve_ = early->Serve();
      return early;
    });
    call_ = net::LocalCall::Open(server_.get(),
                                 {.path = "/t.T/Early", .metadata = {}, .peer = "192.0.2.1:1", .timeout = {}},
                                 &client_);
  }
  void TearDown() override {
    if (call_ != nullptr) call_->Abandon();
    call_.reset();
    Rounds();
  }
  void Rounds() {
    for (int i = 0; i < 3; ++i) loop_.RunRound(false);
  }

  net::Loop loop_;
  std::unique_ptr<net::Server> server_;
  TestClient client_;
  std::shared_ptr<net::LocalCall> call_;
  std::function<void()> serve_;
  int made_ = 0;
  std::vector<net::Code> closed_, closed_early_;  // As the stream, and who counts it before, were told.
};

TEST_F(EarlyStreamTest, WhatWasSentMeanwhileComesInItsOrder) {
  for (const char* message : {"a", "b", "c"}) call_->Send(message);
  Rounds();
  EXPECT_EQ(made_, 0);
  serve_();
  call_->Send("d");
  Rounds();
  EXPECT_EQ(client_.responses, (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_FALSE(client_.ended);
  call_->HalfClose();
  Rounds();
  EXPECT_EQ(client_.text, "goodbye");
}

TEST_F(EarlyStreamTest, AnEndOfTheClientsSideIsKeptToo) {
  call_->Send("a");
  call_->HalfClose();
  Rounds();
  EXPECT_FALSE(client_.ended);
  serve_();
  Rounds();
  EXPECT_EQ(client_.responses, std::vector<std::string>{"a"});
  EXPECT_EQ(client_.text, "goodbye");
}

TEST_F(EarlyStreamTest, OneThatIsOverBeforeIsNeverServed) {
  call_->Send("a");
  call_->Abandon();
  call_.reset();
  serve_();  // In the same round.
  Rounds();
  serve_();
  EXPECT_EQ(made_, 0);
  EXPECT_EQ(closed_early_, std::vector<net::Code>{net::Code::kCancelled});
  EXPECT_TRUE(closed_.empty());
}

TEST_F(EarlyStreamTest, OneThatIsOverLaterTellsItsHandler) {
  serve_();
  call_->Abandon();
  call_.reset();
  Rounds();
  EXPECT_EQ(closed_, std::vector<net::Code>{net::Code::kCancelled});
  EXPECT_TRUE(closed_early_.empty());
}

TEST_F(EarlyStreamTest, MoreThanCanBeKeptEndsIt) {
  for (int i = 0; i < 3; ++i) {
    call_->Send(std::string(20'000, 'x'));
    Rounds();
    ASSERT_FALSE(client_.ended);
  }
  call_->Send(std::string(20'000, 'x'));
  serve_();  // In the same round.
  Rounds();
  EXPECT_EQ(client_.code, net::Code::kResourceExhausted);
  EXPECT_EQ(client_.text, "etcdserver: too many requests before the login of the token is applied here");
  EXPECT_EQ(closed_early_, std::vector<net::Code>{net::Code::kResourceExhausted});
  EXPECT_EQ(made_, 0);
}

// Which calls wait at all.
class EarlyContextTest : public EarlyCallsTest {
 protected:
  void SetUp() override {
    EarlyCallsTest::SetUp();
    using server::EntryKind;
    etcdserverpb::AuthUserAddRequest user;
    user.set_name("root");
    user.set_password("pw");
    ASSERT_TRUE(world_.Ask<etcdserverpb::AuthUserAddResponse>(EntryKind::kAuthUserAdd, user).ok());
    etcdserverpb::AuthUserGrantRoleRequest grant;
    grant.set_user("root");
    grant.set_role("root");
    ASSERT_TRUE(
        world_.Ask<etcdserverpb::AuthUserGrantRoleResponse>(EntryKind::kAuthUserGrantRole, grant).ok());
    ASSERT_TRUE(
        world_
            .Ask<etcdserverpb::AuthEnableResponse>(EntryKind::kAuthEnable, etcdserverpb::AuthEnableRequest())
            .ok());
    ASSERT_TRUE(member().auth().enabled());
  }
};

TEST_F(EarlyContextTest, CallsOfNoUserDoNotWait) {
  server::ClusterLife life(&member());
  CallMetrics metrics;
  net::Server server(&loop_, net::ServerOptions{});
  Context context(&member(), &life, &metrics, &loop_);
  net::Server* const servers[] = {&server};
  const struct {
    std::string_view service, method;
    bool waits;
  } cases[] = {{"etcdserverpb.KV", "Range", true},
               {"etcdserverpb.Auth", "UserAdd", true},
               {"etcdserverpb.Auth", "Authenticate", false},
               {"grpc.health.v1.Health", "Check", false}};
  for (const auto& c : cases) {
    context.AddUnary(servers, c.service, c.method,
                     [](Call call, std::string_view request) { call.Respond(request); });
    TestClient client;
    const auto call =
        net::LocalCall::Open(&server,
                             {.path = "/" + std::string(c.service) + "/" + std::string(c.method),
                              .metadata = {{"token", Token(1)}},
                              .peer = "192.0.2.1:1",
                              .timeout = {}},
                             &client);
    call->Send("request");
    for (int i = 0; i < 3; ++i) loop_.RunRound(false);
    EXPECT_EQ(client.ended, !c.waits) << c.method;
    ApplyOne();
    for (int i = 0; i < 3; ++i) loop_.RunRound(false);
    EXPECT_EQ(client.responses, std::vector<std::string>{"request"}) << c.method;
    EXPECT_TRUE(client.ended) << c.method;
  }
}

}  // namespace
}  // namespace quorate::rpc
