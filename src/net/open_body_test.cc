// Bodies that are taken as they come and answered meanwhile: over HTTP/2, and such as may stay open.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/h2_test_services.h"

namespace quorate::net {
namespace {

// Says each line back when it is whole.
class LineSink : public HttpBodySink {
 public:
  explicit LineSink(Log* log) : log_(log) {}
  ~LineSink() override { log_->push_back("gone"); }
  void OnBegin(HttpReply r) override {
    reply = std::move(r);
    reply.OnClosed([this] { log_->push_back("closed"); });
    log_->push_back("begin");
  }
  void OnBytes(std::string_view bytes) override {
    text_.append(bytes);
    received += bytes.size();
    for (size_t end; !paused && (end = text_.find('\n')) != std::string::npos;) {
      if (!std::exchange(begun_, true)) reply.Begin(200, {});
      reply.Write("<" + text_.substr(0, end) + ">");
      text_.erase(0, end + 1);
      ++lines_;
    }
  }
  void OnEnd() override {
    log_->push_back("end");
    if (!std::exchange(begun_, true)) reply.Begin(200, {});
    reply.Write("end");
    reply.End();
  }
  Part part() const override { return {text_.size(), lines_ + 1}; }
  bool open_ended() const override { return true; }
  void Pause(bool pause) {
    paused = pause;
    reply.PauseBody(pause);
  }

  HttpReply reply;
  size_t received = 0;
  bool paused = false;

 private:
  Log* log_;
  std::string text_;
  bool begun_ = false;
  uint64_t lines_ = 0;
};

class OpenBodyTest : public Http2Test {
 protected:
  void StartSinks(const ServerOptions& options = {}) {
    Start(options);
    server_->SetHttpHandler(
        [](const HttpRequest& request, HttpReply reply) { reply.Send(200, {}, "whole " + request.body); });
    server_->SetHttpBodyHandler([this](const HttpRequest& request) -> std::shared_ptr<HttpBodySink> {
      EXPECT_EQ("", request.body);
      if (request.path != "/sink") return nullptr;
      auto sink = std::make_shared<LineSink>(&log_);
      sink_ = sink;
      return sink;
    });
  }
  static H2Client::Headers PostTo(const std::string& path) {
    return {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}};
  }
  LineSink& sink() { return *sink_.lock(); }
  // Its sink keeps itself no longer than its connection and its reply do.
  std::weak_ptr<LineSink> sink_;
};

TEST_F(OpenBodyTest, IsAnsweredWhileItIsOpen) {
  StartSinks();
  H2Client client(&loop_, port_);
  const int32_t id = client.Request(PostTo("/sink"), "on", false);
  ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 2; }));
  EXPECT_EQ("whole body", client.Await(client.Request(PostTo("/other"), "body")).data);
  client.MoreBody(id, "e\ntwo\nth", false);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data == "<one><two>"; }));
  client.MoreBody(id, "ree\n", true);
  EXPECT_EQ("<one><two><three>end", client.Await(id).data);
  EXPECT_EQ(0u, client.answer(id).error);
  EXPECT_EQ((Log{"begin", "end", "gone"}), log_);
  EXPECT_EQ("end", client.Await(client.Request(PostTo("/sink"), "")).data);
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

