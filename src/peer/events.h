// What the peer layer tells the member, and asks of it. MemberEvents (member_events.h) is the real one; tests
// record. Called on the loop's thread only, never from within a call into the transport.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "raft/types.h"
#include "server/snapshot_intake.h"
#include "server/transport.h"

namespace quorate::peer {

class PeerEvents {
 public:
  using Answer = std::function<void(server::PeerAnswer)>;

  virtual ~PeerEvents() = default;

  // A message of another member, of a kind that travels between members, addressed to us. PermissionDenied:
  // the sender was removed. Other errors cost the message.
  virtual Status Step(raft::Message message, server::MessagePath path) = 0;
  virtual bool IsRemoved(uint64_t id) const = 0;
  // What /version says ("3.4.45"): goes into X-Server-Version.
  virtual std::string ServerVersion() const = 0;

  // Messages to that member got lost.
  virtual void ReportUnreachable(uint64_t id) = 0;
  // How the snapshot to that member ended.
  virtual void ReportSnapshot(uint64_t id, bool ok) = 0;
  // Another member says that we were removed from the cluster.
  virtual void OnRefusedAsRemoved() = 0;

  // Where the database goes that comes with a snapshot at `index`.
  virtual std::unique_ptr<server::SnapshotIntake> NewIntake(uint64_t index) = 0;
  // Requests on the peer port that are none of the transport's own; `answer` may run at once or later.
  virtual void Serve(server::PeerCall call, Answer answer) = 0;
};

}  // namespace quorate::peer
