#include "server/cluster_life.h"

#include "server/member.h"

namespace quorate::server {

ClusterLife::ClusterLife(Member* member)
    : reconfiguration_(member),
      leases_(member),
      peer_service_(member, &reconfiguration_, &leases_),
      versions_(member, &peer_service_),
      corruption_(member, member->config().corrupt_check_interval_nanos,
                  member->config().compact_hash_check_interval_nanos) {
  peer_service_.Add(std::string(kMemoryPath),
                    [member](const PeerCall& call, const PeerService::Reply& reply) {
                      reply(member->lost_log().AnswerMemory(call));
                    });
}

void ClusterLife::Tick() {
  reconfiguration_.Tick();
  leases_.Tick();
  versions_.Tick();
  corruption_.Tick();
}

}  // namespace quorate::server
