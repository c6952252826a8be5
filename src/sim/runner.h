// Simulations in processes of their own, so that an aborted check, a crash or an endless loop is a failure
// like any other, and in parallel; and the shrinking of a schedule that fails.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/simulation.h"

namespace quorate::sim {

// What a child process reports. Plain, so that it passes through a pipe.
struct RunResult {
  bool ok = false;
  std::string check;  // "crash" when the process died, "timeout" when it took too long.
  std::string failure;
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  uint64_t operations = 0;
  uint64_t acknowledged = 0;
  uint64_t watch_events = 0;
  uint64_t applied = 0;
  uint64_t leaders = 0;
  int64_t virtual_nanos = 0;
  std::vector<std::string> trace;
};

RunResult ToResult(const Outcome& outcome);

// Runs `simulate` in a child process; `seconds` of real time at most.
RunResult RunInChild(const std::function<Outcome()>& simulate, int seconds);

// Smaller schedules that fail in the same way (the same check), until none of the rest can be left out or
// `runs` runs were made. `fails` runs one schedule.
std::vector<Fault> Shrink(std::vector<Fault> plan,
                          const std::function<bool(const std::vector<Fault>&)>& fails, int runs);

}  // namespace quorate::sim
