// One other member: the streams to and from it, and what stands in for them. Source:
// etcdserver/api/rafthttp/peer.go, remote.go.
//
// Owner: the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/http.h"
#include "peer/context.h"
#include "peer/peer_status.h"
#include "peer/pipeline.h"
#include "peer/prober.h"
#include "peer/stream_reader.h"
#include "peer/stream_writer.h"
#include "peer/url_picker.h"
#include "raft/types.h"

namespace quorate::peer {

class Peer {
 public:
  // Dials at once.
  Peer(std::shared_ptr<Context> context, uint64_t id, const std::vector<std::string>& urls);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Queues it, or drops it and reports. Streams write at Pump().
  void Send(raft::Message message);
  void Pump();
  // Every kHeartbeatNanos.
  void Beat();
  void UpdateUrls(const std::vector<std::string>& urls);
  // The member opened a stream.
  void Attach(StreamKind kind, net::HttpReply reply);
  // Sends what waits and ends the streams.
  void Stop();

  // To the member: 0 to 2.
  int open_streams() const { return append_writer_.working() + message_writer_.working(); }
  // It can tell us everything but snapshots on it, and does.
  bool message_stream_open() const { return message_reader_->open(); }
  PeerStatus& status() { return *status_; }
  UrlPicker& picker() { return *picker_; }
  const std::vector<std::string>& urls() const { return urls_; }

 private:
  void Drop(const raft::Message& message);

  const std::shared_ptr<Context> context_;
  const uint64_t id_;
  std::vector<std::string> urls_;
  // Shared with the parts that may outlive this for the rest of a callback.
  const std::shared_ptr<PeerStatus> status_;
  const std::shared_ptr<UrlPicker> picker_;
  StreamWriter append_writer_;
  StreamWriter message_writer_;
  const std::shared_ptr<StreamReader> append_reader_;
  const std::shared_ptr<StreamReader> message_reader_;
  Pipeline pipeline_;
  std::unique_ptr<Prober> prober_;
  int64_t drop_logged_nanos_ = 0;
};

// Somebody who is not in our configuration and talks to us: perhaps it knows more than we do. Messages raft
// has for it go by POST.
class Remote {
 public:
  Remote(std::shared_ptr<Context> context, uint64_t id, const std::vector<std::string>& urls);
  void Send(raft::Message message);

 private:
  const std::shared_ptr<Context> context_;
  const uint64_t id_;
  Pipeline pipeline_;
};

}  // namespace quorate::peer
