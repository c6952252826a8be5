// WebSockets against a raw socket in the same thread. Frames of clients are masked; a mask of zeros is one.
#include "net/web_socket.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "net/server.h"
#include "net/test_client.h"

namespace quorate::net {
namespace {

constexpr size_t kMessageBytesMax = 1000;

std::string Frame(uint8_t first, std::string_view payload) {
  std::string frame(1, static_cast<char>(first));
  if (payload.size() < 126) {
    frame += static_cast<char>(0x80 | payload.size());
  } else {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size() & 0xff);
  }
  return frame + std::string(4, '\0') + std::string(payload);
}
std::string Text(std::string_view payload) { return Frame(0x81, payload); }
// As the server sends it.
std::string Bare(uint8_t first, std::string_view payload) {
  return std::string(1, static_cast<char>(first)) + static_cast<char>(payload.size()) + std::string(payload);
}

class WebSocketTest : public testing::Test, public WebSocket::Receiver {
 protected:
  void SetUp() override { Start({}); }
  void Start(const ServerOptions& options) {
    server_ = std::make_unique<Server>(&loop_, options);
    server_->SetHttpHandler([this](const HttpRequest& request, HttpReply reply) {
      if (!WebSocket::Wanted(request)) return reply.Send(200, {}, "plain");
      socket_ = WebSocket::Accept(request, std::move(reply), {{"X-More", "1"}}, message_bytes_max_, this);
    });
    const auto port = server_->Listen("127.0.0.1", 0);
    ASSERT_TRUE(port.ok());
    port_ = *port;
  }
  void OnMessage(std::string_view message) override {
    messages_.emplace_back(message);
    if (message == "flood") {
      const std::string text(1000, 'f');
      for (int i = 0; i < 1000; ++i) socket_->Send(text);
    }
    if (message == "echo") socket_->Send("echoed");
    if (message == "close") socket_->Close(1000, "as asked");
  }
  void OnClosed() override { ++closed_; }

  static std::string Handshake(std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==",
                               std::string_view version = "13") {
    return "GET /chat HTTP/1.1\r\nHost: h\r\nconnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
           "Sec-WebSocket-Key: " +
           std::string(key) + "\r\nSec-WebSocket-Version: " + std::string(version) + "\r\n\r\n";
  }
  std::unique_ptr<RawClient> Connect() {
    auto raw = std::make_unique<RawClient>(&loop_, port_);
    raw->Write(Handshake());
    const std::string head = raw->ReadUntil("\r\n\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << head;
    // The example of RFC 6455, 1.3.
    EXPECT_NE(std::string::npos, head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    EXPECT_NE(std::string::npos, head.find("X-More: 1\r\n"));
    EXPECT_EQ(std::string::npos, head.find("Content-Length"));
    EXPECT_NE(nullptr, socket_);
    return raw;
  }

  Loop loop_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  size_t message_bytes_max_ = kMessageBytesMax;
  std::shared_ptr<WebSocket> socket_;
  std::vector<std::string> messages_;
  int closed_ = 0;
};

TEST_F(WebSocketTest, MessagesGoBothWays) {
  const auto raw = Connect();
  raw->Write(Text("one") + Text("echo"));
  EXPECT_EQ(Bare(0x81, "echoed"), raw->ReadUntil("echoed"));
  socket_->Send("unasked");
  EXPECT_EQ(Bare(0x81, "unasked"), raw->ReadUntil("unasked"));
  // In pieces, with a ping between them.
  const std::string split = Frame(0x01, "he") + Frame(0x89, "ping") + Frame(0x80, "llo");
  for (const char c : split) raw->Write({&c, 1});
  EXPECT_EQ(Bare(0x8a, "ping"), raw->ReadUntil("ping"));
  EXPECT_TRUE(TurnUntil(&loop_, [this] { return messages_.size() == 3; }));
  EXPECT_EQ((std::vector<std::string>{"one", "echo", "hello"}), messages_);
  EXPECT_EQ(0, closed_);
}

TEST_F(WebSocketTest, WhatCameWithTheHandshakeIsRead) {
  RawClient raw(&loop_, port_);
  raw.Write(Handshake() + Text("echo"));
  EXPECT_NE(std::string::npos, raw.ReadUntil("echoed").find("101 Switching"));
}

TEST_F(WebSocketTest, TheClientCloses) {
  const auto raw = Connect();
  raw->Write(Frame(0x88, "\x03\xe8"));
  EXPECT_EQ(Bare(0x88, "\x03\xe8"), raw->ReadAll());
  EXPECT_EQ(1, closed_);
  socket_->Send("late");
}

TEST_F(WebSocketTest, TheServerCloses) {
  const auto raw = Connect();
  raw->Write(Text("echo") + Text("close") + Text("not heard"));
  EXPECT_EQ(Bare(0x81, "echoed") + Bare(0x88,
                                        "\x03\xe8"
                                        "as asked"),
            raw->ReadAll());
  EXPECT_EQ((std::vector<std::string>{"echo", "close"}), messages_);
  EXPECT_EQ(0, closed_);
}

TEST_F(WebSocketTest, TheClientIsGone) {
  auto raw = Connect();
  raw->Close();
  EXPECT_TRUE(TurnUntil(&loop_, [this] { return closed_ == 1; }));
}

TEST_F(WebSocketTest, BrokenFramesEndIt) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string("\x81\x03") + "abc", "\x03\xea"},               // Not masked: 1002.
      {Frame(0xc1, "x"), "\x03\xea"},                              // A reserved bit.
      {Frame(0x83, "x"), "\x03\xea"},                              // A reserved opcode.
      {Frame(0x80, "x"), "\x03\xea"},                              // The rest of nothing.
      {Text("\xff"), "\x03\xef"},                                  // Not UTF-8: 1007.
      {Text(std::string(kMessageBytesMax + 1, 'x')), "\x03\xf1"},  // Too long: 1009.
      {Frame(0x01, std::string(600, 'x')) + Frame(0x80, std::string(600, 'x')), "\x03\xf1"},
  };
  for (const auto& [bytes, code] : cases) {
    closed_ = 0;
    messages_.clear();
    const auto raw = Connect();
    raw->Write(bytes);
    const std::string answer = raw->ReadAll();
    EXPECT_EQ('\x88', answer.empty() ? '\0' : answer[0]);
    EXPECT_EQ(code, answer.substr(std::min<size_t>(answer.size(), 2), 2));
    EXPECT_EQ(1, closed_);
    EXPECT_TRUE(messages_.empty());
  }
}

