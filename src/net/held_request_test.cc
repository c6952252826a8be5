// What services keep of requests counts for the client who makes them, over HTTP/2 and for calls of this
// process.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "net/h2_test_services.h"
#include "net/local_call.h"

namespace quorate::net {
namespace {

class HeldRequestTest : public Http2Test {
 protected:
  // Sends it on the stream; the answer.
  std::string Keep(H2Client* client, int32_t id, const std::string& bytes) {
    const size_t before = client->answer(id).data.size();
    client->MoreBody(id, Frame(bytes), false);
    EXPECT_TRUE(client->Until([&] { return client->answer(id).data.size() > before; }));
    return client->answer(id).data.substr(before + kMessageHeaderBytes);
  }

  const std::string part_ = std::string(4'000, 'k');  // In one frame, so that it is whole when it comes.
};

TEST_F(HeldRequestTest, StreamsOfOneConnectionShareItsBound) {
  Start({.message_bytes_max = 10'000, .request_bytes_max = 50'000});
  H2Client client(&loop_, port_);
  const int32_t first = client.Grpc("/t.T/Keep", "", {}, false);
  const int32_t second = client.Grpc("/t.T/Keep", "", {}, false);
  int kept = 0;
  for (int i = 0; i < 20; ++i) {
    if (Keep(&client, i % 2 == 0 ? first : second, part_) == "yes") ++kept;
  }
  EXPECT_GE(kept, 11);  // A message of which a part is here already counts, too.
  EXPECT_LE(kept, 12);
  EXPECT_GE(server_->stats().request_bytes_held, 44'000u);
  EXPECT_LE(server_->stats().request_bytes_held, 50'000u);
  // Others have their own.
  H2Client other(&loop_, port_);
  EXPECT_EQ("yes", Keep(&other, other.Grpc("/t.T/Keep", "", {}, false), part_));
  // What is forgotten makes room, and what the end of a stream leaves.
  EXPECT_EQ("yes", Keep(&client, first, "forget"));
  EXPECT_EQ("yes", Keep(&client, second, part_));
  client.Reset(second);
  EXPECT_TRUE(client.Until([this] { return server_->stats().request_bytes_held < 10'000; }));
  client.MoreBody(first, "", true);
  client.Await(first);
  other.raw().Close();
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [this] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

TEST_F(HeldRequestTest, AUnaryCallKeepsUntilItIsAnswered) {
  Start({.message_bytes_max = 10'000, .request_bytes_max = 50'000});
  H2Client client(&loop_, port_);
  for (int i = 0; i < 4; ++i) client.Grpc("/t.T/Wait", Frame("w"));
  ASSERT_TRUE(client.Until([this] { return waiting_.size() == 4; }));
  EXPECT_TRUE(waiting_[0].HoldRequest(20'000));
  EXPECT_TRUE(waiting_[1].HoldRequest(20'000));
  EXPECT_FALSE(waiting_[2].HoldRequest(20'000));
  EXPECT_TRUE(waiting_[1].HoldRequest(19'999));  // Too much in all, but no more than before.
  EXPECT_TRUE(waiting_[3].HoldRequest(1'000));   // So little always may be kept.
  EXPECT_TRUE(waiting_[2].HoldRequest(2'000));
  EXPECT_TRUE(waiting_[0].HoldRequest(5'000));
  for (UnaryCall& call : waiting_) call.Respond("done");
  EXPECT_LT(server_->stats().request_bytes_held, 2'000u);
  EXPECT_TRUE(waiting_[0].HoldRequest(1'000'000));  // It is over.
  EXPECT_LT(server_->stats().request_bytes_held, 2'000u);
}

// Beyond the sum of all, who holds more than his share is refused, and nobody else.
TEST_F(HeldRequestTest, SharesOfAll) {
  Start({.message_bytes_max = 10'000, .request_bytes_in_all_max = 60'000});
  std::vector<std::unique_ptr<H2Client>> clients;
  std::vector<int32_t> ids;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<H2Client>(&loop_, port_));
    ids.push_back(clients.back()->Grpc("/t.T/Keep", "", {}, false));
    clients.back()->Step();
  }
  const auto keep = [&](size_t i) { return Keep(clients[i].get(), ids[i], part_); };
  int kept = 0;
  for (int i = 0; i < 20; ++i) {
    if (keep(0) == "yes") ++kept;
  }
  EXPECT_GE(kept, 13);
  EXPECT_LE(kept, 14);
  for (const size_t i : {size_t{1}, size_t{2}}) {
    for (int k = 0; k < 3; ++k) EXPECT_EQ("yes", keep(i));
    EXPECT_EQ("no", keep(0));
    int refused = 0;
    for (int k = 0; k < 4; ++k) refused += keep(i) == "no" ? 1 : 0;
    EXPECT_GE(refused, 3);
  }
}

class Holder : public LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override { responses.emplace_back(message); }
  void OnEnd(Code c, std::string_view m) override {
    ended = true;
    code = c;
    text = m;
  }
  size_t pending_bytes() const override { return 0; }
  bool full() override { return false; }
  bool MayTake(size_t) override { return true; }
  void OnQueued(size_t) override {}
  bool OnHeld(size_t bytes) override { return (held = bytes) <= max; }

  std::vector<std::string> responses;
  size_t held = 0;
  size_t max = 1000;
  bool ended = false;
  Code code = Code::kOk;
  std::string text;
};

TEST_F(HeldRequestTest, ACallOfThisProcessTellsItsReceiver) {
  Start();
  Holder receiver;
  const auto open = [&] {
    return LocalCall::Open(
        server_.get(),
        {.path = "/t.T/Keep", .metadata = {{"token", std::string(95, 't')}}, .peer = "p", .timeout = {}},
        &receiver);
  };
  const std::shared_ptr<LocalCall> call = open();
  EXPECT_EQ(100u, receiver.held);
  call->Send(std::string(900, 'k'));
  EXPECT_EQ(1000u, receiver.held);
  call->Send("k");
  EXPECT_EQ(1000u, receiver.held);
  loop_.RunRound(false);
  EXPECT_EQ((std::vector<std::string>{"yes", "no"}), receiver.responses);
  call->HalfClose();
  EXPECT_EQ(0u, receiver.held);
  loop_.RunRound(false);
  EXPECT_TRUE(receiver.ended);

  receiver = {};
  receiver.max = 99;
  const std::shared_ptr<LocalCall> refused = open();
  loop_.RunRound(false);
  EXPECT_TRUE(receiver.ended);
  EXPECT_EQ(Code::kResourceExhausted, receiver.code);
  EXPECT_EQ(0u, receiver.held);
}

}  // namespace
}  // namespace quorate::net
