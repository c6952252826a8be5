// Connections stop working when their turn is over, and others come in between.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "net/h2_test_services.h"
#include "net/http1_test_server.h"

namespace quorate::net {
namespace {

class TurnsTest : public Http2Test {
 protected:
  // Turns the loop until so much is worked, never more than one piece of it in a round; then until `done`.
  template <typename Done>
  void WorkOneARound(H2Client* client, int all, const Done& done) {
    while (worked_ < all) {
      const int before = worked_;
      ASSERT_TRUE(TurnUntil(&loop_, [&] { return worked_ > before; }));
      ASSERT_EQ(before + 1, worked_);
      client->Receive();
    }
    ASSERT_TRUE(client->Until(done));
    EXPECT_EQ(0u, server_->stats().request_bytes_held);
  }
  // A frame of DATA that is filled up with `padding` bytes, and is the last.
  static std::string PaddedEnd(int32_t id, std::string_view data, size_t padding) {
    const size_t size = 1 + data.size() + padding;
    std::string frame;
    for (const int shift : {16, 8, 0}) frame += static_cast<char>(size >> shift & 0xff);
    frame += '\0';    // DATA
    frame += '\x09';  // PADDED, END_STREAM
    for (const int shift : {24, 16, 8, 0}) frame += static_cast<char>(id >> shift & 0xff);
    frame += static_cast<char>(padding);
    return frame.append(data).append(padding, '\0');
  }
};

TEST_F(TurnsTest, OthersComeInBetweenCallsThatTakeLong) {
  Start();
  H2Client client(&loop_, port_);
  H2Client other(&loop_, port_);
  client.Await(client.Grpc("/t.T/Echo", Frame("x")));
  other.Await(other.Grpc("/t.T/Echo", Frame("x")));
  std::vector<int32_t> ids;
  for (int i = 0; i < 60; ++i) ids.push_back(client.Grpc("/t.T/Work", Frame(std::to_string(i))));
  client.raw().Send(client.TakeOutput());
  const int32_t echo = other.Grpc("/t.T/Echo", Frame("quick"));
  other.raw().Send(other.TakeOutput());
  ASSERT_TRUE(TurnUntil(&loop_, [&] {
    other.Receive();
    return other.answer(echo).closed;
  }));
  EXPECT_LE(worked_, 3);
  EXPECT_GT(server_->stats().request_bytes_held, 0u);
  WorkOneARound(&client, 60, [&] { return client.answer(ids.back()).closed; });
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(std::to_string(i), client.answer(ids[static_cast<size_t>(i)]).message());
}

TEST_F(TurnsTest, BodiesOfCallsThatWereOpenedBefore) {
  Start();
  H2Client client(&loop_, port_);
  std::vector<int32_t> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(client.Grpc("/t.T/Work", "", {}, false));
  ASSERT_TRUE(client.Until([&] { return server_->stats().streams_open == 10; }));
  for (const int32_t id : ids) client.MoreBody(id, Frame("late"), true);
  client.raw().Send(client.TakeOutput());
  WorkOneARound(&client, 10, [&] { return client.answer(ids.back()).closed; });
  for (const int32_t id : ids) EXPECT_EQ("late", client.answer(id).message());
}

// Messages of one frame; its end comes after them, whatever it is padded with.
TEST_F(TurnsTest, MessagesOfAStream) {
  Start();
  for (const size_t padding : {0, 1, 200}) {
    worked_ = 0;
    log_.clear();
    H2Client client(&loop_, port_);
    const int32_t id = client.Grpc("/t.T/WorkStream", "", {}, false);
    ASSERT_TRUE(client.Until([&] { return server_->stats().streams_open == 1; }));
    std::string messages;
    for (int i = 0; i < 20; ++i) messages += Frame(std::to_string(i));
    client.raw().Send(PaddedEnd(id, messages, padding));
    WorkOneARound(&client, 20, [&] { return client.answer(id).get("grpc-status") != "(none)"; });
    EXPECT_EQ(messages, client.answer(id).data);
    EXPECT_EQ("0", client.answer(id).get("grpc-status"));
    EXPECT_EQ((Log{"half-close", "destroyed"}), log_);
  }
}

// A call of one message ends with its frame, although nothing follows.
TEST_F(TurnsTest, PaddingAfterTheLastRequest) {
  Start();
  H2Client client(&loop_, port_);
  const int32_t first = client.Grpc("/t.T/Work", "", {}, false);
  const int32_t second = client.Grpc("/t.T/Work", "", {}, false);
  ASSERT_TRUE(client.Until([&] { return server_->stats().streams_open == 2; }));
  client.raw().Send(PaddedEnd(first, Frame("a"), 100) + PaddedEnd(second, Frame("b"), 100));
  WorkOneARound(&client, 2, [&] { return server_->stats().streams_open == 0; });
  EXPECT_EQ("a", client.answer(first).message());
  EXPECT_EQ("b", client.answer(second).message());
}

// What is left for later gives its windows back all the same: three streams' windows go through one.
TEST_F(TurnsTest, WindowsComeBack) {
  Start();
  H2Client client(&loop_, port_);
  std::string messages;
  for (int i = 0; i < 300; ++i) messages += Frame(std::string(10'000, 'm'));
  const int32_t id = client.Grpc("/t.T/WorkStream", messages);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).closed; }));
  EXPECT_EQ(300, worked_);
  EXPECT_TRUE(messages == client.answer(id).data);
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

TEST_F(TurnsTest, WhatIsLeftGoesWithItsStreamOrConnection) {
  Start();
  H2Client client(&loop_, port_);
  std::string messages = Frame("a") + Frame("finish");
  for (int i = 0; i < 20; ++i) messages += Frame("b");
  const int32_t finished = client.Grpc("/t.T/WorkStream", messages);
  const auto& answer = client.Await(finished);
  EXPECT_EQ("10", answer.get("grpc-status"));
  EXPECT_EQ(Frame("a"), answer.data);
  EXPECT_EQ(2, worked_);
  EXPECT_EQ("still fine", client.Await(client.Grpc("/t.T/Echo", Frame("still fine"))).message());
  EXPECT_EQ(0u, server_->stats().request_bytes_held);

  log_.clear();
  client.Grpc("/t.T/WorkStream", messages.substr(0, 6) + messages.substr(17), {}, false);
  client.raw().Send(client.TakeOutput());
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return worked_ == 5; }));
  EXPECT_GT(server_->stats().request_bytes_held, 0u);
  server_ = nullptr;
  EXPECT_EQ((Log{"closed 1", "destroyed"}), log_);
}

