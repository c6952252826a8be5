// Puts random keys at a given pace and measures: the load of the `check` commands.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "cmd/cli/progress.h"
#include "quorate/client/client.h"

namespace quorate::cmd {

struct PutLoad {
  std::string prefix;    // Of the keys.
  size_t key_bytes = 0;  // Without the prefix.
  size_t value_bytes = 0;
  size_t in_flight = 1;              // At most so many at the same time.
  uint64_t count = 0;                // Ends after so many; 0: not by count.
  std::chrono::seconds duration{0};  // Ends after this time; 0: not by time.
  uint64_t per_second = 0;           // At most; 0: as fast as they are answered.
};

struct PutLoadResult {
  std::vector<double> seconds;  // Of each Put that succeeded, in no order.
  std::map<std::string, uint64_t> errors;
  double total_seconds = 0;
};

// Blocks until all are answered. `progress` hears of puts, or of seconds where the time ends it. The clients
// take turns.
PutLoadResult RunPutLoad(const std::vector<client::Client*>& clients, const PutLoad& load,
                         const ProgressFn& progress, const std::stop_token& stop);

}  // namespace quorate::cmd
