// Several members together: versions, changes of the members, leases over members, hashes.
#include "server/cluster_life.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "cluster/membership_errors.h"
#include "server/fault_cluster_test.h"
#include "server/storage_version.h"

namespace quorate::server {
namespace {

using cluster::kVersion34;
using cluster::kVersion35;
using cluster::Version;
using testing::HasSubstr;

class ClusterLifeTest : public testing::Test {
 protected:
  ClusterLifeTest() : cluster_(3, 7) {}

  void StartAll() {
    cluster_.StartAll();
    leader_ = cluster_.WaitForLeader();
    ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(0) && VersionOf(1) && VersionOf(2); }));
    follower_ = (leader_ + 1) % 3;
  }
  std::optional<Version> VersionOf(size_t i) { return cluster_.member(i).membership().version(); }
  ClusterLife& life(size_t i) { return *cluster_[i].cluster_life; }
  // Ticks until the call is answered.
  template <typename Result>
  Result Await(const std::function<void(std::function<void(Result)>)>& begin) {
    auto answer = std::make_shared<std::optional<Result>>();
    begin([answer](Result result) {
      EXPECT_FALSE(answer->has_value()) << "answered twice";
      *answer = std::move(result);
    });
    cluster_.Settle();
    EXPECT_TRUE(cluster_.TickUntil([&] { return answer->has_value(); }, 700));
    return answer->has_value() ? **answer : Result(Unavailable("no answer"));
  }
  using Members = StatusOr<std::vector<cluster::Member>>;
  Members Add(size_t through, const std::string& url, bool learner) {
    return Await<Members>([&](auto done) {
      life(through).reconfiguration().Add(
          {url}, learner, [done](Members members, const cluster::Member&) { done(std::move(members)); });
    });
  }
  Members Promote(size_t through, uint64_t id) {
    return Await<Members>([&](auto done) { life(through).reconfiguration().Promote(id, {}, done); });
  }
  Members Remove(size_t through, uint64_t id) {
    return Await<Members>([&](auto done) { life(through).reconfiguration().Remove(id, done); });
  }
  Status Raise(size_t through, Version target, bool dry_run = false) {
    return Await<Status>([&](auto done) { life(through).versions().Raise(target, dry_run, done); });
  }
  StatusOr<int64_t> Renew(size_t through, int64_t id) {
    return Await<StatusOr<int64_t>>([&](auto done) { life(through).leases().Renew(id, done); });
  }
  Status Grant(size_t through, int64_t id, int64_t ttl) {
    etcdserverpb::LeaseGrantRequest request;
    request.set_id(id);
    request.set_ttl(ttl);
    return Await<Status>([&](auto done) {
      cluster_.member(through).Propose(EntryKind::kLeaseGrant, request.SerializeAsString(), {},
                                       [done](const Status& status, std::string_view) { done(status); });
    });
  }
  PeerAnswer Ask(size_t i, PeerCall call) {
    std::optional<PeerAnswer> answer;
    life(i).peer_service().Handle(std::move(call), [&](PeerAnswer given) { answer = std::move(given); });
    EXPECT_TRUE(cluster_.TickUntil([&] { return answer.has_value(); }));
    return answer.value_or(PeerAnswer{});
  }
  PeerAnswer Get(size_t i, std::string path, std::string body = {}) {
    return Ask(i, {"GET", std::move(path), std::move(body), "", ""});
  }

  FaultCluster cluster_;
  size_t leader_ = 0;
  size_t follower_ = 0;
};

// ---- versions ----

TEST_F(ClusterLifeTest, NewClusterComesTo34) {
  StartAll();
  EXPECT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader_) == kVersion34; }));
}

TEST_F(ClusterLifeTest, StaysAt30WhileAMemberIsAway) {
  cluster_.Start(0);
  cluster_.Start(1);
  const size_t leader = cluster_.WaitForLeader();
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader).has_value(); }));
  EXPECT_EQ(VersionOf(leader), (Version{3, 0, 0}));
  cluster_.Tick(100);
  EXPECT_EQ(VersionOf(leader), (Version{3, 0, 0}));
  cluster_.Start(2);
  EXPECT_TRUE(cluster_.TickUntil([&] { return VersionOf(2) == kVersion34; }));
}

TEST_F(ClusterLifeTest, StartsAtTheVersionAskedFor) {
  for (size_t i = 0; i < 3; ++i) cluster_[i].config.initial_cluster_version = cluster::kVersion36;
  StartAll();
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader_) == cluster::kVersion36; }));
  EXPECT_EQ(*ReadStorageVersion(cluster_.member(leader_).backend()), cluster::kVersion36);
}

