// What the parts of one simulation share. Nothing in it is owned by it; the Simulation owns all.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "sim/history.h"
#include "sim/network.h"
#include "sim/raft_monitor.h"
#include "sim/scheduler.h"
#include "sim/trace.h"
#include "sim/truth.h"
#include "sim/wire.h"

namespace quorate::sim {

class Node;

struct World {
  Scheduler* scheduler = nullptr;
  Trace* trace = nullptr;
  Network* network = nullptr;
  Truth* truth = nullptr;
  RaftMonitor* raft = nullptr;
  History* history = nullptr;
  const Wire* wire = nullptr;  // Null: messages travel as they are.
  // The machine on which the member with this ID runs, or ran last; null: none.
  std::function<Node*(uint64_t member_id)> node_of;

  uint64_t snapshots_taken = 0;  // From leaders.
  uint64_t transfers = 0;        // Of snapshots, begun.
  // Answers to clients made at this moment, by operation: a process that ends fails all that waits in no
  // order of its own.
  std::map<uint64_t, std::function<void()>> answers;

  int64_t now() const { return scheduler->now(); }
};

}  // namespace quorate::sim
