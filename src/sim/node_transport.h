// server::Transport over the simulated network: what the peer protocol does, without its bytes. Messages of
// one stream arrive in order unless the network is told otherwise; a database travels with its snapshot and
// is taken in as the real one is.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/snapshot_intake.h"
#include "server/transport.h"
#include "sim/world.h"

namespace quorate::sim {

class NodeTransport final : public server::Transport {
 public:
  NodeTransport(World* world, Node* node) : world_(*world), node_(*node) {}

  void AddPeer(uint64_t id, const std::vector<std::string>& urls) override;
  void RemovePeer(uint64_t id) override;
  void Send(std::vector<raft::Message> messages) override;
  void SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) override;
  int64_t ActiveSince(uint64_t id) const override;
  void Call(uint64_t to, server::PeerCall call, int64_t timeout_nanos, CallDone done) override;

  // Once a tick: who can be reached.
  void Probe();
  // The process has ended: what it knew is gone.
  void Reset();

 private:
  struct Transfer;
  struct Asking;

  bool Knows(uint64_t id) const { return peers_.contains(id) || remotes_.contains(id); }
  void SendOne(const raft::Message& message);
  void Deliver(Node* to, const raft::Message& message);
  void DeliverBytes(Node* to, const raft::Message& sent, const std::string& bytes, Network::Damage damage);
  void Lost(uint64_t to);
  void Transmit(const std::shared_ptr<Transfer>& transfer);
  void TakeIn(Node* to, const std::shared_ptr<Transfer>& transfer);
  void EndTransfer(const std::shared_ptr<Transfer>& transfer, bool ok);
  void Answer(const std::shared_ptr<Asking>& asking, StatusOr<server::PeerAnswer> answer);

  World& world_;
  Node& node_;
  std::set<uint64_t> peers_;
  std::set<uint64_t> remotes_;  // Strangers that have written: members of which this one has not heard yet.
  std::map<uint64_t, int64_t> active_since_;  // Of those who can be reached, by this machine's clock.
};

}  // namespace quorate::sim
