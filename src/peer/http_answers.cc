#include "peer/http_answers.h"

#include "cluster/member.h"

namespace quorate::peer {

void SendError(net::HttpReply& reply, int status, std::string_view text, uint64_t cluster_id,
               net::HttpHeaders headers) {
  headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  if (cluster_id != 0) headers.emplace_back("X-Etcd-Cluster-Id", cluster::IdText(cluster_id));
  reply.Send(status, headers, std::string(text) + "\n");
}

void SendRemoved(net::HttpReply& reply, uint64_t cluster_id) {
  reply.Send(403, {{"Content-Type", "application/json"}, {"X-Etcd-Cluster-Id", cluster::IdText(cluster_id)}},
             "{\"message\":\"cannot process message from removed member\"}");
}

std::string AddressWithoutPort(std::string_view address) {
  return std::string(address.substr(0, address.rfind(':')));
}

}  // namespace quorate::peer
