// The quarantined member's way back, over the real members of a cluster in memory: whole, interrupted at
// every write to its disk, and where it must not go.
#include "server/rejoin.h"

#include <gtest/gtest.h>

#include "server/fault_cluster_test.h"

namespace quorate::server {
namespace {

// The client API of whatever member leads.
class Admin final : public ClusterAdmin {
 public:
  explicit Admin(FaultCluster* cluster) : cluster_(*cluster) {}

  void SetEndpoints(std::vector<std::string> endpoints) override { endpoints_ = std::move(endpoints); }
  void List(MembersDone done) override {
    ++calls;
    if (!refuse.ok()) return done(refuse);
    const auto leader = cluster_.leader();
    if (!leader || endpoints_.empty()) return done(Unavailable("no endpoint answers"));
    Members members;
    for (const auto& [id, member] : cluster_.member(*leader).membership().members())
      members.push_back(member);
    done(members);
  }
  void CheckHealth(const std::vector<std::string>& client_urls,
                   std::function<void(const Status&)> done) override {
    for (size_t i = 0; i < cluster_.size(); ++i) {
      FaultCluster::Node& node = cluster_[i];
      if (node.config.advertise_client_urls != client_urls || !node.member) continue;
      const bool healthy = !node.member->lost_log().quarantined() && node.member->leader() != 0;
      return done(healthy ? absl::OkStatus() : Unavailable("no leader"));
    }
    done(Unavailable("down"));
  }
  void Remove(uint64_t id, std::function<void(const Status&)> done) override {
    if (cluster::Membership& members = Leader().membership(); members.Find(id) == nullptr) {
      return done(NotFound("etcdserver: member not found"));
    }
    Life().reconfiguration().Remove(id, [done](const auto& members) { done(members.status()); });
  }
  void AddLearner(const std::vector<std::string>& peer_urls,
                  std::function<void(const Status&)> done) override {
    cluster_.clock().AdvanceWall(1'000'000'000);
    Life().reconfiguration().Add(
        peer_urls, true, [done](const auto& members, const cluster::Member&) { done(members.status()); });
  }
  void Promote(uint64_t id, std::function<void(const Status&)> done) override {
    ++promotions;
    Life().reconfiguration().Promote(id, "", [done](const auto& members) { done(members.status()); });
  }

  Status refuse;
  int calls = 0;
  int promotions = 0;

 private:
  Member& Leader() { return cluster_.member(*cluster_.leader()); }
  ClusterLife& Life() { return *cluster_[*cluster_.leader()].cluster_life; }

  FaultCluster& cluster_;
  std::vector<std::string> endpoints_;
};

// Three members, the program around one of them, and the client API of the others.
class RejoinWorld {
 public:
  explicit RejoinWorld(size_t count = 3) : cluster_(count, 11), admin_(&cluster_) {}

  // What the program does around a member: before it opens, while it runs, when it starts anew.
  Status StartProgram() {
    FaultCluster::Node& node = cluster_[victim_];
    restart_ = false;
    auto prepared = PrepareRejoin(&node.files, node.config.data_dir, "");
    if (!prepared.ok()) return prepared.status();
    if (*prepared) {
      node.config.new_cluster = false;
      node.config.initial_cluster = (*prepared)->initial_cluster;
      node.config.remote_cluster = AskCluster(**prepared);
    }
    QUORATE_RETURN_IF_ERROR(cluster_.TryStart(victim_));
    Member& member = *node.member;
    rejoin_ = std::make_unique<Rejoin>(
        &node.files, &admin_,
        Rejoin::Self{member.id(), node.config.name, node.config.advertise_peer_urls, node.config.data_dir},
        member.lost_log().quarantined(),
        Rejoin::Hooks{[this](const auto& done) { done(Endpoints()); }, [this] { restart_ = true; }});
    return rejoin_->Open();
  }
  void EndProgram(bool crash) {
    rejoin_.reset();
    if (!crash) {
      cluster_.Settle();
      const Status closed = cluster_.member(victim_).Close();
      EXPECT_TRUE(closed.ok() || killed_) << closed;
    }
    cluster_.Crash(victim_);
    killed_ = false;
  }
  // One tick of the whole world; the program starts anew when it wants to.
  void Tick() {
    cluster_.Tick();
    if (killed_) {
      EndProgram(true);
    } else if (rejoin_) {
      rejoin_->Tick();
      // One that finds out later ends the streams of its clients and starts quarantined.
      if (restart_ || (Quarantined() && rejoin_->finished())) EndProgram(false);
    }
    if (cluster_[victim_].member) return;
    const Status started = StartProgram();
    EXPECT_TRUE(started.ok() || killed_) << started;
    if (killed_) EndProgram(true);
  }
  bool TickUntil(const std::function<bool()>& holds, int ticks = 1000) {
    for (; ticks > 0 && !holds(); --ticks) Tick();
    return holds();
  }
  bool Rejoined() {
    return cluster_[victim_].member && cluster_[victim_].id != old_id_ && rejoin_ && rejoin_->finished();
  }
  // The process dies at its n-th change of the disk from now, before or instead of it.
  void KillAt(uint64_t n) {
    changes_ = 0;
    SimFileSystem& files = cluster_[victim_].files;
    files.set_before_operation([this, n, &files](SimOperation op, const std::string&) -> Status {
      if (killed_) return Unavailable("killed");
      if (!Changes(op) || ++changes_ != n) return absl::OkStatus();
      killed_ = true;
      cluster_[victim_].fatal = Unavailable("killed");
      files.Kill();
      return Unavailable("killed");
    });
  }
  uint64_t changes() const { return changes_; }

