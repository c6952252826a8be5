// Clusters of members: election, replication, snapshots to those who lag, changes of the members, hand-over.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/member.h"
#include "server/fault_cluster_test.h"

namespace quorate::server {
namespace {

class Cluster : public FaultCluster {
 public:
  using FaultCluster::FaultCluster;

  void StartAll() {
    FaultCluster::StartAll();
    ASSERT_TRUE(TickUntil([this] { return AllReady(); }));
  }
  bool up(size_t i) { return (*this)[i].member != nullptr; }
  bool AllReady() {
    for (size_t i = 0; i < size(); ++i) {
      if (up(i) && !member(i).ready()) return false;
    }
    return true;
  }
  int Leader() const { return leader() ? static_cast<int>(*leader()) : -1; }
  void Heal(size_t i) { Isolate(i, false); }
  // A linearizable read through member i.
  StatusOr<std::string> Get(size_t i, const std::string& key) {
    std::optional<Status> answer;
    member(i).WhenLinearizable([&](const Status& status) { answer = status; });
    Settle();
    EXPECT_TRUE(TickUntil([&] { return answer.has_value(); }));
    if (!answer->ok()) return *answer;
    mvcc::RangeOptions options;
    options.key = key;
    auto result = member(i).store().Range(options);
    if (!result.ok()) return result.status();
    if (result->kvs.empty()) return NotFound(key);
    mvccpb::KeyValue kv;
    EXPECT_TRUE(kv.ParseFromString(std::string(result->kvs.front())));
    return kv.value();
  }
  void ExpectEqual() {
    std::vector<size_t> all;
    for (size_t i = 0; i < size(); ++i) {
      if (up(i)) all.push_back(i);
    }
    EXPECT_TRUE(Agree(all));
    for (const size_t i : all) {
      const Status invariants = member(i).CheckInvariants();
      EXPECT_TRUE(invariants.ok()) << invariants;
    }
  }
};

TEST(MemberCluster, ElectsAndReplicatesThroughEachMember) {
  Cluster cluster(3, 1);
  cluster.StartAll();
  ASSERT_GE(cluster.Leader(), 0);
  for (size_t i = 0; i < 3; ++i) {
    const std::string key = "k" + std::to_string(i);
    ASSERT_TRUE(cluster.Put(i, key, "v").ok());
    for (size_t j = 0; j < 3; ++j) EXPECT_EQ(*cluster.Get(j, key), "v") << i << " read through " << j;
  }
  cluster.ExpectEqual();
}

TEST(MemberCluster, GoesOnWithoutItsLeaderAndTakesItBack) {
  Cluster cluster(3, 2);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Put(0, "a", "1").ok());
  const auto old = static_cast<size_t>(cluster.Leader());
  cluster.Crash(old);
  ASSERT_TRUE(cluster.TickUntil([&] { return cluster.Leader() >= 0; }));
  const auto next = static_cast<size_t>(cluster.Leader());
  ASSERT_NE(next, old);
  ASSERT_TRUE(cluster.Put(next, "a", "2").ok());
  cluster.Start(old);
  ASSERT_TRUE(cluster.TickUntil([&] { return cluster.AllReady(); }));
  EXPECT_EQ(*cluster.Get(old, "a"), "2");
  cluster.ExpectEqual();
}

TEST(MemberCluster, AnIsolatedLeaderServesNoLinearizableRead) {
  Cluster cluster(3, 3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Put(0, "a", "1").ok());
  const auto old = static_cast<size_t>(cluster.Leader());
  cluster.Isolate(old);
  ASSERT_TRUE(
      cluster.TickUntil([&] { return cluster.Leader() >= 0 && cluster.Leader() != static_cast<int>(old); }));
  ASSERT_TRUE(cluster.Put(static_cast<size_t>(cluster.Leader()), "a", "2").ok());
  const auto read = cluster.Get(old, "a");
  EXPECT_FALSE(read.ok()) << *read;
  EXPECT_FALSE(cluster.Put(old, "b", "1").ok());
  cluster.Heal(old);
  ASSERT_TRUE(cluster.TickUntil([&] { return cluster.member(old).leader() != 0; }));
  EXPECT_EQ(*cluster.Get(old, "a"), "2");
  cluster.ExpectEqual();
}

// A follower that has missed more than the leader's log holds gets the database, and can itself lead
// afterwards.
TEST(MemberCluster, CatchesUpByASnapshot) {
  Cluster cluster(3, 4);
  for (size_t i = 0; i < 3; ++i) {
    cluster[i].config.snapshot_count = 10;
    cluster[i].config.snapshot_catchup_entries = 5;
  }
  cluster.StartAll();
  const auto leader = static_cast<size_t>(cluster.Leader());
  const size_t slow = (leader + 1) % 3;
  ASSERT_TRUE(cluster.Put(slow, "before", "1").ok());
  cluster.Isolate(slow);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(cluster.Put(leader, "k" + std::to_string(i), "v").ok());
  cluster.Heal(slow);
  ASSERT_TRUE(cluster.TickUntil(
      [&] { return cluster.member(slow).applied_index() == cluster.member(leader).applied_index(); }));
  EXPECT_GE(cluster.member(slow).metrics().snapshots_applied, 1u);
  EXPECT_EQ(*cluster.Get(slow, "k59"), "v");
  EXPECT_EQ(*cluster.Get(slow, "before"), "1");
  cluster.ExpectEqual();

  for (int i = 0; i < 30; ++i) ASSERT_TRUE(cluster.Put(slow, "l" + std::to_string(i), "v").ok());
  cluster.Stop(slow);
  cluster.Start(slow);
  ASSERT_TRUE(cluster.TickUntil([&] { return cluster.AllReady(); }));
  bool handed = false;
  const auto present = static_cast<size_t>(cluster.Leader());
  cluster.member(present).TransferLeadership(cluster.member(slow).id(), [&](const Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    handed = true;
  });
  ASSERT_TRUE(cluster.TickUntil([&] { return handed; }) || present == slow);
  EXPECT_EQ(cluster.Leader(), static_cast<int>(slow));
  ASSERT_TRUE(cluster.Put(slow, "after", "1").ok());
  cluster.ExpectEqual();
}

// Crashes at every step of taking over a snapshot leave a member that starts and catches up.
TEST(MemberCluster, SurvivesCrashesWhileRestoring) {
  for (int at = 1; at <= 40; ++at) {
    SCOPED_TRACE(at);
    Cluster cluster(3, 5);
    for (size_t i = 0; i < 3; ++i) {
      cluster[i].config.snapshot_count = 10;
      cluster[i].config.snapshot_catchup_entries = 5;
    }
    cluster.StartAll();
    const auto leader = static_cast<size_t>(cluster.Leader());
    const size_t slow = (leader + 1) % 3;
    cluster.Isolate(slow);
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(cluster.Put(leader, "k" + std::to_string(i), "v").ok());
    SimFileSystem& files = cluster[slow].files;
    int changes = 0;
    files.set_before_operation([&](SimOperation op, const std::string&) {
      if (Changes(op) && ++changes == at) return Unavailable("the power went out");
      return changes >= at ? Unavailable("the power is out") : absl::OkStatus();
    });
    cluster.Heal(slow);
    cluster.Tick(5);
    files.set_before_operation({});
    cluster.Crash(slow);
    cluster.Start(slow);
    ASSERT_TRUE(cluster.TickUntil([&] { return cluster.AllReady(); }));
    EXPECT_EQ(*cluster.Get(slow, "k39"), "v");
    cluster.ExpectEqual();
    if (changes < at) break;
  }
}

TEST(MemberCluster, ALearnerJoinsIsPromotedAndVotes) {
  Cluster cluster(1, 6);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Put(0, "a", "1").ok());
  FaultCluster::Node& joiner = cluster.AddNode(66);
  const size_t at = joiner.index;
  cluster::Member joining;
  joining.peer_urls = joiner.config.advertise_peer_urls;
  joining.is_learner = true;
  joining.id = cluster::ComputeMemberId(joining.peer_urls, {}, 1);
  const auto change = [&](const raft::ConfChange& wanted) {
    bool answered = false;
    Status outcome;
    cluster.member(0).ProposeConfChange(wanted, [&](const Status& status, std::string_view) {
      answered = true;
      outcome = status;
    });
    EXPECT_TRUE(cluster.TickUntil([&] { return answered; }));
    return outcome;
  };
  ASSERT_TRUE(change(cluster::AddMemberChange(0, joining)).ok());
  joiner.config.initial_cluster =
      cluster[0].config.initial_cluster + "," + joiner.config.name + "=" + joining.peer_urls[0];
  joiner.config.new_cluster = false;
  cluster::RemoteCluster remote;
  remote.cluster_id = cluster.member(0).cluster_id();
  for (const auto& [id, member] : cluster.member(0).membership().members()) {
    remote.members.push_back(member);
    remote.members.back().attributes.name = cluster[id == joining.id ? at : 0].config.name;
  }
  joiner.config.remote_cluster = remote;
  cluster.Start(at);
  ASSERT_TRUE(cluster.TickUntil([&] { return cluster.AllReady(); }));
  EXPECT_TRUE(cluster.member(at).is_learner());
  EXPECT_EQ(cluster.member(at).id(), joining.id);
  EXPECT_EQ(*cluster.Get(at, "a"), "1");
  ASSERT_TRUE(change(cluster::PromoteMemberChange(0, joining.id)).ok());
  cluster.Tick(3);
  EXPECT_FALSE(cluster.member(at).is_learner());
  ASSERT_TRUE(cluster.Put(at, "b", "1").ok());
  cluster.ExpectEqual();

