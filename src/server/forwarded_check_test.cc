#include "server/forwarded_check.h"

#include <gtest/gtest.h>

#include "base/test_seed.h"
#include "cluster/membership_errors.h"
#include "cluster/v2_request.h"
#include "raft/confchange_codec.h"
#include "server/member_harness_test.h"

namespace quorate::server {
namespace {

constexpr uint64_t kStranger = 0xbad;

RequestHeader Header() {
  RequestHeader header;
  header.id = 1;
  return header;
}

class ForwardedCheckTest : public ::testing::Test {
 protected:
  ForwardedCheckTest() { harness_->Start(); }

  Status Forward(raft::EntryType type, std::string data) {
    raft::Message message{.type = raft::MessageType::kProp, .to = harness_->member->id(), .from = kStranger};
    raft::Entry entry;
    entry.type = type;
    entry.data = std::move(data);
    message.entries.push_back(std::move(entry));
    const Status status = harness_->member->Step(std::move(message), MessagePath::kPost);
    harness_->RunUntilIdle();
    return status;
  }
  static std::string Request(EntryKind kind, const google::protobuf::Message& body) {
    return EncodeEntry(kind, body.SerializeAsString(), Header());
  }
  // One that can be applied of each kind that has more than an ID in it.
  std::vector<std::pair<raft::EntryType, std::string>> Sound() {
    etcdserverpb::PutRequest put;
    put.set_key("k");
    put.set_value("v");
    etcdserverpb::DeleteRangeRequest remove;
    remove.set_key("k");
    remove.set_range_end("l");
    etcdserverpb::TxnRequest txn;
    txn.add_compare()->set_key("k");
    *txn.add_success()->mutable_request_put() = put;
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(7);
    grant.set_ttl(100);
    etcdserverpb::AuthUserAddRequest user;
    user.set_name("u");
    user.mutable_options()->set_no_password(true);
    etcdserverpb::AuthRoleGrantPermissionRequest permission;
    permission.set_name("r");
    permission.mutable_perm()->set_key("k");
    etcdserverpb::AlarmRequest alarm;
    alarm.set_memberid(5);
    etcdserverpb::ClusterVersionSetRequest version;
    version.set_ver("3.4.0");
    etcdserverpb::CompactionRequest compaction;
    compaction.set_revision(1);
    cluster::Member added;
    added.id = 9;
    added.peer_urls = {"http://b:1"};
    using raft::EntryType;
    return {{EntryType::kNormal, Request(EntryKind::kPut, put)},
            {EntryType::kNormal, Request(EntryKind::kDeleteRange, remove)},
            {EntryType::kNormal, Request(EntryKind::kTxn, txn)},
            {EntryType::kNormal, Request(EntryKind::kLeaseGrant, grant)},
            {EntryType::kNormal, Request(EntryKind::kAuthUserAdd, user)},
            {EntryType::kNormal, Request(EntryKind::kAuthRoleGrantPermission, permission)},
            {EntryType::kNormal, Request(EntryKind::kAlarm, alarm)},
            {EntryType::kNormal, Request(EntryKind::kCompaction, compaction)},
            {EntryType::kNormal, Request(EntryKind::kClusterVersionSet, version)},
            {EntryType::kNormal, cluster::EncodeV2Request(cluster::PublishAttributesRequest(
                                     1, harness_->member->id(), R"({"name":"default","clientURLs":[]})"))},
            {EntryType::kNormal,
             cluster::EncodeV2Request(cluster::SetClusterVersionRequest(1, cluster::kVersion34))},
            {EntryType::kConfChange, raft::EncodeConfChange(cluster::AddMemberChange(1, added))}};
  }

