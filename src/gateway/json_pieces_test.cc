#include "gateway/json_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/test_seed.h"
#include "gateway/json_syntax.h"

namespace quorate::gateway {
namespace {

// Where values have ended after each byte of the text.
std::vector<size_t> Ends(std::string_view text) {
  JsonPieces pieces;
  std::vector<size_t> ends;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t ended = pieces.Take(text.substr(i, 1));
    EXPECT_LE(ended, 1u);
    // Behind this byte, or a scalar before it.
    if (ended == 1 || (i > 0 && !pieces.inside() && text[i] == ' ' && text[i - 1] != ' '))
      ends.push_back(i + ended);
  }
  return ends;
}

TEST(JsonPiecesTest, ObjectsArraysAndStringsEndWithTheirLastByte) {
  EXPECT_EQ((std::vector<size_t>{2}), Ends("{}"));
  EXPECT_EQ((std::vector<size_t>{2, 4}), Ends("{}[]"));
  EXPECT_EQ((std::vector<size_t>{8}), Ends(R"({"a":{}})"));
  EXPECT_EQ((std::vector<size_t>{9}), Ends(R"({"}":"{"})"));
  EXPECT_EQ((std::vector<size_t>{12}), Ends(R"(["a\"]","b")"
                                            "]"));
  EXPECT_EQ((std::vector<size_t>{4}), Ends(R"("\"")"));
  EXPECT_EQ((std::vector<size_t>{4}), Ends(R"("\\")"));
  for (const char* open : {"", " ", "{", "[1", R"({"a":"}")", R"("a)", R"("\")"}) {
    EXPECT_TRUE(Ends(open).empty()) << open;
  }
}

TEST(JsonPiecesTest, ScalarsEndBeforeWhatFollows) {
  JsonPieces pieces;
  EXPECT_EQ(0u, pieces.Take("12"));
  EXPECT_TRUE(pieces.inside());
  EXPECT_EQ(0u, pieces.Take(" "));  // It ended with the piece before.
  EXPECT_FALSE(pieces.inside());
  EXPECT_EQ(4u, pieces.Take("null {"));
  EXPECT_TRUE(pieces.inside());
  EXPECT_EQ(1u, pieces.Take("}tr"));
  EXPECT_TRUE(pieces.inside());
}

// What no value begins with is left to whoever reads it.
TEST(JsonPiecesTest, ErrorsEndAtOnce) {
  for (const char* text : {"}", "]", ",", ":"}) {
    JsonPieces pieces;
    EXPECT_EQ(1u, pieces.Take(text)) << text;
  }
  EXPECT_EQ((std::vector<size_t>{2}), Ends("{]"));
}

TEST(JsonPiecesTest, WhatMayBecomeAValue) {
  for (const char* may : {"", " ", "{", "[1,", R"({"a)", R"({"a":"\u00)", "tru", "-", "1e", "{}", "12"}) {
    EXPECT_TRUE(MayBecomeValue(may)) << may;
  }
  for (const char* never : {"x", "{x", "{]", R"({"a" x)", R"(["\q)", "trx", "1.x", "{\"a\n"}) {
    EXPECT_FALSE(MayBecomeValue(never)) << never;
  }
}

std::string RandomValue(std::mt19937_64& random, int depth) {
  switch (random() % (depth > 0 ? 6 : 4)) {
    case 0:
      return std::to_string(random());
    case 1:
      return random() % 2 == 0 ? "null" : "true";
    case 2:
    case 3: {
      static constexpr std::string_view kParts[] = {"a", "\\\"", "\\\\", "{", "}",
                                                    "[", "]",    ",",    " ", "\\u00e4"};
      std::string text = "\"";
      for (uint64_t n = random() % 5; n > 0; --n) text += kParts[random() % std::size(kParts)];
      return text + "\"";
    }
    case 4: {
      std::string text = "[";
      for (uint64_t i = 0, n = random() % 4; i < n; ++i)
        text += (i > 0 ? "," : "") + RandomValue(random, depth - 1);
      return text + "]";
    }
    default: {
      std::string text = "{";
      for (uint64_t i = 0, n = random() % 4; i < n; ++i) {
        text += (i > 0 ? ",\"}\":" : "\"k\" : ") + RandomValue(random, depth - 1);
      }
      return text + " }";
    }
  }
}

// Cut anywhere, the pieces give the values that the whole text has.
TEST(JsonPiecesTest, CutsDoNotMatter) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    std::vector<std::string> values;
    for (uint64_t n = random() % 6; n > 0; --n) {
      values.push_back(RandomValue(random, 3));
      text += values.back() + (random() % 2 == 0 ? " " : "\n");
    }
    JsonPieces pieces;
    std::string kept;
    std::vector<std::string> found;
    const auto take = [&](size_t whole) {
      JsonValues reader(std::string_view(kept).substr(0, whole));
      while (!reader.AtEnd()) {
        const auto value = reader.Next();
        ASSERT_TRUE(value.ok()) << text << ": " << value.status();
        found.emplace_back(*value);
      }
      kept.erase(0, whole);
    };
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min<size_t>(1 + random() % 8, text.size() - at);
      const size_t before = kept.size();
      kept += text.substr(at, n);
      const size_t ended = pieces.Take(std::string_view(text).substr(at, n));
      at += n;
      if (!pieces.inside()) {
        take(kept.size());
      } else if (ended > 0) {
        take(before + ended);
      }
    }
    EXPECT_FALSE(pieces.inside());
    EXPECT_EQ(values, found) << text;
  }
}

}  // namespace
}  // namespace quorate::gateway
