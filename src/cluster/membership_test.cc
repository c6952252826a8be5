#include "cluster/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/env_sim.h"
#include "cluster/membership_errors.h"
#include "cluster/urls.h"
#include "raft/confchange_codec.h"
#include "wal/golden_archive.h"
#include "wal/log_reader.h"
#include "wal/snap_files.h"

namespace quorate::cluster {
namespace {

using raft::ConfChangeType;
using testing::ElementsAre;
using testing::HasSubstr;

Member MakeMember(uint64_t id, std::string url, bool learner = false) {
  Member member;
  member.id = id;
  member.peer_urls = {std::move(url)};
  member.is_learner = learner;
  return member;
}

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() {
    env_ = {&files_, &clock_, &random_, &executor_};
    backend_ = *mvcc::Backend::Open(env_, "/db", {});
    membership_ = std::make_unique<Membership>(1, 100, backend_.get());
  }
  void TearDown() override { membership_->CheckInvariants(); }

  Status Apply(const raft::ConfChange& change) {
    QUORATE_RETURN_IF_ERROR(membership_->ValidateConfChange(change));
    membership_->ApplyConfChange(change);
    return absl::OkStatus();
  }
  std::string Row(mvcc::Bucket bucket, std::string_view key) {
    return (*backend_->Get(bucket, key)).value_or("absent");
  }

