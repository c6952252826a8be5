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

#include "base/hash.h"
#include "net/grpc.h"
#include "net/loop.h"
#include "server/member.h"

namespace quorate::rpc {

// Core thread only. What waits is bounded, in number, bytes and time, and no host takes more than half of
// what the others have left: the index in a token may be made up. Beyond that a call is served at once, and
// refused for its token.
class EarlyCalls {
 public:
  // Not owned.
  EarlyCalls(server::Member* member, net::Loop* loop);
  ~EarlyCalls();
  EarlyCalls(const EarlyCalls&) = delete;
  EarlyCalls& operator=(const EarlyCalls&) = delete;

  struct Place {
    uint64_t index;    // To be applied before the token can be known.
    std::string host;  // The client's.
    size_t bytes;      // Kept for the call.
  };
  // Nothing when there is no sense in waiting, or no room. `peer` as CallHandle::peer().
  std::optional<Place> PlaceFor(std::string_view token, std::string_view peer, size_t bytes) const;
  // Runs `serve` when the index is applied or the time is over. The place was given in this round.
  void Wait(Place place, std::function<void()> serve);

  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Place place;
    int64_t until_nanos;
    std::function<void()> serve;
  };
  struct Share {
    size_t calls = 0;
    size_t bytes = 0;
  };

  void EndOfRound();
  void GiveBack(const Place& place);

  server::Member& member_;
  net::Loop& loop_;
  net::Loop::HookId hook_ = 0;
  std::deque<Waiting> waiting_;  // As they came, so that the calls of one client stay in order.
  StringMap<Share> shares_;      // Of the hosts that have a call here.
  size_t bytes_ = 0;
  uint64_t looked_at_ = 0;  // The applied index that all of them wait for more than.
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
