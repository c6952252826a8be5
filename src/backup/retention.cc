#include "backup/retention.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>

namespace quorate::backup {
namespace {

constexpr int64_t kHourNanos = int64_t{3'600} * 1'000'000'000;
constexpr int64_t kDayNanos = 24 * kHourNanos;
// 1970-01-01 was a Thursday.
constexpr int64_t kFirstMondayNanos = 4 * kDayNanos;

int64_t FloorDiv(int64_t value, int64_t unit) {
  return value >= 0 ? value / unit : -((-value + unit - 1) / unit);
}

// Of the newest `count` periods the newest backup each.
void KeepNewest(size_t count, int64_t unit, int64_t start, const std::vector<int64_t>& taken,
                std::vector<bool>* kept) {
  std::map<int64_t, size_t, std::greater<>> newest;  // Period to the place of its newest backup.
  for (size_t i = 0; i < taken.size(); ++i) {
    const auto [found, first] = newest.try_emplace(FloorDiv(taken[i] - start, unit), i);
    if (!first && taken[i] >= taken[found->second]) found->second = i;
  }
  for (const auto& [period, place] : newest) {
    if (count-- == 0) return;
    (*kept)[place] = true;
  }
}

Status Malformed(std::string_view text) {
  return InvalidArgument("retention \"" + std::string(text) +
                         "\" is not of the form 24h,7d,4w: how many hourly (h), daily (d) and weekly (w) "
                         "backups are kept, each at most once, from 1 to " +
                         std::to_string(kGenerationsMax));
}

}  // namespace

StatusOr<Retention> ParseRetention(std::string_view text) {
  Retention retention;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    size_t count = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), count);
    if (parsed.ec != std::errc() || parsed.ptr + 1 != part.data() + part.size()) return Malformed(text);
    if (count == 0 || count > kGenerationsMax) return Malformed(text);
    const char unit = part.back();
    size_t* const field = unit == 'h'   ? &retention.hourly
                          : unit == 'd' ? &retention.daily
                          : unit == 'w' ? &retention.weekly
                                        : nullptr;
    if (field == nullptr || *field != 0) return Malformed(text);
    *field = count;
    if (comma == std::string_view::npos) return retention;
    rest.remove_prefix(comma + 1);
  }
}

std::vector<bool> Kept(const Retention& retention, const std::vector<int64_t>& taken_nanos) {
  std::vector<bool> kept(taken_nanos.size(), false);
  if (kept.empty()) return kept;
  const auto newest = std::max_element(taken_nanos.begin(), taken_nanos.end());
  kept[static_cast<size_t>(newest - taken_nanos.begin())] = true;
  KeepNewest(retention.hourly, kHourNanos, 0, taken_nanos, &kept);
  KeepNewest(retention.daily, kDayNanos, 0, taken_nanos, &kept);
  KeepNewest(retention.weekly, 7 * kDayNanos, kFirstMondayNanos, taken_nanos, &kept);
  return kept;
}

int64_t SpanNanos(const Retention& retention, int64_t interval_nanos) {
  const auto span = [&](size_t count, int64_t unit) {
    const int64_t period = std::max(unit, interval_nanos);
    return count > static_cast<size_t>(INT64_MAX / 2 / period) ? INT64_MAX / 2
                                                               : static_cast<int64_t>(count) * period;
  };
  // Periods may be a backup short of whole at both ends.
  return std::max({span(retention.hourly, kHourNanos), span(retention.daily, kDayNanos),
                   span(retention.weekly, 7 * kDayNanos)}) +
         2 * interval_nanos;
}

}  // namespace quorate::backup
