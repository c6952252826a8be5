// Whether a member can be reached, as the original counts it: active after any success, inactive after any
// failure. Source: etcdserver/api/rafthttp/peer_status.go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "peer/context.h"

namespace quorate::peer {

class PeerStatus {
 public:
  PeerStatus(Context* context, uint64_t id) : context_(context), id_(id) {}
  // It does not count as active any more.
  ~PeerStatus();
  PeerStatus(const PeerStatus&) = delete;
  PeerStatus& operator=(const PeerStatus&) = delete;

  void Activate();
  // "failed to <action> <id> on <source> (<reason>)".
  void Deactivate(std::string_view action, std::string_view source, std::string_view reason);

  bool active() const { return since_ != 0; }
  // Monotonic nanoseconds; 0: inactive.
  int64_t since() const { return since_; }

 private:
  Context* const context_;
  const uint64_t id_;
  int64_t since_ = 0;
};

}  // namespace quorate::peer
