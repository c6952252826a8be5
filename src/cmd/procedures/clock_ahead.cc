#include "cmd/procedures/clock_ahead.h"

namespace quorate::cmd {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;
using std::chrono::system_clock;

}  // namespace

// It was between `date` and the next second there at a time between `before` and `after` here. What is less
// than a second may be the clocks' own grain: some tell the time of their last tick.
int64_t ClockAhead(int64_t date, system_clock::time_point before, system_clock::time_point after) {
  const system_clock::time_point first{seconds(date)};
  const system_clock::time_point last = first + seconds(1);
  if (first > after) return duration_cast<seconds>(first - after).count();
  if (last < before) return -duration_cast<seconds>(before - last).count();
  return 0;
}

}  // namespace quorate::cmd
