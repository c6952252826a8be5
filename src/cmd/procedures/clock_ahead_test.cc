#include "cmd/procedures/clock_ahead.h"

#include <gtest/gtest.h>

namespace quorate::cmd {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

TEST(ClockAheadTest, OnlyWhatIsSure) {
  const struct {
    const char* name;
    int64_t before_ms;
    int64_t after_ms;
    int64_t date;
    int64_t ahead;
  } cases[] = {
      {"the same second", 10'000, 10'999, 10, 0},
      {"the turn of the second between", 9'990, 10'010, 10, 0},
      {"the other's clock is a little finer", 9'990, 9'996, 10, 0},
      {"the other's clock is a little coarser", 10'002, 10'009, 9, 0},
      {"asked long ago", 4'000, 10'000, 5, 0},
      {"ahead, perhaps by less than a second", 9'001, 9'002, 10, 0},
      {"ahead by a second", 8'990, 9'000, 10, 1},
      {"ahead", 5'000, 5'500, 10, 4},
      {"behind, perhaps by less than a second", 11'999, 12'100, 10, 0},
      {"behind by a second", 12'000, 12'100, 10, -1},
      {"behind", 20'700, 20'800, 10, -9},
  };
  for (const auto& c : cases) {
    const system_clock::time_point before{milliseconds(c.before_ms)};
    const system_clock::time_point after{milliseconds(c.after_ms)};
    EXPECT_EQ(ClockAhead(c.date, before, after), c.ahead) << c.name;
  }
}

}  // namespace
}  // namespace quorate::cmd
