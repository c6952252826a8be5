// What a member does as one of several, beside raft: its answers to the others, leases over members,
// versions, hashes, changes of the members. One object for the program and the simulator:
//
//   member = Member::Open(config, env, transport);
//   life = std::make_unique<ClusterLife>(member.get());
//   life->corruption().CheckInitially(done);   // when asked for, before the first tick
//   ... every Config::tick_nanos: member->Tick(); life->Tick();
//   ... the peer port: life->peer_service().Handle(call, reply)
//   ... rpc::Services(member.get(), life.get(), ...)
//
// Core thread only. Goes before the member, and after what calls it (services, peer port).
#pragma once

#include <memory>

#include "server/corruption_monitor.h"
#include "server/lease_requests.h"
#include "server/peer_service.h"
#include "server/reconfiguration.h"
#include "server/version_monitor.h"

namespace quorate::server {

class ClusterLife {
 public:
  explicit ClusterLife(Member* member);

  void Tick();

  PeerService& peer_service() { return peer_service_; }
  LeaseRequests& leases() { return leases_; }
  Reconfiguration& reconfiguration() { return reconfiguration_; }
  VersionMonitor& versions() { return versions_; }
  CorruptionMonitor& corruption() { return corruption_; }

 private:
  Reconfiguration reconfiguration_;
  LeaseRequests leases_;
  PeerService peer_service_;
  VersionMonitor versions_;
  CorruptionMonitor corruption_;
};

}  // namespace quorate::server