  SimFileSystem files_{1};
  SimClock clock_;
  SeededRandom random_{1};
  InlineExecutor executor_;
  Env env_;
  std::unique_ptr<mvcc::Backend> backend_;
  std::unique_ptr<Membership> membership_;
};

TEST_F(MembershipTest, ChangesReachRowsAndV2Store) {
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(1, "http://a:1"))).ok());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(0xab, "http://b:1", true))).ok());
  EXPECT_EQ(Row(mvcc::Bucket::kMembers, "ab"), R"({"id":171,"peerURLs":["http://b:1"],"isLearner":true})");
  EXPECT_EQ(membership_->ConfState(), (raft::ConfState{{1}, {0xab}, {}, {}, false}));

  ASSERT_TRUE(membership_->UpdateAttributes(0xab, {"b", {"http://c:1"}}).ok());
  ASSERT_TRUE(Apply(PromoteMemberChange(0, 0xab)).ok());
  EXPECT_EQ(Row(mvcc::Bucket::kMembers, "ab"),
            R"({"id":171,"peerURLs":["http://b:1"],"name":"b","clientURLs":["http://c:1"]})");
  ASSERT_TRUE(Apply(UpdateMemberChange(0, MakeMember(0xab, "http://d:1"))).ok());
  EXPECT_EQ(membership_->Find(0xab)->peer_urls.front(), "http://d:1");
  EXPECT_THAT(membership_->ClientUrls(), ElementsAre("http://c:1"));

  ASSERT_TRUE(membership_->SetVersion(kVersion34).ok());
  EXPECT_EQ(Row(mvcc::Bucket::kCluster, "clusterVersion"), "3.4.0");
  ASSERT_TRUE(Apply(RemoveMemberChange(0, 0xab)).ok());
  EXPECT_EQ(Row(mvcc::Bucket::kMembers, "ab"), "absent");
  EXPECT_EQ(Row(mvcc::Bucket::kMembersRemoved, "ab"), "removed");
  EXPECT_TRUE(membership_->removed(0xab));

  // Both forms give the same state back.
  Membership from_v2(1, 100, nullptr);
  ASSERT_TRUE(from_v2.LoadV2(membership_->V2Json()).ok());
  Membership from_rows(1, 100, nullptr);
  ASSERT_TRUE(from_rows.LoadRows(*backend_).ok());
  for (const Membership* other : {&from_v2, &from_rows}) {
    other->CheckInvariants();
    EXPECT_EQ(other->members(), membership_->members());
    EXPECT_EQ(other->removed_ids(), membership_->removed_ids());
    EXPECT_EQ(other->version(), kVersion34);
  }
}

TEST_F(MembershipTest, ChangesAreValidatedAsInEtcd) {
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(1, "http://a:1"))).ok());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(2, "http://b:1"))).ok());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(3, "http://c:1", true))).ok());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(4, "http://d:1"))).ok());
  ASSERT_TRUE(Apply(RemoveMemberChange(0, 4)).ok());
  const auto broken = [](ConfChangeType type, std::string context) {
    return raft::ConfChange{0, type, 2, std::move(context)};
  };
  struct Case {
    const char* what;
    raft::ConfChange change;
    Status expected;
  };
  const std::vector<Case> cases = {
      {"new", AddMemberChange(0, MakeMember(9, "http://z:1")), absl::OkStatus()},
      {"removed ID", AddMemberChange(0, MakeMember(4, "http://z:1")), ErrMemberNotFound()},
      {"known ID", AddMemberChange(0, MakeMember(2, "http://z:1")), ErrMemberExists()},
      {"URL in use", AddMemberChange(0, MakeMember(9, "http://b:1")), ErrPeerUrlExists()},
      {"URL of a removed member", AddMemberChange(0, MakeMember(9, "http://d:1")), absl::OkStatus()},
      {"second learner", AddMemberChange(0, MakeMember(9, "http://z:1", true)), ErrTooManyLearners()},
      {"promote", PromoteMemberChange(0, 3), absl::OkStatus()},
      {"promote unknown", PromoteMemberChange(0, 9), ErrMemberNotFound()},
      {"promote voter", PromoteMemberChange(0, 2), ErrMemberNotLearner()},
      {"remove", RemoveMemberChange(0, 2), absl::OkStatus()},
      {"remove unknown", RemoveMemberChange(0, 9), ErrMemberNotFound()},
      {"remove twice", RemoveMemberChange(0, 4), ErrMemberNotFound()},
      {"update, own URL", UpdateMemberChange(0, MakeMember(2, "http://b:1")), absl::OkStatus()},
      {"update, URL of another", UpdateMemberChange(0, MakeMember(2, "http://a:1")), ErrPeerUrlExists()},
      {"update unknown", UpdateMemberChange(0, MakeMember(9, "http://z:1")), ErrMemberNotFound()},
  };
  for (const Case& c : cases) EXPECT_EQ(membership_->ValidateConfChange(c.change), c.expected) << c.what;
  EXPECT_TRUE(membership_->ValidateConfChange(AddMemberChange(0, MakeMember(9, "http://z:1", true)), 2).ok());
  for (const auto& change : {broken(ConfChangeType::kAddNode, "{"), broken(ConfChangeType::kUpdateNode, ""),
                             broken(ConfChangeType::kAddNode, R"({"id":77})"),
                             broken(static_cast<ConfChangeType>(9), R"({"id":2})")}) {
    EXPECT_EQ(membership_->ValidateConfChange(change).code(), absl::StatusCode::kDataLoss) << change.context;
  }
}

// Raft, and etcd with it, would end at it, and at each start again.
TEST_F(MembershipTest, TheOnlyVoterStays) {
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(1, "http://a:1"))).ok());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(2, "http://b:1"))).ok());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(3, "http://c:1", true))).ok());
  ASSERT_TRUE(Apply(RemoveMemberChange(0, 2)).ok());
  EXPECT_EQ(Apply(RemoveMemberChange(0, 1)), ErrNotEnoughStarted());
  EXPECT_TRUE(Apply(RemoveMemberChange(0, 3)).ok());
  EXPECT_EQ(Apply(RemoveMemberChange(0, 1)), ErrNotEnoughStarted());
}

