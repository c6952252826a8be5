// The way to the other members over etcd's peer protocol (rafthttp: HTTP/1.1 on the peer URLs). Source:
// etcdserver/api/rafthttp. Each member dials every other twice (stream types msgapp and message) and reads
// raft messages from the endless answers; so what goes to a member is written into the answers to its
// requests. POST /raft is the way while no such stream is open, POST /raft/snapshot that of databases.
//
// Owner: the loop's thread, which is the core's.
//
// Invariants
//   1. Nothing here waits, and whatever waits for a socket is bounded (limits in the parts' headers).
//   2. PeerEvents is never called from within a call of server::Transport: reports run in a later round.
//   3. Each SendSnapshot ends in exactly one ReportSnapshot, unless Stop() came before.
//   4. A connection of an unknown or hostile other costs that connection only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "net/http.h"
#include "net/loop.h"
#include "net/server.h"
#include "net/tls_context.h"
#include "peer/events.h"
#include "peer/metrics.h"
#include "server/transport.h"

namespace quorate::peer {

struct TransportOptions {
  // Ours, as others should reach us: X-PeerURLs.
  std::vector<std::string> advertise_peer_urls;
  int64_t election_timeout_nanos = 1'000'000'000;
};

// What the listeners of the peer URLs need.
net::ServerOptions PeerServerOptions();

class PeerTransport final : public server::Transport {
 public:
  // `env.clock` and the loop are used from here on; connections begin with Start.
  PeerTransport(net::Loop* loop, const Env& env, TransportOptions options);
  ~PeerTransport() override;

  // For members with https URLs, before Start.
  void UseTls(std::shared_ptr<net::TlsContext> tls);
  // Once, when the member is open and its IDs are known. Members added before are dialed now. `events` must
  // live until Stop().
  void Start(uint64_t local_id, uint64_t cluster_id, PeerEvents* events);
  // Answers requests on the peer port from now on. The server must not outlive this; requests before Start
  // get 503.
  void ServeOn(net::Server* server);
  // Ends streams in an orderly way (the others see the end of a stream, not a reset) and drops the rest.
  // PeerEvents is not called any more.
  void Stop();

  // server::Transport. Before Start, Send and SendSnapshot do nothing.
  void AddPeer(uint64_t id, const std::vector<std::string>& urls) override;
  void RemovePeer(uint64_t id) override;
  void Send(std::vector<raft::Message> messages) override;
  void SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) override;
  int64_t ActiveSince(uint64_t id) const override;
  void Call(uint64_t to, server::PeerCall call, int64_t timeout_nanos, CallDone done) override;

  // How many of the two streams to the member are open; without them messages go by POST.
  int open_streams(uint64_t id) const;
  const Metrics& metrics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::peer