class Http1TurnsTest : public Http1Test {};

TEST_F(Http1TurnsTest, PipelinedRequests) {
  Start();
  int worked = 0;
  server_->SetHttpHandler([&worked](const HttpRequest&, HttpReply reply) {
    WorkLong();
    ++worked;
    reply.Send(200, {}, "done");
  });
  RawClient raw(&loop_, port_);
  RawClient other(&loop_, port_);
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 2; }));
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
  raw.Send(requests + "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  for (int i = 1; i <= 41; ++i) {
    ASSERT_TRUE(TurnUntil(&loop_, [&] { return worked == i || worked > i; }));
    ASSERT_EQ(i, worked);
  }
  const std::string answers = raw.ReadAll();
  EXPECT_TRUE(answers.ends_with("done"));
  size_t count = 0;
  for (size_t at = 0; (at = answers.find("200 OK", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(41u, count);
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

// Part of a request is no reason for turns.
TEST_F(Http1TurnsTest, AnIncompleteRequestWaitsWithoutTurns) {
  Start();
  RawClient raw(&loop_, port_);
  raw.Write("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHo");
  raw.ReadUntil("[GET ]");
  for (int i = 0; i < 3; ++i) loop_.RunRound(false);
  bool woken = false;
  loop_.After(std::chrono::milliseconds(50), [&] { woken = true; });
  int rounds = 0;
  for (; !woken; ++rounds) loop_.RunRound(true);
  EXPECT_LE(rounds, 10);  // Without waiting there would be thousands.
  raw.Write("st: h\r\n\r\n");
  raw.ReadUntil("X-Path: /b");
}

}  // namespace
}  // namespace quorate::net
