// The requests on the peer port: the streams, single messages, snapshots, probes; everything else goes to the
// member. Paths, the order of the checks, and the texts are etcd's. Source: etcdserver/api/rafthttp/http.go,
// etcdserver/api/etcdhttp/peer.go.
//
// Owner: the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/http.h"
#include "peer/context.h"
#include "peer/peer.h"
#include "peer/snapshot_receiver.h"

namespace quorate::peer {

// Who is known; the transport.
class PeerDirectory {
 public:
  virtual ~PeerDirectory() = default;
  virtual Peer* Find(uint64_t id) = 0;
  // Somebody unknown who talks to us as a member.
  virtual void AddRemote(uint64_t id, const std::vector<std::string>& urls) = 0;
};

class PeerHandler {
 public:
  // Of a message. It has 1 MiB of entries, or one entry of any size that a member's flags allow.
  static constexpr size_t kMessageBytesMax = 64 * 1024 * 1024;

  PeerHandler(std::shared_ptr<Context> context, PeerDirectory* directory)
      : context_(std::move(context)),
        directory_(directory),
        receiving_(std::make_shared<ReceivingSnapshots>()) {}

  void Handle(net::HttpRequest request, net::HttpReply reply);
  // For messages and snapshots, so that nobody can make us hold a body whose headers are refused; null for
  // all other requests.
  std::shared_ptr<net::HttpBodySink> TakeBody(const net::HttpRequest& request);
  // No snapshot is received any more.
  void Stop() { receiving_->Stop(); }

 private:
  void HandleMessage(const net::HttpRequest& request, net::HttpReply& reply);
  // The headers were right.
  bool IsSuperfluous(const raft::Message& message);
  void TakeMessage(const net::HttpRequest& request, net::HttpReply& reply);
  // Refuses one that TakeBody takes no body of.
  void HandleSnapshot(net::HttpReply& reply, std::string_view method, std::string_view refusal);
  void HandleStream(const net::HttpRequest& request, net::HttpReply& reply);
  void HandleProbe(net::HttpReply& reply);
  void HandleOther(net::HttpRequest request, net::HttpReply reply);
  // Empty: go on. Else the text of a 412.
  std::string_view Incompatible(const net::HttpRequest& request) const;
  void NoteSender(const net::HttpRequest& request);

  const std::shared_ptr<Context> context_;
  PeerDirectory* const directory_;
  const std::shared_ptr<ReceivingSnapshots> receiving_;
};

}  // namespace quorate::peer
