// Messages that whoever reaches the peer port can post in a member's name: raft takes them, as etcd's does,
// but once they have stopped the cluster is what it was.
#include <gtest/gtest.h>

#include "server/fault_cluster_test.h"

namespace quorate::server {
namespace {

using raft::MessageType;

constexpr uint64_t kStranger = 0xdead;
constexpr uint64_t kFar = uint64_t{1} << 40;

class PostedMessagesTest : public ::testing::Test {
 protected:
  PostedMessagesTest() : cluster_(3, 1) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.TickUntil([this] {
      return cluster_.member(0).ready() && cluster_.member(1).ready() && cluster_.member(2).ready();
    }));
    cluster_.PutMany("first", 5);
    EXPECT_TRUE(cluster_.Agree({0, 1, 2}));
  }

  std::vector<uint64_t> Everybody() { return {cluster_[0].id, cluster_[1].id, cluster_[2].id, kStranger}; }
  // In each of these names.
  void PostToAll(const raft::Message& message, const std::vector<uint64_t>& names) {
    for (size_t to = 0; to < 3; ++to) {
      for (const uint64_t name : names) {
        if (name == cluster_[to].id) continue;
        raft::Message one = message;
        one.to = cluster_[to].id;
        one.from = name;
        cluster_.member(to).Step(one, MessagePath::kPost).IgnoreError();
        cluster_.Settle();
      }
    }
  }
  raft::Term Term() { return cluster_.member(cluster_.WaitForLeader()).term(); }
  void ExpectAllServe(const std::string& after) {
    cluster_.WaitForLeader();
    cluster_.PutMany("after " + after, 3);
    EXPECT_TRUE(cluster_.Agree({0, 1, 2})) << after;
    for (size_t i = 0; i < 3; ++i) {
      const LostLogGuard& guard = cluster_.member(i).lost_log();
      EXPECT_FALSE(guard.quarantined()) << after << ": " << guard.quarantine_reason();
    }
  }

  FaultCluster cluster_;
};

TEST_F(PostedMessagesTest, ProveNothing) {
  // Not in members' names: of a member whose stream it reads the peer port takes none.
  PostToAll({.type = MessageType::kHeartbeat, .term = Term(), .commit = kFar}, {kStranger});
  ExpectAllServe("heartbeats");
  PostToAll({.type = MessageType::kHeartbeatResp, .term = Term() + 1}, Everybody());
  ExpectAllServe("answers to heartbeats");
  PostToAll({.type = MessageType::kVoteResp, .term = Term() + 1}, Everybody());
  ExpectAllServe("votes");
  PostToAll({.type = MessageType::kAppResp, .term = Term() + 1, .index = 7}, Everybody());
  ExpectAllServe("acknowledgements");
}

TEST_F(PostedMessagesTest, AreNotRememberedAgainstAnybody) {
  const raft::Term term = Term();
  PostToAll({.type = MessageType::kAppResp, .term = term, .index = kFar}, Everybody());
  PostToAll({.type = MessageType::kVoteResp, .term = term + 1000, .reject = true}, Everybody());
  PostToAll({.type = MessageType::kVote, .term = term + 1000}, Everybody());
  for (size_t i = 0; i < 3; ++i) {
    for (const auto& [id, position] : cluster_.member(i).lost_log().memory().all()) {
      EXPECT_NE(id, kStranger);
      EXPECT_LT(position.index, kFar);
    }
  }
  // Each comes back as one that can't show what it was, and asks the others.
  for (size_t i = 0; i < 3; ++i) {
    cluster_.Crash(i);
    cluster_.ForgetRun(i);
    cluster_.Start(i);
    ExpectAllServe("restart of " + std::to_string(i));
  }
}

TEST_F(PostedMessagesTest, EndNoProbation) {
  const size_t leader = cluster_.WaitForLeader();
  const size_t victim = leader == 1 ? 2 : 1;
  const raft::Term term = Term();
  cluster_.Isolate(victim, true);
  cluster_.Crash(victim);
  cluster_.ForgetRun(victim);
  cluster_.Start(victim);
  ASSERT_TRUE(cluster_.member(victim).lost_log().on_probation());
  for (int i = 0; i < 3; ++i) {
    raft::Message heartbeat{
        .type = MessageType::kHeartbeat, .to = cluster_[victim].id, .from = cluster_[leader].id};
    heartbeat.term = term;
    heartbeat.commit = 1;
    EXPECT_TRUE(cluster_.member(victim).Step(heartbeat, MessagePath::kPost).ok());
    cluster_.Settle();
    EXPECT_TRUE(cluster_.member(victim).lost_log().on_probation());
  }
  cluster_.Isolate(victim, false);
  EXPECT_TRUE(cluster_.TickUntil([&] { return !cluster_.member(victim).lost_log().on_probation(); }));
  ExpectAllServe("probation");
}

// The leader posts before its stream is open: what is missing must not be filled up before the stream can
// prove that it is. Where no stream can be opened, what is posted is followed after a while.
TEST_F(PostedMessagesTest, AreNotFollowedOnProbationForAWhile) {
  const size_t leader = cluster_.WaitForLeader();
  const size_t victim = leader == 1 ? 2 : 1;
  raft::Message heartbeat{
      .type = MessageType::kHeartbeat, .to = cluster_[victim].id, .from = cluster_[leader].id};
  heartbeat.term = Term();
  cluster_.Isolate(victim, true);
  cluster_.Crash(victim);
  cluster_.ForgetRun(victim);
  cluster_.Start(victim);
  ASSERT_TRUE(cluster_.member(victim).lost_log().on_probation());
  const auto follows = [&] {
    EXPECT_TRUE(cluster_.member(victim).Step(heartbeat, MessagePath::kPost).ok());
    cluster_.Settle();
    return cluster_.member(victim).leader() == cluster_[leader].id;
  };
  EXPECT_FALSE(follows());
  EXPECT_TRUE(cluster_.TickUntil(follows));
  cluster_.Isolate(victim, false);
  ExpectAllServe("a wait for its stream");
}

TEST_F(PostedMessagesTest, DriveNoMemberToTheEndOfTerms) {
  const raft::Term term = Term();
  for (const raft::Term far : {term + raft::kTermStepMax + 1, raft::Term{1} << 62, UINT64_MAX}) {
    raft::Message one{.type = MessageType::kHeartbeat, .to = cluster_[0].id, .from = cluster_[1].id};
    one.term = far;
    EXPECT_TRUE(absl::IsInvalidArgument(cluster_.member(0).Step(one, MessagePath::kPost))) << far;
    PostToAll({.type = MessageType::kHeartbeat, .term = far}, Everybody());
  }
  EXPECT_EQ(Term(), term);
  ExpectAllServe("terms too far away");
  // What a member could have missed is taken, and passes.
  PostToAll({.type = MessageType::kHeartbeat, .term = term + raft::kTermStepMax / 2}, {kStranger});
  ExpectAllServe("a term far away");
  EXPECT_GT(Term(), term + raft::kTermStepMax / 2);
}

}  // namespace
}  // namespace quorate::server
