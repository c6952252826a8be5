// What a member finds at its start: directories that it refuses, and logs that others have written.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cluster/member.h"
#include "cluster/urls.h"
#include "cluster/v2_request.h"
#include "cluster/version.h"
#include "raft/confchange_codec.h"
#include "server/database_check.h"
#include "server/member.h"
#include "server/member_harness_test.h"
#include "wal/wal.h"

namespace quorate::server {
namespace {

namespace pb = etcdserverpb;

void ExpectRefused(MemberHarness& world, absl::StatusCode code, std::string_view text) {
  const auto before = world.Dump();
  const Status status = world.Open();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_NE(Message(status).find(text), std::string_view::npos) << status;
  const auto after = world.Dump();
  for (const auto& [path, bytes] : after) EXPECT_TRUE(before.contains(path)) << path << " is new";
  for (const auto& [path, bytes] : before) {
    const auto found = after.find(path);
    ASSERT_TRUE(found != after.end()) << path << " is gone";
    EXPECT_TRUE(found->second == bytes) << path << " has changed";
  }
}

TEST(RefusedDirectory, DatabaseNewerThanTheLog) {
  MemberHarness world(20);
  world.Start();
  ASSERT_TRUE(world.Put("k", "1").ok());
  ASSERT_TRUE(world.Close().ok());
  const auto log = world.DumpOf(std::string(kWalDir));
  world.Start();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(world.Put("k", "2").ok());
  ASSERT_TRUE(world.Close().ok());
  world.Replace(std::string(kWalDir), log);
  ExpectRefused(world, absl::StatusCode::kDataLoss, "the log has lost acknowledged entries");
}

// After a power cut the database may know more as committed than the log says.
TEST(Restart, KnowsAsCommittedWhatTheDatabaseHolds) {
  MemberHarness world(19);
  world.Start();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(world.Put("k", std::to_string(i)).ok());
  const auto log = world.DumpOf(std::string(kWalDir));
  world.Tick(5);
  world.Crash(false);
  world.Replace(std::string(kWalDir), log);
  ASSERT_TRUE(world.Open().ok());
  EXPECT_GT(world.member->backend().consistent_index(), 5u);
  EXPECT_GE(world.member->committed_index(), world.member->backend().consistent_index());
}

// etcd's tools, and an etcd that is to go on with the directory, take the log's word for it.
TEST(Restart, TheLogOfAKilledProcessSaysWhatIsCommitted) {
  for (const bool asked_for : {false, true}) {
    MemberHarness world(18);
    world.Start();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(world.Put("k", std::to_string(i)).ok());
    if (asked_for) {
      bool committed = false;
      world.member->backend().Commit([&] { committed = true; });
      world.RunUntilIdle();
      ASSERT_TRUE(committed);
    }
    world.Tick(asked_for ? 1 : 3);
    const uint64_t applied = world.member->applied_index();
    world.Crash(false);
    const auto in_database = ReadConsistentIndex(&world.files, std::string(kDb));
    ASSERT_TRUE(in_database.ok());
    EXPECT_EQ(*in_database, applied);
    const auto log = wal::ReadLog(&world.files, std::string(kWalDir), {});
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_GE(log->hard_state.commit, *in_database);
  }
}

TEST(RefusedDirectory, DatabaseMissingOrOld) {
  MemberHarness world(21);
  world.config.snapshot_count = 10;
  world.Start();
  ASSERT_TRUE(world.Put("k", "1").ok());
  ASSERT_TRUE(world.Close().ok());
  const std::string old = *world.files.ReadAll(std::string(kDb));
  world.Start();
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(world.Put("k", "2").ok());
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.files.WriteAtomically(std::string(kDb), old, 0600).ok());
  ExpectRefused(world, absl::StatusCode::kDataLoss, "before the snapshot");
  ASSERT_TRUE(world.files.Remove(std::string(kDb)).ok());
  ExpectRefused(world, absl::StatusCode::kFailedPrecondition, "is missing");
}

TEST(RefusedDirectory, DatabaseWithoutALog) {
  MemberHarness world(22);
  world.Start();
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.files.RemoveAll(std::string(kWalDir)).ok());
  ExpectRefused(world, absl::StatusCode::kFailedPrecondition, "there is no log");
}

