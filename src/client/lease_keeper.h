// Renews leases: one stream for all of them, each a third of its time to live after the last answer. Loop
// thread.
//
// K1: a lease is given up (its KeepAlives end) when the server says that it is gone, or when its time to live
// has passed since the last answered request was sent; a broken stream alone ends nothing.
// K2: a member that does not answer is left while there is time to ask another one that is connected.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>

#include "client/reopen_pause.h"
#include "client/stream.h"
#include "client/stream_opening.h"
#include "rpc.pb.h"

namespace quorate::client {

// One KeepAlive, shared by its handle and the loop.
class KeepAliveState {
 public:
  using Renewed = std::function<void(const etcdserverpb::LeaseKeepAliveResponse&)>;

  KeepAliveState(int64_t lease, Renewed renewed) : id(lease), renewed_(std::move(renewed)) {}

  const int64_t id;

  // Any thread.
  std::stop_token ended() const { return ended_.get_token(); }
  Status status() const;
  Status Wait();
  void End(const Status& why);

  // Loop thread.
  void OnRenewed(const etcdserverpb::LeaseKeepAliveResponse& response) {
    // A copy: it may cancel the KeepAlive, and itself with it.
    if (const Renewed to = renewed_) to(response);
  }
  void Forget() { renewed_ = nullptr; }
  bool has_listener() const { return static_cast<bool>(renewed_); }

 private:
  Renewed renewed_;
  std::stop_source ended_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Status> end_;  // This and the next under mutex_.
  bool told_ = false;          // Its stop token is signalled.
};

class LeaseKeeper {
 public:
  using State = std::shared_ptr<KeepAliveState>;

  explicit LeaseKeeper(Core* core);

  void Add(const State& state);
  void Remove(const State& state);
  void Close(const Status& why);

 private:
  struct Kept {
    std::set<State> states;
    std::chrono::milliseconds ttl;           // Of the last answer; before it, what the first may take.
    Clock::time_point next;                  // When it is to be asked for.
    std::optional<Clock::time_point> asked;  // On this stream, first since the last answer.
    Clock::time_point deadline;              // When it is lost without an answer.
  };

  void Open();
  void Opened(StatusOr<std::shared_ptr<Endpoint>> endpoint);
  void OnMessage(const grpc::ByteBuffer& bytes);
  void OnEnded(const Status& status);
  void Interrupt();
  void Reopen();
  void OnTimer();
  void SendDue();
  bool Silent() const;
  void DropOverdue();
  void SetTimer();
  void End(int64_t id, const Status& why);

  Core& core_;
  std::map<int64_t, Kept> kept_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<StreamOpening> opening_;  // Null: not being opened.
  uint64_t token_generation_ = 0;           // Of the stream.
  Clock::time_point heard_;                 // When its member has said something, or it was opened.
  ReopenPause pause_;
  Timer pause_timer_;
  Timer timer_;
  bool closed_ = false;
  Status closed_why_;
};

}  // namespace quorate::client
