// The watches on one stream to a server. Loop thread.
//
// The server confirms watches in the order in which they were asked for, which is how a confirmation finds
// its watch.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>

#include "client/reopen_pause.h"
#include "client/stream.h"
#include "client/stream_opening.h"
#include "client/watch_state.h"

namespace quorate::client {

class WatchStream {
 public:
  using State = std::shared_ptr<WatchState>;

  WatchStream(Core* core, bool require_leader);

  void Add(State watch);
  // Ends it at the server; nothing more is delivered.
  void Remove(const State& watch);
  // Its reader has caught up.
  void Resume(const State& watch);
  void RequestProgress();
  void Close(const Status& why);

 private:
  using Phase = WatchState::Phase;

  void Open();
  void Opened(StatusOr<std::shared_ptr<Endpoint>> endpoint);
  void OnMessage(const grpc::ByteBuffer& bytes);
  void OnEnded(const Status& status);
  // All watches wait for the next stream.
  void Interrupt();
  void Reopen();
  void StopIfIdle();

  void Create(const State& watch);
  void CancelId(int64_t id);
  void OnCreated(etcdserverpb::WatchResponse response);
  void OnCanceled(const State& watch, const etcdserverpb::WatchResponse& response);
  void OnProgressOfAll(const etcdserverpb::WatchResponse& response);
  void Deliver(const State& watch, etcdserverpb::WatchResponse response);
  void TokenRefused(const Status& why);
  void Denied(const State& watch, const Status& why);
  void FoundOut(const State& watch, const Status& why, uint64_t refused, const Status& read);
  void End(const State& watch, const Status& why, etcdserverpb::WatchResponse last = {});

  Core& core_;
  const bool require_leader_;
  std::set<State> watches_;     // All that have not ended.
  std::deque<State> creating_;  // In the order in which they were sent; null: no longer wanted.
  std::map<int64_t, State> by_id_;

  std::shared_ptr<Stream> stream_;          // Null: none, or being opened.
  std::shared_ptr<StreamOpening> opening_;  // Null: not being opened.
  uint64_t token_generation_ = 0;           // Of the stream.
  int tokens_refused_ = 0;                  // In a row.
  ReopenPause pause_;
  Timer pause_timer_;
  bool progress_wanted_ = false;
};

}  // namespace quorate::client
