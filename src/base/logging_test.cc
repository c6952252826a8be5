#include "base/logging.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <regex>

#include "base/env_posix.h"

namespace quorate {
namespace {

TEST(Logging, JsonStrings) {
  const struct {
    std::string in;
    std::string out;
  } cases[] = {
      {"plain", R"("plain")"},
      {"a\"b\\c", R"("a\"b\\c")"},
      {"\n\r\t\x01\x1f", R"("\n\r\t\u0001\u001f")"},
      {"<&>", R"("<&>")"},
      {"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
      {"\xff", R"("\ufffd")"},
      {"\xc0\x80", R"("\ufffd\ufffd")"},            // Overlong.
      {"\xed\xa0\x80", R"("\ufffd\ufffd\ufffd")"},  // A surrogate.
      {"\xf5\x80\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},
      {"\xe2\x82", R"("\ufffd\ufffd")"},  // Cut short.
  };
  for (const auto& c : cases) EXPECT_EQ(log::JsonString(c.in), c.out);
}

TEST(Logging, Values) {
  EXPECT_EQ(log::HexId("id", 0x0abc).json, R"("abc")");
  EXPECT_EQ(log::Field("v", 0.5).json, "0.5");
  EXPECT_EQ(log::Field("v", 0.1).json, "0.1");
  EXPECT_EQ(log::Field("v", true).json, "true");
  EXPECT_EQ(log::Field("v", std::vector<std::string>{"a", "b"}).json, R"(["a","b"])");
  EXPECT_EQ(log::Field("v", std::vector<std::string>{}).json, "[]");
  // Go's Duration.String on the same values.
  const struct {
    int64_t nanos;
    const char* text;
  } durations[] = {{0, "0s"},
                   {1, "1ns"},
                   {1100, "1.1\xc2\xb5s"},
                   {100'000'000, "100ms"},
                   {1'500'000'000, "1.5s"},
                   {-1'500'000'000, "-1.5s"},
                   {60'000'000'000, "1m0s"},
                   {3'661'000'000'001, "1h1m1.000000001s"},
                   {INT64_MIN, "-2562047h47m16.854775808s"}};
  for (const auto& d : durations) EXPECT_EQ(log::Duration("d", d.nanos).json, log::JsonString(d.text));
}

// Whoever may name a value must not be able to fill the disk with it.
TEST(Logging, LongValuesAreCutAndTheirLengthIsSaid) {
  constexpr size_t kMegabyte = size_t{1} << 20;
  const std::string fits(4000, 'v');
  EXPECT_EQ(log::Field("v", fits).json, '"' + fits + '"');
  // A control byte becomes six; what takes several bytes is cut between two of them.
  for (const std::string& unit : {std::string("v"), std::string("\x01"), std::string("\xe2\x82\xac")}) {
    std::string value;
    while (value.size() < kMegabyte) value += unit;
    const std::string json = log::Field("v", value).json;
    EXPECT_LT(json.size(), 4200U);
    const std::string end = "... (" + std::to_string(value.size()) + " bytes)\"";
    EXPECT_TRUE(json.ends_with(end)) << json.substr(json.size() - 40);
    const std::string shown = json.substr(0, json.size() - end.size()) + '"';
    EXPECT_TRUE(log::JsonString(value).starts_with(shown.substr(0, shown.size() - 1)));
    EXPECT_EQ(shown.find("\\ufffd"), std::string::npos);
  }
  EXPECT_TRUE(
      log::Field("v", std::vector<std::string>(kMegabyte, "item")).json.ends_with("(1048576 items)\"]"));
  EXPECT_LT(log::Field("v", std::vector<std::string>(100, std::string(kMegabyte, 'x'))).json.size(), 8400U);
  // What is no log line is whole.
  EXPECT_EQ(log::JsonString(std::string(kMegabyte, 'x')).size(), kMegabyte + 2);

  for (const bool console : {false, true}) {
    testing::internal::CaptureStderr();
    std::string error;
    ASSERT_TRUE(log::Configure({.console = console}, &error)) << error;
    LOG_WARN(std::string(kMegabyte, 'm'), {"user", std::string(kMegabyte, 'u')});
    ASSERT_TRUE(log::Configure({}, &error)) << error;
    const std::string line = testing::internal::GetCapturedStderr();
    EXPECT_LT(line.size(), 8600U);
    EXPECT_NE(line.find("mmm... (1048576 bytes)"), std::string::npos);
    EXPECT_NE(line.find("uuu... (1048576 bytes)\"}\n"), std::string::npos);
  }
}

TEST(Logging, LinesGoToTheFileFilteredByLevel) {
  std::string directory = testing::TempDir() + "/loggingXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  log::Config config;
  config.outputs = {directory + "/log"};
  std::string error;
  ASSERT_TRUE(log::Configure(config, &error)) << error;
  LOG_DEBUG("unseen");
  LOG_WARN("seen \"twice\"", {"n", 3}, log::HexId("id", 255));
  config.console = true;
  config.level = log::Level::kDebug;
  ASSERT_TRUE(log::Configure(config, &error)) << error;
  LOG_DEBUG("plain", {"s", "x"});
  config.outputs = {directory + "/missing/log"};
  EXPECT_FALSE(log::Configure(config, &error));
  EXPECT_NE(error.find("missing/log: No such file"), std::string::npos) << error;
  ASSERT_TRUE(log::Configure(log::Config{}, &error));

  PosixFileSystem files;
  const auto text = files.ReadAll(directory + "/log");
  ASSERT_TRUE(text.ok());
  const std::string time = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)";
  EXPECT_TRUE(std::regex_match(
      *text,
      std::regex(R"(\{"level":"warn","ts":")" + time +
                 R"(","caller":"base/logging_test.cc:\d+","msg":"seen \\"twice\\"","n":3,"id":"ff"\})" +
                 "\n" + time + "\tdebug\tbase/logging_test.cc:\\d+\tplain\t" + R"(\{"s": "x"\})" + "\n")))
      << *text;
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace quorate
