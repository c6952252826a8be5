// A member's life: start, restart, requests, failing disks, snapshots.
#include "server/member.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cluster/version.h"
#include "server/member_harness_test.h"

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

// What they keep of their requests comes from anybody: who they are is asked only when they are served.
TEST(Member, ReadsThatWaitAreBounded) {
  constexpr size_t kMegabyte = size_t{1} << 20;
  MemberHarness world{23};
  ASSERT_TRUE(world.Open().ok());
  size_t served = 0;
  Status refused;
  const auto ask = [&] {
    refused = absl::OkStatus();
    world.member->WhenLinearizable(
        [&](const Status& status) {
          if (status.ok()) ++served;
          refused.Update(status);
        },
        2 * kMegabyte);
    return refused;
  };
  // Nobody leads: they wait.
  size_t waiting = 0;
  while (waiting < 1000 && ask().ok()) ++waiting;
  EXPECT_EQ(waiting, 127U);
  EXPECT_EQ(ask(), ErrTooManyRequests());
  EXPECT_EQ(served, 0U);
  ASSERT_TRUE(world.BecomeReady());
  world.RunUntilIdle();
  EXPECT_EQ(served, waiting);
  // There is room again.
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(ask().ok());
    world.RunUntilIdle();
  }
  EXPECT_EQ(served, waiting + 1000);
}

TEST(Member, ReadsThatHaveWaitedTooLongGiveTheirRoomBack) {
  constexpr size_t kMegabyte = size_t{1} << 20;
  MemberHarness world{24};
  ASSERT_TRUE(world.Open().ok());
  for (int round = 0; round < 3; ++round) {
    size_t ended = 0, refused = 0;
    for (int i = 0; i < 130; ++i) {
      world.member->WhenLinearizable(
          [&](const Status& status) { ++(status == ErrTooManyRequests() ? refused : ended); }, 2 * kMegabyte);
    }
    EXPECT_EQ(refused, 3U);
    // Time goes by before anybody leads.
    world.clock.Advance(world.config.request_timeout_nanos());
    world.member->Tick();
    EXPECT_EQ(ended, 127U);
  }
}

}  // namespace
}  // namespace quorate::server
