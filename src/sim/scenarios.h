// The original's history of broken promises, as etcd's robustness tests list it (tests/robustness/README.md):
// for each, a script that would show the fault here, too, and why it does not. docs/robustness.md has the
// table.
#pragma once

#include <span>

#include "sim/simulation.h"

namespace quorate::sim {

struct Scenario {
  const char* name;      // "issue13766"; of our own: in words.
  const char* original;  // What the original did wrong.
  const char* immune;    // Why we do not.
  SimulationOptions (*options)();
  // After StartCluster(); fails through Simulation::trace().
  void (*script)(Simulation& simulation);
};

std::span<const Scenario> Scenarios();
// Start, script, healing, judgement.
Outcome RunScenario(const Scenario& scenario, bool keep_trace);

}  // namespace quorate::sim