TEST_F(MembershipTest, V2Entries) {
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(1, "http://a:1"))).ok());
  std::optional<Version> seen;
  membership_->set_version_observer([&](Version v) { seen = v; });
  EXPECT_TRUE(membership_->ApplyV2(SetClusterVersionRequest(1, kVersion34)).ok());
  EXPECT_EQ(seen, kVersion34);
  EXPECT_TRUE(
      membership_->ApplyV2(PublishAttributesRequest(1, 1, R"({"name":"a","clientURLs":["http://c:1"]})"))
          .ok());
  EXPECT_EQ(membership_->local()->attributes.name, "a");
  EXPECT_FALSE(membership_->ApplyV2(PublishAttributesRequest(1, 1, "[]")).ok());
  EXPECT_FALSE(membership_->ApplyV2(PublishAttributesRequest(1, 9, "{}")).ok()) << "nobody knows 9";
  V2Request user;
  user.method = "PUT";
  user.path = "/1/foo";
  const std::string before = membership_->V2Json();
  EXPECT_THAT(std::string(Message(membership_->ApplyV2(user))), HasSubstr("v2 API (PUT /1/foo)"));
  EXPECT_EQ(membership_->V2Json(), before);
  EXPECT_EQ(membership_->SetVersion({3, 8, 0}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(membership_->version(), kVersion34);
}

TEST_F(MembershipTest, ReadinessOfReconfiguration) {
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(1, "http://a:1"))).ok());
  EXPECT_FALSE(membership_->ReadyToAddVoter()) << "the only one has not started";
  ASSERT_TRUE(membership_->UpdateAttributes(1, {"a", {}}).ok());
  EXPECT_TRUE(membership_->ReadyToAddVoter());
  ASSERT_TRUE(Apply(AddMemberChange(0, MakeMember(2, "http://b:1"))).ok());
  EXPECT_FALSE(membership_->ReadyToAddVoter()) << "1 of 3";
  EXPECT_FALSE(membership_->ReadyToRemoveVoter(1)) << "0 of 1 would be left";
  EXPECT_TRUE(membership_->ReadyToRemoveVoter(2));
  EXPECT_TRUE(membership_->ReadyToPromote()) << "2 of 3";
}

TEST(V2StoreTest, MinimalAndForeignStores) {
  const auto minimal = V2Store::Parse(R"({"Root":{"Children":{}},"CurrentIndex":3,"CurrentVersion":2})");
  ASSERT_TRUE(minimal.ok()) << minimal.status();
  EXPECT_EQ(minimal->current_index(), 3u);
  EXPECT_TRUE(minimal->Members()->empty());
  EXPECT_EQ(V2Store::Parse(V2Store().Json())->Json(), V2Store().Json());
  struct Case {
    const char* json;
    absl::StatusCode code;
  };
  const Case cases[] = {
      {"", absl::StatusCode::kDataLoss},
      {"[]", absl::StatusCode::kDataLoss},
      {"{}", absl::StatusCode::kDataLoss},
      {R"({"Root":{}})", absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{"0":7}}})", absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{}},"CurrentIndex":-1})", absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{"1":{"Children":{"foo":{"Value":"x"}}}}}})",
       absl::StatusCode::kFailedPrecondition},
      {R"({"Root":{"Children":{"2":{"Children":{}}}}})", absl::StatusCode::kFailedPrecondition},
      {R"({"Root":{"Children":{"0":{"Children":{"version":{"Value":"x"}}}}}})", absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{"0":{"Children":{"members":{"Children":{"zz":{"Children":{}}}}}}}}})",
       absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{"0":{"Children":{"members":{"Children":{"a":{"Children":{}}}}}}}}})",
       absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{"0":{"Children":{"removed_members":{"Value":""}}}}}})",
       absl::StatusCode::kDataLoss},
      // IDs as etcd never writes them: later changes would look for another name.
      {R"({"Root":{"Children":{"0":{"Children":{"members":{"Children":
          {"0a":{"Children":{"raftAttributes":{"Value":"{}"}}}}}}}}}})",
       absl::StatusCode::kDataLoss},
      {R"({"Root":{"Children":{"0":{"Children":{"removed_members":{"Children":{"A":{"Value":""}}}}}}}})",
       absl::StatusCode::kDataLoss},
  };
  for (const Case& c : cases) EXPECT_EQ(V2Store::Parse(c.json).status().code(), c.code) << c.json;
  std::string deep = "{\"Root\":";
  for (int i = 0; i < 20'000; ++i) deep += "{\"Children\":{\"0\":";
  EXPECT_FALSE(V2Store::Parse(deep).ok());
}

