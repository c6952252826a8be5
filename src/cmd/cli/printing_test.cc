// What the tools print: tables, sizes, formats, suggestions, progress.
#include <gtest/gtest.h>

#include "base/env_sim.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/human_bytes.h"
#include "cmd/cli/near_names.h"
#include "cmd/cli/output_format.h"
#include "cmd/cli/progress.h"
#include "cmd/cli/text_table.h"

namespace quorate::cmd {
namespace {

// As Debian's etcdctl 3.4.23 prints them.
TEST(TextTable, SnapshotStatus) {
  EXPECT_EQ(TextTable({"hash", "revision", "total keys", "total size"}, {{"fc2bc384", "294", "284", "57 kB"}},
                      CellAlign::kRight),
            "+----------+----------+------------+------------+\n"
            "|   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE |\n"
            "+----------+----------+------------+------------+\n"
            "| fc2bc384 |      294 |        284 |      57 kB |\n"
            "+----------+----------+------------+------------+\n");
}

TEST(TextTable, NumbersGoRightAndLongCellsWrap) {
  EXPECT_EQ(TextTable({"id", "raft_term", "errors"},
                      {{"1,234", "2.5", "one error that is far too long for its column"}, {"x", "", "-"}},
                      CellAlign::kNumbersRight),
            "+-------+-----------+--------------------------------+\n"
            "|  ID   | RAFT TERM |             ERRORS             |\n"
            "+-------+-----------+--------------------------------+\n"
            "| 1,234 |       2.5 | one error that is far too long |\n"
            "|       |           | for its column                 |\n"
            "| x     |           | -                              |\n"
            "+-------+-----------+--------------------------------+\n");
}

TEST(TextTable, WidthOfWideAndCombiningCharacters) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("\xe6\x97\xa5\xe6\x9c\xac"), 4u);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1u);
  EXPECT_EQ(DisplayWidth("\xff\xfe"), 2u);
  EXPECT_EQ(DisplayWidth(""), 0u);
}

TEST(TextTable, AWordLongerThanTheLimitWidensTheColumn) {
  EXPECT_EQ(WrapWords("a bb ccccccc d", 3), std::vector<std::string>({"a bb", "ccccccc", "d"}));
  EXPECT_EQ(WrapWords("", 30), std::vector<std::string>({""}));
}

TEST(HumanBytes, AsGoHumanize) {
  const struct {
    uint64_t bytes;
    const char* text;
  } cases[] = {{0, "0 B"},
               {9, "9 B"},
               {10, "10 B"},
               {999, "999 B"},
               {1000, "1.0 kB"},
               {20480, "20 kB"},
               {57344, "57 kB"},
               {1'550'000, "1.6 MB"},
               {999'999, "1000 kB"},
               {82'854'982, "83 MB"},
               {2'000'000'000, "2.0 GB"},
               {UINT64_MAX, "18 EB"}};
  for (const auto& c : cases) EXPECT_EQ(HumanBytes(c.bytes), c.text);
}

TEST(NearNames, FindsTyposAndBeginnings) {
  EXPECT_EQ(EditDistance("restore", "restroe"), 1u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("DATA-dir", "data-dir"), 0u);
  const std::vector<std::string> names = {"data-dir", "wal-dir", "name", "initial-cluster",
                                          "initial-cluster-token"};
  EXPECT_EQ(NearNames("datadir", names), std::vector<std::string>({"data-dir"}));
  EXPECT_EQ(NearNames("initial-clust", names),
            std::vector<std::string>({"initial-cluster", "initial-cluster-token"}));
  EXPECT_TRUE(NearNames("qqq", names).empty());
  EXPECT_EQ(DidYouMean({"a", "b", "c"}, "--"), "; did you mean --a, --b or --c?");
}

TEST(OutputFormat, KnowsFive) {
  EXPECT_EQ(ParseOutputFormat("table"), OutputFormat::kTable);
  EXPECT_EQ(ParseOutputFormat("Table"), std::nullopt);
  EXPECT_EQ(UnsupportedFormatText("jsno"), "unsupported output format; did you mean json?");
  EXPECT_EQ(FieldLine("Key", std::string_view("a\"b"), true), "\"Key\" : \"a\\\"b\"\n");
  EXPECT_EQ(FieldLine("Hash", uint64_t{7}), "\"Hash\" : 7\n");
}

class ProgressTest : public testing::Test {
 protected:
  Progress::Write Record() {
    return [this](std::string_view text) { written += text; };
  }
  SimClock clock;
  std::string written;
};

TEST_F(ProgressTest, QuietForASecondThenRateAndTimeLeft) {
  {
    Progress progress("copying", Progress::Unit::kBytes, &clock, true, Record());
    progress.Update(1'000'000, 4'000'000);
    EXPECT_EQ(written, "");
    clock.Advance(1'000'000'000);
    progress.Update(1'000'000, 4'000'000);
    EXPECT_EQ(written, "\rcopying  [=====>              ]  25 %  1.0 MB of 4.0 MB  1.0 MB/s  3 s left");
    progress.Update(2'000'000, 4'000'000);  // Too soon to draw again.
    EXPECT_EQ(written.find("50 %"), std::string::npos);
    written.clear();
  }
  EXPECT_EQ(written.front(), '\r');
  EXPECT_EQ(written.find_first_not_of(" \r"), std::string::npos) << "the line is wiped at the end";
}

TEST_F(ProgressTest, NothingWhereNobodyLooks) {
  Progress progress("copying", Progress::Unit::kItems, &clock, false, Record());
  clock.Advance(100'000'000'000);
  progress.Update(1, 2);
  EXPECT_EQ(written, "");
}

TEST_F(ProgressTest, WithoutATotalOnlyWhatIsDone) {
  Progress progress("reading", Progress::Unit::kItems, &clock, true, Record());
  clock.Advance(2'000'000'000);
  progress.Update(10, 0);
  EXPECT_EQ(written, "\rreading  10  5/s");
}

TEST(GoSyntaxTest, QuotesAnyBytes) {
  EXPECT_EQ(GoQuote("a\"\\\a\n\x01\x7f"), R"("a\"\\\a\n\x01\x7f")");
  EXPECT_EQ(GoQuote("\xff"
                    "\xc3\xa9"
                    "\xc2\xa0"),
            "\"\\xff\xc3\xa9\\u00a0\"");
}

TEST(GoSyntaxTest, ReadsWhatItQuotes) {
  const std::string bytes("\0a\"\\\xff\n\xc3\xa9", 8);
  const std::string quoted = GoQuote(bytes) + " rest";
  std::string_view text = quoted;
  EXPECT_EQ(*TakeGoQuoted(&text), bytes);
  EXPECT_EQ(text, " rest");
  for (const char* bad : {"a", "\"a", "\"\\q\"", "\"\\x1\"", "\"\\400\"", ""}) {
    std::string_view line = bad;
    EXPECT_FALSE(TakeGoQuoted(&line).ok()) << bad;
  }
  std::string_view raw = "`a\\n`";
  EXPECT_EQ(*TakeGoQuoted(&raw), "a\\n");
}

TEST(GoSyntaxTest, DecimalNumbers) {
  EXPECT_EQ(*ParseGoDecimal("-5"), -5);
  EXPECT_EQ(Message(ParseGoDecimal("1x").status()), R"(strconv.ParseInt: parsing "1x": invalid syntax)");
  EXPECT_EQ(Message(ParseGoDecimal("9223372036854775808").status()),
            R"(strconv.ParseInt: parsing "9223372036854775808": value out of range)");
}

}  // namespace
}  // namespace quorate::cmd
