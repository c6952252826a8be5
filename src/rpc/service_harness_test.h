// A member in a simulated world with services on it, called without a network.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/local_call.h"
#include "net/server.h"
#include "rpc/context.h"
#include "server/cluster_life.h"
#include "server/member_harness_test.h"

namespace quorate::rpc {

// Says how much may be kept of what it sends, and remembers how much was, and what came.
class TestClient : public net::LocalCall::Receiver {
 public:
  void OnResponse(std::string_view message) override { responses.emplace_back(message); }
  void OnEnd(net::Code c, std::string_view m) override {
    ended = true;
    code = c;
    text = m;
  }
  size_t pending_bytes() const override { return 0; }
  bool full() override { return reads_nothing; }
  bool MayTake(size_t) override { return true; }
  void OnQueued(size_t) override {}
  bool OnHeld(size_t bytes) override {
    held = bytes;
    held_most = std::max(held_most, bytes);
    return bytes <= may_be_held;
  }

  template <typename Response>
  std::vector<Response> Parsed() const {
    std::vector<Response> parsed(responses.size());
    for (size_t i = 0; i < responses.size(); ++i) EXPECT_TRUE(parsed[i].ParseFromString(responses[i]));
    return parsed;
  }

  size_t may_be_held = SIZE_MAX;
  bool reads_nothing = false;
  size_t held = 0, held_most = 0;
  std::vector<std::string> responses;
  bool ended = false;
  net::Code code = net::Code::kOk;
  std::string text;
};

class ServiceTest : public testing::Test {
 protected:
  explicit ServiceTest(InlineExecutor::Mode mode = InlineExecutor::Mode::kImmediate) : world_(5, mode) {}

  void SetUp() override {
    world_.Start();
    life_ = std::make_unique<server::ClusterLife>(world_.member.get());
    context_ = std::make_unique<Context>(world_.member.get(), life_.get(), &metrics_, &loop_);
  }
  void TearDown() override {
    for (const auto& call : calls_) call->Abandon();
    calls_.clear();
    Rounds();
  }

  std::span<net::Server* const> servers() const { return servers_; }
  void Round() {
    world_.RunUntilIdle();
    loop_.RunRound(false);
  }
  void Rounds(int count = 20) {
    for (int i = 0; i < count; ++i) Round();
  }
  // The call is the last of calls_. All that is asked is this one message.
  void Ask(std::string_view path, std::string_view request, TestClient* client) {
    calls_.push_back(net::LocalCall::Open(
        &server_, {.path = std::string(path), .metadata = {}, .peer = "192.0.2.1:1", .timeout = {}}, client));
    calls_.back()->Send(request);
    calls_.back()->HalfClose();
  }

  server::MemberHarness world_;
  net::Loop loop_;
  net::Server server_{&loop_, net::ServerOptions{}};
  const std::array<net::Server*, 1> servers_{&server_};
  CallMetrics metrics_;
  std::unique_ptr<server::ClusterLife> life_;
  std::unique_ptr<Context> context_;
  std::vector<std::shared_ptr<net::LocalCall>> calls_;
};

}  // namespace quorate::rpc
