// Calls from this process reach the same handlers as those over HTTP/2, and end by the same rules.
#include "net/local_call.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "net/h2_test_services.h"

namespace quorate::net {
namespace {

using std::chrono::milliseconds;

class Recorder : public LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override {
    responses.emplace_back(message);
    if (keeps) pending += message.size();
    if (on_response) on_response();
  }
  void OnEnd(Code c, std::string_view m) override {
    ++ends;
    code = c;
    text = m;
  }
  size_t pending_bytes() const override { return pending; }

  std::vector<std::string> responses;
  size_t pending = 0;
  bool keeps = false;  // Its client reads nothing.
  std::function<void()> on_response;
  int ends = 0;
  Code code = Code::kOk;
  std::string text;
};

class LocalCallTest : public Http2Test {
 protected:
  std::shared_ptr<LocalCall> Open(std::string_view path, HttpHeaders metadata = {},
                                  std::optional<std::chrono::nanoseconds> timeout = std::nullopt) {
    return LocalCall::Open(
        server_.get(),
        {.path = std::string(path), .metadata = std::move(metadata), .peer = "1.2.3.4:5", .timeout = timeout},
        &client_);
  }
  void Rounds(int n = 3) {
    for (int i = 0; i < n; ++i) loop_.RunRound(false);
  }