class GoldenMembershipTest : public testing::Test {
 protected:
  bool Load(const std::string& archive) {
    const auto directory = golden::Directory();
    return directory &&
           golden::Load(*directory + "/" + archive + ".tar.gz", &files_, [](std::string_view path) {
             return path.ends_with(".wal") || path.ends_with(".snap");
           });
  }
  // "Root":{...} of a store's JSON.
  static std::string Root(const std::string& json, std::string_view behind) {
    return json.substr(0, json.find(behind));
  }
  SimFileSystem files_{1};
};

TEST_F(GoldenMembershipTest, SnapshotsComeBackByteForByte) {
  if (!Load("cluster")) GTEST_SKIP() << "no golden data";
  for (const char* member : {"c1", "c2", "c4"}) {
    const std::string dir = std::string("/") + member + ".etcd/member/snap";
    const auto names = *wal::SnapshotFiles(&files_, dir).List();
    ASSERT_FALSE(names.empty());
    for (const std::string& name : names) {
      SCOPED_TRACE(dir + "/" + name);
      const auto snapshot = *wal::ReadSnapshotFile(&files_, dir + "/" + name);
      Membership membership(1, 2, nullptr);
      ASSERT_TRUE(membership.LoadV2(snapshot.data).ok());
      membership.CheckInvariants();
      EXPECT_EQ(membership.version(), kVersion34);
      EXPECT_NE(membership.removed(0xfd46847e848acd0fu), membership.Find(0xfd46847e848acd0fu) != nullptr);
      EXPECT_EQ(membership.ConfState().voters, snapshot.metadata.conf_state.voters);
      EXPECT_EQ(membership.ConfState().learners, snapshot.metadata.conf_state.learners);
      EXPECT_EQ(Root(membership.V2Json(), ",\"CurrentIndex\""), Root(snapshot.data, ",\"WatcherHub\""));
    }
  }
}

// The whole log of one member, replayed, gives the tree that etcd wrote into its snapshots.
TEST_F(GoldenMembershipTest, ReplayGivesTheSameTree) {
  if (!Load("killed")) GTEST_SKIP() << "no golden data";
  const std::string member_dir = "/t1.etcd/member";
  const auto contents = wal::ReadLog(&files_, member_dir + "/wal", {});
  ASSERT_TRUE(contents.ok()) << contents.status();
  Membership membership(contents->metadata.node_id, contents->metadata.cluster_id, nullptr);
  const std::string name = (*wal::SnapshotFiles(&files_, member_dir + "/snap").List()).front();
  const auto snapshot = *wal::ReadSnapshotFile(&files_, member_dir + "/snap/" + name);
  size_t requests = 0;
  for (const raft::Entry& entry : contents->entries) {
    if (entry.index > snapshot.metadata.index) break;
    if (entry.type == raft::EntryType::kConfChange) {
      const auto change = *raft::DecodeConfChange(entry.data.view());
      ASSERT_TRUE(membership.ValidateConfChange(change).ok());
      membership.ApplyConfChange(change);
    } else if (IsV2Request(entry.data.view())) {
      const auto request = *DecodeV2Request(entry.data.view());
      EXPECT_EQ(EncodeV2Request(request), entry.data.view());
      ASSERT_TRUE(membership.ApplyV2(request).ok());
      ++requests;
    }
  }
  EXPECT_EQ(requests, 2u) << "attributes and version";
  EXPECT_EQ(Root(membership.V2Json(), ",\"CurrentIndex\""), Root(snapshot.data, ",\"WatcherHub\""));
  // And the log's first entries are those we would have made.
  const auto bootstrap = MakeBootstrap(*InitialMembers({{"t1", {"http://127.0.0.1:12380"}}}, "golden-tok"));
  EXPECT_EQ(contents->entries[0], bootstrap.entries[0]);
}

}  // namespace
}  // namespace quorate::cluster
