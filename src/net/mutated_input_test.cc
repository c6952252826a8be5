// Valid conversations with random damage: the server must survive each, and serve its other clients
// meanwhile.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "net/server.h"
#include "net/test_client.h"

namespace quorate::net {
namespace {

class Echo : public StreamHandler {
 public:
  explicit Echo(StreamCall call) : call_(call) {}
  void OnMessage(std::string_view message) override { call_.Send(message); }
  void OnHalfClose() override { call_.Finish(Code::kOk, ""); }
  void OnClosed(Code) override {}

 private:
  StreamCall call_;
};

std::string Http2Conversation(Loop* loop, uint16_t port) {
  H2Client client(loop, port);
  client.Grpc("/t.T/Echo", Frame("hello"), {{"grpc-timeout", "5S"}, {"token", "abc"}});
  client.Grpc("/t.T/Stream", Frame("one") + Frame("two"));
  const int32_t reset = client.Grpc("/t.T/Stream", Frame("three"), {}, false);
  client.Grpc("/t.T/Echo", Frame("zip", true), {{"grpc-encoding", "gzip"}});
  std::string bytes = client.TakeOutput();
  client.Reset(reset);
  client.Ping();
  client.Request({{":method", "GET"}, {":scheme", "http"}, {":path", "/x?y"}, {":authority", "h"}}, "");
  return bytes + client.TakeOutput();
}

void Damage(std::mt19937_64* random, std::string* bytes) {
  for (uint64_t n = 1 + (*random)() % 4; n > 0 && !bytes->empty(); --n) {
    const size_t at = (*random)() % bytes->size();
    switch ((*random)() % 5) {
      case 0:
        bytes->resize(at);
        break;
      case 1:
        bytes->insert(at, bytes->substr((*random)() % bytes->size(), (*random)() % 40));
        break;
      case 2:
        bytes->erase(at, 1 + (*random)() % 12);
        break;
      default:
        (*bytes)[at] = static_cast<char>((*random)());
    }
  }
}

TEST(MutatedInput, NeverHarmsOthers) {
  const char* env = std::getenv("QUORATE_TEST_SEED");
  const uint64_t seed = env != nullptr ? std::strtoull(env, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("QUORATE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  Loop loop;
  Server server(&loop, {});
  server.RegisterUnary("/t.T/Echo", [](UnaryCall call, std::string_view m) { call.Respond(m); });
  server.RegisterStreaming("/t.T/Stream", [](StreamCall call) { return std::make_unique<Echo>(call); });
  server.SetHttpHandler([](HttpRequest request, HttpReply reply) { reply.Send(200, {}, request.target); });
  const StatusOr<uint16_t> port = server.Listen("127.0.0.1", 0);
  ASSERT_TRUE(port.ok());
  const std::vector<std::string> seeds = {
      Http2Conversation(&loop, *port),
      "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: h\r\n\r\n",
      "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
  };
  H2Client healthy(&loop, *port);
  for (int round = 0; round < 600; ++round) {
    std::string bytes = seeds[random() % 4 < 2 ? 0 : random() % seeds.size()];
    Damage(&random, &bytes);
    RawClient raw(&loop, *port);
    const size_t cut = bytes.empty() ? 0 : random() % bytes.size();
    raw.Write(std::string_view(bytes).substr(0, cut));
    raw.Write(std::string_view(bytes).substr(cut));
    for (int i = 0; i < 4; ++i) {
      loop.RunRound(false);
      raw.Read();
    }
    raw.Close();
    if (round % 20 == 0) {
      ASSERT_EQ("x", healthy.Await(healthy.Grpc("/t.T/Echo", Frame("x"))).message()) << "round " << round;
    }
  }
  EXPECT_TRUE(TurnUntil(&loop, [&] { return server.stats().connections_open == 1; }));
  EXPECT_EQ(0u, server.stats().streams_open);
}

}  // namespace
}  // namespace quorate::net
