// What the kernel says of this process, for the standard process_* metrics.
#pragma once

#include <cstdint>

namespace quorate::rpc {

struct ProcessFigures {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // Since 1970.
  uint64_t virtual_bytes = 0;
  uint64_t resident_bytes = 0;
  uint64_t open_files = 0;
  uint64_t open_files_max = 0;
};

// Reads /proc/self; fields that can't be read stay 0.
ProcessFigures ReadProcessFigures();

}  // namespace quorate::rpc
