#include "server/standalone.h"

#include <gtest/gtest.h>

#include "cluster/member.h"
#include "raft/confchange_codec.h"
#include "server/log_members.h"

namespace quorate::server {
namespace {

constexpr uint64_t kSelf = 1;
constexpr uint64_t kOther = 2;

raft::Entry Change(raft::Index index, const raft::ConfChange& change) {
  return {3, index, raft::Payload(raft::EncodeConfChange(change)), raft::EntryType::kConfChange};
}

wal::LogContents LogAfter(raft::Index snapshot_index) {
  wal::LogContents log;
  log.metadata.node_id = kSelf;
  log.hard_state = {3, kOther, snapshot_index};
  return log;
}

raft::Snapshot SnapshotAt(raft::Index index, std::vector<uint64_t> voters, std::vector<uint64_t> learners) {
  raft::Snapshot snapshot;
  snapshot.metadata.index = index;
  snapshot.metadata.term = 3;
  snapshot.metadata.conf_state.voters = std::move(voters);
  snapshot.metadata.conf_state.learners = std::move(learners);
  return snapshot;
}

// The last voter can't be removed, so the learner must be one before that.
TEST(StandaloneTest, ALearnerIsPromotedFirst) {
  const raft::Snapshot snapshot = SnapshotAt(10, {kOther}, {kSelf, 5});
  wal::LogContents log = LogAfter(10);
  const auto alone = MakeStandalone(&snapshot, 10, {}, &log);
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->first_new, 0u);
  EXPECT_EQ(alone->removed_members, 2u);
  ASSERT_EQ(log.entries.size(), 3u);
  const auto promotion = raft::DecodeConfChange(log.entries[0].data.view());
  EXPECT_EQ(promotion->type, raft::ConfChangeType::kAddNode);
  EXPECT_EQ(promotion->node_id, kSelf);
  EXPECT_EQ(log.entries[0].index, 11u);
  EXPECT_EQ(log.hard_state.commit, 13u);
  const auto members = MembersAtEnd(&snapshot, log);
  EXPECT_EQ(members->voters, std::set<uint64_t>{kSelf});
  EXPECT_TRUE(members->learners.empty());
}

TEST(StandaloneTest, TheOnlyVoterIsLeftAsItIs) {
  const raft::Snapshot snapshot = SnapshotAt(10, {kSelf}, {});
  wal::LogContents log = LogAfter(10);
  log.entries = {{3, 11, {}}, {3, 12, {}}};
  const auto alone = MakeStandalone(&snapshot, 10, {}, &log);
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->first_new, 2u);
  EXPECT_EQ(log.entries.size(), 2u);
  EXPECT_EQ(log.hard_state.commit, 12u);
}

// Up to what is known as committed nothing is touched.
TEST(StandaloneTest, OnlyEntriesBeyondTheCommitIndexAreEmptied) {
  const raft::Snapshot snapshot = SnapshotAt(10, {kSelf, kOther}, {});
  wal::LogContents log = LogAfter(10);
  log.entries = {{3, 11, "\xff"}, {3, 12, "\xff"}, {3, 13, "", raft::EntryType::kConfChangeV2}};
  log.entries.push_back(Change(14, cluster::RemoveMemberChange(1, kSelf)));
  log.entries.push_back(Change(15, cluster::RemoveMemberChange(2, kOther)));
  const auto alone = MakeStandalone(&snapshot, 11, {}, &log);
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->first_new, 1u);
  EXPECT_EQ(alone->emptied, (std::vector<raft::Index>{12, 13, 14}));
  EXPECT_EQ(alone->removed_members, 0u);
  ASSERT_EQ(log.entries.size(), 5u);
  EXPECT_EQ(log.entries[0].data.view(), "\xff");
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_TRUE(log.entries[i].data.empty());
    EXPECT_EQ(log.entries[i].type, raft::EntryType::kNormal);
  }
  EXPECT_EQ(log.hard_state.commit, 15u);
}

}  // namespace
}  // namespace quorate::server