  // Removed, it ends by itself; the other goes on alone.
  bool ended = false;
  cluster.member(at).OnRemoved([&] { ended = true; });
  ASSERT_TRUE(change(cluster::RemoveMemberChange(0, joining.id)).ok());
  ASSERT_TRUE(cluster.TickUntil([&] { return ended; }));
  ASSERT_TRUE(cluster.Put(0, "c", "1").ok());
}

// What a member is sent as if by its leader, by hand.
class SentSnapshot : public testing::Test {
 protected:
  SentSnapshot() : cluster_(3, 9) {
    for (size_t i = 0; i < 3; ++i) cluster_[i].config.snapshot_count = 20;
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.Put(0, "own", "1").ok());
    leader_ = static_cast<size_t>(cluster_.Leader());
    at_ = (leader_ + 1) % 3;
  }
  Member& member() { return cluster_.member(at_); }
  SimFileSystem& files() { return cluster_[at_].files; }
  std::string Received(raft::Index index) { return member().snapshot_files().DatabasePath(index); }
  // The member's own database, as if it had come with a snapshot at that index.
  void PlaceDatabase(raft::Index index) {
    const std::string own = std::string(FaultCluster::kDataDirectory) + "/member/snap/db";
    ASSERT_TRUE(files().WriteAtomically(Received(index), files().ReadAll(own).value(), 0600).ok());
  }
  Status Step(raft::Index index, const std::vector<uint64_t>& voters) {
    auto snapshot = std::make_shared<raft::Snapshot>();
    snapshot->metadata.conf_state.voters = voters;
    snapshot->metadata.index = index;
    snapshot->metadata.term = member().term();
    snapshot->data = member().membership().V2Json();
    return member().Step({.type = raft::MessageType::kSnap,
                          .to = cluster_[at_].id,
                          .from = cluster_[leader_].id,
                          .term = member().term(),
                          .snapshot = snapshot},
                         MessagePath::kPost);
  }
  std::vector<uint64_t> Voters() { return {cluster_[0].id, cluster_[1].id, cluster_[2].id}; }

  Cluster cluster_;
  size_t leader_ = 0;
  size_t at_ = 0;
};