TEST_F(ClusterLifeTest, IsRaisedWhenAskedAndOnlyThen) {
  StartAll();
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader_) == kVersion34; }));
  cluster_.Tick(200);
  EXPECT_EQ(VersionOf(leader_), kVersion34);
  EXPECT_FALSE(cluster_.member(follower_).v2_entries_covered());

  EXPECT_EQ(Raise(follower_, kVersion35, /*dry_run=*/true), absl::OkStatus());
  EXPECT_EQ(VersionOf(leader_), kVersion34);
  EXPECT_THAT(std::string(Message(Raise(follower_, cluster::kVersion36))), HasSubstr("the next is 3.5"));

  EXPECT_EQ(Raise(follower_, kVersion35), absl::OkStatus());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(cluster_.TickUntil([&] { return VersionOf(i) == kVersion35; }));
    const auto row = *cluster_.member(i).backend().Get(mvcc::Bucket::kMeta, kConfStateKey);
    EXPECT_EQ(row, ConfStateJson(cluster_.member(i).membership().ConfState()));
  }
  EXPECT_EQ(Raise(leader_, cluster::kVersion36), absl::OkStatus());
  EXPECT_EQ(Raise(leader_, cluster::kVersion37), absl::OkStatus());
  EXPECT_TRUE(cluster_.member(leader_).v2_entries_covered());
  EXPECT_THAT(Get(leader_, "/version").body,
              R"({"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"})");
  EXPECT_TRUE(cluster_.Agree({0, 1, 2}));
}

TEST_F(ClusterLifeTest, IsNotRaisedOverAnOldEtcdOrAnAbsentMember) {
  StartAll();
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader_) == kVersion34; }));
  cluster_[follower_].like_etcd = true;
  EXPECT_THAT(std::string(Message(Raise(leader_, kVersion35))), HasSubstr("runs etcd 3.4.45"));
  cluster_[follower_].like_etcd = false;
  cluster_.Isolate(follower_);
  EXPECT_THAT(std::string(Message(Raise(leader_, kVersion35))), HasSubstr("can't be reached"));
  EXPECT_EQ(VersionOf(leader_), kVersion34);
}

TEST_F(ClusterLifeTest, IsDowngradedAsByEtcd36) {
  for (size_t i = 0; i < 3; ++i) cluster_[i].config.initial_cluster_version = cluster::kVersion37;
  StartAll();
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader_) == cluster::kVersion37; }));
  const auto downgrade = [&](auto method, Version target) {
    return Await<Status>([&](auto done) { (life(follower_).versions().*method)(target, done); });
  };
  EXPECT_EQ(downgrade(&VersionMonitor::ValidateDowngrade, kVersion35), ErrInvalidDowngradeTarget());
  EXPECT_EQ(downgrade(&VersionMonitor::ValidateDowngrade, cluster::kVersion36), absl::OkStatus());
  EXPECT_EQ(downgrade(&VersionMonitor::EnableDowngrade, cluster::kVersion36), absl::OkStatus());
  EXPECT_EQ(Get(follower_, "/downgrade/enabled").body, "true");
  EXPECT_EQ(downgrade(&VersionMonitor::EnableDowngrade, cluster::kVersion36), ErrDowngradeInProcess());
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(leader_) == cluster::kVersion36; }));
  EXPECT_TRUE(cluster_.TickUntil([&] { return !cluster_.member(leader_).membership().downgrade().enabled; }));
  EXPECT_EQ(*ReadStorageVersion(cluster_.member(leader_).backend()), cluster::kVersion36);
  EXPECT_EQ(Await<Status>([&](auto done) { life(leader_).versions().CancelDowngrade(done); }),
            ErrNoInflightDowngrade());
}

// ---- members ----

