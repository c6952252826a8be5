#include "backup/retention.h"

#include <gtest/gtest.h>

#include <string>

#include "backup/utc_time.h"

namespace quorate::backup {
namespace {

TEST(Retention, IsReadAsWritten) {
  const struct {
    const char* text;
    Retention want;
  } kGood[] = {
      {"24h,7d,4w", {24, 7, 4}}, {"4w,24h", {24, 0, 4}}, {"1d", {0, 1, 0}}, {"10000h", {10'000, 0, 0}}};
  for (const auto& row : kGood) {
    const auto got = ParseRetention(row.text);
    ASSERT_TRUE(got.ok()) << row.text << ": " << got.status();
    EXPECT_EQ(*got, row.want) << row.text;
  }
  for (const char* bad : {"", ",", "h", "24", "0h", "24h,", "24h,3h", "24h 7d", "-1h", "10001h", "1m", "1.5d",
                          "99999999999999999999h", "24H", " 24h"}) {
    EXPECT_FALSE(ParseRetention(bad).ok()) << bad;
  }
}

// What is kept of some backups, as the list of those that stay.
TEST(Retention, KeepsTheNewestOfEachPeriod) {
  const struct {
    const char* about;
    const char* retention;
    std::vector<std::string> taken;
    std::vector<std::string> kept;
  } kRows[] = {
      {"the newest of each hour",
       "2h",
       {"2026-11-28T10:10:00Z", "2026-11-28T10:50:00Z", "2026-11-28T11:05:00Z", "2026-11-28T11:55:00Z"},
       {"2026-11-28T10:50:00Z", "2026-11-28T11:55:00Z"}},
      {"an hour without a backup does not count",
       "2h",
       {"2026-11-28T02:00:00Z", "2026-11-28T05:00:00Z", "2026-11-28T11:00:00Z"},
       {"2026-11-28T05:00:00Z", "2026-11-28T11:00:00Z"}},
      {"days end at midnight, UTC",
       "2d",
       {"2026-11-26T23:59:59Z", "2026-11-27T00:00:00Z", "2026-11-27T23:59:59Z", "2026-11-28T00:00:00Z"},
       {"2026-11-27T23:59:59Z", "2026-11-28T00:00:00Z"}},
      {"weeks begin on Monday",
       "2w",
       {"2026-11-15T12:00:00Z", "2026-11-22T23:00:00Z", "2026-11-23T00:00:00Z", "2026-11-28T00:00:00Z"},
       {"2026-11-22T23:00:00Z", "2026-11-28T00:00:00Z"}},
      {"kinds add up",
       "1h,2d",
       {"2026-11-27T08:00:00Z", "2026-11-27T20:00:00Z", "2026-11-28T09:00:00Z", "2026-11-28T10:00:00Z"},
       {"2026-11-27T20:00:00Z", "2026-11-28T10:00:00Z"}},
      {"the newest stays although a clock jumped",
       "1w",
       {"2031-01-01T00:00:00Z", "2026-11-28T10:00:00Z"},
       {"2031-01-01T00:00:00Z"}},
      {"any order",
       "2h",
       {"2026-11-28T11:55:00Z", "2026-11-28T10:10:00Z", "2026-11-28T11:05:00Z", "2026-11-28T10:50:00Z"},
       {"2026-11-28T11:55:00Z", "2026-11-28T10:50:00Z"}},
      {"none", "1h", {}, {}},
  };
  for (const auto& row : kRows) {
    std::vector<int64_t> taken;
    for (const std::string& text : row.taken) taken.push_back(*ParseUtc(text));
    const std::vector<bool> kept = Kept(*ParseRetention(row.retention), taken);
    std::vector<std::string> got;
    for (size_t i = 0; i < kept.size(); ++i) {
      if (kept[i]) got.push_back(row.taken[i]);
    }
    EXPECT_EQ(got, row.kept) << row.about;
  }
}

// A year of hourly backups: what stays are the generations and nothing else.
TEST(Retention, ThinsOutOverTime) {
  const Retention retention = *ParseRetention("24h,7d,4w");
  std::vector<int64_t> there;
  constexpr int64_t kHour = int64_t{3'600} * 1'000'000'000;
  const int64_t start = *ParseUtc("2026-01-01T00:30:00Z");
  for (int hour = 0; hour < 24 * 365; ++hour) {
    there.push_back(start + hour * kHour);
    const std::vector<bool> kept = Kept(retention, there);
    std::vector<int64_t> left;
    for (size_t i = 0; i < there.size(); ++i) {
      if (kept[i]) left.push_back(there[i]);
    }
    there = std::move(left);
    ASSERT_LE(there.size(), size_t{24 + 7 + 4});
  }
  // 24 hours; of the 7 days the last two are in them in part, of the 4 weeks the last.
  EXPECT_GE(there.size(), size_t{24 + 5 + 2});
  EXPECT_LE(there.back() - there.front(), 29 * 24 * kHour);
  EXPECT_GE(there.back() - there.front(), 17 * 24 * kHour);
}

}  // namespace
}  // namespace quorate::backup
