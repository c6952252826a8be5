#include "peer/peer_status.h"

#include <algorithm>

#include "base/logging.h"
#include "cluster/member.h"

namespace quorate::peer {

PeerStatus::~PeerStatus() {
  if (active()) context_->metrics.Of(id_).active = false;
}

void PeerStatus::Activate() {
  if (active()) return;
  LOG_INFO("peer became active", log::HexId("peer-id", id_));
  since_ = std::max<int64_t>(context_->now(), 1);
  context_->metrics.Of(id_).active = true;
}

void PeerStatus::Deactivate(std::string_view action, std::string_view source, std::string_view reason) {
  const std::string error = "failed to " + std::string(action) + " " + cluster::IdText(id_) + " on " +
                            std::string(source) + " (" + std::string(reason) + ")";
  if (!active()) {
    LOG_DEBUG("peer deactivated again", log::HexId("peer-id", id_), {"error", error});
    return;
  }
  LOG_WARN("peer became inactive (message send to peer failed)", log::HexId("peer-id", id_),
           {"error", error});
  since_ = 0;
  PeerMetrics& metrics = context_->metrics.Of(id_);
  metrics.active = false;
  ++metrics.disconnected;
}

}  // namespace quorate::peer