TEST_F(ClusterLifeTest, LearnerIsAddedPromotedAndRemoved) {
  StartAll();
  cluster_.Tick(60);  // Connected for the health interval.
  FaultCluster::Node& fourth = cluster_.AddNode(99);
  const std::string url = fourth.config.advertise_peer_urls[0];
  const Members added = Add(follower_, url, /*learner=*/true);
  ASSERT_TRUE(added.ok()) << added.status();
  ASSERT_EQ(added->size(), 4u);
  const auto learner = std::find_if(added->begin(), added->end(), [](const auto& m) { return m.is_learner; });
  ASSERT_NE(learner, added->end());
  const uint64_t id = learner->id;

  EXPECT_EQ(Add(leader_, "http://10.0.0.9:2380", true).status(), cluster::ErrTooManyLearners());
  cluster_.Tick(10);  // The ID comes from URL and second.
  EXPECT_EQ(Add(leader_, url, false).status(), cluster::ErrPeerUrlExists());
  EXPECT_EQ(Promote(leader_, id).status(), cluster::ErrLearnerNotReady());
  EXPECT_EQ(Promote(follower_, id).status(), cluster::ErrLearnerNotReady());
  EXPECT_EQ(Promote(follower_, 12345).status(), cluster::ErrMemberNotFound());

  fourth.config.new_cluster = false;
  fourth.config.initial_cluster = cluster_[0].config.initial_cluster + ",m3=" + url;
  fourth.config.remote_cluster = cluster::RemoteCluster{cluster_.member(0).cluster_id(), *added};
  for (cluster::Member& member : fourth.config.remote_cluster->members) {
    if (member.id == id) member.attributes.name = "m3";
  }
  cluster_.Start(3);
  ASSERT_TRUE(cluster_.TickUntil([&] { return cluster_.member(3).ready(); }));
  EXPECT_TRUE(cluster_.member(3).is_learner());
  const Members promoted = Promote(follower_, id);
  ASSERT_TRUE(promoted.ok()) << promoted.status();
  EXPECT_TRUE(cluster_.TickUntil([&] { return !cluster_.member(3).is_learner(); }));
  EXPECT_EQ(Promote(follower_, id).status(), cluster::ErrMemberNotLearner());

  ASSERT_TRUE(Remove(leader_, id).ok());
  EXPECT_EQ(Remove(leader_, id).status(), cluster::ErrMemberNotFound());
  EXPECT_EQ(cluster_.member(leader_).membership().members().size(), 3u);
}

TEST_F(ClusterLifeTest, NoVoterIsAddedOrRemovedWithoutAHealthyQuorum) {
  StartAll();
  EXPECT_EQ(Add(leader_, "http://10.0.0.9:2380", false).status(), cluster::ErrUnhealthyCluster());
  cluster_.Tick(60);
  cluster_.Isolate(follower_);
  const size_t third = 3 - leader_ - follower_;
  EXPECT_EQ(Remove(leader_, cluster_[third].id).status(), cluster::ErrUnhealthyCluster());
  // One that is away may go.
  EXPECT_TRUE(Remove(leader_, cluster_[follower_].id).ok());
}

TEST_F(ClusterLifeTest, UpdateKeepsALearnerALearner) {
  StartAll();
  cluster_.Tick(60);
  const Members added = Add(leader_, "http://10.0.0.9:2380", true);
  ASSERT_TRUE(added.ok()) << added.status();
  const auto learner = std::find_if(added->begin(), added->end(), [](const auto& m) { return m.is_learner; });
  const Members updated = Await<Members>([&](auto done) {
    life(follower_).reconfiguration().Update(learner->id, {"http://10.0.0.10:2380"}, done);
  });
  ASSERT_TRUE(updated.ok()) << updated.status();
  const cluster::Member* const now = cluster_.member(leader_).membership().Find(learner->id);
  ASSERT_NE(now, nullptr);
  EXPECT_TRUE(now->is_learner);
  EXPECT_THAT(now->peer_urls, testing::ElementsAre("http://10.0.0.10:2380"));
}

// ---- leases ----

TEST_F(ClusterLifeTest, LeasesAreRenewedThroughAnyMember) {
  StartAll();
  ASSERT_TRUE(Grant(follower_, 77, 10).ok());
  cluster_.Tick(50);
  const auto ttl = Await<StatusOr<lease::TimeToLive>>(
      [&](auto done) { life(follower_).leases().TimeToLive(77, true, done); });
  ASSERT_TRUE(ttl.ok()) << ttl.status();
  EXPECT_EQ(ttl->granted_seconds, 10);
  EXPECT_LT(ttl->remaining_seconds, 6);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(*Renew(follower_, 77), 10);
    EXPECT_EQ(*Renew(leader_, 77), 10);
    cluster_.Tick(50);
    EXPECT_TRUE(cluster_.member(leader_).lessor().Exists(77));
  }
  EXPECT_TRUE(absl::IsNotFound(Renew(follower_, 78).status()));
  ASSERT_TRUE(cluster_.TickUntil([&] { return !cluster_.member(follower_).lessor().Exists(77); }, 200));
  EXPECT_TRUE(absl::IsNotFound(Renew(follower_, 77).status()));
}

TEST_F(ClusterLifeTest, ALeaderThatIsCutOffRenewsNothing) {
  StartAll();
  ASSERT_TRUE(Grant(leader_, 77, 5).ok());
  cluster_.Tick(10);
  cluster_.Isolate(leader_);
  auto renewed = std::make_shared<std::optional<StatusOr<int64_t>>>();
  life(leader_).leases().Renew(77, [renewed](StatusOr<int64_t> ttl) { *renewed = std::move(ttl); });
  cluster_.Tick(60);
  EXPECT_FALSE(renewed->has_value() && (*renewed)->ok());
  cluster_.Tick(60);
  ASSERT_TRUE(renewed->has_value());
  EXPECT_EQ((*renewed)->status(), ErrNoLeader());
}

