#include "cmd/quorate/yaml_json.h"

#include <gtest/gtest.h>

namespace quorate::cmd {
namespace {

using Type = JsonValue::Type;

// A document as text, so that a table can say what is expected: s:text, n:number, b:true, null, [..],
// {key=..}.
std::string Shown(const JsonValue& value) {
  std::string out;
  switch (value.type) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "b:" + value.text;
    case Type::kNumber:
      return "n:" + value.text;
    case Type::kString:
      return "s:" + value.text;
    case Type::kArray:
      for (const JsonValue& item : value.items) out += (out.empty() ? "" : " ") + Shown(item);
      return "[" + out + "]";
    case Type::kObject:
      for (const auto& [key, member] : value.members) {
        out += (out.empty() ? "" : " ") + key + "=" + Shown(member);
      }
      return "{" + out + "}";
  }
  return out;
}

std::string Read(std::string_view text) {
  const auto value = YamlToJson(text, "test");
  return value.ok() ? Shown(*value) : std::string(Message(value.status()));
}

// Each as Debian's etcd 3.4.23 decides it.
TEST(YamlJson, ScalarsAreYaml11) {
  const struct {
    std::string text;
    std::string want;
  } cases[] = {
      {"", "null"},
      {"~", "null"},
      {"Null", "null"},
      {"''", "s:"},
      {"y", "b:true"},
      {"On", "b:true"},
      {"NO", "b:false"},
      {"n", "b:false"},
      {"'yes'", "s:yes"},
      {"yEs", "s:yEs"},
      {"5", "n:5"},
      {"+5", "n:5"},
      {"-5", "n:-5"},
      {"1_000", "n:1000"},
      {"5_", "n:5"},
      {"010", "n:8"},
      {"0x10", "n:16"},
      {"0b100", "n:4"},
      {"0o11", "n:9"},
      {"18446744073709551615", "n:18446744073709551615"},
      {"4.0", "n:4"},
      {"4.", "n:4"},
      {"4.5", "n:4.5"},
      {"1e1", "n:10"},
      {".5e1", "n:5"},
      {"1_2e0", "n:12"},
      {"1e30", "n:1e+30"},
      {"1e-7", "n:1e-7"},
      {"0x1p3", "s:0x1p3"},
      {"1e", "s:1e"},
      {".", "s:."},
      {"-", "[null]"},
      {"1.2.3.4", "s:1.2.3.4"},
      {"2001-01-01", "s:2001-01-01"},
      {"\"4\"", "s:4"},
      {"!!int \"4\"", "n:4"},
      {"!!float 4", "n:4"},
      {"!!bool \"yes\"", "b:true"},
      {"!!str 4", "s:4"},
      {"!!binary Zm9v", "s:foo"},
      {"!mine 4", "s:4"},
      {"!!int x", "error converting YAML to JSON: yaml: cannot decode !!str `x` as a !!int"},
      {"!!null x", "error converting YAML to JSON: yaml: cannot decode !!str `x` as a !!null"},
      {".nan", "error converting YAML to JSON: json: unsupported value: NaN"},
      {"-.inf", "error converting YAML to JSON: json: unsupported value: -Inf"},
  };
  for (const auto& c : cases) EXPECT_EQ(Read(c.text), c.want) << c.text;
}

TEST(YamlJson, MergeKeysAndEqualKeysCountInTheirOrder) {
  const struct {
    std::string text;
    std::string want;
  } cases[] = {
      {"a: 1\na: 2", "{a=n:2}"},
      {"a: 1\na:", "{a=null}"},
      {"x: &x {a: 1}\n<<: *x\na: 2", "{a=n:2 x={a=n:1}}"},
      {"x: &x {a: 1}\na: 2\n<<: *x", "{a=n:1 x={a=n:1}}"},
      {"x: &x {a: 1}\nw: &w {a: 2, b: 3}\n<<: [*x, *w]", "{a=n:1 b=n:3 w={a=n:2 b=n:3} x={a=n:1}}"},
      {"x: &x {a: 1}\nw: {<<: *x, b: 2}", "{w={a=n:1 b=n:2} x={a=n:1}}"},
      {"x: &x {a: 1}\nw: &w {<<: *x}\nz: {<<: *w}", "{w={a=n:1} x={a=n:1} z={a=n:1}}"},
      {"!!merge <<: {a: 1}", "{a=n:1}"},
      {"'<<': {a: 1}", "{<<={a=n:1}}"},
      {"x: &x {a: 1}\ny: *x", "{true={a=n:1} x={a=n:1}}"},
      {"1: a\ntrue: b\n1.5: c", "{1=s:a 1.5=s:c true=s:b}"},
      {"a: 1\n---\na: 2", "{a=n:1}"},
      {"<<: 5",
       "error converting YAML to JSON: yaml: map merge requires map or sequence of maps as the value"},
      {"<<:", "error converting YAML to JSON: yaml: map merge requires map or sequence of maps as the value"},
      {"<<: [5]",
       "error converting YAML to JSON: yaml: map merge requires map or sequence of maps as the value"},
      {"a: &a [*a]", "error converting YAML to JSON: yaml: anchor value contains itself"},
      {"a: &a {b: *a}", "error converting YAML to JSON: yaml: anchor value contains itself"},
      {"a: &a {<<: *a}", "error converting YAML to JSON: yaml: anchor value contains itself"},
      {"[a]: x", "error converting YAML to JSON: yaml: invalid map key: a map or a list"},
      {"~: x", "error converting YAML to JSON: unsupported map key: null"},
  };
  for (const auto& c : cases) EXPECT_EQ(Read(c.text), c.want) << c.text;
}

// Each level stands for ten of the one before: refused before it fills the memory, by a merge as well.
TEST(YamlJson, AliasesThatMultiplyAreRefused) {
  for (const bool merge : {false, true}) {
    std::string text = "a0: &a0 {x: 1}\n";
    for (int level = 1; level < 20; ++level) {
      const std::string before = "*a" + std::to_string(level - 1);
      text += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " {<<: [";
      std::string rest;
      for (int i = 0; i < 10; ++i) {
        text += (i == 0 ? "" : ", ") + (merge ? before : "{}");
        rest += ", k" + std::to_string(i) + ": " + (merge ? "1" : before);
      }
      text += "]" + rest + "}\n";
    }
    EXPECT_EQ(
        Read(text),
        "error converting YAML to JSON: yaml: test is too large or nests too deep for a configuration file");
  }
}

TEST(YamlJson, MembersAreFoundInAnyCase) {
  const auto object =
      YamlToJson("Auth-Token: a\nauth-token: b\nAUTH-TOKEN: c\nauth-to\u212aen: d\nother: e", "");
  ASSERT_TRUE(object.ok());
  const JsonMembers members(*object);
  std::string seen;
  for (const JsonValue* value : members.Named("auth-token")) seen += value->text;
  EXPECT_EQ(seen, "cabd");  // By bytes: the last in lower case counts, or the last of all when it has none.
  EXPECT_TRUE(members.Named("nosuch").empty());
}

}  // namespace
}  // namespace quorate::cmd