  // Three members, one of which has lost ten entries.
  void LoseOne() {
    cluster_.StartAll();
    ASSERT_TRUE(cluster_.TickUntil([this] {
      return cluster_.member(0).ready() && cluster_.member(1).ready() && cluster_.member(2).ready();
    }));
    victim_ = cluster_.WaitForLeader() == 1 ? 2 : 1;
    cluster_.PutMany("first", 3);
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
    cluster_.Stop(victim_);
    image_ = cluster_.SaveDisk(victim_);
    cluster_.Start(victim_);
    cluster_.PutMany("lost", 10);
    ASSERT_TRUE(cluster_.Agree({0, 1, 2}));
    cluster_.Crash(victim_);
    cluster_.SetDiskBack(victim_, image_);
    cluster_.ForgetRun(victim_);
    old_id_ = cluster_[victim_].id;
  }
  bool Quarantined() { return cluster_[victim_].member && cluster_.member(victim_).lost_log().quarantined(); }
  std::vector<std::string> Endpoints() {
    std::vector<std::string> urls;
    for (size_t i = 0; i < cluster_.size(); ++i) {
      if (i != victim_ && cluster_[i].member) urls.push_back(cluster_[i].config.advertise_client_urls[0]);
    }
    return urls;
  }
  std::map<uint64_t, cluster::Member> MembersNow() {
    return cluster_.member(cluster_.WaitForLeader()).membership().members();
  }
  void ExpectWholeAgain() {
    EXPECT_NE(cluster_[victim_].id, old_id_);
    EXPECT_FALSE(Quarantined());
    ASSERT_EQ(MembersNow().size(), 3u);
    for (const auto& [id, member] : MembersNow()) {
      EXPECT_NE(id, old_id_);
      EXPECT_FALSE(member.is_learner);
    }
    cluster_.PutMany("after", 3);
    EXPECT_TRUE(cluster_.Agree({0, 1, 2}));
    EXPECT_FALSE(cluster_[victim_].files.Exists("/data/quorate/rejoin.json"));
    EXPECT_TRUE(cluster_[victim_].files.Exists("/data/member.lost-" + cluster::IdText(old_id_)));
  }

  FaultCluster cluster_;
  Admin admin_;
  size_t victim_ = 0;
  uint64_t old_id_ = 0;
  FaultCluster::Disk image_;
  std::unique_ptr<Rejoin> rejoin_;
  bool restart_ = false;
  bool killed_ = false;
  uint64_t changes_ = 0;

