// A watch that a script opens on a member of its choice, at that moment, without a network in between.
#pragma once

#include <cstdint>
#include <string>

#include "sim/simulation.h"

namespace quorate::sim {

// Opens it and returns its record's id; its answers go into the history as they are made. `record` says what
// is watched; it fails the simulation when the member refuses. It ends with the process.
uint64_t OpenWatch(Simulation& simulation, Node& node, WatchRecord record);

}  // namespace quorate::sim
