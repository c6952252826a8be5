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
  bool full() override { return is_full; }
  bool MayTake(size_t bytes) override { return queued + bytes <= room; }
  void OnQueued(size_t bytes) override { queued = bytes; }
  bool OnHeld(size_t) override { return true; }

  std::vector<std::string> responses;
  size_t pending = 0;
  size_t queued = 0;
  size_t room = size_t{1} << 40;
  bool is_full = false;
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
  EXPECT_EQ(kMessages, client_.queued);
  for (size_t round = 1; round <= 2; ++round) {
    Rounds(1);
    EXPECT_EQ(round * LocalCall::kResponsesPerRound, client_.responses.size());
  }
  call->HalfClose();
  Rounds(1);
  EXPECT_EQ(kMessages, client_.responses.size());
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(0u, client_.queued);
}

TEST_F(LocalCallTest, OneRoundDeliversSoManyBytes) {
  Start();
  const std::string message(300'000, 'm');
  std::vector<std::shared_ptr<LocalCall>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(Open("/t.T/Stream"));
  for (const auto& call : calls) {
    for (int i = 0; i < 4; ++i) call->Send(message);
  }
  // A megabyte, and what one message goes beyond it.
  for (const size_t expected : {4u, 8u, 12u, 16u}) {
    Rounds(1);
    EXPECT_EQ(expected, client_.responses.size());
  }
  for (const auto& call : calls) call->Abandon();
  Rounds();
}

TEST_F(LocalCallTest, TheReceiverIsToldWhatWaitsForIt) {
  Start();
  const auto call = Open("/t.T/Echo");
  call->Send("hello");
  EXPECT_EQ(5u, client_.queued);
  Rounds(1);
  EXPECT_EQ(0u, client_.queued);
}

TEST_F(LocalCallTest, AnswersThatItsClientMayNotTakeAreRefused) {
  Start();
  client_.room = 5'000;
  const auto small = Open("/t.T/Echo");
  const auto large = Open("/t.T/Echo");
  small->Send(std::string(1000, 's'));  // However much waits.
  large->Send(std::string(5'000, 'l'));
  EXPECT_EQ(1000u, client_.queued);
  Rounds(1);
  EXPECT_EQ(1u, client_.responses.size());
  EXPECT_EQ(2, client_.ends);
  EXPECT_EQ(Code::kResourceExhausted, client_.code);
  EXPECT_NE(std::string::npos, client_.text.find("read them first")) << client_.text;
}

TEST_F(LocalCallTest, AStreamEndsWithWhatItsClientMayNotTake) {
  Start();
  client_.room = 5'000;
  const auto call = Open("/t.T/Stream");
  call->Send(std::string(4'000, 'a'));
  call->Send(std::string(4'000, 'b'));
  call->Send("c");
  EXPECT_EQ(0, client_.ends);
  Rounds(1);
  EXPECT_EQ(1u, client_.responses.size());
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(Code::kResourceExhausted, client_.code);
  EXPECT_EQ("closed 8", log_.back() == "destroyed" ? log_[log_.size() - 2] : log_.back());
}

TEST_F(LocalCallTest, AnAnswerIsNoLargerThanAnyClientTakes) {
  Start();
  const auto call = Open("/t.T/Wait");
  call->Send("w");
  EXPECT_EQ(nullptr, waiting_[0].RespondInPlace(size_t{0x80000000}));
  Rounds(1);
  EXPECT_EQ(Code::kResourceExhausted, client_.code);
  EXPECT_EQ("grpc: trying to send message larger than max (2147483648 vs. 2147483647)", client_.text);
}

TEST_F(LocalCallTest, TheHandlerWaitsForAFullClient) {
  Start();
  left_ = 3;
  client_.is_full = true;
  const auto call = Open("/t.T/Source");
  call->Send("go");
  Rounds();
  EXPECT_EQ(0, client_.ends);
  client_.is_full = false;
  Rounds();
  EXPECT_EQ(1, client_.ends);
  EXPECT_EQ(3u, client_.responses.size());
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
