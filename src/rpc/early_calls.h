// Calls that come with a token before this member has applied the login that made it: the client logged in at
// another member, which was ahead. They wait, as in etcd (auth/simple_token.go, indexWaiter): refused with
// "invalid auth token" they would send the client to log in once more, with the same end maybe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/grpc.h"
#include "net/loop.h"
#include "server/member.h"

namespace quorate::rpc {

// Core thread only. What waits is bounded, in number, bytes and time; beyond that a call is served at once,
// and refused for its token.
class EarlyCalls {
 public:
  // Not owned.
  EarlyCalls(server::Member* member, net::Loop* loop);
  ~EarlyCalls();
  EarlyCalls(const EarlyCalls&) = delete;
  EarlyCalls& operator=(const EarlyCalls&) = delete;

  // The index that has to be applied before the token can be known; nothing when there is no sense in
  // waiting.
  std::optional<uint64_t> IndexOf(std::string_view token, size_t bytes) const;
  // Runs `serve` when the index is applied or the time is over. `bytes` is what is kept for the call.
  void Wait(uint64_t index, size_t bytes, std::function<void()> serve);

 private:
  struct Waiting {
    uint64_t index;
    int64_t until_nanos;
    size_t bytes;
    std::function<void()> serve;
  };

  void EndOfRound();

  server::Member& member_;
  net::Loop& loop_;
  net::Loop::HookId hook_ = 0;
  std::deque<Waiting> waiting_;  // As they came, so that the calls of one client stay in order.
  size_t bytes_ = 0;
};

// A stream that waits so: keeps what the client sends, and is the handler that `make` returns from then on.
class EarlyStream : public net::StreamHandler {
 public:
  using Make = std::function<std::unique_ptr<net::StreamHandler>()>;
  // `call` ends the stream if the client sends more than can be kept; `closed` is told of an end before that.
  EarlyStream(net::StreamCall call, Make make, std::function<void(net::Code)> closed);

  // To be given to EarlyCalls::Wait. Does nothing when the stream is over by then.
  std::function<void()> Serve();

  void OnMessage(std::string_view message) override;
  void OnHalfClose() override;
  void OnClosed(net::Code reason) override;
  void OnWritable() override;

 private:
  void Begin();

  net::StreamCall call_;
  Make make_;
  std::function<void(net::Code)> closed_;
  std::unique_ptr<net::StreamHandler> handler_;  // Null until it is served.
  std::deque<std::string> messages_;
  size_t bytes_ = 0;
  bool half_closed_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::rpc
