// Members whose disks were set back, among others that know of it or don't; and members that only restarted.
#include <gtest/gtest.h>

#include "base/test_seed.h"
#include "server/fault_cluster_test.h"

namespace quorate::server {
namespace {

constexpr int kElectionTicks = 10;
// Way out of probation, and an election after it.
constexpr int kTrustTicks =
    (Probation::kTrustElectionTimeouts + Probation::kAnswerElectionTimeouts) * kElectionTicks;

class LostLogClusterTest : public ::testing::Test {
 protected:
  LostLogClusterTest() : cluster_(3, 1) {}

  void StartAndFill() {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.TickUntil([this] {
      return cluster_.member(0).ready() && cluster_.member(1).ready() && cluster_.member(2).ready();
    }));
    cluster_.PutMany("first", 5);
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  }
  // One that does not lead.
  size_t Follower() { return cluster_.WaitForLeader() == 1 ? 2 : 1; }
  void LikeEtcd() {
    for (size_t i = 0; i < 3; ++i) cluster_[i].like_etcd = true;
  }
  std::vector<size_t> Others(size_t i) const {
    std::vector<size_t> others;
    for (size_t k = 0; k < 3; ++k) {
      if (k != i) others.push_back(k);
    }
    return others;
  }
  // The member's disk goes back to what it was before `writes`, on another boot.
  void LoseWrites(size_t victim, int writes, const std::function<void()>& meanwhile = {}) {
    cluster_.Stop(victim);
    const FaultCluster::Disk image = cluster_.SaveDisk(victim);
    cluster_.Start(victim);
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
    cluster_.PutMany("lost", writes);
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
    cluster_.Crash(victim);
    if (meanwhile) meanwhile();
    cluster_.SetDiskBack(victim, image);
    cluster_.ForgetRun(victim);
  }
  bool Quarantined(size_t i) { return cluster_.member(i).lost_log().quarantined(); }
  bool OnProbation(size_t i) { return cluster_.member(i).lost_log().on_probation(); }
  std::string Reason(size_t i) { return cluster_.member(i).lost_log().quarantine_reason(); }
  // The two others go on without it, and keep all that was written.
  void ExpectOthersServe(size_t victim) {
    cluster_.WaitForLeader();
    cluster_.PutMany("after", 3);
    EXPECT_TRUE(cluster_.Agree(Others(victim)));
    EXPECT_FALSE(Quarantined(Others(victim)[0]));
    EXPECT_FALSE(Quarantined(Others(victim)[1]));
  }
  void ExpectQuarantined(size_t victim, std::string_view because) {
    ASSERT_TRUE(cluster_.TickUntil([&] { return Quarantined(victim); }, 50));
    EXPECT_NE(Reason(victim).find(because), std::string::npos) << Reason(victim);
    EXPECT_TRUE(cluster_.member(victim).ready()) << "clients must come in to be told";
    const Status put = cluster_.Put(victim, "k", "v");
    EXPECT_TRUE(absl::IsUnavailable(put)) << put;
    EXPECT_EQ(Message(put), "etcdserver: " + Reason(victim));
    Status read;
    cluster_.member(victim).WhenLinearizable([&](const Status& status) { read = status; });
    EXPECT_EQ(read, put);
  }

