// How far another machine's clock is off, from the Date of its answer over HTTP.
#pragma once

#include <chrono>
#include <cstdint>

namespace quorate::cmd {

// Seconds that it surely is ahead (negative: behind) of this machine's, which asked at `before` and had the
// answer at `after`; 0 for less than a whole one. `date` is in whole Unix seconds, rounded down.
int64_t ClockAhead(int64_t date, std::chrono::system_clock::time_point before,
                   std::chrono::system_clock::time_point after);

}  // namespace quorate::cmd
