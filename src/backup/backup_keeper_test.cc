// Who takes backups and when, over several members in one process, each with a disk for its backups or all
// with one.
#include "backup/backup_keeper.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "backup/backup_fixture_test.h"
#include "backup/log_archiver.h"
#include "server/fault_cluster_test.h"

namespace quorate::backup {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kInterval = 60 * kSecond;
constexpr int kTicksAnInterval = 600;  // Of 100 ms.

// A disk of backups that takes work and never ends it, while it hangs.
class HangingExecutor final : public Executor {
 public:
  explicit HangingExecutor(Executor* executor) : executor_(*executor) {}

  void Submit(Lane lane, std::function<void()> work, std::function<void()> done) override {
    if (hangs_ && lane == Lane::kBackground) {
      held_.emplace_back(std::move(work), std::move(done));
    } else {
      executor_.Submit(lane, std::move(work), std::move(done));
    }
  }
  void Hang() { hangs_ = true; }
  void Release() {
    hangs_ = false;
    for (auto& [work, done] : std::exchange(held_, {}))
      Submit(Lane::kBackground, std::move(work), std::move(done));
  }
  size_t held() const { return held_.size(); }

 private:
  Executor& executor_;
  bool hangs_ = false;
  std::vector<std::pair<std::function<void()>, std::function<void()>>> held_;
};

class KeeperTest : public testing::Test {
 protected:
  explicit KeeperTest() : cluster_(3, 11) {
    for (size_t i = 0; i < 3; ++i) {
      disks_.push_back(std::make_shared<SimFileSystem>(100 + i));
      MakeBackupDirectory(*disks_[i]);
    }
    keepers_.resize(3);
    for (size_t i = 0; i < 3; ++i)
      executors_.push_back(std::make_unique<HangingExecutor>(&cluster_[i].executor));
  }
  ~KeeperTest() override {
    for (auto& keeper : keepers_) keeper.reset();
    for (auto& archiver : archivers_) archiver.reset();
  }

  void ShareOneDisk() { disks_ = {disks_[0], disks_[0], disks_[0]}; }
  void StartAll(size_t with_keepers = 3) {
    cluster_.StartAll();
    for (size_t i = 0; i < archivers_.size(); ++i) MakeArchiver(i);
    for (size_t i = 0; i < with_keepers; ++i) MakeKeeper(i);
    leader_ = cluster_.WaitForLeader();
    cluster_.PutMany("key", 20);
  }
  void MakeKeeper(size_t i) {
    auto& node = cluster_[i];
    keepers_[i] = std::make_unique<BackupKeeper>(
        node.member.get(), &node.cluster_life->peer_service(),
        Env{disks_[i].get(), &cluster_.clock(), &node.random, executors_[i].get()}, options_,
        archivers_.empty() ? nullptr : archivers_[i].get());
  }
  // Each member archives its log, too.
  void MakeArchivers() {
    archivers_.resize(3);
    for (size_t i = 0; i < 3; ++i) {
      cluster_[i].config.on_applied = [this, i](const raft::Entry& entry) {
        if (archivers_[i] != nullptr) archivers_[i]->OnApplied(entry);
      };
    }
  }
  void MakeArchiver(size_t i) {
    auto& node = cluster_[i];
    archivers_[i] = std::make_unique<LogArchiver>(
        node.member.get(), Env{disks_[i].get(), &cluster_.clock(), &node.random, executors_[i].get()},
        std::string(kBackups));
  }
  void Kill(size_t i) {
    keepers_[i].reset();
    if (!archivers_.empty()) archivers_[i].reset();
    cluster_.Crash(i);
  }
  void Tick(int count) {
    for (; count > 0; --count) {
      cluster_.Tick();
      for (auto& keeper : keepers_) {
        if (keeper != nullptr) keeper->Tick();
      }
      for (auto& archiver : archivers_) {
        if (archiver != nullptr) archiver->Tick();
      }
      cluster_.Settle();
    }
  }
  bool TickUntil(const std::function<bool()>& holds, int ticks) {
    for (; ticks > 0 && !holds(); --ticks) Tick(1);
    return holds();
  }
  uint64_t Taken(size_t i) const { return keepers_[i] == nullptr ? 0 : keepers_[i]->figures().successes; }
  uint64_t TakenInAll() const { return Taken(0) + Taken(1) + Taken(2); }
  size_t Other(size_t than) const { return (than + 1) % 3; }

