#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/test_seed.h"
#include "base/wire.h"
#include "cmd/decode/decoded_value.h"
#include "cmd/decode/json_text.h"
#include "cmd/decode/key_tree.h"
#include "cmd/decode/kubernetes.h"
#include "cmd/decode/wire_outline.h"

namespace quorate::cmd {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Bytes(uint32_t field, std::string_view bytes) {
  std::string out;
  wire::AppendBytesField(out, field, bytes);
  return out;
}

std::string Number(uint32_t field, uint64_t value) {
  std::string out;
  wire::AppendVarintField(out, field, value);
  return out;
}

std::string Entry(std::string_view key, std::string_view value) { return Bytes(1, key) + Bytes(2, value); }

std::string Object(std::string_view api_version, std::string_view kind, std::string_view raw) {
  return std::string("k8s\0", 4) + Bytes(1, Bytes(1, api_version) + Bytes(2, kind)) + Bytes(2, raw) +
         Bytes(3, "") + Bytes(4, "");
}

std::string Metadata() {
  return Bytes(
      1, Bytes(1, "web") + Bytes(3, "shop") + Bytes(5, "uid-1") + Number(7, 3) +
             Bytes(8, Number(1, 1'700'000'000)) + Bytes(11, Entry("app", "web")) +
             Bytes(11, Entry("tier", "a b")) +
             Bytes(12, Entry("kubectl.kubernetes.io/last-applied-configuration", "{\"data\":\"geheim\"}")) +
             Bytes(13, Bytes(1, "ReplicaSet") + Bytes(3, "rs") + Number(6, 1)) + Bytes(17, "x") +
             Bytes(17, "y"));
}

TEST(KubernetesTest, Pod) {
  const std::string value =
      Object("v1", "Pod", Metadata() + Bytes(2, Bytes(2, Bytes(1, "main") + Bytes(2, "image:1"))));
  EXPECT_EQ(KubernetesOutline(value, false)->Text(),
            "apiVersion: v1\n"
            "kind: Pod\n"
            "metadata:\n"
            "  name: web\n"
            "  namespace: shop\n"
            "  uid: uid-1\n"
            "  generation: 3\n"
            "  creationTimestamp: 2023-11-14T22:13:20Z\n"
            "  labels:\n"
            "    app: web\n"
            "    tier: a b\n"
            "  annotations:\n"
            "    kubectl.kubernetes.io/last-applied-configuration: {\"data\":\"geheim\"}\n"
            "  ownerReferences:\n"
            "    owner:\n"
            "      kind: ReplicaSet\n"
            "      name: rs\n"
            "      controller: true\n"
            "  managedFields: (2)\n"
            "spec:\n"
            "  2:\n"
            "    1: main\n"
            "    2: image:1\n");
}

TEST(KubernetesTest, SecretsAreHiddenUnlessAsked) {
  const std::string value =
      Object("v1", "Secret",
             Metadata() + Bytes(2, Entry("password", "geheim")) + Bytes(2, Entry("user", "me")) +
                 Bytes(3, "Opaque") + Bytes(4, Entry("plain", "geheim")) + Bytes(9, "geheim"));
  const std::string hidden = DecodedValue("/registry/secrets/shop/web", value, false);
  EXPECT_THAT(hidden, Not(HasSubstr("geheim")));
  EXPECT_THAT(hidden, HasSubstr("  password: (hidden, 6 B)\n"));
  EXPECT_THAT(hidden, HasSubstr("type: Opaque\n"));
  EXPECT_THAT(hidden, HasSubstr("  name: web\n"));
  const std::string shown = DecodedValue("/registry/secrets/shop/web", value, true);
  EXPECT_THAT(shown, HasSubstr("  password: geheim\n"));
  EXPECT_THAT(shown, HasSubstr("  user: me\n"));
}

TEST(KubernetesTest, SecretsAsJson) {
  const std::string value =
      R"({"kind":"Secret","metadata":{"name":"a","annotations":)"
      R"({"kubectl.kubernetes.io/last-applied-configuration":"geheim"}},"data":{"k":"geheim","n":1},)"
      R"("stringData":{"s":"geheim"}})";
  EXPECT_THAT(DecodedValue("/any", value, false), Not(HasSubstr("geheim")));
  EXPECT_THAT(DecodedValue("/any", value, false), HasSubstr("\"k\": \"(hidden, 6 B)\""));
  EXPECT_THAT(DecodedValue("/any", value, true), HasSubstr("geheim"));
}

TEST(KubernetesTest, WhatCantBeReadBelowSecretsIsHidden) {
  EXPECT_THAT(DecodedValue("/registry/secrets/a", "geheim", false), Not(HasSubstr("geheim")));
  EXPECT_EQ(DecodedValue("/registry/secrets/a", "geheim", true), "geheim");
  for (const std::string value : {"{\"password\":\"geheim\"}", "[\"geheim\"]", "\x0a\x06geheim"}) {
    EXPECT_THAT(DecodedValue("/registry/secrets/a", value, false), HasSubstr("(hidden, ")) << value;
    EXPECT_THAT(DecodedValue("/registry/secrets/a", value, true), HasSubstr("geheim")) << value;
    EXPECT_THAT(DecodedValue("/a", value, false), HasSubstr("geheim")) << value;
  }
  const std::string pod = Object("v1", "Pod", Bytes(9, "geheim"));
  EXPECT_THAT(DecodedValue("/registry/secrets/a", pod, false), HasSubstr("(hidden, "));
  EXPECT_THAT(DecodedValue("/registry/secrets/a", Object("v1", "Secret", ""), false), HasSubstr("Secret"));
  EXPECT_EQ(DecodedValue("/a", "plain", false), "plain");
  EXPECT_EQ(DecodedValue("/registry/secrets/a", "k8s:enc:aescbc:v1:key1:\x01\x02", false),
            "(encrypted by Kubernetes, aescbc v1 key1, 25 B)");
}

TEST(KubernetesTest, DamageIsToldOrNoObject) {
  EXPECT_EQ(KubernetesOutline("k8s", false), std::nullopt);
  EXPECT_EQ(KubernetesOutline(std::string("k8s\0\x0a\x7f", 6), false), std::nullopt);
  const std::string cut = Object("v1", "Pod", Metadata() + "\x12\x7f");
  EXPECT_THAT(KubernetesOutline(cut, false)->Text(), HasSubstr("damaged: the rest can't be read\n"));
}

TEST(JsonTest, OnlyWhiteSpaceChanges) {
  EXPECT_EQ(PrettyJson(R"({"a":1.10,"b":[],"c":{ },"d":[1,{"e":"x,{\"y\"}"}]})"),
            "{\n  \"a\": 1.10,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    {\n      \"e\": "
            "\"x,{\\\"y\\\"}\"\n    }\n  ]\n}");
  EXPECT_EQ(PrettyJson(" [1] "), "[\n  1\n]");
  for (const char* other : {"", "1", "\"a\"", "{", "{]", "[1,]", "x", "{\"a\":1} x"}) {
    EXPECT_EQ(PrettyJson(other), std::nullopt) << other;
  }
  const std::string deep(kJsonDepthMax + 1, '[');
  EXPECT_EQ(PrettyJson(deep + std::string(kJsonDepthMax + 1, ']')), std::nullopt);
  const std::string deepest(kJsonDepthMax, '[');
  EXPECT_NE(PrettyJson(deepest + std::string(kJsonDepthMax, ']')), std::nullopt);
}

TEST(JsonTest, NoByteReachesTheTerminalThatItWouldObey) {
  EXPECT_THAT(DecodedValue("/a", "{\"a\":\"\x7f\"}", false), Not(HasSubstr("\x7f")));
  EXPECT_THAT(DecodedValue("/a", "a\x1b[2J", false), Not(HasSubstr("\x1b")));
  EXPECT_EQ(ScalarText("a\x1b"), "\"a\\x1b\"");
  EXPECT_EQ(ScalarText(" a"), "\" a\"");
  EXPECT_EQ(ScalarText(""), "\"\"");
  EXPECT_EQ(ScalarText("\xc2\x9b"
                       "1m"),
            "\"\\xc2\\x9b1m\"");
  EXPECT_EQ(ScalarText("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(WireTest, FieldsByNumber) {
  Outline out;
  ASSERT_TRUE(
      AddWireFields(Bytes(1, "text") + Number(2, 7) + Bytes(3, Number(1, 1000) + Bytes(2, "\xff")), &out));
  EXPECT_EQ(out.Text(), "1: text\n2: 7\n3:\n  1: 1000\n  2: (1 B) ff\n");
  EXPECT_FALSE(
      AddWireFields("\x0a\x05"
                    "abc",
                    &out));
}

TEST(KeyTreeTest, CountsAndSizes) {
  KeyTree tree;
  tree.Add("/registry/pods/default/a", 400);
  tree.Add("/registry/pods/default/b", 500);
  tree.Add("/registry/nodes/n1", 300);
  tree.Add("/registry/nodes", 7);
  tree.Add("plain", 1);
  EXPECT_EQ(tree.Text(0),
            "/registry        4 keys, 1.2 kB\n"
            "├── nodes        2 keys, 307 B (7 B of its own)\n"
            "│   └── n1       300 B\n"
            "└── pods         2 keys, 900 B\n"
            "    └── default  2 keys, 900 B\n"
            "        ├── a    400 B\n"
            "        └── b    500 B\n"
            "plain            1 B\n"
            "5 keys, 1.2 kB\n");
  EXPECT_EQ(tree.Text(1), "/registry  4 keys, 1.2 kB\nplain      1 B\n5 keys, 1.2 kB\n");
  KeyTree odd;
  for (const char* key : {"/", "//", "a//b", "a/", "\x01"}) odd.Add(key, 0);
  EXPECT_THAT(odd.Text(0), HasSubstr("5 keys, 0 B\n"));
  EXPECT_THAT(odd.Text(0), Not(HasSubstr("\x01")));
}

// Whatever the bytes are: no crash, no endless work, and nothing that a terminal would obey.
TEST(DecodeTest, RandomBytes) {
  std::mt19937_64 random(TestSeed());
  const std::string whole = Object("v1", "Secret", Metadata() + Bytes(2, Entry("password", "geheim")));
  for (int i = 0; i < 20'000; ++i) {
    std::string value;
    switch (random() % 3) {
      case 0:
        value.resize(random() % 200);
        for (char& c : value) c = static_cast<char>(random());
        break;
      case 1: {
        value = whole.substr(0, random() % (whole.size() + 1));
        break;
      }
      default:
        value = whole;
        for (uint64_t changes = random() % 4; changes > 0; --changes)
          value[random() % value.size()] = static_cast<char>(random());
    }
    if (random() % 8 == 0) value.insert(0, "{\"a\":");
    mvccpb::KeyValue kv;
    kv.set_key(value.substr(0, random() % 40));
    kv.set_value(value);
    KeyTree tree;
    tree.Add(kv.key(), kv.value().size());
    const std::string text = tree.Text(0) + DecodedLines(kv, random() % 2 == 0);
    for (size_t at = 0; at < text.size(); ++at) {
      const auto byte = static_cast<unsigned char>(text[at]);
      ASSERT_TRUE(byte >= 0x20 || byte == '\n' || byte == '\t') << i;
      ASSERT_NE(byte, 0x7f) << i;
    }
  }
}

TEST(DecodeTest, NestedAsDeepAsCanBe) {
  std::string nested = "\xff";
  for (int i = 0; i < 5000; ++i) nested = Bytes(1, nested);
  EXPECT_FALSE(DecodedValue("/a", nested, false).empty());
  EXPECT_FALSE(DecodedValue("/a", Object("v1", "Pod", nested), false).empty());
  std::string key;
  for (int i = 0; i < 100'000; ++i) key += "/";
  KeyTree tree;
  tree.Add(key, 1);
  EXPECT_THAT(tree.Text(0), HasSubstr("1 key, 1 B\n"));
  std::string many;
  for (size_t i = 0; i < 2 * kWireFieldsMax; ++i) many += Number(1, 1);
  EXPECT_THAT(DecodedValue("/a", many + Bytes(2, "\xff"), false), HasSubstr("(more fields)"));
}

}  // namespace
}  // namespace quorate::cmd