  std::optional<MemberHarness> harness_{1};
};

TEST_F(ForwardedCheckTest, WhatCanBeAppliedPasses) {
  for (const auto& [type, data] : Sound()) {
    raft::Entry entry;
    entry.type = type;
    entry.data = data;
    EXPECT_TRUE(CheckForwarded(entry, harness_->member->membership()).ok()) << data;
  }
  EXPECT_TRUE(Forward(raft::EntryType::kNormal, Sound()[0].second).ok());
  EXPECT_EQ(harness_->ReadAll().size(), 1u);
}

TEST_F(ForwardedCheckTest, WhatWouldEndEveryMemberDoesNotGetIntoTheLog) {
  using raft::EntryType;
  const uint64_t self = harness_->member->id();
  etcdserverpb::ClusterVersionSetRequest version;
  version.set_ver("99.1.0");
  etcdserverpb::ClusterMemberAttrSetRequest attributes;
  attributes.set_member_id(kStranger);
  const auto change = [](raft::ConfChangeType type, uint64_t id, std::string context) {
    return raft::EncodeConfChange(raft::ConfChange{1, type, id, std::move(context)});
  };
  raft::ConfChangeV2 joint;
  joint.changes = {{raft::ConfChangeType::kAddNode, 5}, {raft::ConfChangeType::kAddNode, 6}};
  cluster::V2Request keys = cluster::SetClusterVersionRequest(1, cluster::kVersion34);
  keys.path = "/1/user/key";
  etcdserverpb::AuthUserAddRequest user;
  user.set_name(std::string(limits::kDbKeyBytesMax + 1, 'x'));
  etcdserverpb::AuthRoleAddRequest role;
  role.set_name(user.name());
  const std::vector<std::pair<EntryType, std::string>> cases = {
      {EntryType::kNormal, Request(EntryKind::kAuthUserAdd, user)},
      {EntryType::kNormal, Request(EntryKind::kAuthRoleAdd, role)},
      {EntryType::kNormal, "garbage"},
      {EntryType::kNormal, std::string("\x22\x05", 2)},  // A put that is cut off.
      {EntryType::kNormal, EncodeEntry(EntryKind::kPut, "\x0a\x7f", Header())},
      {EntryType::kNormal, EncodeEntry(EntryKind::kTxn, "\x0a\x7f", Header())},
      {EntryType::kNormal, EncodeEntry(EntryKind::kLeaseGrant, "\x0a\x7f", Header())},
      {EntryType::kNormal, EncodeEntry(EntryKind::kCompaction, "\x0a\x7f", Header())},
      {EntryType::kNormal, EncodeEntry(EntryKind::kAuthUserAdd, "\x0a\x7f", Header())},
      {EntryType::kNormal, EncodeEntry(static_cast<EntryKind>(4000), "", Header())},
      {EntryType::kNormal, Request(EntryKind::kClusterVersionSet, version)},
      {EntryType::kNormal, Request(EntryKind::kClusterMemberAttrSet, attributes)},
      {EntryType::kNormal, cluster::EncodeV2Request(keys)},
      {EntryType::kNormal,
       cluster::EncodeV2Request(cluster::PublishAttributesRequest(1, kStranger, R"({"name":"x"})"))},
      {EntryType::kNormal, cluster::EncodeV2Request(cluster::PublishAttributesRequest(1, self, "{"))},
      {EntryType::kConfChange, "garbage"},
      {EntryType::kConfChange, change(raft::ConfChangeType::kAddNode, 5, "{")},
      {EntryType::kConfChange, change(raft::ConfChangeType::kAddNode, 0, R"({"id":0})")},
      {EntryType::kConfChangeV2, raft::EncodeConfChange(joint)},
  };
  const uint64_t before = harness_->member->applied_index();
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_FALSE(Forward(cases[i].first, cases[i].second).ok()) << i;
    ASSERT_TRUE(harness_->fatal.ok()) << i << ": " << harness_->fatal;
  }
  EXPECT_EQ(harness_->member->applied_index(), before);
}

TEST_F(ForwardedCheckTest, TheOnlyVoterIsNotRemoved) {
  const raft::ConfChange removal = cluster::RemoveMemberChange(1, harness_->member->id());
  EXPECT_TRUE(Forward(raft::EntryType::kConfChange, raft::EncodeConfChange(removal)).ok());
  Status answer;
  harness_->member->ProposeConfChange(removal,
                                      [&](const Status& status, std::string_view) { answer = status; });
  harness_->RunUntilIdle();
  EXPECT_EQ(answer, cluster::ErrNotEnoughStarted());
  ASSERT_TRUE(harness_->fatal.ok()) << harness_->fatal;
  EXPECT_TRUE(harness_->Put("k", "v").ok());
}

TEST_F(ForwardedCheckTest, WhateverPassesCanBeApplied) {
  const uint64_t seed = TestSeed();
  SeededRandom random(seed);
  int passed = 0;
  for (int i = 0; i < 4000; ++i) {
    auto sound = Sound();
    auto [type, data] = sound[random.Below(sound.size())];
    for (uint64_t changes = random.Below(3); changes > 0 && !data.empty(); --changes) {
      switch (random.Below(4)) {
        case 0:
          data.resize(random.Below(data.size() + 1));
          break;
        case 1:
          data.insert(random.Below(data.size() + 1), 1, static_cast<char>(random.Below(256)));
          break;
        default:
          data[random.Below(data.size())] = static_cast<char>(random.Below(256));
      }
    }
    passed += Forward(type, data).ok() ? 1 : 0;
    ASSERT_TRUE(harness_->fatal.ok()) << "seed " << seed << " step " << i << ": " << harness_->fatal;
    if (harness_->member->membership().members().size() > 1) {
      // Alone it has no majority any more.
      harness_.emplace(1);
      harness_->Start();
    }
  }
  EXPECT_GT(passed, 100);
}

}  // namespace
}  // namespace quorate::server