TEST(RefusedDirectory, DataDirectoryIsAFile) {
  MemberHarness world(23);
  ASSERT_TRUE(world.files.WriteAtomically(std::string(kDataDir), "x", 0600).ok());
  EXPECT_EQ(world.Open().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*world.files.ReadAll(std::string(kDataDir)), "x");
}

TEST(RefusedDirectory, LockedByAnotherProcess) {
  MemberHarness world(24);
  world.Start();
  ASSERT_TRUE(world.Put("k", "1").ok());
  const auto second =
      Member::Open(world.config, {&world.files, &world.clock, &world.random, &world.executor});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(second.status()).find("locked"), std::string_view::npos) << second.status();
  EXPECT_TRUE(world.Put("k", "2").ok());
}

TEST(RefusedDirectory, SeveralInitialMembers) {
  MemberHarness world(25);
  world.config.initial_cluster = "default=http://localhost:2380,other=http://localhost:2480";
  EXPECT_EQ(world.Open().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(world.Dump().empty());
}

// A log as another member would have left it: the bootstrap entry, then these.
class WrittenLog {
 public:
  explicit WrittenLog(MemberHarness* world) : world_(*world) {
    const auto initial = cluster::ParseInitialCluster(world->config.initial_cluster);
    const auto members = cluster::InitialMembers(*initial, world->config.initial_cluster_token);
    member_id = members->front().id;
    bootstrap_ = cluster::MakeBootstrap(*members);
    metadata_ = {member_id, cluster::ComputeClusterId({member_id})};
  }
  void AddV2(const cluster::V2Request& request) { Add(cluster::EncodeV2Request(request)); }
  void Add(const pb::InternalRaftRequest& request) {
    pb::InternalRaftRequest with_header = request;
    with_header.mutable_header()->set_id(1000 + bootstrap_.entries.size());
    Add(with_header.SerializeAsString());
  }
  void Add(std::string data) {
    const uint64_t index = bootstrap_.entries.back().index + 1;
    bootstrap_.entries.push_back({2, index, raft::Payload(std::move(data)), raft::EntryType::kNormal});
  }
  void Add(const raft::ConfChange& change) {
    const uint64_t index = bootstrap_.entries.back().index + 1;
    bootstrap_.entries.push_back(
        {2, index, raft::Payload(raft::EncodeConfChange(change)), raft::EntryType::kConfChange});
  }
  // `commit_beyond`: how far the commit index lies beyond the end.
  void Write(int64_t commit_beyond = 0) {
    ASSERT_TRUE(world_.files.CreateDirectories(std::string(kSnapDir), 0700).ok());
    auto log = wal::Wal::Create(&world_.files, std::string(kWalDir), metadata_, {});
    ASSERT_TRUE(log.ok()) << log.status();
    const int64_t commit = static_cast<int64_t>(last()) + commit_beyond;
    (*log)->Append(bootstrap_.entries, {2, member_id, static_cast<uint64_t>(commit)});
    ASSERT_TRUE((*log)->WriteAndSync((*log)->TakeBatch()).ok());
    ASSERT_TRUE((*log)->Close().ok());
  }

  uint64_t last() const { return bootstrap_.entries.back().index; }

  uint64_t member_id = 0;

 private:
  MemberHarness& world_;
  cluster::Bootstrap bootstrap_;
  wal::WalMetadata metadata_;
};

TEST(RefusedDirectory, V2UserData) {
  MemberHarness world(26);
  WrittenLog log(&world);
  cluster::V2Request request;
  request.id = 5;
  request.method = "PUT";
  request.path = "/1/somebody's";
  request.value = "data";
  log.AddV2(request);
  log.Write();
  ExpectRefused(world, absl::StatusCode::kFailedPrecondition, "v2 API");
}

TEST(RefusedDirectory, ClusterOfSeveral) {
  MemberHarness world(28);
  WrittenLog log(&world);
  cluster::Member second;
  second.id = 7;
  second.peer_urls = {"http://127.0.0.1:12380"};
  log.Add(cluster::AddMemberChange(5, second));
  log.Write();
  ExpectRefused(world, absl::StatusCode::kFailedPrecondition, "talk to others");
}

TEST(RefusedDirectory, RemovedMember) {
  MemberHarness world(29);
  WrittenLog log(&world);
  log.Add(cluster::RemoveMemberChange(5, log.member_id));
  log.Write();
  ExpectRefused(world, absl::StatusCode::kFailedPrecondition, "was removed from its cluster");
}

TEST(RefusedDirectory, LogEndsBeforeItsCommit) {
  MemberHarness world(27);
  WrittenLog log(&world);
  log.AddV2(cluster::SetClusterVersionRequest(5, cluster::kVersion34));
  log.Write(3);
  ExpectRefused(world, absl::StatusCode::kDataLoss, "it has lost its end");
}

TEST(RefusedDirectory, ForcingAloneDoesNotBringBackALostEnd) {
  MemberHarness world(32);
  WrittenLog log(&world);
  cluster::Member second;
  second.id = 7;
  second.peer_urls = {"http://127.0.0.1:12380"};
  log.Add(cluster::AddMemberChange(5, second));
  log.Write(3);
  world.config.force_new_cluster = true;
  ExpectRefused(world, absl::StatusCode::kDataLoss,
                "snapshot restore --skip-hash-check /data/member/snap/db");
}

// ---- --force-new-cluster

pb::InternalRaftRequest PutOf(const std::string& key) {
  pb::InternalRaftRequest r;
  r.mutable_put()->set_key(key);
  return r;
}

raft::ConfChange AddSecond() {
  cluster::Member second;
  second.id = 7;
  second.peer_urls = {"http://127.0.0.1:12380"};
  return cluster::AddMemberChange(5, second);
}

// A process that was killed knew more as committed than its log says, and had acknowledged it.
TEST(ForceNewCluster, KeepsEveryEntryOfTheOnlyVoter) {
  MemberHarness world(33);
  WrittenLog log(&world);
  for (int i = 0; i < 10; ++i) log.Add(PutOf("k" + std::to_string(i)));
  log.Write(-5);
  world.config.force_new_cluster = true;
  world.Start();
  EXPECT_EQ(world.ReadAll().size(), 10u);
  EXPECT_TRUE(world.Put("next", "1").ok());
  world.Crash(false);
  world.Start();
  EXPECT_EQ(world.ReadAll().size(), 11u);
}

TEST(ForceNewCluster, KeepsEveryEntryOfOneOfSeveral) {
  MemberHarness world(34);
  WrittenLog log(&world);
  log.Add(AddSecond());
  for (int i = 0; i < 10; ++i) log.Add(PutOf("k" + std::to_string(i)));
  log.Write(-5);
  world.config.force_new_cluster = true;
  world.Start();
  EXPECT_EQ(world.member->membership().members().size(), 1u);
  EXPECT_EQ(world.ReadAll().size(), 10u);
  EXPECT_TRUE(world.Put("next", "1").ok());
  world.config.force_new_cluster = false;
  world.Crash(false);
  world.Start();
  EXPECT_EQ(world.ReadAll().size(), 11u);
}

// Members that come and go behind the commit index are no reason to drop what follows.
TEST(ForceNewCluster, FollowsTheMembersToTheEndOfTheLog) {
  MemberHarness world(35);
  WrittenLog log(&world);
  log.Add(PutOf("a"));
  log.Add(AddSecond());
  log.Add(PutOf("b"));
  log.Write(-3);
  world.config.force_new_cluster = true;
  world.Start();
  EXPECT_EQ(world.member->membership().members().size(), 1u);
  EXPECT_TRUE(world.member->membership().removed(7));
  EXPECT_EQ(world.ReadAll().size(), 2u);
}

// What would end the member, and can't have been acknowledged by it.
TEST(ForceNewCluster, EmptiesWhatItCanNotGoOnWith) {
  for (const bool own_removal : {true, false}) {
    MemberHarness world(36);
    WrittenLog log(&world);
    log.Add(AddSecond());
    log.Add(PutOf("a"));
    const uint64_t committed = log.last();
    if (own_removal) {
      log.Add(cluster::RemoveMemberChange(6, log.member_id));
    } else {
      log.Add(std::string("\xff\xff\xff"));
    }
    log.Add(PutOf("b"));
    log.Write(static_cast<int64_t>(committed) - static_cast<int64_t>(log.last()));
    world.config.force_new_cluster = true;
    world.Start();
    EXPECT_EQ(world.ReadAll().size(), 2u);
    world.config.force_new_cluster = false;
    world.Crash(false);
    world.Start();
    EXPECT_EQ(world.ReadAll().size(), 2u);
  }
}

// The database is what the cluster had acknowledged, and no entry of a later life may take its indexes.
TEST(ForceNewCluster, DatabaseBeyondTheCommitIndex) {
  MemberHarness world(37);
  world.Start();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(world.Put("k" + std::to_string(i), "1").ok());
  const auto log = world.DumpOf(std::string(kWalDir));
  world.Tick(5);
  world.Crash(false);
  world.Replace(std::string(kWalDir), log);
  world.config.force_new_cluster = true;
  world.Start();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(world.Put("n" + std::to_string(i), "1").ok());
  const uint32_t hash = world.HashKv();
  world.Crash(false);
  ASSERT_TRUE(world.files.Remove(std::string(kDb)).ok());
  world.Start();
  EXPECT_EQ(world.ReadAll().size(), 30u);
  EXPECT_EQ(world.HashKv(), hash);  // From the log alone.
}

// ---- a log of every kind

// Entries as etcd writes them, applied at start.
TEST(ForeignLog, EveryKindIsApplied) {
  MemberHarness world(30);
  WrittenLog log(&world);
  log.AddV2(cluster::SetClusterVersionRequest(5, cluster::kVersion34));
  log.AddV2(cluster::PublishAttributesRequest(6, log.member_id,
                                              R"({"name":"foreign","clientURLs":["http://x:1"]})"));
  cluster::V2Request sync;
  sync.id = 7;
  sync.method = "SYNC";
  sync.time = 1;
  log.AddV2(sync);
  log.Add(std::string());
  pb::InternalRaftRequest r;
  const auto add = [&] {
    log.Add(r);
    r.Clear();
  };
  r.mutable_lease_grant()->set_id(70);
  r.mutable_lease_grant()->set_ttl(1000);
  add();
  r.mutable_lease_grant()->set_id(71);
  r.mutable_lease_grant()->set_ttl(1000);
  add();
  r.mutable_put()->set_key("a");
  r.mutable_put()->set_value("1");
  r.mutable_put()->set_lease(70);
  add();  // 2
  r.mutable_put()->set_key("b");
  r.mutable_put()->set_lease(71);
  add();  // 3
  r.mutable_range()->set_key("a");
  add();
  r.mutable_txn()->add_success()->mutable_request_put()->set_key("c");
  add();  // 4
  r.mutable_delete_range()->set_key("c");
  add();  // 5
  r.mutable_lease_revoke()->set_id(71);
  add();  // 6
  r.mutable_lease_checkpoint()->add_checkpoints()->set_id(70);
  r.mutable_lease_checkpoint()->mutable_checkpoints(0)->set_remaining_ttl(500);
  add();
  r.mutable_compaction()->set_revision(4);
  add();
  r.mutable_alarm()->set_action(pb::AlarmRequest::ACTIVATE);
  r.mutable_alarm()->set_memberid(99);
  r.mutable_alarm()->set_alarm(pb::NOSPACE);
  add();
  r.mutable_alarm()->set_action(pb::AlarmRequest::DEACTIVATE);
  r.mutable_alarm()->set_memberid(99);
  r.mutable_alarm()->set_alarm(pb::NOSPACE);
  add();
  r.mutable_auth_user_add()->set_name("root");
  r.mutable_auth_user_add()->set_password("pw");
  add();
  r.mutable_auth_user_grant_role()->set_user("root");
  r.mutable_auth_user_grant_role()->set_role("root");
  add();
  r.mutable_auth_user_add()->set_name("u");
  r.mutable_auth_user_add()->mutable_options()->set_no_password(true);
  add();
  r.mutable_auth_role_add()->set_name("r");
  add();
  r.mutable_auth_role_add()->set_name("s");
  add();
  r.mutable_auth_role_grant_permission()->set_name("r");
  r.mutable_auth_role_grant_permission()->mutable_perm()->set_key("a");
  add();
  r.mutable_auth_role_grant_permission()->set_name("r");
  r.mutable_auth_role_grant_permission()->mutable_perm()->set_key("z");
  add();
  r.mutable_auth_role_revoke_permission()->set_role("r");
  r.mutable_auth_role_revoke_permission()->set_key("z");
  add();
  for (const char* role : {"r", "s"}) {
    r.mutable_auth_user_grant_role()->set_user("u");
    r.mutable_auth_user_grant_role()->set_role(role);
    add();
  }
  r.mutable_auth_user_revoke_role()->set_name("u");
  r.mutable_auth_user_revoke_role()->set_role("s");
  add();
  r.mutable_auth_role_delete()->set_role("s");
  add();
  r.mutable_auth_user_change_password()->set_name("root");
  r.mutable_auth_user_change_password()->set_password("new");
  add();
  r.mutable_auth_user_add()->set_name("gone");
  r.mutable_auth_user_add()->set_password("pw");
  add();
  r.mutable_auth_user_delete()->set_name("gone");
  add();
  r.mutable_auth_enable();
  add();
  r.mutable_authenticate()->set_name("root");
  r.mutable_authenticate()->set_simple_token("abcdefghijklmnop");
  add();
  for (auto* make : {+[](pb::InternalRaftRequest& q) { q.mutable_auth_status(); },
                     +[](pb::InternalRaftRequest& q) { q.mutable_auth_user_list(); },
                     +[](pb::InternalRaftRequest& q) { q.mutable_auth_role_list(); },
                     +[](pb::InternalRaftRequest& q) { q.mutable_auth_user_get()->set_name("u"); },
                     +[](pb::InternalRaftRequest& q) { q.mutable_auth_role_get()->set_role("r"); }}) {
    make(r);
    add();
  }
  r.mutable_auth_disable();
  r.mutable_header()->set_username("root");
  add();
  r.mutable_downgrade_info_set();
  add();
  log.Write();

  world.Start();
  ASSERT_TRUE(world.fatal.ok()) << world.fatal;
  EXPECT_EQ(world.member->id(), log.member_id);
  EXPECT_EQ(world.member->store().current_revision(), 6);
  EXPECT_EQ(world.member->store().compacted_revision(), 4);
  const auto kvs = world.ReadAll();
  ASSERT_EQ(kvs.size(), 1u);
  EXPECT_EQ(kvs[0].key(), "a");
  EXPECT_EQ(kvs[0].lease(), 70);
  EXPECT_TRUE(world.member->lessor().Exists(70));
  EXPECT_FALSE(world.member->lessor().Exists(71));
  EXPECT_TRUE(world.member->alarms().Get(AlarmType::kNone).empty());
  const auth::AuthStore& auth = world.member->auth();
  EXPECT_FALSE(auth.enabled());
  EXPECT_EQ(auth.UserList(), (std::vector<std::string>{"root", "u"}));
  EXPECT_EQ(auth.RoleList(), std::vector<std::string>{"r"});
  EXPECT_EQ(*auth.UserGet("u"), std::vector<std::string>{"r"});
  EXPECT_EQ(auth.RoleGet("r")->size(), 1u);
  // And again from the db, and from the log alone.
  const uint32_t hash = world.HashKv();
  const uint64_t auth_revision = auth.revision();
  world.Restart();
  EXPECT_EQ(world.HashKv(), hash);
  EXPECT_EQ(world.member->auth().revision(), auth_revision);
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.files.Remove(std::string(kDb)).ok());
  world.Start();
  EXPECT_EQ(world.HashKv(), hash);
  EXPECT_EQ(world.member->auth().revision(), auth_revision);
}

// etcd up to 3.6 takes any bytes where the protocol says string.
TEST(ForeignLog, NamesNeedNotBeUtf8) {
  MemberHarness world(31);
  WrittenLog log(&world);
  const std::string name = "na\xff\xc0me";
  pb::InternalRaftRequest r;
  const auto add = [&] {
    r.mutable_header()->set_username(name);
    log.Add(r);
    r.Clear();
  };
  r.mutable_auth_user_add()->set_name(name);
  r.mutable_auth_user_add()->set_password(name);
  add();
  r.mutable_auth_role_add()->set_name(name);
  add();
  r.mutable_auth_user_grant_role()->set_user(name);
  r.mutable_auth_user_grant_role()->set_role(name);
  add();
  r.mutable_auth_role_grant_permission()->set_name(name);
  r.mutable_auth_role_grant_permission()->mutable_perm()->set_key("k");
  add();
  log.Write();

  world.Start();
  ASSERT_TRUE(world.fatal.ok()) << world.fatal;
  const auth::AuthStore& auth = world.member->auth();
  EXPECT_EQ(auth.UserList(), std::vector<std::string>{name});
  EXPECT_EQ(*auth.UserGet(name), std::vector<std::string>{name});
  EXPECT_EQ(auth.RoleGet(name)->size(), 1u);
  world.Restart();
  EXPECT_EQ(*world.member->auth().UserGet(name), std::vector<std::string>{name});
}

}  // namespace
}  // namespace quorate::server
