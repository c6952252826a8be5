// The peer protocol's codec for the simulator: the frames of the stream for messages of any kind, and the
// checks that stand between them and raft.
#pragma once

#include "sim/wire.h"

namespace quorate::sim {

const Wire& PeerWire();

}  // namespace quorate::sim