 private:
  cluster::RemoteCluster AskCluster(const RejoinState& state) {
    cluster::RemoteCluster remote;
    remote.cluster_id = cluster_.member(*cluster_.leader()).cluster_id();
    for (const auto& [id, member] : MembersNow()) {
      remote.members.push_back(member);
      if (id == state.new_id) remote.members.back().attributes.name = state.name;
    }
    return remote;
  }
};

TEST(RejoinTest, TheWholeWay) {
  RejoinWorld world;
  world.LoseOne();
  ASSERT_TRUE(world.StartProgram().ok());
  ASSERT_TRUE(world.TickUntil([&] { return world.Rejoined(); }));
  world.ExpectWholeAgain();
}

TEST(RejoinTest, KilledAtAnyChangeOfItsDiskItGoesOn) {
  uint64_t last = 1;
  for (uint64_t kill_at = 1; kill_at <= last; ++kill_at) {
    SCOPED_TRACE("killed at change " + std::to_string(kill_at));
    RejoinWorld world;
    world.LoseOne();
    ASSERT_TRUE(world.StartProgram().ok());
    world.KillAt(kill_at);
    ASSERT_TRUE(world.TickUntil([&] { return world.Rejoined(); }));
    last = world.changes();
    world.cluster_[world.victim_].files.set_before_operation({});
    world.ExpectWholeAgain();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(last, 30u);
}

TEST(RejoinTest, ItEndangersNoMajority) {
  RejoinWorld world;
  world.LoseOne();
  // One of the two others is down: three voters with two lost would be no cluster any more.
  const size_t leader = world.cluster_.WaitForLeader();
  world.cluster_.Crash(3 - leader - world.victim_);
  ASSERT_TRUE(world.StartProgram().ok());
  for (int tick = 0; tick < 300; ++tick) world.Tick();
  EXPECT_EQ(world.cluster_[world.victim_].id, world.old_id_);
  EXPECT_FALSE(world.cluster_[world.victim_].files.Exists("/data/quorate/rejoin.json"));
  // It goes on when the other is back.
  world.cluster_.Start(3 - leader - world.victim_);
  ASSERT_TRUE(world.TickUntil([&] { return world.Rejoined(); }));
  world.ExpectWholeAgain();
}

TEST(RejoinTest, WithoutTheRightItStaysQuarantined) {
  RejoinWorld world;
  world.LoseOne();
  ASSERT_TRUE(world.StartProgram().ok());
  world.admin_.refuse = PermissionDenied("etcdserver: permission denied");
  ASSERT_TRUE(world.TickUntil([&] { return !world.rejoin_->blocked().empty(); }));
  const int calls = world.admin_.calls;
  for (int tick = 0; tick < 1000; ++tick) world.Tick();
  EXPECT_LE(world.admin_.calls, calls + 30) << "it asks now and then, not all the time";
  EXPECT_TRUE(world.Quarantined());
  EXPECT_EQ(world.MembersNow().size(), 3u);
  world.admin_.refuse = {};
  ASSERT_TRUE(world.TickUntil([&] { return world.Rejoined(); }));
  world.ExpectWholeAgain();
}

TEST(RejoinTest, AMemberThatIsWellDoesNothing) {
  RejoinWorld world;
  world.LoseOne();
  world.victim_ = 3 - world.victim_ - world.cluster_.WaitForLeader();
  world.cluster_.Stop(world.victim_);
  ASSERT_TRUE(world.StartProgram().ok());
  EXPECT_TRUE(world.rejoin_->finished());
  for (int tick = 0; tick < 50; ++tick) world.Tick();
  EXPECT_EQ(world.admin_.calls, 0);
}

TEST(RejoinStateTest, ThereAndBack) {
  RejoinState state{
      RejoinStep::kMove,  1, UINT64_MAX, false, "etcd_2", {"http://a:1", "http://b:1"}, {"http://c:1"},
      "etcd_2=http://a:1"};
  const std::string text = EncodeRejoin(state);
  const auto decoded = DecodeRejoin(text);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, state);
  for (const char* bad :
       {"", "{}", "[]", R"({"step":"fly","old":"1","new":"2"})", R"({"step":"remove","old":"x","new":"2"})",
        R"({"step":"join","old":"1","new":"0"})"}) {
    EXPECT_FALSE(DecodeRejoin(bad).ok()) << bad;
  }
  cluster::Member named{.id = 2, .peer_urls = {"http://b:1"}, .attributes = {"m2", {}}};
  cluster::Member unnamed{.id = 0xab, .peer_urls = {"http://c:1", "http://d:1"}, .attributes = {}};
  cluster::Member own{.id = 5, .peer_urls = {"http://e:1"}, .attributes = {}};
  EXPECT_EQ(InitialClusterText({named, unnamed, own}, 5, "me"),
            "m2=http://b:1,ab=http://c:1,ab=http://d:1,me=http://e:1");
}

}  // namespace
}  // namespace quorate::server
