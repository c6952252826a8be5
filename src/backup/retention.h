// Which backups are kept. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quorate::backup {

// How many generations of each kind: of each of the newest `hourly` hours that have a backup its newest one,
// and so for days and for weeks. Hours, days and weeks are those of UTC; weeks begin on Monday.
struct Retention {
  size_t hourly = 0;
  size_t daily = 0;
  size_t weekly = 0;

  friend bool operator==(const Retention&, const Retention&) = default;
};

constexpr size_t kGenerationsMax = 10'000;

// "24h,7d,4w": each of h, d and w at most once, in any order; what is not named keeps none.
StatusOr<Retention> ParseRetention(std::string_view text);

// For backups taken at these times (Unix nanoseconds, in any order): whether each is kept. The newest always
// is. Time alone removes nothing: while no new backups come, the same ones stay.
std::vector<bool> Kept(const Retention& retention, const std::vector<int64_t>& taken_nanos);

// How much older than the newest the oldest one that is kept becomes, when one is taken each interval.
int64_t SpanNanos(const Retention& retention, int64_t interval_nanos);

}  // namespace quorate::backup
