#include "cmd/v2ctl/cluster_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

namespace quorate::cmd::v2 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A port of which nobody takes connections.
class SilentPort {
 public:
  explicit SilentPort(int backlog) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    EXPECT_EQ(0, bind(fd_, reinterpret_cast<sockaddr*>(&address_), size));
    EXPECT_EQ(0, getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size));
    EXPECT_EQ(0, listen(fd_, backlog));
  }
  ~SilentPort() {
    close(fd_);
    for (const int fd : waiting_) close(fd);
  }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;

  // More connections than its backlog wait: the kernel drops what comes further.
  void Fill() {
    for (int& fd : waiting_) {
      fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      connect(fd, reinterpret_cast<sockaddr*>(&address_), sizeof(address_));
    }
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(ntohs(address_.sin_port)); }

 private:
  int fd_;
  sockaddr_in address_{};
  std::array<int, 8> waiting_ = {-1, -1, -1, -1, -1, -1, -1, -1};
};

CallError Failure(ClusterClientOptions options, milliseconds total) {
  HttpClient http({});
  ClusterClient client(std::move(options), &http);
  const auto outcome =
      client.Do("GET", "/v2/members", std::nullopt, std::chrono::steady_clock::now() + total);
  EXPECT_TRUE(std::holds_alternative<CallError>(outcome));
  return std::get<CallError>(outcome);
}

TEST(ClusterClientTest, WhichLimitHasPassed) {
  SilentPort silent(16);
  ClusterClientOptions options;
  options.endpoints = {silent.url()};
  // The library's timer may be a little early.
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ("context deadline exceeded", Failure(options, milliseconds(20)).text);
  }
  options.request = milliseconds(20);
  EXPECT_NE(std::string::npos,
            Failure(options, seconds(60)).text.find("endpoint " + silent.url() + " exceeded header timeout"));
}

// The limit of connecting is not that of all: another endpoint may answer.
TEST(ClusterClientTest, AfterOneThatCanNotBeReachedTheNextIsAsked) {
  SilentPort full(0);
  full.Fill();
  SilentPort silent(16);
  ClusterClientOptions options;
  options.endpoints = {full.url(), silent.url()};
  options.connect = milliseconds(200);
  options.request = seconds(5);
  const CallError error = Failure(options, seconds(60));
  EXPECT_NE(std::string::npos, error.detail.find(silent.url() + " exceeded header timeout")) << error.detail;
  EXPECT_NE(std::string::npos, error.detail.find(": i/o timeout")) << error.detail;
  options.request = std::chrono::nanoseconds(0);
  options.endpoints = {full.url()};
  EXPECT_NE(std::string::npos, Failure(options, seconds(60)).text.find(": i/o timeout"));
}

}  // namespace
}  // namespace quorate::cmd::v2
