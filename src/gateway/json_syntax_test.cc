#include "gateway/json_syntax.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quorate::gateway {
namespace {

TEST(JsonSyntaxTest, AcceptsWhatIsJson) {
  const std::vector<std::string> values = {
      "{}",
      "[]",
      "null",
      "true",
      "false",
      "0",
      "-0",
      "12.5e-3",
      "1E+9",
      R"("")",
      R"("a\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00")",
      "\"\xff\"",  // Bytes that are no UTF-8 are the reader's business.
      R"({ "a" : [ 1 , { } , [ ] , "x" ] , "b" : { "c" : null } })",
      std::string(kJsonDepthMax, '[') + std::string(kJsonDepthMax, ']'),
  };
  for (const std::string& value : values) {
    JsonValues reader(value);
    const auto next = reader.Next();
    ASSERT_TRUE(next.ok()) << value << ": " << next.status();
    EXPECT_EQ(value, *next);
    EXPECT_TRUE(reader.AtEnd());
  }
}

// The texts of Go's encoding/json.
TEST(JsonSyntaxTest, ErrorsAreThoseOfGo) {
  struct Case {
    std::string text;
    std::string error;
  };
  const std::vector<Case> cases = {
      {"", "unexpected EOF"},
      {"{", "unexpected EOF"},
      {"[1", "unexpected EOF"},
      {R"({"a)", "unexpected EOF"},
      {R"({"a":)", "unexpected EOF"},
      {R"("\)", "unexpected EOF"},
      {"-", "unexpected EOF"},
      {"tru", "unexpected EOF"},
      {"x", "invalid character 'x' looking for beginning of value"},
      {"'", R"(invalid character '\'' looking for beginning of value)"},
      {"]", "invalid character ']' looking for beginning of value"},
      {"[1,]", "invalid character ']' looking for beginning of value"},
      {"[1 2]", "invalid character '2' after array element"},
      {"{1:2}", "invalid character '1' looking for beginning of object key string"},
      {R"({"a":1,})", "invalid character '}' looking for beginning of object key string"},
      {R"({"a"x)", "invalid character 'x' after object key"},
      {R"({"a":1 "b")", R"(invalid character '"' after object key:value pair)"},
      {"{]", "invalid character ']' looking for beginning of object key string"},
      {"[1}", "invalid character '}' after array element"},
      {"\"a\nb\"", R"(invalid character '\n' in string literal)"},
      {std::string("\"\0\"", 3), R"(invalid character '\x00' in string literal)"},
      {R"("\x")", "invalid character 'x' in string escape code"},
      {R"("\u12g4")", R"(invalid character 'g' in \u hexadecimal character escape)"},
      {"trux", "invalid character 'x' in literal true (expecting 'e')"},
      {"nul0", "invalid character '0' in literal null (expecting 'l')"},
      {"-x", "invalid character 'x' in numeric literal"},
      {"1.x", "invalid character 'x' after decimal point in numeric literal"},
      {"1ex", "invalid character 'x' in exponent of numeric literal"},
      {"\xff", "invalid character 'ÿ' looking for beginning of value"},
      {std::string(kJsonDepthMax + 1, '['), "invalid character '[' exceeded max depth"},
  };
  for (const Case& c : cases) {
    JsonValues reader(c.text);
    const auto next = reader.Next();
    ASSERT_FALSE(next.ok()) << c.text.substr(0, 40);
    EXPECT_EQ(c.error, Message(next.status())) << c.text.substr(0, 40);
    EXPECT_TRUE(reader.AtEnd());
  }
}

TEST(JsonSyntaxTest, OneValueAfterAnother) {
  JsonValues reader(" {\"a\":1}\n[2]3 \"x\"{bad");
  for (const std::string_view expected : {"{\"a\":1}", "[2]", "3", "\"x\""}) {
    ASSERT_FALSE(reader.AtEnd());
    const auto next = reader.Next();
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(expected, *next);
  }
  EXPECT_FALSE(reader.Next().ok());
}

TEST(JsonSyntaxTest, StringsAreDecoded) {
  struct Case {
    std::string raw;
    std::string text;
  };
  const std::string bad = "\xef\xbf\xbd";
  const std::vector<Case> cases = {
      {R"("")", ""},
      {R"("a\"\\\/\b\f\n\r\tz")", "a\"\\/\b\f\n\r\tz"},
      {R"("\u0041\u00e4\u20ac\ud83d\ude00")", "Aä€😀"},
      {R"("\u0000")", std::string(1, '\0')},
      {R"("\ud83d")", bad},
      {R"("\ude00x")", bad + "x"},
      {R"("\ud83d\u0041")", bad + "A"},
      {R"("\ud83d\n")", bad + "\n"},
      {"\"a\xff\xc3\"", "a" + bad + bad},
      {"\"\xed\xa0\x80\"", bad + bad + bad},
  };
  for (const Case& c : cases) {
    ASSERT_TRUE(JsonValues(c.raw).Next().ok()) << c.raw;
    JsonCursor cursor(c.raw);
    EXPECT_EQ(c.text, cursor.TakeString()) << c.raw;
    EXPECT_EQ('\0', cursor.Peek());
  }
}

TEST(JsonSyntaxTest, SkippingEndsWhereTheValueEnds) {
  for (const std::string_view value :
       {R"({"a":[1,{"b":"]}"}],"c":"\"}"})", "[[],[[]]]", "12", "true", "\"x\""}) {
    const std::string text = std::string(value) + " , 7";
    JsonCursor cursor(text);
    cursor.Skip();
    EXPECT_TRUE(cursor.Take(',')) << value;
    EXPECT_EQ("7", cursor.TakeScalar());
  }
}

}  // namespace
}  // namespace quorate::gateway
