// What goes to a member on one type of stream: the endless answer to the request it opened. Messages wait
// here, with their payloads shared, until the socket takes them; what waits is bounded. Source:
// etcdserver/api/rafthttp/stream.go (streamWriter).
//
// Owner: the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "net/http.h"
#include "peer/context.h"
#include "peer/peer_status.h"
#include "peer/stream_codec.h"
#include "raft/types.h"

namespace quorate::peer {

class StreamWriter {
 public:
  // What waits beyond what the connection holds (about 1 MiB).
  static constexpr size_t kQueueMax = 4096;  // As etcd's.
  static constexpr size_t kQueueBytesMax = 64 * 1024 * 1024;

  StreamWriter(Context* context, PeerStatus* status, uint64_t peer_id, StreamKind kind);
  ~StreamWriter();
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  // The answer to the member's request for this stream. Replaces an older one.
  void Attach(net::HttpReply reply);
  // Whether there is a stream.
  bool working() const { return encoder_ != nullptr; }
  // Only while working(). False: it is full, and the message is left as it is. Goes out at Pump().
  bool Queue(raft::Message&& message);
  void Pump();
  // Every kHeartbeatNanos. Ends a stream whose socket has taken nothing for kConnectionTimeoutNanos.
  void Beat();
  // Hands what waits to the connection and ends the stream in an orderly way.
  void Stop();

 private:
  void OnClosed();
  void WriteBatch();
  void WriteScratch();
  void Lose(std::string_view action, std::string_view reason);
  void Reset();

  Context* const context_;
  PeerStatus* const status_;
  const uint64_t peer_id_;
  const StreamKind kind_;
  net::HttpReply reply_;
  std::unique_ptr<StreamEncoder> encoder_;  // Null: no stream.
  std::deque<raft::Message> queue_;
  size_t queue_bytes_ = 0;
  std::string scratch_;
  uint64_t written_bytes_ = 0;  // Given to reply_.
  uint64_t taken_bytes_ = 0;    // By the socket, when last looked at.
  int64_t taken_nanos_ = 0;     // When that last changed.
};

}  // namespace quorate::peer