  server::FaultCluster cluster_;
  std::vector<std::shared_ptr<SimFileSystem>> disks_;
  std::vector<std::unique_ptr<HangingExecutor>> executors_;
  std::vector<std::unique_ptr<LogArchiver>> archivers_;  // Empty: without.
  std::vector<std::unique_ptr<BackupKeeper>> keepers_;
  KeeperOptions options_{std::string(kBackups), kInterval, *ParseRetention("3h")};
  size_t leader_ = 0;
};

TEST_F(KeeperTest, TheLeaderTakesOneEachInterval) {
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  const auto first = ListBackups(disks_[leader_].get(), std::string(kBackups), 0);
  ASSERT_EQ(first->size(), 1u);
  const BackupNote note = *ReadNote(disks_[leader_].get(), std::string(kBackups), first->front());
  server::Member& member = cluster_.member(leader_);
  EXPECT_EQ(note.name.member_id, member.id());
  EXPECT_EQ(note.name.cluster_id, member.cluster_id());
  EXPECT_EQ(note.name.revision, 21);
  EXPECT_GT(note.raft_index, 20u);
  EXPECT_LE(note.raft_index, member.applied_index());
  EXPECT_EQ(note.kv_hash, cluster_.HashKv(leader_));
  Tick(2 * kTicksAnInterval + 100);
  EXPECT_EQ(Taken(leader_), 3u);
  EXPECT_EQ(TakenInAll(), 3u) << "a follower took one beside the leader";
  // All of one hour: the newest stays.
  const auto good = GoodBackups(*disks_[leader_]);
  EXPECT_EQ(good.size(), 1u);
  EXPECT_FALSE(keepers_[leader_]->too_old());
  // Followers know of it.
  EXPECT_FALSE(keepers_[Other(leader_)]->too_old());
  EXPECT_LT(*keepers_[Other(leader_)]->AgeNanos(), 2 * kInterval);
}

TEST_F(KeeperTest, AFollowerTakesOverFromALeaderThatCannot) {
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  disks_[leader_]->set_capacity_bytes(disks_[leader_]->used_bytes());
  const size_t used = disks_[leader_]->used_bytes();
  Tick(kTicksAnInterval);
  EXPECT_EQ(TakenInAll(), 1u) << "a follower did not wait";
  ASSERT_TRUE(TickUntil([&] { return TakenInAll() == 2; }, kTicksAnInterval));
  EXPECT_GT(keepers_[leader_]->figures().failures, 0u);
  Tick(kTicksAnInterval);
  EXPECT_EQ(TakenInAll(), 2u) << "both followers took one";
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(cluster_[i].fatal.ok());
  // The old one was kept, nothing else is left.
  EXPECT_EQ(GoodBackups(*disks_[leader_]).size(), 1u);
  EXPECT_EQ(disks_[leader_]->used_bytes(), used);
  EXPECT_TRUE(cluster_.Put(leader_, "still", "served").ok());
}

TEST_F(KeeperTest, AFollowerTakesOverFromADeadLeader) {
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  Kill(leader_);
  const size_t next = cluster_.WaitForLeader();
  // Its own directory has none: it does not wait for the interval.
  EXPECT_TRUE(TickUntil([&] { return Taken(next) == 1; }, kTicksAnInterval / 2));
  Tick(kTicksAnInterval + 100);
  EXPECT_EQ(Taken(next), 2u);
  EXPECT_EQ(TakenInAll(), 2u);
}

TEST_F(KeeperTest, InASharedDirectoryTheNextLeaderGoesOn) {
  ShareOneDisk();
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  Kill(leader_);
  const size_t next = cluster_.WaitForLeader();
  Tick(kTicksAnInterval / 2);
  EXPECT_EQ(TakenInAll(), 0u) << "the dead one's is younger than the interval";
  ASSERT_TRUE(TickUntil([&] { return Taken(next) == 1; }, kTicksAnInterval));
  EXPECT_EQ(TakenInAll(), 1u);
  EXPECT_GE(ListBackups(disks_[0].get(), std::string(kBackups), 0)->size(), 1u);
}

// An etcd leads: it answers 404.
TEST_F(KeeperTest, AFollowerOfAnEtcdTakesThem) {
  for (size_t i = 0; i < 3; ++i) cluster_[i].like_etcd = true;
  StartAll(0);
  const size_t follower = Other(leader_);
  MakeKeeper(follower);
  ASSERT_TRUE(TickUntil([&] { return Taken(follower) == 1; }, 2 * kTicksAnInterval));
  EXPECT_EQ(keepers_[follower]->figures().failures, 0u);
  ASSERT_TRUE(TickUntil([&] { return Taken(follower) == 2; }, 2 * kTicksAnInterval));
}

TEST_F(KeeperTest, AMissingDirectoryHarmsNothingElse) {
  StartAll();
  for (const auto& disk : disks_) ASSERT_TRUE(disk->RemoveAll(std::string(kBackups)).ok());
  Tick(3 * kTicksAnInterval);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(cluster_[i].fatal.ok());
    EXPECT_TRUE(keepers_[i]->too_old());
    EXPECT_FALSE(disks_[i]->Exists(std::string(kBackups))) << "made behind a mount point";
  }
  EXPECT_GT(keepers_[leader_]->figures().failures, 1u);
  EXPECT_TRUE(cluster_.Put(leader_, "still", "served").ok());
  for (const auto& disk : disks_) MakeBackupDirectory(*disk);
  EXPECT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, kTicksAnInterval));
  EXPECT_FALSE(keepers_[leader_]->too_old());
}

