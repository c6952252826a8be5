#include "backup/utc_time.h"

#include <gtest/gtest.h>

namespace quorate::backup {
namespace {

TEST(UtcTime, FormsThatAreRead) {
  const struct {
    const char* text;
    const char* same;  // As UtcText writes it.
  } kRows[] = {
      {"2026-11-28T06:31:39Z", "2026-11-28T06:31:39.000Z"},
      {"2026-11-28T06:31:39.5Z", "2026-11-28T06:31:39.500Z"},
      {"2026-11-28T07:31:39.1239+01:00", "2026-11-28T06:31:39.123Z"},
      {"2026-11-28T01:01:39-05:30", "2026-11-28T06:31:39.000Z"},
      {"2026-11-28T06:31:39", "2026-11-28T06:31:39.000Z"},
      {"2026-11-28 06:31:39", "2026-11-28T06:31:39.000Z"},
      {"2024-02-29 23:59:59.999Z", "2024-02-29T23:59:59.999Z"},
      {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
  };
  for (const auto& row : kRows) {
    const auto nanos = ParseUtc(row.text);
    ASSERT_TRUE(nanos.ok()) << row.text << ": " << nanos.status();
    EXPECT_EQ(UtcText(*nanos), row.same) << row.text;
  }
}

TEST(UtcTime, FormsThatAreNot) {
  for (const char* text :
       {"", "now", "12", "2026-11-28", "2026-13-28T06:31:39Z", "2026-02-30T06:31:39Z", "2026-11-28T25:00:00Z",
        "2026-11-28T06:31Z", "9999-11-28T06:31:39Z", "infinite-future"}) {
    EXPECT_FALSE(ParseUtc(text).ok()) << text;
  }
}

TEST(UtcTime, CompactFormIsExact) {
  const int64_t nanos = *ParseUtc("2026-11-28T06:31:39.123Z");
  EXPECT_EQ(CompactUtcText(nanos), "20261128T063139.123Z");
  EXPECT_EQ(*ParseCompactUtc("20261128T063139.123Z"), nanos);
  EXPECT_EQ(CompactUtcText(nanos + 999'999), "20261128T063139.123Z");
  for (const char* text : {"", "20261128T063139Z", "20261128T063139.1234Z", "20261328T063139.123Z",
                           "20261128 063139.123Z", "2026112 T063139.123Z", "20261128T0631+9.123Z"}) {
    EXPECT_FALSE(ParseCompactUtc(text).ok()) << text;
  }
}

}  // namespace
}  // namespace quorate::backup
