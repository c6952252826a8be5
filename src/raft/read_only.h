// Linearizable reads on a leader: requests wait until a quorum has answered a heartbeat sent after them. All
// requests that wait share one round: the heartbeat's context is the count of requests asked so far, 8 bytes
// little-endian, and the echo confirms all up to it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "raft/quorum.h"
#include "raft/types.h"

namespace quorate::raft {

struct ReadRequest {
  NodeId from = kNone;  // kNone or the leader itself: a local request.
  Payload context = {};
  Index index = 0;  // Committed when the request came.
};

class ReadOnly {
 public:
  void Add(ReadRequest request) { waiting_.push_back(std::move(request)); }
  // Empty when nothing waits.
  std::string HeartbeatContext() const;
  // `context` as echoed by the node; one that is not ours is ignored.
  void ReceiveAck(NodeId from, std::string_view context);
  // Takes those that a quorum has confirmed.
  std::vector<ReadRequest> TakeConfirmed(const JointConfig& voters);
  size_t waiting() const { return waiting_.size(); }

 private:
  uint64_t asked() const { return confirmed_ + waiting_.size(); }

  std::deque<ReadRequest> waiting_;
  uint64_t confirmed_ = 0;  // Requests taken from the front so far.
  std::map<NodeId, uint64_t> acks_;
};

}  // namespace quorate::raft
