// A member's life: start, restart, snapshots, and directories that it refuses.
#include "server/member.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cluster/member.h"
#include "cluster/urls.h"
#include "cluster/v2_request.h"
#include "raft/confchange_codec.h"
#include "server/member_harness_test.h"
#include "wal/log_reader.h"
#include "wal/wal.h"

namespace quorate::server {
namespace {

namespace pb = etcdserverpb;

size_t CountEndingIn(MemberHarness& world, std::string_view directory, std::string_view suffix) {
  size_t count = 0;
  const auto names = world.files.List(std::string(directory));
  for (const std::string& name : *names) count += name.ends_with(suffix) ? 1 : 0;
  return count;
}

TEST(Member, NewClusterOfOne) {
  MemberHarness world(1);
  ASSERT_TRUE(world.Open().ok());
  EXPECT_FALSE(world.member->ready());
  bool told = false;
  world.member->OnReady([&] { told = true; });
  ASSERT_TRUE(world.BecomeReady());
  EXPECT_TRUE(told);
  EXPECT_TRUE(world.member->is_leader());
  EXPECT_EQ(world.member->store().current_revision(), 1);
  ASSERT_NE(world.member->membership().local(), nullptr);
  EXPECT_EQ(world.member->membership().local()->attributes.name, "default");
  EXPECT_EQ(world.member->membership().version(), cluster::kInitialClusterVersion);
  EXPECT_TRUE(world.ReadAll().empty());
}

TEST(Member, CleanRestartKeepsAll) {
  MemberHarness world(2);
  world.Start();
  const uint64_t id = world.member->id();
  const uint64_t cluster_id = world.member->cluster_id();
  ASSERT_TRUE(world.Grant(7, 600).ok());
  for (int i = 0; i < 30; ++i)
    ASSERT_TRUE(world.Put("k" + std::to_string(i % 7), std::to_string(i), i % 2 ? 7 : 0).ok());
  ASSERT_TRUE(world.Compact(10).ok());
  world.RunUntilIdle();
  const uint32_t hash = world.HashKv();
  const int64_t revision = world.member->store().current_revision();
  for (int restart = 0; restart < 3; ++restart) {
    world.Restart();
    EXPECT_EQ(world.member->id(), id);
    EXPECT_EQ(world.member->cluster_id(), cluster_id);
    EXPECT_EQ(world.member->store().current_revision(), revision);
    EXPECT_EQ(world.member->store().compacted_revision(), 10);
    EXPECT_EQ(world.HashKv(), hash);
    EXPECT_FALSE(world.member->lessor().Keys(7).empty());
  }
}

TEST(Member, AllAcknowledgedIsThereAfterAPowerCut) {
  MemberHarness world(3);
  world.Start();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(world.Put("k" + std::to_string(i), "v").ok());
  world.Crash();
  world.Start();
  EXPECT_EQ(world.ReadAll().size(), 20u);
  EXPECT_EQ(world.member->store().current_revision(), 21);
}

TEST(Member, RepliesComeInOrderAndOnce) {
  MemberHarness world(4, InlineExecutor::Mode::kQueued);
  world.Start();
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    world.member->ProposePut({.key = "k", .value = "v"}, {},
                             [&order, i](const Status& status, std::string_view) {
                               EXPECT_TRUE(status.ok());
                               order.push_back(i);
                             });
    if (i % 10 == 0) world.Round();
  }
  world.RunUntilIdle();
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(world.member->pending_proposals(), 0u);
}

// Nothing is answered before its log write is synced.
TEST(Member, NoReplyBeforeTheSync) {
  MemberHarness world(5, InlineExecutor::Mode::kQueued);
  world.Start();
  const auto answer = world.Propose(EntryKind::kPut, [] {
    pb::PutRequest request;
    request.set_key("k");
    return request;
  }());
  for (int i = 0; i < 5; ++i) world.Round();
  EXPECT_FALSE(answer->given);
  ASSERT_TRUE(world.executor.Step(Lane::kLog));
  world.Round();
  EXPECT_TRUE(answer->given);
}

TEST(Member, LinearizableReadSeesWhatWasAcknowledged) {
  MemberHarness world(6, InlineExecutor::Mode::kQueued);
  world.Start();
  int64_t acknowledged = 0;
  for (int i = 0; i < 50; ++i) {
    world.member->ProposePut({.key = "k", .value = "v"}, {}, [&](const Status&, std::string_view) {
      acknowledged = world.member->store().current_revision();
    });
    world.member->WhenLinearizable([&, at_least = acknowledged](const Status& status) {
      EXPECT_TRUE(status.ok());
      EXPECT_GE(world.member->store().current_revision(), at_least);
    });
    world.executor.Step();
    world.Round();
  }
  world.RunUntilIdle();
}

// After a kill the log may hold more than its last commit index says. A read before the rest is applied would
// be stale.
TEST(Member, LinearizableReadAfterARestartWaitsForTheWholeLog) {
  MemberHarness world(6, InlineExecutor::Mode::kQueued);
  world.Start();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(world.Put("k", "v").ok());
  const int64_t acknowledged = world.member->store().current_revision();
  world.Crash(false);
  ASSERT_TRUE(world.Open().ok());
  int answered = 0;
  for (int i = 0; i < 400; ++i) {
    if (i % 8 == 0) {
      world.clock.Advance(world.config.tick_nanos);
      world.member->Tick();
    }
    world.member->WhenLinearizable([&](const Status& status) {
      if (!status.ok()) return;
      ++answered;
      EXPECT_GE(world.member->store().current_revision(), acknowledged);
    });
    // The disk is slower than the loop: every state between two of its answers is asked.
    if (i % 4 == 3) world.executor.Step();
    world.Round();
  }
  EXPECT_GT(answered, 0);
}

// Without a leader requests wait, and time out; what timed out is not carried out later.
TEST(Member, RequestsTimeOutWithoutALeader) {
  MemberHarness world(7);
  world.Start();
  ASSERT_TRUE(world.Close().ok());
  ASSERT_TRUE(world.Open().ok());
  ASSERT_EQ(world.member->leader(), 0u);
  pb::PutRequest request;
  request.set_key("late");
  const auto put = world.Propose(EntryKind::kPut, request);
  Answer read;
  world.member->WhenLinearizable([&](const Status& status) { read = {true, status, {}}; });
  world.Round();
  EXPECT_FALSE(put->given);
  EXPECT_FALSE(read.given);
  world.clock.Advance(world.config.request_timeout_nanos());
  // Asked for a moment before the leader comes: these live.
  request.set_key("in time");
  const auto later = world.Propose(EntryKind::kPut, request);
  world.Tick();
  EXPECT_EQ(put->status, ErrTimeout());
  EXPECT_EQ(read.status, ErrTimeout());
  ASSERT_TRUE(world.BecomeReady());
  EXPECT_TRUE(later->status.ok()) << later->status;
  EXPECT_FALSE(world.Get("late"));
  EXPECT_TRUE(world.Get("in time"));
}

TEST(Member, RefusesWhatIsTooLarge) {
  MemberHarness world(8);
  world.config.request_bytes_max = 1000;
  world.Start();
  EXPECT_EQ(world.Put("k", std::string(1000, 'x')).status(), ErrRequestTooLarge());
  EXPECT_TRUE(world.Put("k", std::string(900, 'x')).ok());
}

TEST(Member, StoppingRefusesAndFailsWhatWaits) {
  MemberHarness world(9, InlineExecutor::Mode::kQueued);
  world.Start();
  pb::PutRequest request;
  request.set_key("k");
  const auto waiting = world.Propose(EntryKind::kPut, request);
  Answer read;
  world.member->WhenLinearizable([&](const Status& status) { read = {true, status, {}}; });
  world.member->BeginStop();
  EXPECT_EQ(waiting->status, ErrStopped());
  EXPECT_EQ(read.status, ErrStopped());
  EXPECT_EQ(world.Propose(EntryKind::kPut, request)->status, ErrStopped());
  EXPECT_TRUE(world.Close().ok());
}

// The executor is shut down with a log write in its queue: nobody was told of it, and nothing may be written
// behind.
TEST(Member, CloseAfterADroppedLogWrite) {
  MemberHarness world(10, InlineExecutor::Mode::kQueued);
  world.Start();
  ASSERT_TRUE(world.Put("kept", "1").ok());
  pb::PutRequest request;
  request.set_key("lost");
  const auto lost = world.Propose(EntryKind::kPut, request);
  world.Round();
  world.Propose(EntryKind::kPut, request);
  world.Round();
  world.executor.Drop();
  EXPECT_TRUE(world.member->Close().ok());
  EXPECT_EQ(lost->status, ErrStopped());
  world.Forget();
  world.Start();
  EXPECT_TRUE(world.Get("kept"));
  EXPECT_FALSE(world.Get("lost"));
}

// ---- disks
// ---------------------------------------------------------------------------------------------------------

TEST(Member, FailedSyncIsFatalAndAcknowledgesNothing) {
  MemberHarness world(11);
  world.Start();
  world.files.InjectError(SimOperation::kSync, 1, ".wal");
  pb::PutRequest request;
  request.set_key("k");
  const auto answer = world.Propose(EntryKind::kPut, request);
  world.RunUntilIdle();
  EXPECT_FALSE(world.fatal.ok());
  EXPECT_FALSE(answer->given);
  world.Crash();
  world.Start();
}

TEST(Member, FullDiskIsFatalAndLosesNothing) {
  MemberHarness world(12);
  world.Start();
  ASSERT_TRUE(world.Put("k", "1").ok());
  world.files.set_capacity_bytes(world.files.used_bytes());
  int acknowledged = 1;
  for (int i = 0; i < 200 && world.fatal.ok(); ++i) {
    pb::PutRequest request;
    request.set_key("k");
    request.set_value(std::string(100'000, 'x'));
    const auto answer = world.Propose(EntryKind::kPut, request);
    world.Tick(2);
    if (answer->given && answer->status.ok()) ++acknowledged;
  }
  EXPECT_FALSE(world.fatal.ok());
  world.Crash(false);
  world.files.set_capacity_bytes(UINT64_MAX);
  world.Start();
  EXPECT_GE(world.member->store().current_revision(), 1 + acknowledged);
}

// ---- snapshots
// -----------------------------------------------------------------------------------------------------

TEST(Member, SnapshotsArePurgedAndStartedFrom) {
  MemberHarness world(13);
  world.config.snapshot_count = 10;
  world.config.snapshot_catchup_entries = 5;
  world.config.snapshot_files_max = 2;
  world.Start();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(world.Put("k" + std::to_string(i % 9), std::to_string(i)).ok());
  EXPECT_GE(CountEndingIn(world, kSnapDir, ".snap"), 5u);
  world.clock.Advance(int64_t{31} * 1'000'000'000);
  world.Tick();
  EXPECT_EQ(CountEndingIn(world, kSnapDir, ".snap"), 2u);
  const uint32_t hash = world.HashKv();
  const uint64_t applied = world.member->applied_index();

  world.Crash();
  ASSERT_TRUE(world.Open().ok());
  // From the snapshot, not from the beginning.
  EXPECT_GT(world.member->applied_index(), applied - 15);
  ASSERT_TRUE(world.BecomeReady());
  EXPECT_EQ(world.HashKv(), hash);
  EXPECT_EQ(world.member->membership().local()->attributes.name, "default");
  EXPECT_TRUE(world.Put("more", "1").ok());
}

// The log's old segments are released also when the log is never idle.
TEST(Member, LogIsReleasedUnderConstantLoad) {
  MemberHarness world(14, InlineExecutor::Mode::kQueued);
  world.config.snapshot_count = 20;
  world.config.wal_files_max = 1;
  world.config.wal_segment_bytes = 20'000;
  world.Start();
  // Each write of the log is followed by the next.
  const std::string value(1000, 'x');
  for (int i = 0; i < 200; ++i) {
    world.member->ProposePut({.key = "k", .value = value}, {}, {});
    world.Round();
    while (world.executor.Step()) {
    }
  }
  EXPECT_GE(CountEndingIn(world, kWalDir, ".wal"), 5u);
  world.clock.Advance(int64_t{31} * 1'000'000'000);
  world.member->Tick();
  for (int i = 0; i < 50; ++i) {
    world.member->ProposePut({.key = "k", .value = "v"}, {}, {});
    world.Round();
    while (world.executor.Step()) {
    }
  }
  EXPECT_LE(CountEndingIn(world, kWalDir, ".wal"), 2u);
  world.RunUntilIdle();
  world.Crash();
  world.Start();
}

TEST(Member, DamagedSnapshotFallsBackToTheOneBefore) {
  MemberHarness world(15);
  world.config.snapshot_count = 10;
  world.Start();
  for (int i = 0; i < 45; ++i) ASSERT_TRUE(world.Put("k", std::to_string(i)).ok());
  world.Crash();
  std::string newest;
  const auto names = world.files.List(std::string(kSnapDir));
  for (const std::string& name : *names) {
    if (name.ends_with(".snap")) newest = name;
  }
  ASSERT_TRUE(world.files.FlipBit(std::string(kSnapDir) + "/" + newest, 30, 3).ok());
  world.Start();
  EXPECT_EQ(world.Get("k")->value(), "44");
  EXPECT_EQ(world.member->store().current_revision(), 46);
}

// ---- refused directories
// -------------------------------------------------------------------------------------------

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
  void Write(uint64_t commit_beyond = 0) {
    ASSERT_TRUE(world_.files.CreateDirectories(std::string(kSnapDir), 0700).ok());
    auto log = wal::Wal::Create(&world_.files, std::string(kWalDir), metadata_, {});
    ASSERT_TRUE(log.ok()) << log.status();
    (*log)->Append(bootstrap_.entries, {2, member_id, bootstrap_.entries.back().index + commit_beyond});
    ASSERT_TRUE((*log)->WriteAndSync((*log)->TakeBatch()).ok());
    ASSERT_TRUE((*log)->Close().ok());
  }

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
  ExpectRefused(world, absl::StatusCode::kFailedPrecondition, "a cluster of 2 members");
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

// ---- a log of every kind
// -------------------------------------------------------------------------------------------

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

}  // namespace
}  // namespace quorate::server
