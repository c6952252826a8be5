// The leaf parts of replication: the window, the progress, the read-only queue, the votes.
#include <gtest/gtest.h>

#include "base/endian.h"
#include "raft/progress.h"
#include "raft/read_only.h"
#include "raft/tracker.h"

namespace quorate::raft {
namespace {

TEST(InflightsTest, IsBoundedByCountAndSoftlyByBytes) {
  Inflights window(3, 100);
  window.Add(1, 60);
  EXPECT_FALSE(window.Full());
  window.Add(2, 60);  // May pass the limit once.
  EXPECT_TRUE(window.Full());
  window.FreeUpTo(1);
  EXPECT_FALSE(window.Full());
  EXPECT_EQ(window.bytes(), 60u);
  window.Add(3, 1);
  window.Add(5, 1);
  EXPECT_TRUE(window.Full());
  window.FreeUpTo(4);
  EXPECT_EQ(window.count(), 1u);
  window.FreeUpTo(4);
  EXPECT_EQ(window.count(), 1u);
  window.Reset();
  EXPECT_EQ(window.count(), 0u);
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(InflightsTest, NoLimitOfBytes) {
  Inflights window(2, 0);
  window.Add(1, UINT64_MAX / 2);
  EXPECT_FALSE(window.Full());
}

Progress NewProgress(Index match, Index next) {
  Progress member;
  member.match = match;
  member.next = next;
  member.inflights = Inflights(2, 0);
  return member;
}

TEST(ProgressTest, ReplicatingRunsAheadUntilTheWindowIsFull) {
  Progress member = NewProgress(5, 6);
  member.BecomeReplicate();
  member.SentEntries(3, 10);
  EXPECT_EQ(member.next, 9u);
  EXPECT_FALSE(member.Paused());
  member.SentEntries(1, 10);
  EXPECT_TRUE(member.Paused());
  EXPECT_TRUE(member.MaybeUpdate(8));
  EXPECT_FALSE(member.Paused());
  EXPECT_FALSE(member.MaybeUpdate(8)) << "old news";
  EXPECT_EQ(member.match, 8u);
  EXPECT_EQ(member.next, 10u);
}

TEST(ProgressTest, ProbingSendsOneAtATime) {
  Progress member = NewProgress(0, 10);
  member.SentEntries(0, 0);
  EXPECT_FALSE(member.Paused());
  member.SentEntries(1, 1);
  EXPECT_TRUE(member.Paused());
  EXPECT_FALSE(member.MaybeDecrease(7, 3)) << "a refusal of something else";
  EXPECT_TRUE(member.Paused());
  EXPECT_TRUE(member.MaybeDecrease(9, 3));
  EXPECT_EQ(member.next, 4u);
  EXPECT_FALSE(member.Paused());
}

TEST(ProgressTest, NextNeverFallsToMatch) {
  Progress member = NewProgress(4, 6);
  EXPECT_TRUE(member.MaybeDecrease(5, 0));
  EXPECT_EQ(member.next, 5u);
  Progress far = NewProgress(4, 9);
  EXPECT_TRUE(far.MaybeDecrease(8, UINT64_MAX)) << "a hint of any size";
  EXPECT_EQ(far.next, 5u);
}

TEST(ProgressTest, AfterASnapshotProbingBeginsBehindIt) {
  Progress member = NewProgress(2, 3);
  member.BecomeSnapshot(20);
  EXPECT_TRUE(member.Paused());
  EXPECT_EQ(member.next, 21u);
  Progress failed = member;
  member.BecomeProbe();
  EXPECT_EQ(member.next, 21u);
  EXPECT_EQ(member.pending_snapshot, 0u);
  failed.pending_snapshot = 0;
  failed.BecomeProbe();
  EXPECT_EQ(failed.next, 3u);
}

TEST(ProgressTest, CommitIsSentOnlyWhereItCanHelp) {
  Progress member = NewProgress(5, 8);
  EXPECT_TRUE(member.CanBumpCommit(1));
  member.SentCommit(7);
  EXPECT_FALSE(member.CanBumpCommit(9)) << "it knows all up to next - 1 already";
}

TEST(ReadOnlyTest, ARoundConfirmsAllAskedBeforeIt) {
  const JointConfig voters{{1, 2, 3}, {}};
  ReadOnly reads;
  EXPECT_EQ(reads.HeartbeatContext(), "");
  reads.Add({.from = 1, .context = "a", .index = 5});
  const std::string first = reads.HeartbeatContext();
  reads.Add({.from = 2, .context = "b", .index = 6});
  const std::string second = reads.HeartbeatContext();
  reads.ReceiveAck(1, second);
  EXPECT_TRUE(reads.TakeConfirmed(voters).empty());
  reads.ReceiveAck(2, first);
  std::vector<ReadRequest> confirmed = reads.TakeConfirmed(voters);
  ASSERT_EQ(confirmed.size(), 1u);
  EXPECT_EQ(confirmed[0].context.view(), "a");
  EXPECT_EQ(confirmed[0].index, 5u);
  reads.ReceiveAck(3, second);
  confirmed = reads.TakeConfirmed(voters);
  ASSERT_EQ(confirmed.size(), 1u);
  EXPECT_EQ(confirmed[0].context.view(), "b");
  EXPECT_EQ(reads.waiting(), 0u);
}

TEST(ReadOnlyTest, StrangeContextsAreIgnored) {
  const JointConfig voters{{1}, {}};
  ReadOnly reads;
  reads.Add({.from = 1, .context = "a", .index = 5});
  std::string beyond(8, '\0');
  StoreLittle<uint64_t>(beyond.data(), 2);
  reads.ReceiveAck(1, beyond);
  reads.ReceiveAck(1, "short");
  EXPECT_TRUE(reads.TakeConfirmed(voters).empty());
}

TEST(TrackerTest, CountsVotesOfVotersOnce) {
  ProgressTracker tracker(1, 0);
  tracker.config.voters.incoming = {1, 2, 3};
  tracker.config.learners = {4};
  for (NodeId id : {1, 2, 3, 4}) tracker.progress[id].learner = id == 4;
  tracker.RecordVote(1, true);
  tracker.RecordVote(1, false);
  tracker.RecordVote(4, true);
  EXPECT_EQ(tracker.TallyVotes().granted, 1);
  EXPECT_EQ(tracker.TallyVotes().result, VoteResult::kPending);
  tracker.RecordVote(2, false);
  tracker.RecordVote(3, false);
  EXPECT_EQ(tracker.TallyVotes().rejected, 2);
  EXPECT_EQ(tracker.TallyVotes().result, VoteResult::kLost);
}

TEST(TrackerTest, QuorumActiveLooksAtVoters) {
  ProgressTracker tracker(1, 0);
  tracker.config.voters.incoming = {1, 2, 3};
  tracker.config.learners = {4};
  for (NodeId id : {1, 2, 3, 4}) tracker.progress[id].learner = id == 4;
  tracker.progress[1].recent_active = true;
  tracker.progress[4].recent_active = true;
  EXPECT_FALSE(tracker.QuorumActive());
  tracker.progress[2].recent_active = true;
  EXPECT_TRUE(tracker.QuorumActive());
}

}  // namespace
}  // namespace quorate::raft