TEST_F(ClusterLifeTest, ARenewalSurvivesAChangeOfLeader) {
  StartAll();
  ASSERT_TRUE(Grant(leader_, 77, 60).ok());
  cluster_.Isolate(leader_);
  EXPECT_EQ(*Renew(follower_, 77), 60);
  EXPECT_NE(cluster_.leader(), leader_);
}

// ---- the peer port ----

TEST_F(ClusterLifeTest, PeerServiceAnswersAsEtcd) {
  StartAll();
  ASSERT_TRUE(cluster_.TickUntil([&] { return VersionOf(follower_) == kVersion34; }));
  EXPECT_EQ(Get(follower_, "/version").body, R"({"etcdserver":"3.4.45","etcdcluster":"3.4.0"})");
  EXPECT_THAT(Get(follower_, "/members").body,
              HasSubstr(R"("peerURLs":["http://10.0.0.1:2380"],"name":"m0")"));
  EXPECT_EQ(Get(follower_, "/members").body.back(), '\n');
  EXPECT_EQ(Get(follower_, "/downgrade/enabled").body, "false");
  EXPECT_EQ(Get(follower_, "/nothing").status, 404);
  EXPECT_EQ(Ask(follower_, {"POST", "/members", "", "", ""}).status, 405);
  EXPECT_EQ(PeerService::AllowedMethod("/members"), "GET");

  ASSERT_TRUE(cluster_.Put(leader_, "k", "v").ok());
  const PeerAnswer hash = Get(follower_, "/members/hashkv", R"({"revision":2})");
  EXPECT_EQ(hash.status, 200);
  EXPECT_EQ(ParseHash(hash.body)->hash, cluster_.HashKv(leader_));
  EXPECT_EQ(Get(follower_, "/members/hashkv", "").status, 400);
  const PeerAnswer future = Get(follower_, "/members/hashkv", R"({"revision":9})");
  EXPECT_EQ(future.status, 400);
  EXPECT_EQ(future.body, "mvcc: required revision is a future revision\n");

  const PeerAnswer unknown = Ask(follower_, {"POST", "/members/promote/77", "", "", ""});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, "membership: ID not found\n");
  EXPECT_EQ(Ask(follower_, {"POST", "/members/promote/x", "", "", ""}).body,
            "member x not found in cluster\n");

  etcdserverpb::LeaseKeepAliveRequest renewal;
  renewal.set_id(5);
  const PeerCall renew{"POST", "/leases", renewal.SerializeAsString(), "application/protobuf", ""};
  EXPECT_EQ(Ask(follower_, renew).status, 400);
  EXPECT_EQ(Ask(follower_, renew).body, "not a primary lessor\n");
  EXPECT_EQ(Ask(leader_, renew).status, 404);
  EXPECT_EQ(Ask(leader_, {"POST", "/leases", "\x0f", "", ""}).status, 400);
  EXPECT_EQ(Ask(leader_, {"POST", "/leases", std::string(70'000, 'x'), "", ""}).status, 413);
  EXPECT_EQ(Ask(leader_, {"POST", "/leases/internal", "", "", ""}).status, 400);
}

// ---- hashes ----

TEST_F(ClusterLifeTest, HashesAreComparedAndACorruptMemberIsNamed) {
  StartAll();
  ASSERT_TRUE(cluster_.Put(leader_, "k", "v").ok());
  EXPECT_EQ(Await<Status>([&](auto done) { life(leader_).corruption().CheckNow(done); }), absl::OkStatus());
  EXPECT_TRUE(cluster_.member(leader_).alarms().Get(AlarmType::kCorrupt).empty());
  EXPECT_EQ(Await<Status>([&](auto done) { life(follower_).corruption().CheckInitially(done); }),
            absl::OkStatus());

  // A record that no entry ever wrote.
  {
    mvcc::WriteTxn txn = cluster_.member(follower_).store().BeginWrite();
    txn.DeleteRange("k", {});
    txn.End();
  }
  ASSERT_TRUE(cluster_.Put(leader_, "l", "v").ok());
  EXPECT_EQ(Await<Status>([&](auto done) { life(leader_).corruption().CheckNow(done); }), absl::OkStatus());
  cluster_.Tick(5);
  const auto alarms = cluster_.member(leader_).alarms().Get(AlarmType::kCorrupt);
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0].member_id, cluster_[follower_].id);
  EXPECT_EQ(cluster_.Put(leader_, "m", "v"), ErrCorrupt());
}

}  // namespace
}  // namespace quorate::server
