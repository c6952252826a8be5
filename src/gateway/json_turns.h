// Long bodies are worked in slices: a body of a few megabytes may be hundreds of thousands of requests, and
// the cluster's heartbeats and other clients must not wait for them. Loop-thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>

#include "net/loop.h"

namespace quorate::gateway {

// What may be worked in one go: a millisecond, in which the answers must not become too many either. One
// request, of any size, may go beyond it.
class Slice {
 public:
  static constexpr size_t kRequestsMax = 256;
  static constexpr size_t kBytesMax = 64 * 1024;
  static constexpr std::chrono::milliseconds kTimeMax{1};

  // A request of so many bytes of JSON was worked.
  void Spend(size_t bytes) {
    ++requests_;
    bytes_ += bytes;
  }
  bool over() const {
    return requests_ >= kRequestsMax || bytes_ >= kBytesMax ||
           (requests_ > 0 && std::chrono::steady_clock::now() - began_ > kTimeMax);
  }

 private:
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  size_t requests_ = 0;
  size_t bytes_ = 0;
};

// Bodies that were not done in their first slice. In each round of the loop they share one, in turn.
class JsonTurns {
 public:
  class Body {
   public:
    virtual ~Body() = default;
    // False: it wants no further turn for now.
    virtual bool Work(Slice& slice) = 0;
  };

  explicit JsonTurns(net::Loop* loop) : loop_(*loop) {}
  JsonTurns(const JsonTurns&) = delete;
  JsonTurns& operator=(const JsonTurns&) = delete;

  // One that has gone by its turn is left out.
  void Add(std::weak_ptr<Body> body);

 private:
  void Arm();
  void Turn();

  net::Loop& loop_;
  std::deque<std::weak_ptr<Body>> bodies_;
  bool armed_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace quorate::gateway