std::string Repeated(std::string_view what, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out.append(what);
  return out;
}

// Small pieces cost what they hold, and are refused beyond the client's share.
TEST_F(WebSocketTest, PiecesOfAMessageCount) {
  ServerOptions options;
  options.message_bytes_max = 10'000;
  options.request_bytes_in_all_max = 50'000;
  message_bytes_max_ = 4'000'000;
  Start(options);
  const auto raw = Connect();
  raw->Write(Frame(0x01, "b"));
  raw->Write(Repeated(Frame(0x00, "p"), 20'000));
  EXPECT_TRUE(TurnUntil(&loop_, [this] { return server_->stats().request_bytes_held >= 20'001u; }));
  EXPECT_LE(server_->stats().request_bytes_held, 50'000u);
  raw->Write(Frame(0x80, "e"));
  EXPECT_TRUE(TurnUntil(&loop_, [this] { return messages_.size() == 1; }));
  EXPECT_EQ(20'002u, messages_[0].size());
  loop_.RunRound(false);
  EXPECT_EQ(0u, server_->stats().request_bytes_held);

  raw->Write(Frame(0x01, "b"));
  for (int i = 0; i < 100; ++i) raw->Write(Repeated(Frame(0x00, "p"), 1000));
  raw->ReadAll();
  EXPECT_EQ(1, closed_);
  EXPECT_EQ(1u, messages_.size());
  loop_.RunRound(false);
  EXPECT_EQ(0u, server_->stats().request_bytes_held);
}

TEST_F(WebSocketTest, AMessageHasTime) {
  ServerOptions options;
  options.header_timeout = std::chrono::milliseconds(300);
  Start(options);
  const auto idle = Connect();
  const auto raw = Connect();
  raw->Write(Text("whole") + Frame(0x01, "half") + Frame(0x89, "ping"));
  raw->ReadAll();
  EXPECT_EQ(1, closed_);
  EXPECT_EQ(std::vector<std::string>{"whole"}, messages_);
  // Without a message under way there is no limit.
  idle->Write(Text("still there"));
  EXPECT_TRUE(TurnUntil(&loop_, [this] { return messages_.size() == 2; }));
}

// Each ping has an answer; who does not read them gets to send no more.
TEST_F(WebSocketTest, PingsWaitForTheirAnswersToBeRead) {
  socket_ = nullptr;
  RawClient raw(&loop_, port_, 4096);
  raw.Write(Handshake());
  ASSERT_TRUE(TurnUntil(&loop_, [this] { return socket_ != nullptr; }));
  const std::string pings = Repeated(Frame(0x89, std::string(125, 'p')), 1000);
  size_t sent = 0;
  for (int same = 0; same < 1000 && sent < 300'000'000;) {
    const size_t n = raw.SendSome(pings);
    sent += n;
    same = n == 0 ? same + 1 : 0;
    loop_.RunRound(false);
  }
  EXPECT_LT(sent, 300'000'000u);
  EXPECT_LT(server_->stats().output_bytes_held, 2'000'000u);
  EXPECT_GT(socket_->pending_bytes(), 0u);
  // And goes on when they are read.
  size_t read = 0;
  EXPECT_TRUE(TurnUntil(&loop_, [&] {
    read += raw.Read().size();
    return socket_->pending_bytes() == 0;
  }));
  EXPECT_GT(read, 0u);
}

// A connection that holds more than its share is ended while it is being written to.
TEST_F(WebSocketTest, WhoIsOverHisShareIsEndedInTheMiddleOfSending) {
  ServerOptions options;
  options.output_bytes_in_all_max = 64 * 1024;
  Start(options);
  const auto raw = Connect();
  raw->Write(Text("flood"));
  raw->ReadAll();
  EXPECT_EQ(1, closed_);
  socket_ = nullptr;
  loop_.RunRound(false);
  EXPECT_EQ(0u, server_->stats().output_bytes_held);
}

TEST_F(WebSocketTest, RequestsThatAreNoHandshake) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Handshake("short"), "Sec-WebSocket-Key must be"},
      {Handshake("dGhlIHNhbXBsZSBub25jZQ==", "8"), "Sec-WebSocket-Version must be 13"},
      {"POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
       "GET"},
      {"GET / HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
       "13\r\n"
       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
       "not a connection of HTTP/1.1"},
  };
  for (const auto& [request, fault] : cases) {
    RawClient raw(&loop_, port_);
    raw.Write(request);
    const std::string answer = raw.ReadUntil("Bad Request: ");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
    EXPECT_TRUE(answer.find(fault) != std::string::npos ||
                raw.ReadUntil(fault).find(fault) != std::string::npos);
    EXPECT_EQ(nullptr, socket_);
  }
  RawClient raw(&loop_, port_);
  raw.Write("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
  raw.ReadUntil("plain");
}

}  // namespace
}  // namespace quorate::net
