#include "cluster/member.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/go_json.h"
#include "raft/confchange_codec.h"

namespace quorate::cluster {
namespace {

using testing::ElementsAre;

std::string GoString(std::string_view text) {
  std::string out;
  AppendGoString(out, text);
  return out;
}

TEST(GoJsonTest, EscapesAsGo) {
  EXPECT_EQ(GoString("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(GoString("<&>"), R"("\u003c\u0026\u003e")");
  EXPECT_EQ(GoString("\n\r\t\x01\x1f\x7f"), "\"\\n\\r\\t\\u0001\\u001f\x7f\"");
  EXPECT_EQ(GoString("\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9"), "\"\\u2028\\u2029\xc3\xa9\"");
  EXPECT_EQ(GoString("a\xff"
                     "b\xed\xa0\x80\xc0\x80\xf0\x9f\x98\x80\xf0\x9f"),
            "\"a\\ufffdb\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\xf0\x9f\x98\x80\\ufffd\\ufffd\"");
}

// The clusters of the recorded data: URLs and tokens from the commands, IDs from the member lists.
TEST(MemberIdTest, AsEtcdComputesThem) {
  EXPECT_EQ(ComputeMemberId({"http://127.0.0.1:21390"}, "golden-cluster", std::nullopt), 0x55b7f2fec09e961u);
  EXPECT_EQ(ComputeMemberId({"http://127.0.0.1:22390"}, "golden-cluster", std::nullopt), 0xde0e03a6366e74a0u);
  EXPECT_EQ(ComputeMemberId({"http://127.0.0.1:23390"}, "golden-cluster", std::nullopt), 0xfd46847e848acd0fu);
  EXPECT_EQ(ComputeClusterId({0xde0e03a6366e74a0u, 0xfd46847e848acd0fu, 0x55b7f2fec09e961u}),
            12996076513956557645u);
  EXPECT_EQ(ComputeMemberId({"http://127.0.0.1:12380"}, "golden-tok", std::nullopt), 14624513726882850586u);
  EXPECT_EQ(ComputeClusterId({14624513726882850586u}), 14864474009274491934u);
}

TEST(MemberIdTest, OrderOfUrlsDoesNotMatterAndTimeDoes) {
  EXPECT_EQ(ComputeMemberId({"http://b:1", "http://a:1"}, "t", 5),
            ComputeMemberId({"http://a:1", "http://b:1"}, "t", 5));
  EXPECT_NE(ComputeMemberId({"http://a:1"}, "", 5), ComputeMemberId({"http://a:1"}, "", 6));
}

TEST(MemberIdTest, TextIsHexWithoutPadding) {
  EXPECT_EQ(IdText(0x55b7f2fec09e961u), "55b7f2fec09e961");
  EXPECT_EQ(*ParseId("55b7f2fec09e961"), 0x55b7f2fec09e961u);
  for (const char* bad : {"", "x", "12345678901234567", "1 ", "-1", "0x1"})
    EXPECT_FALSE(ParseId(bad).ok()) << bad;
}

TEST(MemberJsonTest, KeysInGosOrderAndEmptyOnesLeftOut) {
  Member member{~0ull, {"http://a:1", "http://b:2"}, true, {"n<1>", {"http://c:3"}}};
  EXPECT_EQ(
      MemberJson(member),
      R"({"id":18446744073709551615,"peerURLs":["http://a:1","http://b:2"],"isLearner":true,"name":"n\u003c1\u003e","clientURLs":["http://c:3"]})");
  EXPECT_EQ(*ParseMember(MemberJson(member)), member);
  EXPECT_EQ(RaftAttributesJson(member), R"({"peerURLs":["http://a:1","http://b:2"],"isLearner":true})");
  EXPECT_EQ(AttributesJson(member.attributes), R"({"name":"n\u003c1\u003e","clientURLs":["http://c:3"]})");
  EXPECT_EQ(AttributesJson({"", {"http://c:3"}}), R"({"clientURLs":["http://c:3"]})");
  EXPECT_EQ(AttributesJson({}), "{}");
  EXPECT_EQ(MemberJson(Member{}), R"({"id":0,"peerURLs":null})");
  EXPECT_EQ(*ParseMember(R"({"id":3,"peerURLs":null,"more":{}})"), (Member{3, {}, false, {}}));
}

TEST(MemberJsonTest, BadJsonIsRefused) {
  for (const char* bad :
       {"", "null", "[]", "{", R"({"id":-1})", R"({"id":"1"})", R"({"peerURLs":"x"})", R"({"peerURLs":[1]})",
        R"({"isLearner":1})", R"({"name":[]})", "{\"name\":\"\xff\"}"}) {
    EXPECT_FALSE(ParseMember(bad).ok()) << bad;
  }
}

TEST(MemberJsonTest, Lists) {
  EXPECT_EQ(*ParseMemberList("[]"), std::vector<Member>());
  const std::string nested(1'000'000, '[');
  EXPECT_EQ(*ParseMemberList(R"([{"id":3,"peerURLs":["http://a:1"],"x":)" + nested +
                             std::string(nested.size(), ']') + R"(},{"id":4}])"),
            (std::vector<Member>{{3, {"http://a:1"}, false, {}}, {4, {}, false, {}}}));
  for (const char* bad : {"", "null", "{}", "[1]", R"([{"id":3},null])", R"([{"id":"3"}])", "[{}"}) {
    EXPECT_FALSE(ParseMemberList(bad).ok()) << bad;
  }
}

TEST(ConfChangeTest, ContextsAsEtcdWritesThem) {
  EXPECT_EQ(PromoteMemberChange(7, 9).context, R"({"id":9,"peerURLs":null,"isPromote":true})");
  EXPECT_EQ(PromoteMemberChange(7, 9).type, raft::ConfChangeType::kAddNode);
  EXPECT_TRUE(ParseConfChangeContext(PromoteMemberChange(7, 9).context)->is_promote);
  EXPECT_EQ(AddMemberChange(7, {9, {"http://a:1"}, true, {}}).context,
            R"({"id":9,"peerURLs":["http://a:1"],"isLearner":true})");
  EXPECT_EQ(AddMemberChange(7, {9, {"http://a:1"}, true, {}}).type, raft::ConfChangeType::kAddLearnerNode);
  EXPECT_EQ(RemoveMemberChange(7, 9).context, "");
  EXPECT_EQ(UpdateMemberChange(7, {9, {"http://b:1"}, false, {}}).context,
            R"({"id":9,"peerURLs":["http://b:1"]})");
}

TEST(BootstrapTest, OneConfChangeAMemberAscending) {
  const Bootstrap bootstrap =
      MakeBootstrap({{5, {"http://e:1"}, false, {"e", {}}}, {3, {"http://c:1"}, false, {"c", {}}}});
  ASSERT_EQ(bootstrap.entries.size(), 2u);
  EXPECT_EQ(bootstrap.hard_state, (raft::HardState{1, 0, 2}));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(bootstrap.entries[i].index, i + 1);
    EXPECT_EQ(bootstrap.entries[i].term, 1u);
    EXPECT_EQ(bootstrap.entries[i].type, raft::EntryType::kConfChange);
  }
  const auto change = *raft::DecodeConfChange(bootstrap.entries[0].data.view());
  EXPECT_EQ(change, (raft::ConfChange{0, raft::ConfChangeType::kAddNode, 3,
                                      R"({"id":3,"peerURLs":["http://c:1"],"name":"c"})"}));
}

}  // namespace
}  // namespace quorate::cluster
