#include "gateway/text_repair.h"

#include <gtest/gtest.h>

#include "base/wire.h"
#include "rpc.pb.h"

namespace quorate::gateway {
namespace {

TEST(TextRepairTest, WhatIsNoUtf8BecomesQuestionMarks) {
  std::string names;
  wire::AppendBytesField(names, 2, "al\xffice");
  wire::AppendBytesField(names, 2, "b\xc3\xb6se");
  wire::AppendBytesField(names, 2, "\xe2\x82");
  etcdserverpb::AuthUserListResponse response;
  EXPECT_FALSE(response.ParseFromString(names));
  RepairText(*etcdserverpb::AuthUserListResponse::descriptor(), &names);
  ASSERT_TRUE(response.ParseFromString(names));
  EXPECT_EQ(response.users(0), "al?ice");
  EXPECT_EQ(response.users(1), "b\xc3\xb6se");
  EXPECT_EQ(response.users(2), "??");
}

TEST(TextRepairTest, NestedMessagesAreRepairedAndBytesAreLeft) {
  std::string member;
  wire::AppendBytesField(member, 2, "m\x80");
  std::string members;
  wire::AppendBytesField(members, 2, member);
  RepairText(*etcdserverpb::MemberListResponse::descriptor(), &members);
  etcdserverpb::MemberListResponse list;
  ASSERT_TRUE(list.ParseFromString(members));
  EXPECT_EQ(list.members(0).name(), "m?");

  std::string put;
  wire::AppendBytesField(put, 1, "k\xff");
  const std::string before = put;
  RepairText(*etcdserverpb::PutRequest::descriptor(), &put);
  EXPECT_EQ(put, before);
}

TEST(TextRepairTest, WhatIsCutOffStaysAsItIs) {
  std::string text = "\x12\x7f\xff";
  RepairText(*etcdserverpb::AuthUserListResponse::descriptor(), &text);
  EXPECT_EQ(text, "\x12\x7f\xff");
}

}  // namespace
}  // namespace quorate::gateway