  Recorder client_;
};

TEST_F(LocalCallTest, UnaryIsAnsweredAtTheEndOfTheRound) {
  Start();
  const auto call = Open("/t.T/Echo");
  call->Send("hello");
  EXPECT_TRUE(client_.responses.empty());
  Rounds(1);
  EXPECT_EQ(std::vector<std::string>{"hello"}, client_.responses);
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(Code::kOk, client_.code);
  call->Send("again");
  Rounds();
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(5u, server_->stats().grpc_received_bytes);
  EXPECT_EQ(5u, server_->stats().grpc_sent_bytes);
}

TEST_F(LocalCallTest, FailuresArriveWithCodeAndText) {
  ServerOptions options;
  options.message_bytes_max = 3;
  Start(options);
  struct Case {
    std::string path, request;
    std::optional<std::chrono::nanoseconds> timeout;
    Code code;
    std::string text;
  };
  const std::vector<Case> cases = {
      {"/t.T/Fail", "why", {}, Code::kNotFound, "why"},
      {"/t.T/Nosuch", "", {}, Code::kUnimplemented, "unknown method Nosuch for service t.T"},
      {"/t.T/Refused", "", {}, Code::kPermissionDenied, "no"},
      {"/t.T/Echo", "four", {}, Code::kResourceExhausted, "grpc: received message larger than max (4 vs. 3)"},
      {"/t.T/Stream",
       "four",
       {},
       Code::kResourceExhausted,
       "grpc: received message larger than max (4 vs. 3)"},
      {"/t.T/Echo", "", milliseconds(0), Code::kDeadlineExceeded, "context deadline exceeded"},
  };
  for (const Case& c : cases) {
    client_ = Recorder();
    const auto call = Open(c.path, {}, c.timeout);
    call->Send(c.request);
    Rounds();
    EXPECT_EQ(1, client_.ends) << c.path;
    EXPECT_EQ(c.code, client_.code) << c.path;
    EXPECT_EQ(c.text, client_.text) << c.path;
    EXPECT_TRUE(client_.responses.empty()) << c.path;
  }
}

TEST_F(LocalCallTest, TheHandlerSeesMetadataAndPeer) {
  Start();
  const auto call = Open("/t.T/Meta", {{"token", "abc"}, {"hasleader", "true"}});
  call->Send("token");
  Rounds();
  EXPECT_EQ(std::vector<std::string>{"abc"}, client_.responses);
}

TEST_F(LocalCallTest, AStreamTakesMessagesUntilItsClientHasSaidAll) {
  Start();
  const auto call = Open("/t.T/Stream");
  call->Send("a");
  call->Send("b");
  Rounds();
  EXPECT_EQ((std::vector<std::string>{"a", "b"}), client_.responses);
  EXPECT_EQ(0, client_.ends);
  call->Send("c");
  call->HalfClose();
  Rounds();
  EXPECT_EQ(3u, client_.responses.size());
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(Code::kOk, client_.code);
  EXPECT_EQ((Log{"half-close", "destroyed"}), log_);
}

TEST_F(LocalCallTest, DroppingTheCallCancelsIt) {
  Start();
  auto unary = Open("/t.T/Wait");
  unary->Send("w");
  auto stream = Open("/t.T/Stream");
  stream->Send("a");
  unary.reset();
  stream.reset();
  Rounds();
  EXPECT_EQ((Log{"cancelled w 1", "closed 1", "destroyed"}), log_);
  EXPECT_EQ(0, client_.ends);
  EXPECT_TRUE(client_.responses.empty());
  EXPECT_TRUE(waiting_[0].closed());
  waiting_[0].Respond("late");  // A stale handle does nothing, even when its stream serves another call.
  const auto other = Open("/t.T/Wait");
  other->Send("x");
  waiting_[0].Respond("late");
  Rounds();
  EXPECT_EQ(0, client_.ends);
}

// A receiver may go in the middle of a delivery.
TEST_F(LocalCallTest, AnAbandonedReceiverIsNotCalled) {
  Start();
  auto call = Open("/t.T/Stream");
  client_.on_response = [&] {
    call->Abandon();
    call.reset();
  };
  for (const char* message : {"a", "b", "c"}) call->Send(message);
  Rounds();
  EXPECT_EQ(std::vector<std::string>{"a"}, client_.responses);
  EXPECT_EQ(0, client_.ends);
  EXPECT_EQ((Log{"closed 1", "destroyed"}), log_);
  EXPECT_EQ(0u, server_->stats().output_bytes_held);
}

TEST_F(LocalCallTest, OneRoundDeliversAPart) {
  Start();
  constexpr size_t kMessages = 2 * LocalCall::kResponsesPerRound + 1;
  const auto call = Open("/t.T/Stream");
  for (size_t i = 0; i < kMessages; ++i) call->Send("m");
  EXPECT_EQ(kMessages, server_->stats().output_bytes_held);
  for (size_t round = 1; round <= 2; ++round) {
    Rounds(1);
    EXPECT_EQ(round * LocalCall::kResponsesPerRound, client_.responses.size());
  }
  call->HalfClose();
  Rounds(1);
  EXPECT_EQ(kMessages, client_.responses.size());
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(0u, server_->stats().output_bytes_held);
}

TEST_F(LocalCallTest, WhatIsHeldCounts) {
  ServerOptions options;
  options.message_bytes_max = 1000;
  options.request_bytes_in_all_max = 10'000;
  Start(options);
  auto first = Open("/t.T/Stream");
  const auto second = Open("/t.T/Stream");
  EXPECT_TRUE(first->Hold(10'000));
  EXPECT_EQ(10'000u, server_->stats().request_bytes_held);
  EXPECT_TRUE(second->Hold(5'000));  // No more than its share.
  EXPECT_FALSE(second->Hold(10'001));
  second->Hold(0);
  first.reset();
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
  second->Abandon();
  Rounds();
}

TEST_F(LocalCallTest, TheDeadlineEndsBothSides) {
  Start();
  const auto call = Open("/t.T/Wait", {}, milliseconds(1));
  call->Send("w");
  EXPECT_TRUE(waiting_[0].deadline().has_value());
  while (client_.ends == 0) loop_.RunRound(true);
  EXPECT_EQ(Code::kDeadlineExceeded, client_.code);
  EXPECT_EQ(Log{"cancelled w 4"}, log_);
}

TEST_F(LocalCallTest, ASlowClientHoldsTheHandlerBack) {
  Start();
  left_ = 500;  // 5 MB.
  client_.keeps = true;
  const auto call = Open("/t.T/Source");
  call->Send("go");
  Rounds(10);
  EXPECT_GE(pending_max_, kStreamPendingHigh);
  EXPECT_LT(pending_max_, kStreamPendingHigh + 20'000);
  EXPECT_GT(left_, 0);
  while (client_.ends == 0) {
    client_.pending = 0;
    loop_.RunRound(false);
  }
  EXPECT_EQ(500u, client_.responses.size());
  EXPECT_LT(pending_max_, kStreamPendingHigh + 20'000);
}

}  // namespace
}  // namespace quorate::net