// SnapshotIntake refuses such a one; if it is in its place all the same, what is there is not given for it.
TEST_F(SentSnapshot, AnOlderDatabaseReplacesNothing) {
  const raft::Index index = member().applied_index() + 1000;
  const std::string received = Received(index);
  PlaceDatabase(index);
  ASSERT_TRUE(Step(index, Voters()).ok());
  const Status& fatal = cluster_[at_].fatal;
  ASSERT_TRUE(cluster_.TickUntil([&] { return !fatal.ok(); }));
  EXPECT_NE(std::string(Message(fatal)).find(", before the snapshot at "), std::string::npos) << fatal;
  EXPECT_TRUE(files().Exists(received));  // It was not renamed.
}

TEST_F(SentSnapshot, WhatRaftDoesNotTakeIsRemoved) {
  const raft::Index applied = member().applied_index();
  const std::vector<uint64_t> others = {cluster_[leader_].id};
  for (const raft::Index index : {raft::Index{1}, applied, applied + 1000}) {
    PlaceDatabase(index);
    EXPECT_TRUE(Step(index, index > applied ? others : Voters()).ok());
    cluster_.Settle();
    EXPECT_FALSE(files().Exists(Received(index))) << index;
    // Another one of that index is looked at again.
    EXPECT_TRUE(absl::IsFailedPrecondition(Step(index, Voters()))) << index;
    cluster_.Settle();
  }
  ASSERT_TRUE(cluster_.Put(at_, "own", "2").ok());
  cluster_.ExpectEqual();
}

