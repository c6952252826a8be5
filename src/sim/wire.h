// Messages between members as bytes. The simulator knows no peer protocol (it must not link src/peer): the
// program and the tests hand the real codec in (program/peer_wire.h). Without one, messages travel as they
// are.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "raft/types.h"

namespace quorate::sim {

struct Wire {
  // One frame of a stream, its length first.
  std::function<std::string(const raft::Message&)> encode;
  // What `local` would give to raft of these bytes, which came from `remote`. An error ends the connection;
  // what is only the beginning of a frame gives nothing.
  std::function<StatusOr<std::vector<raft::Message>>(uint64_t local, uint64_t remote, std::string_view bytes)>
      decode;
};

}  // namespace quorate::sim