TEST_F(OpenBodyTest, APausedOneWaitsInItsWindow) {
  StartSinks();
  H2Client client(&loop_, port_);
  const int32_t id = client.Request(PostTo("/sink"), "first\n", false);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).data == "<first>"; }));
  sink().Pause(true);
  const std::string line = std::string(99, 'x') + "\n";
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += line;
  client.MoreBody(id, text, true);
  // Others of the connection go on, with more than the stream's window.
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(200'000u,
              client.Await(client.Grpc("/t.T/Echo", Frame(std::string(200'000, 'e')))).message().size());
  }
  EXPECT_GT(sink().received, 900'000u);
  EXPECT_LT(sink().received, 1'100'000u);
  sink().Pause(false);
  client.Await(id);
  EXPECT_EQ(7 + 30'000 * 101 + 3u, client.answer(id).data.size());
}

TEST_F(OpenBodyTest, WhatIsKeptOfItIsHeld) {
  ServerOptions options;
  options.message_bytes_max = 10'000;
  options.request_bytes_max = 100'000;
  options.early_end_grace = std::chrono::milliseconds(1);
  StartSinks(options);
  H2Client client(&loop_, port_);
  const int32_t first = client.Request(PostTo("/sink"), std::string(60'000, 'a'), false);
  ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 60'000; }));
  EXPECT_GE(server_->stats().request_bytes_held, 60'000u);
  const int32_t second = client.Request(PostTo("/sink"), std::string(60'000, 'b'), false);
  EXPECT_EQ("503", client.Await(second).get(":status"));
  EXPECT_EQ((Log{"begin", "begin", "closed", "gone"}), log_);
  // And one that has begun its answer is broken off.
  const int32_t third = client.Request(PostTo("/sink"), "line\n", false);
  ASSERT_TRUE(client.Until([&] { return client.answer(third).data == "<line>"; }));
  client.MoreBody(third, std::string(60'000, 'c'), false);
  EXPECT_EQ(uint32_t{NGHTTP2_INTERNAL_ERROR}, client.Await(third).error);
  EXPECT_FALSE(client.answer(first).closed);
  client.MoreBody(first, "\n", true);
  EXPECT_EQ(60'005u, client.Await(first).data.size());
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

// It could not be refused at its end, which may never come.
TEST_F(OpenBodyTest, IsRefusedAtItsHeadWhileAnswersAreNotRead) {
  StartSinks({.output_bytes_max = 100'000});
  H2Client client(&loop_, port_, 0, true);
  for (int i = 0; i < 2; ++i) client.Request(PostTo("/other"), std::string(90'000, 'b'));
  ASSERT_TRUE(client.Until([&] { return server_->stats().output_bytes_held > 100'000; }));
  const int32_t id = client.Request(PostTo("/sink"), "one\n", false);
  ASSERT_TRUE(client.Until([&] { return client.answer(id).get(":status") == "503"; }));
  client.MoreBody(id, "two\n", true);
  for (int i = 0; i < 10; ++i) client.Step();
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [this] { return server_->stats().connections_open == 0; }));
  EXPECT_EQ((Log{"gone"}), log_);
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

// Who has got an answer in the middle of his body ends that by himself. One without a body ends after that.
TEST_F(OpenBodyTest, AnAnswerBeforeItsEndIsNotResetAtOnce) {
  StartSinks({.early_end_grace = std::chrono::hours(1)});
  H2Client client(&loop_, port_);
  for (const std::string text : {"no", ""}) {
    const int32_t id = client.Request(PostTo("/sink"), "a", false);
    ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 1; }));
    sink().Pause(true);
    sink().reply.Send(412, {}, text);
    ASSERT_TRUE(client.Until(
        [&] { return client.answer(id).get(":status") == "412" && client.answer(id).data == text; }));
    for (int i = 0; i < 10; ++i) client.Step();
    EXPECT_FALSE(client.answer(id).closed);
    client.MoreBody(id, std::string(3'000'000, 'x'), true);
    EXPECT_EQ(text, client.Await(id).data);
    EXPECT_EQ(0u, server_->stats().request_bytes_held);
  }
}

TEST_F(OpenBodyTest, ADrainWaitsForNoneThatIsAnswered) {
  StartSinks({.early_end_grace = std::chrono::hours(1)});
  H2Client client(&loop_, port_);
  std::vector<int32_t> ids;
  for (const std::string text : {"no", ""}) {
    ids.push_back(client.Request(PostTo("/sink"), "a", false));
    ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 1; }));
    sink().reply.Send(412, {}, text);
    ASSERT_TRUE(client.Until([&] { return client.answer(ids.back()).get(":status") == "412"; }));
  }
  bool drained = false;
  server_->Drain(std::chrono::hours(1), [&] { drained = true; });
  ASSERT_TRUE(client.Until([&] { return drained; }));
  for (const int32_t id : ids) {
    EXPECT_TRUE(client.answer(id).closed);
    EXPECT_EQ(uint32_t{NGHTTP2_NO_ERROR}, client.answer(id).error);
  }
}

TEST_F(OpenBodyTest, AnAnswerMayEndBeforeIt) {
  StartSinks({.early_end_grace = std::chrono::milliseconds(1)});
  H2Client client(&loop_, port_);
  const int32_t id = client.Request(PostTo("/sink"), "a", false);
  ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 1; }));
  sink().reply.Send(412, {}, "no");
  EXPECT_EQ("no", client.Await(id).data);
  EXPECT_EQ(uint32_t{NGHTTP2_NO_ERROR}, client.answer(id).error);
  EXPECT_EQ("whole x", client.Await(client.Request(PostTo("/other"), "x")).data);
}

TEST_F(OpenBodyTest, AClientThatResetsIsGone) {
  StartSinks();
  H2Client client(&loop_, port_);
  const int32_t id = client.Request(PostTo("/sink"), "a", false);
  ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 1; }));
  client.Reset(id);
  ASSERT_TRUE(client.Until([&] { return log_.size() == 3; }));
  EXPECT_EQ((Log{"begin", "closed", "gone"}), log_);
  client.Request(PostTo("/sink"), "a", false);
  ASSERT_TRUE(client.Until([&] { return !sink_.expired() && sink().received == 1; }));
  client.raw().Close();
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return log_.size() == 6; }));
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

constexpr std::string_view kChunked = "POST /sink HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

// It may be silent for any time, but not in the middle of something.
TEST_F(OpenBodyTest, OnlyAPartHasItsTime) {
  ServerOptions options;
  options.header_timeout = std::chrono::milliseconds(20);
  StartSinks(options);
  RawClient silent(&loop_, port_);
  silent.Write(std::string(kChunked) + "4\r\none\n\r\n");
  silent.ReadUntil("<one>");
  const std::shared_ptr<LineSink> first = sink_.lock();
  RawClient half(&loop_, port_);
  half.Write(std::string(kChunked) + "6\r\none\ntw\r\n");
  half.ReadUntil("<one>");
  half.ReadAll();
  EXPECT_EQ((Log{"begin", "begin", "closed", "gone"}), log_);
  const auto until = std::chrono::steady_clock::now() + 5 * options.header_timeout;
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return std::chrono::steady_clock::now() > until; }));
  silent.Write("4\r\ntwo\n\r\n");
  silent.ReadUntil("<two>");
  // Pausing ends a part's time, and going on begins it anew.
  silent.Send("2\r\nth\r\n");
  const size_t received = first->received;
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return first->received > received; }));
  first->Pause(true);
  const auto again = std::chrono::steady_clock::now() + 5 * options.header_timeout;
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return std::chrono::steady_clock::now() > again; }));
  EXPECT_FALSE(silent.ended());
  first->Pause(false);
  silent.ReadAll();
}

// An error of the body can't be answered in the middle of an answer.
TEST_F(OpenBodyTest, ABrokenOneEndsAnAnswerThatHasBegun) {
  StartSinks();
  RawClient raw(&loop_, port_);
  raw.Write(std::string(kChunked) + "4\r\none\n\r\n");
  std::string all = raw.ReadUntil("<one>");
  raw.Write("zz\r\n");
  all += raw.ReadAll();
  EXPECT_EQ(std::string::npos, all.find("HTTP/1.1 400")) << all;
  EXPECT_FALSE(all.ends_with("0\r\n\r\n")) << all;
  EXPECT_EQ((Log{"begin", "closed", "gone"}), log_);
}

}  // namespace
}  // namespace quorate::net
