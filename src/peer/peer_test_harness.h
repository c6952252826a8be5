// For the tests of this folder: members that record what they are told, each with a real transport and a real
// server on loopback, all on one loop that the test turns.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env_posix.h"
#include "base/env_sim.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "net/server.h"
#include "net/tls_door.h"
#include "peer/peer_transport.h"

namespace quorate::peer {

// Bounds for "it never happens", not for how long it takes: so many rounds, and so much time on a busy
// machine.
constexpr int kRoundsMax = 200'000;
constexpr std::chrono::seconds kTimeMin{60};

inline bool TurnUntil(net::Loop* loop, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kTimeMin;
  for (int i = 0; i < kRoundsMax || std::chrono::steady_clock::now() < end; ++i) {
    if (condition()) return true;
    loop->RunRound(false);
    if (i % 16 == 15) poll(nullptr, 0, 1);
  }
  return condition();
}

class RecordingEvents : public PeerEvents {
 public:
  RecordingEvents(const Env& env, wal::SnapshotFiles* files) : env_(env), files_(files) {}

  Status Step(raft::Message message, server::MessagePath path) override {
    stepped.push_back(std::move(message));
    paths.push_back(path);
    if (on_step) on_step(stepped.back());
    return step_status;
  }
  bool IsRemoved(uint64_t id) const override { return removed.contains(id); }
  std::string ServerVersion() const override { return version; }
  void ReportUnreachable(uint64_t id) override { ++unreachable[id]; }
  void ReportSnapshot(uint64_t id, bool ok) override { snapshots.emplace_back(id, ok); }
  void OnRefusedAsRemoved() override { ++refused_as_removed; }
  std::unique_ptr<server::SnapshotIntake> NewIntake(uint64_t index) override {
    return std::make_unique<server::SnapshotIntake>(env_, *files_, index);
  }
  void Serve(server::PeerCall call, Answer answer) override {
    served.push_back(call);
    if (hold_answers) {
      held_answers.push_back(std::move(answer));
    } else {
      answer(
          {.status = 200, .body = call.method + " " + call.path + " " + call.body, .content_type = "text/x"});
    }
  }

  std::vector<raft::Message> stepped;
  std::vector<server::MessagePath> paths;  // Of each.
  std::function<void(const raft::Message&)> on_step;
  Status step_status;
  std::set<uint64_t> removed;
  std::string version = "3.4.45";
  std::map<uint64_t, int> unreachable;
  std::vector<std::pair<uint64_t, bool>> snapshots;
  int refused_as_removed = 0;
  std::vector<server::PeerCall> served;
  bool hold_answers = false;
  std::vector<Answer> held_answers;

 private:
  const Env env_;
  wal::SnapshotFiles* const files_;
};

// How a member does TLS.
struct TestTls {
  std::shared_ptr<const net::TlsListening> listening;
  std::shared_ptr<net::TlsContext> to_peers;
};

class TestMember {
 public:
  static constexpr uint64_t kClusterId = 0xc1;

  TestMember(net::Loop* loop, uint64_t member_id, uint16_t fixed_port = 0, const TestTls& tls = {},
             const net::ServerOptions& options = PeerServerOptions())
      : id(member_id),
        files(member_id),
        random(member_id),
        env{&files, &clock, &random, &executor},
        snapshot_files(&files, "/snap"),
        events(env, &snapshot_files),
        loop_(loop),
        secure_(tls.listening != nullptr) {
    EXPECT_TRUE(files.CreateDirectories("/snap", 0700).ok());
    server = std::make_unique<net::Server>(loop, options);
    const auto bound = server->Listen("127.0.0.1", fixed_port, {.tls = tls.listening});
    EXPECT_TRUE(bound.ok()) << bound.status();
    port = bound.value_or(0);
    transport = std::make_unique<PeerTransport>(
        loop, env, TransportOptions{.advertise_peer_urls = {url()}, .election_timeout_nanos = 200'000'000});
    transport->UseTls(tls.to_peers);
    transport->ServeOn(server.get());
    hook_ = loop->AddEndOfRound(net::Loop::Stage::kServer, [this] { executor.RunCompletions(); });
  }
  ~TestMember() {
    transport->Stop();
    server.reset();
    transport.reset();
    loop_->RemoveEndOfRound(hook_);
  }

  std::string url() const {
    return (secure_ ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port);
  }
  void Start(uint64_t cluster_id = kClusterId) { transport->Start(id, cluster_id, &events); }
  void Know(const TestMember& other) { transport->AddPeer(other.id, {other.url()}); }
  const PeerMetrics& metrics(uint64_t other) { return const_cast<Metrics&>(transport->metrics()).Of(other); }

  const uint64_t id;
  uint16_t port = 0;
  SimFileSystem files;
  SystemClock clock;
  SeededRandom random;
  InlineExecutor executor;
  Env env;
  wal::SnapshotFiles snapshot_files;
  RecordingEvents events;
  std::unique_ptr<net::Server> server;
  std::unique_ptr<PeerTransport> transport;

 private:
  net::Loop* const loop_;
  const bool secure_;
  net::Loop::HookId hook_ = 0;
};

// A socket that says exactly what the test wants.
class RawSocket {
 public:
  RawSocket(net::Loop* loop, uint16_t port) : loop_(loop), fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = Loopback(port);
    EXPECT_EQ(0, connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  }
  // Accepted.
  RawSocket(net::Loop* loop, int fd, int) : loop_(loop), fd_(fd) {}
  ~RawSocket() { Close(); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void Write(std::string_view bytes) {
    for (int i = 0; !bytes.empty() && i < kRoundsMax; ++i) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN) return;
      loop_->RunRound(false);
    }
  }
  std::string ReadUntil(std::string_view text) {
    EXPECT_TRUE(TurnUntil(loop_, [&] { return Read().find(text) != std::string::npos || ended_; }));
    EXPECT_NE(std::string::npos, all_.find(text)) << all_;
    return all_;
  }
  std::string ReadAll() {
    EXPECT_TRUE(TurnUntil(loop_, [&] {
      Read();
      return ended_;
    }));
    return all_;
  }
  const std::string& Read() {
    char buffer[65536];
    for (;;) {
      const ssize_t n = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN)) ended_ = true;
      if (n <= 0) return all_;
      all_.append(buffer, static_cast<size_t>(n));
    }
  }
  bool ended() {
    Read();
    return ended_;
  }

 private:
  net::Loop* const loop_;
  int fd_;
  std::string all_;
  bool ended_ = false;
};

class RawListener {
 public:
  explicit RawListener(net::Loop* loop) : loop_(loop), fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in address = RawSocket::Loopback(0);
    EXPECT_EQ(0, bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    EXPECT_EQ(0, listen(fd_, 64));
    socklen_t size = sizeof(address);
    EXPECT_EQ(0, getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size));
    port_ = ntohs(address.sin_port);
  }
  ~RawListener() { close(fd_); }
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;

  std::unique_ptr<RawSocket> Accept() {
    int fd = -1;
    EXPECT_TRUE(TurnUntil(loop_, [&] { return (fd = accept(fd_, nullptr, nullptr)) >= 0; }));
    return std::make_unique<RawSocket>(loop_, fd, 0);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  uint16_t port() const { return port_; }

 private:
  net::Loop* const loop_;
  const int fd_;
  uint16_t port_ = 0;
};

// What the program would print is not read here.
inline void KeepQuiet() {
  std::string error;
  log::Configure({.level = log::Level::kFatal}, &error);
}

}  // namespace quorate::peer
