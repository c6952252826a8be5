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
