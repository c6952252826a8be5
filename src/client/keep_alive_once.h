// One renewal of a lease, on a stream of its own.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "quorate/client/options.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

// Waits. Repeated, as a renewal may be, while members are unavailable and there is time.
StatusOr<etcdserverpb::LeaseKeepAliveResponse> RenewOnce(Core* core, int64_t id, const CallOptions& call);

}  // namespace quorate::client