TEST_F(SentSnapshot, LeftOnesGoWithTheNextSnapshotOfOurOwn) {
  PlaceDatabase(2);
  PlaceDatabase(1'000'000);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(cluster_.Put(at_, "k" + std::to_string(i), "v").ok());
  ASSERT_TRUE(cluster_.TickUntil([&] { return !files().Exists(Received(2)); }));
  EXPECT_TRUE(files().Exists(Received(1'000'000)));
}

// What a follower has forwarded to a leader that is just handing over is not lost.
TEST(MemberCluster, HandOverLosesNoForwardedWrite) {
  Cluster cluster(3, 7);
  cluster.StartAll();
  const auto leader = static_cast<size_t>(cluster.Leader());
  const size_t follower = (leader + 1) % 3;
  std::vector<std::shared_ptr<std::optional<Status>>> answers;
  const auto put = [&](size_t through, const std::string& key) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    const auto answer = answers.emplace_back(std::make_shared<std::optional<Status>>());
    cluster.member(through).Propose(EntryKind::kPut, request.SerializeAsString(), {},
                                    [answer](const Status& status, std::string_view) { *answer = status; });
  };
  bool handed = false;
  cluster.member(leader).HandOver([&] { handed = true; });
  for (int i = 0; i < 20; ++i) {
    put(follower, "k" + std::to_string(i));
    put(leader, "k" + std::to_string(i));
  }
  ASSERT_TRUE(cluster.TickUntil([&] { return handed; }));
  cluster.Tick(5);
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->has_value());
    EXPECT_TRUE((*answer)->ok()) << **answer;
  }
  EXPECT_NE(cluster.Leader(), static_cast<int>(leader));
  cluster.ExpectEqual();
}

TEST(MemberCluster, ForcedAloneKeepsTheDataAndServes) {
  Cluster cluster(3, 8);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Put(0, "a", "1").ok());
  cluster.ExpectEqual();
  for (size_t i = 0; i < 3; ++i) cluster.Stop(i);
  cluster[0].config.force_new_cluster = true;
  cluster.Start(0);
  ASSERT_TRUE(cluster.TickUntil([&] { return cluster.AllReady(); }));
  EXPECT_EQ(cluster.member(0).membership().members().size(), 1u);
  EXPECT_EQ(*cluster.Get(0, "a"), "1");
  ASSERT_TRUE(cluster.Put(0, "b", "1").ok());
}

}  // namespace
}  // namespace quorate::server