// For the member a failed sync is the end; for a backup it is the end of the backup.
TEST_F(KeeperTest, AFailedSyncFailsTheBackupOnly) {
  StartAll();
  disks_[leader_]->InjectError(SimOperation::kSync, 1);
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, kTicksAnInterval));
  EXPECT_EQ(keepers_[leader_]->figures().failures, 1u);
  EXPECT_TRUE(cluster_[leader_].fatal.ok());
  EXPECT_EQ(disks_[leader_]->List(std::string(kBackups))->size(), 2u);
}

// What a member that died on the way left goes when it comes back.
TEST_F(KeeperTest, LeftoversGoAtTheNextStart) {
  StartAll();
  const std::string part = std::string(kBackups) + "/" +
                           Stem({cluster_.clock().WallNanos() / 1'000'000 * 1'000'000, 5,
                                 cluster_.member(leader_).id(), cluster_.member(leader_).cluster_id()}) +
                           ".db.part";
  ASSERT_TRUE(disks_[leader_]->WriteAtomically(part, "half", 0600).ok());
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  EXPECT_FALSE(disks_[leader_]->Exists(part));
}

// A cluster that was restored to an earlier state keeps its ID, and finds backups of what it is no more.
TEST_F(KeeperTest, ARestoredClusterBeginsWithABackup) {
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  const BackupName taken = ListBackups(disks_[leader_].get(), std::string(kBackups), 0)->front();
  BackupNote note = *ReadNote(disks_[leader_].get(), std::string(kBackups), taken);
  note.raft_index += 1'000'000;
  keepers_[leader_].reset();
  const std::string path = std::string(kBackups) + "/" + Stem(taken) + ".json";
  ASSERT_TRUE(disks_[leader_]->WriteAtomically(path, EncodeNote(note), 0600).ok());
  MakeKeeper(leader_);
  EXPECT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100)) << "it waits for the interval";
}

// In the midst of a write: an NFS server went away.
TEST_F(KeeperTest, AHungDiskIsGivenUpAndAFollowerTakesOver) {
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  const int reads = cluster_.member(leader_).backend().stats().open_reads;
  ASSERT_TRUE(TickUntil([&] { return keepers_[leader_]->figures().running; }, kTicksAnInterval + 100));
  executors_[leader_]->Hang();
  // A commit later the state that is copied is an old one.
  ASSERT_TRUE(cluster_.Put(leader_, "next", "state").ok());
  Tick(5);
  EXPECT_GT(cluster_.member(leader_).backend().stats().open_reads, reads);
  const BackupKeeper& keeper = *keepers_[leader_];
  ASSERT_TRUE(TickUntil([&] { return keeper.figures().disk_hangs; }, kTicksAnInterval + 10));
  Tick(1);
  EXPECT_FALSE(keeper.figures().running);
  EXPECT_EQ(keeper.figures().failures, 1u);
  EXPECT_EQ(cluster_.member(leader_).backend().stats().open_reads, reads) << "the old state is still held";
  ASSERT_TRUE(TickUntil([&] { return TakenInAll() >= 2; }, kTicksAnInterval));
  Tick(3 * kTicksAnInterval);
  EXPECT_EQ(Taken(leader_), 1u);
  EXPECT_GE(TakenInAll(), 4u);
  EXPECT_LE(executors_[leader_]->held(), 3u) << "work is heaped up for a disk that does not answer";
  EXPECT_FALSE(keeper.too_old()) << "the followers' are good ones";
  EXPECT_TRUE(cluster_.Put(leader_, "still", "served").ok());

  executors_[leader_]->Release();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 2; }, kTicksAnInterval));
  EXPECT_FALSE(keeper.figures().disk_hangs);
  // Nothing of the one that was given up.
  Tick(10);
  EXPECT_EQ(GoodBackups(*disks_[leader_]).size(), 1u);
  EXPECT_EQ(disks_[leader_]->List(std::string(kBackups))->size(), 2u);
}