  FaultCluster cluster_;
};

// ---- restarts that are none of it ----

TEST_F(LostLogClusterTest, ANewClusterHasNoProbation) {
  cluster_.StartAll();
  for (size_t i = 0; i < 3; ++i) EXPECT_FALSE(OnProbation(i));
}

TEST_F(LostLogClusterTest, ContinuousRestartsHaveNoProbation) {
  StartAndFill();
  for (size_t i = 0; i < 3; ++i) {
    cluster_.Stop(i);
    cluster_.Start(i);
    EXPECT_FALSE(OnProbation(i)) << "clean, m" << i;
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
    cluster_.PutMany("more", 2);
    cluster_.Crash(i);
    cluster_.Start(i);
    EXPECT_FALSE(OnProbation(i)) << "killed, m" << i;
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  }
}

TEST_F(LostLogClusterTest, AFollowerIsOffProbationWithTheFirstWordOfItsLeader) {
  StartAndFill();
  const size_t follower = Follower();
  cluster_.Crash(follower, true);
  cluster_.Start(follower);
  EXPECT_TRUE(OnProbation(follower));
  EXPECT_TRUE(cluster_.TickUntil([&] { return !OnProbation(follower); }, 3));
}

TEST_F(LostLogClusterTest, AfterAPowerCutOfAllTheyElectInTime) {
  StartAndFill();
  for (const bool like_etcd : {false, true}) {
    for (size_t i = 0; i < 3; ++i) cluster_[i].like_etcd = like_etcd;
    for (size_t i = 0; i < 3; ++i) cluster_.Crash(i, true);
    cluster_.StartAll();
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(OnProbation(i));
    cluster_.WaitForLeader(kTrustTicks + 5 * kElectionTicks);
    cluster_.PutMany("after", 3);
    EXPECT_TRUE(cluster_.Agree({0, 1, 2}));
    for (size_t i = 0; i < 3; ++i) EXPECT_FALSE(Quarantined(i)) << Reason(i);
  }
}

TEST_F(LostLogClusterTest, TwoOfThreeElectInTimeAfterAPowerCut) {
  StartAndFill();
  for (size_t i = 0; i < 3; ++i) cluster_.Crash(i, true);
  cluster_.Start(0);
  cluster_.Start(2);
  cluster_.WaitForLeader(kTrustTicks + 5 * kElectionTicks);
  cluster_.PutMany("after", 3);
}

TEST_F(LostLogClusterTest, StrictProbationWaitsForALeader) {
  StartAndFill();
  for (size_t i = 0; i < 3; ++i) {
    cluster_.Crash(i, true);
    cluster_[i].config.lost_log.strict_probation = i != 0;
  }
  cluster_.StartAll();
  cluster_.Tick(10 * kTrustTicks);
  EXPECT_EQ(cluster_.leader(), std::nullopt);
  EXPECT_TRUE(OnProbation(1));
  EXPECT_FALSE(OnProbation(0));
  // An operator lets a second one trust its disk: then there is a leader, and the third follows.
  cluster_.Stop(1);
  cluster_[1].config.lost_log.strict_probation = false;
  cluster_.Start(1);
  cluster_.WaitForLeader();
  EXPECT_TRUE(cluster_.TickUntil([&] { return !OnProbation(2); }));
}

TEST_F(LostLogClusterTest, AnEtcdThatRanInBetweenIsNoProof) {
  // The directory is as another program left it: further than this one's last epoch.
  StartAndFill();
  const size_t follower = Follower();
  cluster_.Stop(follower);
  const FaultCluster::Disk before = cluster_.SaveDisk(follower);
  cluster_.Start(follower);
  cluster_.PutMany("more", 5);
  ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  cluster_.Stop(follower);
  FaultCluster::Disk after = cluster_.SaveDisk(follower);
  std::erase_if(after, [](const auto& file) { return file.first.find("/quorate") != std::string::npos; });
  for (const auto& [path, bytes] : before) {
    if (path.find("/quorate") != std::string::npos) after[path] = bytes;
  }
  cluster_.SetDiskBack(follower, after);
  cluster_.ForgetRun(follower);
  cluster_.Start(follower);
  EXPECT_TRUE(cluster_.TickUntil([&] { return !OnProbation(follower); }, 5));
  EXPECT_FALSE(Quarantined(follower)) << Reason(follower);
}

TEST_F(LostLogClusterTest, LateAnswersToADeposedLeaderAreNoProof) {
  StartAndFill();
  const size_t old = cluster_.WaitForLeader();
  // Everything on its way to the old leader is late by a whole leadership.
  std::vector<raft::Message> late;
  cluster_.set_filter([&](size_t, size_t to, const raft::Message& message) {
    if (to == old) late.push_back(message);
    return to != old;
  });
  (void)cluster_.Put(old, "k", "v", 1);
  cluster_.Tick(3);
  ASSERT_TRUE(cluster_.TickUntil(
      [&] { return cluster_.leader() && *cluster_.leader() != old && !cluster_.member(old).is_leader(); }));
  cluster_.PutMany("new", 3);
  ASSERT_GT(late.size(), 5u);
  for (const bool power : {false, true}) {
    cluster_.Crash(old, power);
    cluster_.Start(old);
    for (const raft::Message& message : late) {
      (void)cluster_.member(old).Step(message, MessagePath::kStream);
      cluster_.Settle();
      ASSERT_FALSE(Quarantined(old)) << Reason(old);
    }
  }
  cluster_.set_filter({});
  EXPECT_TRUE(cluster_.Agree({0, 1, 2}));
  for (size_t i = 0; i < 3; ++i) EXPECT_FALSE(Quarantined(i)) << Reason(i);
}

TEST_F(LostLogClusterTest, NoSequenceOfRestartsIsEverQuarantined) {
  const uint64_t base = TestSeed();
  for (uint64_t round = 0; round < 12; ++round) {
    const uint64_t seed = base + round;
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    FaultCluster cluster(3, seed);
    for (size_t i = 0; i < 3; ++i) {
      cluster[i].like_etcd = random.Below(4) == 0;
      cluster[i].config.snapshot_count = 20;
      cluster[i].config.snapshot_catchup_entries = 5;
    }
    // Some messages are lost, and some come again much later.
    std::vector<std::pair<size_t, raft::Message>> late;
    SeededRandom network(seed + 1);
    cluster.set_filter([&](size_t, size_t to, const raft::Message& message) {
      const uint64_t fate = network.Below(20);
      if (fate == 0 && message.type != raft::MessageType::kSnap) late.emplace_back(to, message);
      return fate > 1;
    });
    cluster.StartAll();
    for (int step = 0; step < 60; ++step) {
      const size_t i = random.Below(3);
      switch (random.Below(6)) {
        case 0:
          if (cluster[i].member) cluster.Crash(i, random.Below(2) == 0);
          break;
        case 1:
          if (cluster[i].member) cluster.Stop(i);
          break;
        case 2:
          cluster.Isolate(i, random.Below(2) == 0);
          break;
        case 3:
          if (!late.empty()) {
            const auto [to, message] = late[random.Below(late.size())];
            if (cluster[to].member && cluster[to].id == message.to)
              (void)cluster.member(to).Step(message, MessagePath::kStream);
          }
          break;
        default:
          if (!cluster[i].member) cluster.Start(i);
          if (cluster.leader()) (void)cluster.Put(*cluster.leader(), "k" + std::to_string(step), "v", 3);
          break;
      }
      cluster.Tick(static_cast<int>(random.Below(25)));
      for (size_t k = 0; k < 3; ++k) {
        if (!cluster[k].member) continue;
        ASSERT_TRUE(cluster[k].fatal.ok()) << cluster[k].fatal;
        ASSERT_FALSE(cluster.member(k).lost_log().quarantined())
            << cluster.member(k).lost_log().quarantine_reason();
      }
    }
    cluster.set_filter({});
    for (size_t i = 0; i < 3; ++i) {
      cluster.Isolate(i, false);
      if (!cluster[i].member) cluster.Start(i);
    }
    cluster.WaitForLeader(kTrustTicks + 10 * kElectionTicks);
    // The first may still meet a leader that is about to be deposed.
    bool written = false;
    for (int attempt = 0; attempt < 3 && !written; ++attempt) {
      written = cluster.Put(cluster.WaitForLeader(), "end", "v").ok();
    }
    EXPECT_TRUE(written);
    EXPECT_TRUE(cluster.Agree({0, 1, 2}));
  }
}

// ---- disks that were set back ----

struct SetBack {
  int writes;
  bool like_etcd;
};
class SetBackTest : public LostLogClusterTest, public ::testing::WithParamInterface<SetBack> {};

TEST_P(SetBackTest, AFollowerUnderTheSameLeader) {
  if (GetParam().like_etcd) LikeEtcd();
  StartAndFill();
  const size_t victim = Follower();
  LoseWrites(victim, GetParam().writes);
  cluster_.Start(victim);
  // The leader, or with our kind its memory, whichever is first.
  ExpectQuarantined(victim, "acknowledgement of index");
  ExpectOthersServe(victim);
}

TEST_P(SetBackTest, AFollowerAfterAChangeOfLeader) {
  if (GetParam().like_etcd) LikeEtcd();
  StartAndFill();
  const size_t victim = Follower();
  const size_t leader = cluster_.WaitForLeader();
  LoseWrites(victim, GetParam().writes, [&] {
    cluster_.member(leader).TransferLeadership(cluster_[3 - victim - leader].id, [](const Status&) {});
    ASSERT_TRUE(cluster_.TickUntil([&] { return cluster_.leader() && *cluster_.leader() != leader; }));
    cluster_.PutMany("new", 2);
  });
  cluster_.Start(victim);
  EXPECT_TRUE(OnProbation(victim));
  if (GetParam().like_etcd) {
    // Nobody can tell: it is caught up, and takes part only when it holds again what it may have lost.
    ASSERT_TRUE(cluster_.TickUntil([&] { return !OnProbation(victim); }, 30));
    EXPECT_FALSE(Quarantined(victim));
    EXPECT_TRUE(cluster_.Agree({0, 1, 2}));
    return;
  }
  cluster_.Tick(20);
  EXPECT_TRUE(Quarantined(victim) || cluster_.Agree({0, 1, 2}));
  ExpectOthersServe(victim);
}

TEST_P(SetBackTest, TheFormerLeader) {
  if (GetParam().like_etcd) LikeEtcd();
  StartAndFill();
  const size_t victim = cluster_.WaitForLeader();
  cluster_.Stop(victim);
  const FaultCluster::Disk image = cluster_.SaveDisk(victim);
  cluster_.Start(victim);
  // It leads again, in a term that its image does not know.
  ASSERT_TRUE(cluster_.TickUntil([&] {
    if (!cluster_.leader()) return false;
    if (*cluster_.leader() == victim) return cluster_.member(victim).ready();
    cluster_.member(*cluster_.leader()).TransferLeadership(cluster_[victim].id, [](const Status&) {});
    return false;
  }));
  cluster_.PutMany("lost", GetParam().writes);
  cluster_.Crash(victim);
  cluster_.SetDiskBack(victim, image);
  cluster_.ForgetRun(victim);
  cluster_.Start(victim);
  const auto settled = [&] { return Quarantined(victim) || !OnProbation(victim); };
  ASSERT_TRUE(cluster_.TickUntil(settled, kTrustTicks));
  if (!GetParam().like_etcd) ExpectQuarantined(victim, "has seen it in term");
  ExpectOthersServe(victim);
}

TEST_P(SetBackTest, AcrossASnapshot) {
  for (size_t i = 0; i < 3; ++i) {
    cluster_[i].config.snapshot_count = 10;
    cluster_[i].config.snapshot_catchup_entries = 3;
    cluster_[i].like_etcd = GetParam().like_etcd;
  }
  StartAndFill();
  const size_t victim = Follower();
  LoseWrites(victim, GetParam().writes + 40);
  cluster_.Start(victim);
  ExpectQuarantined(victim, "acknowledgement of index");
  ExpectOthersServe(victim);
}

INSTANTIATE_TEST_SUITE_P(Writes, SetBackTest,
                         ::testing::Values(SetBack{1, false}, SetBack{10, false}, SetBack{300, false},
                                           SetBack{1, true}, SetBack{10, true}, SetBack{300, true}));

TEST_F(LostLogClusterTest, ProbationOutlivesAKillAndAStop) {
  StartAndFill();
  const size_t victim = Follower();
  cluster_.Crash(victim, true);
  cluster_.Isolate(victim);
  cluster_.Start(victim);
  ASSERT_TRUE(OnProbation(victim));
  cluster_.Tick(2);
  cluster_.Crash(victim);
  cluster_.Start(victim);
  EXPECT_TRUE(OnProbation(victim)) << "after a kill";
  cluster_.Stop(victim);
  cluster_.Start(victim);
  EXPECT_TRUE(OnProbation(victim)) << "after a clean end";
  cluster_.Isolate(victim, false);
  ASSERT_TRUE(cluster_.TickUntil([&] { return !OnProbation(victim); }));
  // The epoch of this process follows with the next save.
  cluster_.Tick(30);
  cluster_.Stop(victim);
  cluster_.Start(victim);
  EXPECT_FALSE(OnProbation(victim));
}

TEST_F(LostLogClusterTest, OnTheSameBootTheEpochTells) {
  StartAndFill();
  LikeEtcd();
  const size_t victim = Follower();
  cluster_.Stop(victim);
  const FaultCluster::Disk image = cluster_.SaveDisk(victim);
  cluster_.Start(victim);
  ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  cluster_.Stop(victim);
  cluster_.SetDiskBack(victim, image);
  cluster_.Start(victim);
  EXPECT_TRUE(Quarantined(victim)) << "before anything was heard or said";
  ExpectQuarantined(victim, "had already come to epoch");
}

TEST_F(LostLogClusterTest, TheMarkSurvivesRestartsAndItsMemberAlone) {
  StartAndFill();
  const size_t victim = Follower();
  LoseWrites(victim, 5);
  cluster_.Start(victim);
  ExpectQuarantined(victim, "acknowledgement");
  for (const bool power : {false, true}) {
    cluster_.Crash(victim, power);
    cluster_.Start(victim);
    EXPECT_TRUE(Quarantined(victim));
    ExpectQuarantined(victim, "acknowledgement");
  }
  cluster_.Stop(victim);
  cluster_.Start(victim);
  ExpectQuarantined(victim, "acknowledgement");
  ExpectOthersServe(victim);
}

TEST_F(LostLogClusterTest, AQuarantinedMemberSaysNothingToRaft) {
  StartAndFill();
  const size_t victim = Follower();
  LoseWrites(victim, 5);
  cluster_.Start(victim);
  ExpectQuarantined(victim, "acknowledgement");
  int sent = 0;
  cluster_.set_filter([&](size_t from, size_t, const raft::Message&) {
    sent += from == victim;
    return true;
  });
  // Not even when the others need its vote.
  cluster_.Crash(cluster_.WaitForLeader());
  cluster_.Tick(20 * kElectionTicks);
  EXPECT_EQ(sent, 0);
  EXPECT_EQ(cluster_.leader(), std::nullopt);
}

TEST_F(LostLogClusterTest, TwoOfThreeSetBackElectNobodyOverTheThird) {
  StartAndFill();
  const size_t leader = cluster_.WaitForLeader();
  std::vector<FaultCluster::Disk> images(3);
  for (const size_t i : Others(leader)) {
    cluster_.Crash(i);
    images[i] = cluster_.SaveDisk(i);
    cluster_.Start(i);
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  }
  cluster_.PutMany("lost", 10);
  for (const size_t i : Others(leader)) {
    cluster_.Crash(i);
    cluster_.SetDiskBack(i, images[i]);
    cluster_.ForgetRun(i);
  }
  for (const size_t i : Others(leader)) cluster_.Start(i);
  cluster_.Tick(2 * kTrustTicks);
  for (const size_t i : Others(leader)) EXPECT_TRUE(Quarantined(i));
  EXPECT_FALSE(Quarantined(leader));
  // What was acknowledged is still there, on the one that has it.
  mvcc::RangeOptions options;
  options.key = "lost9";
  EXPECT_EQ(cluster_.member(leader).store().Range(options)->kvs.size(), 1u);
}

TEST_F(LostLogClusterTest, AVoteIsRememberedForWhoCastIt) {
  // It votes in a term, its disk goes back to before the vote, and a rival asks in the same term.
  StartAndFill();
  const size_t leader = cluster_.WaitForLeader();
  const size_t voter = Follower();
  const size_t rival = 3 - leader - voter;
  cluster_.Stop(voter);
  const FaultCluster::Disk image = cluster_.SaveDisk(voter);
  cluster_.Start(voter);
  ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  const raft::Term term = cluster_.member(voter).term() + 1;
  // The old leader, again a candidate, gets the vote, and keeps it in its memory.
  cluster_.Isolate(rival);
  ASSERT_TRUE(cluster_.TickUntil([&] {
    const auto now = cluster_.leader();
    if (now == leader && cluster_.member(leader).term() >= term) return true;
    if (now)
      cluster_.member(*now).TransferLeadership(cluster_[*now == leader ? voter : leader].id,
                                               [](const Status&) {});
    return false;
  }));
  cluster_.Crash(voter);
  cluster_.SetDiskBack(voter, image);
  cluster_.ForgetRun(voter);
  cluster_.Start(voter);
  bool granted = false;
  cluster_.set_filter([&](size_t from, size_t, const raft::Message& message) {
    granted |= from == voter && message.type == raft::MessageType::kVoteResp && !message.reject;
    return true;
  });
  raft::Message request{
      .type = raft::MessageType::kVote, .to = cluster_[voter].id, .from = cluster_[rival].id};
  request.term = cluster_.member(leader).term();
  request.log_term = request.term;
  request.index = 1'000'000;
  EXPECT_TRUE(cluster_.member(voter).Step(request, MessagePath::kStream).ok());
  cluster_.Tick(kTrustTicks);
  EXPECT_FALSE(granted);
  EXPECT_TRUE(Quarantined(voter));
}

TEST_F(LostLogClusterTest, AWipedDirectoryIsQuarantined) {
  StartAndFill();
  const size_t victim = Follower();
  cluster_.Crash(victim);
  cluster_.SetDiskBack(victim, {{"/data", "<dir>"}});
  Config& config = cluster_[victim].config;
  config.new_cluster = false;
  config.remote_cluster = cluster::RemoteCluster{};
  config.remote_cluster->cluster_id = cluster_.member(cluster_.WaitForLeader()).cluster_id();
  for (const auto& [id, member] : cluster_.member(cluster_.WaitForLeader()).membership().members()) {
    config.remote_cluster->members.push_back(member);
  }
  cluster_.Start(victim);
  ExpectQuarantined(victim, "its data directory was lost");
  ExpectOthersServe(victim);
}

TEST_F(LostLogClusterTest, AWipedDirectoryOfANewClusterIsFoundByMemory) {
  // Its program could ask nobody before it started, and takes itself for one of a new cluster.
  StartAndFill();
  const size_t victim = Follower();
  cluster_.Crash(victim);
  cluster_.SetDiskBack(victim, {{"/data", "<dir>"}});
  cluster_.ForgetRun(victim);
  cluster_.Start(victim);
  ExpectQuarantined(victim, "its log ends at");
  ExpectOthersServe(victim);
}

TEST_F(LostLogClusterTest, ALogThatLostItsEndIsQuarantinedNotRefused) {
  StartAndFill();
  const size_t victim = Follower();
  cluster_.Stop(victim);
  const FaultCluster::Disk image = cluster_.SaveDisk(victim);
  cluster_.Start(victim);
  cluster_.PutMany("more", 20);
  ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
  cluster_.Stop(victim);
  // The database is of today, the log is not.
  FaultCluster::Disk mixed = cluster_.SaveDisk(victim);
  std::erase_if(mixed, [](const auto& file) { return file.first.find("/wal/") != std::string::npos; });
  for (const auto& [path, bytes] : image) {
    if (path.find("/wal/") != std::string::npos) mixed[path] = bytes;
  }
  cluster_.SetDiskBack(victim, mixed);
  cluster_.ForgetRun(victim);
  cluster_.Start(victim);
  ExpectQuarantined(victim, "its database stands at raft index");
  ExpectOthersServe(victim);
}

TEST_F(LostLogClusterTest, PeersRememberAcrossTheirOwnRestarts) {
  StartAndFill();
  const size_t victim = Follower();
  const size_t leader = cluster_.WaitForLeader();
  LoseWrites(victim, 10, [&] {
    // A second goes by, then all lose their power: only what is on their disks is left.
    cluster_.Tick(15);
    for (const size_t i : Others(victim)) cluster_.Crash(i, true);
  });
  cluster_.Start(leader);
  cluster_.Start(victim);
  cluster_.Tick(kElectionTicks);
  EXPECT_TRUE(Quarantined(victim));
  EXPECT_NE(Reason(victim).find("acknowledgement"), std::string::npos) << Reason(victim);
}

}  // namespace
}  // namespace quorate::server
