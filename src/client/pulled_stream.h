// A stream of answers to one request, read by the user's thread at its own pace: the server is held back
// while nobody reads. Before the first answer it is retried by the rules of reads; after it an error is
// final.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "client/retry.h"
#include "client/stream.h"
#include "client/stream_opening.h"
#include "quorate/client/options.h"

namespace quorate::client {

class PulledStream : public std::enable_shared_from_this<PulledStream> {
 public:
  PulledStream(Core* core, const Method& method, const grpc::ByteBuffer& request, CallOptions options);

  // User's threads. Start once, before the others.
  void Start();
  // True: a message; false: there are no more.
  StatusOr<bool> Next(grpc::ByteBuffer* message);
  // Nothing of the core is touched afterwards, but on the loop.
  void Cancel();

 private:
  // Loop thread.
  void Open();
  void Opened(StatusOr<std::shared_ptr<Endpoint>> endpoint);
  void OnMessage(const grpc::ByteBuffer& bytes);
  void OnEnded(const Status& status);
  void ReadMore();
  void End(const Status& status);

  Core& core_;
  const std::shared_ptr<Loop> loop_;
  const Method method_;
  const grpc::ByteBuffer request_;
  const CallOptions options_;
  const Clock::time_point deadline_;

  std::shared_ptr<StreamOpening> opening_;  // Null: not being opened. Loop thread, with the next seven.
  std::shared_ptr<Stream> stream_;
  uint64_t token_generation_ = 0;
  int attempt_ = 0;
  bool received_ = false;
  bool ended_ = false;
  Timer wait_;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<grpc::ByteBuffer> messages_;  // This and the two below under mutex_.
  bool reading_ = true;                    // One more message has been asked for.
  std::optional<Status> end_;
};

}  // namespace quorate::client