// A member that starts again in the same process must find its database closed, whatever hangs.
TEST_F(KeeperTest, AHungDiskKeepsNoStateOfAKeeperThatIsGone) {
  StartAll();
  ASSERT_TRUE(TickUntil([&] { return Taken(leader_) == 1; }, 100));
  const auto reads = [&] { return cluster_.member(leader_).backend().stats().open_reads; };
  const int before = reads();
  ASSERT_TRUE(TickUntil([&] { return keepers_[leader_]->figures().running; }, kTicksAnInterval + 100));
  executors_[leader_]->Hang();
  // A commit later the state that is copied is an old one.
  ASSERT_TRUE(cluster_.Put(leader_, "next", "state").ok());
  ASSERT_TRUE(TickUntil([&] { return executors_[leader_]->held() > 0; }, 100));
  Tick(1);
  ASSERT_GT(reads(), before);
  keepers_[leader_].reset();
  EXPECT_GT(executors_[leader_]->held(), 0u);
  EXPECT_EQ(reads(), before);
  executors_[leader_]->Release();  // Whose `done` finds nobody.
  cluster_.Settle();
}

// It hangs before anything is due: a look at the directory never ends.
TEST_F(KeeperTest, ADirectoryThatCanNotBeListedStopsNobodyElse) {
  StartAll();
  executors_[leader_]->Hang();
  ASSERT_TRUE(TickUntil([&] { return TakenInAll() == 1; }, 3 * kTicksAnInterval));
  EXPECT_EQ(Taken(leader_), 0u);
  EXPECT_GT(keepers_[leader_]->figures().failures, 0u);
  ASSERT_TRUE(TickUntil([&] { return !keepers_[leader_]->too_old(); }, kTicksAnInterval));
}

TEST_F(KeeperTest, ALeaderThatCanNotKnowsOfTheOthers) {
  StartAll();
  ASSERT_TRUE(disks_[leader_]->RemoveAll(std::string(kBackups)).ok());
  ASSERT_TRUE(TickUntil([&] { return TakenInAll() == 2; }, 4 * kTicksAnInterval));
  Tick(kTicksAnInterval / 10);
  EXPECT_GT(keepers_[leader_]->figures().failures, 0u);
  EXPECT_FALSE(keepers_[leader_]->too_old());
}

// A member that took backups, and leads no more: its directory holds no more than the leader's, for ever.
TEST_F(KeeperTest, AFollowersDirectoryStaysBounded) {
  constexpr int64_t kHour = 3'600 * kSecond;
  constexpr int64_t kDay = 24 * kHour;
  options_.interval_nanos = 6 * kHour;
  options_.retention = *ParseRetention("4h,2d");
  const int64_t span = SpanNanos(options_.retention, options_.interval_nanos);
  MakeArchivers();
  StartAll();
  const auto pass = [&](int64_t nanos) {
    for (const int64_t end = cluster_.clock().MonotonicNanos() + nanos;
         cluster_.clock().MonotonicNanos() < end;) {
      ASSERT_TRUE(cluster_.Put(leader_, "key", std::to_string(end)).ok());
      cluster_.clock().Advance(kHour);
      Tick(20);
    }
  };
  pass(3 * kDay);
  const size_t before = leader_;
  EXPECT_GT(Taken(before), 8u);
  const size_t next = Other(before);
  cluster_.member(before).TransferLeadership(cluster_[next].id, [](const Status&) {});
  ASSERT_TRUE(TickUntil([&] { return cluster_.member(next).is_leader(); }, 200));
  leader_ = next;
  pass(60 * kDay);
  EXPECT_GT(Taken(next), 200u);
  for (size_t i = 0; i < 3; ++i) {
    SCOPED_TRACE("m" + std::to_string(i) + (i == next ? ", the leader" : ""));
    EXPECT_FALSE(keepers_[i]->too_old());
    const auto good = GoodBackups(*disks_[i]);
    if (i == before) {
      EXPECT_EQ(good.size(), 1u);
    }
    const auto segments = *ListSegments(disks_[i].get(), std::string(kBackups), 0);
    ASSERT_FALSE(segments.empty());
    EXPECT_GT(segments.front().started_unix_nanos, cluster_.clock().WallNanos() - span - kDay);
    // And it is there: what the retention keeps.
    EXPECT_LT(segments.front().started_unix_nanos, cluster_.clock().WallNanos() - kDay);
  }
}

TEST_F(KeeperTest, ADamagedMemberTakesNone) {
  StartAll();
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_alarm(etcdserverpb::CORRUPT);
  request.set_memberid(cluster_.member(leader_).id());
  cluster_.member(leader_).Propose(server::EntryKind::kAlarm, request.SerializeAsString(), {}, {});
  cluster_.Settle();
  Tick(2 * kTicksAnInterval);
  EXPECT_EQ(Taken(leader_), 0u);
  EXPECT_GT(keepers_[leader_]->figures().failures, 0u);
  EXPECT_GT(TakenInAll(), 0u);
}

}  // namespace
}  // namespace quorate::backup
