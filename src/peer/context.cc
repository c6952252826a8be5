#include "peer/context.h"

#include "cluster/member.h"
#include "peer/compatibility.h"

namespace quorate::peer {

net::HttpHeaders Context::RequestHeaders() const {
  net::HttpHeaders headers{{"X-Server-From", cluster::IdText(local_id)},
                           {"X-Server-Version", events->ServerVersion()},
                           {"X-Min-Cluster-Version", std::string(kMinClusterVersionText)},
                           {"X-Etcd-Cluster-Id", cluster::IdText(cluster_id)}};
  if (!advertised_urls.empty()) headers.emplace_back("X-Peerurls", advertised_urls);
  return headers;
}

Status Context::Step(raft::Message message, server::MessagePath path) {
  if (message.type == raft::MessageType::kApp) ++metrics.appends_received;
  return events->Step(std::move(message), path);
}

void Context::ReportUnreachable(uint64_t id) {
  unreachable_.insert(id);
  if (unreachable_.size() > 1) return;  // Posted already.
  loop->Post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    const std::set<uint64_t> lost = std::exchange(self->unreachable_, {});
    for (const uint64_t peer : lost) {
      if (self->events != nullptr) self->events->ReportUnreachable(peer);
    }
  });
}

void Context::ReportSnapshot(uint64_t id, bool ok) {
  loop->Post([weak = weak_from_this(), id, ok] {
    const auto self = weak.lock();
    if (self != nullptr && self->events != nullptr) self->events->ReportSnapshot(id, ok);
  });
}

void Context::ReportRemoved() {
  if (std::exchange(removed_reported_, true)) return;
  loop->Post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self != nullptr && self->events != nullptr) self->events->OnRefusedAsRemoved();
  });
}

}  // namespace quorate::peer
