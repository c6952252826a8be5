#include "raft/raw_node.h"

#include <gtest/gtest.h>

#include <random>

#include "raft/confchange_codec.h"
#include "raft/describe.h"

namespace quorate::raft {
namespace {

struct NoLog : Logger {
  bool Enabled(LogLevel) const override { return false; }
  void Write(LogLevel, std::string_view) override {}
};
NoLog no_log;

struct FixedRandom : Random {
  uint64_t Next() override { return 0; }
};
FixedRandom fixed_random;

using Messages = std::vector<quorate::raft::Message>;

std::vector<Payload> Payloads(std::initializer_list<const char*> texts) {
  return std::vector<Payload>(texts.begin(), texts.end());
}

// A node over a storage that begins behind a snapshot at (term 1, index 10).
struct TestNode {
  explicit TestNode(ConfState members, Config c = {}) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->metadata = {std::move(members), 10, 1};
    EXPECT_TRUE(storage.ApplySnapshot(snapshot).ok());
    storage.SetHardState({1, kNone, 10});
    c.id = 1;
    c.storage = &storage;
    c.random = &fixed_random;
    c.logger = &no_log;
    c.applied = 10;
    StatusOr<std::unique_ptr<RawNode>> made = RawNode::Create(c);
    EXPECT_TRUE(made.ok()) << made.status();
    raw = *std::move(made);
  }

  // Takes a Ready and stores it, without acknowledging.
  Ready Take() {
    Ready ready = raw->NextReady();
    storage.Append(ready.entries);
    return ready;
  }
  void Persisted(Ready& ready) { raw->OnPersisted(std::move(ready.persist), &sent); }
  // Until nothing is left to do.
  void Drain() {
    while (raw->HasReady()) {
      Ready ready = Take();
      sent.insert(sent.end(), ready.messages.begin(), ready.messages.end());
      Persisted(ready);
      for (const Entry& entry : ready.committed_entries) applied.push_back(entry);
      if (!ready.committed_entries.empty()) raw->OnApplied(ready.apply);
      reads.insert(reads.end(), ready.read_states.begin(), ready.read_states.end());
      const Status status = raw->CheckInvariants();
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  void Elect() {
    ASSERT_TRUE(raw->Campaign().ok());
    Drain();
    for (NodeId id : raw->GetStatus().config.voters.Ids()) {
      if (id == 1) continue;
      ASSERT_TRUE(raw->Step({.type = MessageType::kVoteResp, .to = 1, .from = id, .term = Term()}).ok());
    }
    Drain();
    ASSERT_EQ(raw->GetBasicStatus().soft_state.role, Role::kLeader);
    sent.clear();
  }
  raft::Term Term() const { return raw->GetBasicStatus().hard_state.term; }
  Index Commit() const { return raw->GetBasicStatus().hard_state.commit; }

  MemoryStorage storage;
  std::unique_ptr<RawNode> raw;
  Messages sent;
  std::vector<Entry> applied;
  std::vector<ReadState> reads;
};

ConfState Voters(std::vector<NodeId> ids) {
  ConfState members;
  members.voters = std::move(ids);
  return members;
}

TEST(RawNodeTest, ASingleVoterElectsItselfWhenItsVoteIsOnDisk) {
  TestNode node(Voters({1}));
  for (int i = 0; i < 9; ++i) node.raw->Tick();
  EXPECT_FALSE(node.raw->HasReady());
  node.raw->Tick();
  Ready ready = node.Take();
  EXPECT_EQ(ready.soft_state, (SoftState{kNone, Role::kCandidate}));
  EXPECT_EQ(ready.hard_state, (HardState{2, 1, 10}));
  EXPECT_TRUE(ready.must_sync);
  EXPECT_FALSE(node.raw->HasReady());
  node.Persisted(ready);
  EXPECT_EQ(node.raw->GetBasicStatus().soft_state, (SoftState{1, Role::kLeader}));
  EXPECT_EQ(node.Commit(), 10u);
  node.Drain();
  EXPECT_EQ(node.Commit(), 11u);
  EXPECT_TRUE(node.sent.empty());
}

TEST(RawNodeTest, ANodeThatMayNotCampaignOnlyFollows) {
  TestNode node(Voters({1, 2, 3}));
  node.raw->SetMayCampaign(false);
  for (int i = 0; i < 100; ++i) node.raw->Tick();
  ASSERT_TRUE(node.raw->Campaign().ok());
  ASSERT_TRUE(node.raw->Step({.type = MessageType::kTimeoutNow, .to = 1, .from = 2, .term = 1}).ok());
  EXPECT_FALSE(node.raw->HasReady());
  ASSERT_TRUE(node.raw->Step({.type = MessageType::kHeartbeat, .to = 1, .from = 2, .term = 4}).ok());
  node.Drain();
  EXPECT_EQ(node.raw->GetBasicStatus().soft_state, (SoftState{2, Role::kFollower}));
  node.raw->SetMayCampaign(true);
  node.Elect();
  EXPECT_EQ(node.Term(), 5u);
}

TEST(RawNodeTest, SeveralReadiesAreOnTheirWayToTheDisk) {
  TestNode node(Voters({1}));
  node.Elect();
  ASSERT_TRUE(node.raw->Propose("a").ok());
  Ready first = node.Take();
  std::vector<Payload> batch = Payloads({"b", "c"});
  ASSERT_TRUE(node.raw->ProposeBatch(batch).ok());
  Ready second = node.Take();
  ASSERT_EQ(first.entries.size(), 1u);
  ASSERT_EQ(second.entries.size(), 2u);
  EXPECT_EQ(second.entries[0].index, first.entries[0].index + 1);
  EXPECT_FALSE(node.raw->HasReady()) << "nothing is committed before it is on disk";
  node.Persisted(first);
  Ready third = node.Take();
  ASSERT_EQ(third.committed_entries.size(), 1u);
  EXPECT_EQ(third.committed_entries[0].data.view(), "a");
  EXPECT_FALSE(third.must_sync) << "the commit index alone needs no sync";
  node.Persisted(second);
  Ready fourth = node.Take();
  ASSERT_EQ(fourth.committed_entries.size(), 2u);
  EXPECT_EQ(fourth.committed_entries[1].data.view(), "c");
  node.raw->OnApplied(third.apply);
  node.raw->OnApplied(fourth.apply);
  EXPECT_EQ(node.raw->GetBasicStatus().applied, 14u);
}

TEST(RawNodeTest, PayloadsAreSharedNotCopied) {
  TestNode node(Voters({1}));
  node.Elect();
  std::string data(1000, 'x');
  const char* bytes = data.data();
  std::vector<Payload> batch;
  batch.emplace_back(std::move(data));
  ASSERT_TRUE(node.raw->ProposeBatch(batch).ok());
  Ready ready = node.Take();
  EXPECT_EQ(ready.entries[0].data.view().data(), bytes);
  node.Persisted(ready);
  EXPECT_EQ(node.Take().committed_entries.at(0).data.view().data(), bytes);
}

TEST(RawNodeTest, ARefusedBatchIsLeftWhole) {
  TestNode node(Voters({1}));
  std::vector<Payload> batch = Payloads({"a", "b"});
  const Status status = node.raw->ProposeBatch(batch);
  EXPECT_TRUE(IsProposalDropped(status)) << status;
  EXPECT_EQ(batch[0].view(), "a");
  EXPECT_EQ(batch[1].view(), "b");
}

TEST(RawNodeTest, TheUncommittedTailIsBounded) {
  Config config;
  config.max_uncommitted_entries_size = 10;
  TestNode node(Voters({1}), config);
  node.Elect();
  ASSERT_TRUE(node.raw->Propose(std::string(100, 'x')).ok()) << "an empty tail takes anything";
  EXPECT_TRUE(IsProposalDropped(node.raw->Propose("y")));
  EXPECT_TRUE(node.raw->Propose("").ok()) << "without data is never refused";
  node.Drain();
  EXPECT_TRUE(node.raw->Propose("y").ok());
}

TEST(RawNodeTest, ALeaderSendsBeforeItsOwnDiskIsDone) {
  TestNode node(Voters({1, 2, 3}));
  node.Elect();
  for (NodeId id : {2, 3}) {
    ASSERT_TRUE(
        node.raw->Step({.type = MessageType::kAppResp, .to = 1, .from = id, .term = node.Term(), .index = 11})
            .ok());
  }
  node.Drain();
  ASSERT_TRUE(node.raw->Propose("a").ok());
  Ready ready = node.Take();
  ASSERT_EQ(ready.messages.size(), 2u);
  EXPECT_EQ(ready.messages[0].entries.at(0).data.view(), "a");
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kAppResp, .to = 1, .from = 2, .term = node.Term(), .index = 12})
          .ok());
  EXPECT_EQ(node.Commit(), 11u) << "its own copy does not count yet";
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kAppResp, .to = 1, .from = 3, .term = node.Term(), .index = 12})
          .ok());
  EXPECT_EQ(node.Commit(), 12u) << "the others are a quorum without it";
  Ready next = node.Take();
  EXPECT_TRUE(next.committed_entries.empty()) << "not applied before it is on the own disk";
  node.Persisted(ready);
  EXPECT_TRUE(node.raw->HasReady());
  EXPECT_EQ(node.Take().committed_entries.size(), 1u);
}

TEST(RawNodeTest, AVoteLeavesAfterItIsOnDisk) {
  TestNode node(Voters({1, 2, 3}));
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kVote, .to = 1, .from = 2, .term = 5, .log_term = 1, .index = 10})
          .ok());
  Ready ready = node.Take();
  EXPECT_TRUE(ready.messages.empty());
  EXPECT_TRUE(ready.must_sync);
  EXPECT_EQ(ready.hard_state, (HardState{5, 2, 10}));
  node.Persisted(ready);
  ASSERT_EQ(node.sent.size(), 1u);
  EXPECT_EQ(Describe(node.sent[0]), "1->2 MsgVoteResp Term:5 Log:0/0");
}

// Two leaders in turn write the same index; the acknowledgement of the first write comes when the second is
// under way.
TEST(RawNodeTest, AnAcknowledgementOfAnEarlierTermDoesNotFreeTheLog) {
  TestNode node(Voters({1, 2, 3}));
  auto append = [&](NodeId leader, raft::Term term, raft::Term entry_term) {
    quorate::raft::Message m{
        .type = MessageType::kApp, .to = 1, .from = leader, .term = term, .log_term = 1, .index = 10};
    m.entries.push_back({.term = entry_term, .index = 11, .data = "x"});
    ASSERT_TRUE(node.raw->Step(std::move(m)).ok());
  };
  append(2, 2, 2);
  Ready a = node.raw->NextReady();
  append(3, 3, 3);
  Ready b = node.raw->NextReady();
  append(2, 4, 2);
  Ready c = node.raw->NextReady();
  node.storage.Append(a.entries);
  node.Persisted(a);
  node.storage.Append(b.entries);
  node.Persisted(b);
  // The storage now has the entry of term 3; the log must still read the one of term 2.
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kHeartbeat, .to = 1, .from = 2, .term = 4, .commit = 11}).ok());
  EXPECT_FALSE(node.raw->NextReady().committed_entries.size() > 0);
  node.storage.Append(c.entries);
  node.Persisted(c);
  Ready d = node.raw->NextReady();
  ASSERT_EQ(d.committed_entries.size(), 1u);
  EXPECT_EQ(d.committed_entries[0].term, 2u);
}

TEST(RawNodeTest, ACommitBeyondTheLogIsReportedNotFatal) {
  TestNode node(Voters({1, 2, 3}));
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kHeartbeat, .to = 1, .from = 2, .term = 2, .commit = 50}).ok());
  EXPECT_EQ(node.raw->GetBasicStatus().claimed_commit, 50u);
  EXPECT_EQ(node.Commit(), 10u);
  EXPECT_TRUE(node.raw->CheckInvariants().ok());
}

TEST(RawNodeTest, MessagesThatMakeNoSenseChangeNothing) {
  TestNode node(Voters({1, 2, 3}));
  using M = quorate::raft::Message;
  EXPECT_TRUE(absl::IsInvalidArgument(node.raw->Step({.type = MessageType::kHup, .from = 2})));
  EXPECT_TRUE(absl::IsInvalidArgument(node.raw->Step({.type = MessageType::kForgetLeader, .from = 2})));
  EXPECT_TRUE(absl::IsInvalidArgument(
      node.raw->Step({.type = MessageType::kStorageAppendResp, .from = 1, .index = 99})));
  EXPECT_TRUE(absl::IsInvalidArgument(node.raw->Step({.type = MessageType::kVote, .from = 2}))) << "no term";
  EXPECT_TRUE(absl::IsNotFound(node.raw->Step({.type = MessageType::kAppResp, .from = 9, .term = 1})));
  M gap{.type = MessageType::kApp, .to = 1, .from = 2, .term = 2, .log_term = 1, .index = 10};
  gap.entries.push_back({.term = 2, .index = 15, .data = {}});
  EXPECT_TRUE(node.raw->Step(gap).ok());
  M future = gap;
  future.entries = {{.term = 9, .index = 11, .data = {}}};
  EXPECT_TRUE(node.raw->Step(future).ok());
  EXPECT_EQ(node.raw->GetBasicStatus().last_index, 10u);
  M snapshot{.type = MessageType::kSnap, .to = 1, .from = 2, .term = 2};
  EXPECT_TRUE(node.raw->Step(snapshot).ok()) << "no snapshot in it";
  auto damaged = std::make_shared<Snapshot>();
  damaged->metadata = {Voters({}), 20, 2};
  damaged->metadata.conf_state.learners = {1};
  snapshot.snapshot = damaged;
  EXPECT_TRUE(node.raw->Step(snapshot).ok()) << "a configuration that is none";
  EXPECT_EQ(node.raw->GetBasicStatus().last_index, 10u);
  EXPECT_TRUE(node.raw->CheckInvariants().ok());

  TestNode leader(Voters({1, 2, 3}));
  leader.Elect();
  EXPECT_TRUE(
      leader.raw->Step({.type = MessageType::kAppResp, .from = 2, .term = leader.Term(), .index = 99}).ok());
  EXPECT_EQ(leader.raw->GetStatus().progress.at(2).match, 0u);
  EXPECT_TRUE(IsProposalDropped(leader.raw->Step({.type = MessageType::kProp, .from = 2})));
  M bad_change{.type = MessageType::kProp, .from = 2};
  bad_change.entries.push_back({.data = "\xff", .type = EntryType::kConfChange});
  EXPECT_FALSE(leader.raw->Step(bad_change).ok());
  EXPECT_TRUE(leader.raw->Step({.type = MessageType::kReadIndex, .from = 2}).ok()) << "without a request";
  EXPECT_TRUE(leader.raw->CheckInvariants().ok());
}

TEST(RawNodeTest, ReadsOfASingleVoterAreAnsweredAtOnce) {
  TestNode node(Voters({1}));
  node.Elect();
  node.raw->ReadIndex("r1");
  node.Drain();
  ASSERT_EQ(node.reads.size(), 1u);
  EXPECT_EQ(node.reads[0].index, 11u);
  EXPECT_EQ(node.reads[0].context, "r1");
}

TEST(RawNodeTest, ReadsWaitForACommitInTheTermAndForAQuorum) {
  TestNode node(Voters({1, 2, 3}));
  node.Elect();
  node.raw->ReadIndex("local");
  quorate::raft::Message remote{.type = MessageType::kReadIndex, .to = 1, .from = 3};
  remote.entries.push_back({.data = "remote"});
  ASSERT_TRUE(node.raw->Step(remote).ok());
  node.Drain();
  EXPECT_TRUE(node.sent.empty()) << "the leader has not committed in its term";
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kAppResp, .to = 1, .from = 2, .term = node.Term(), .index = 11})
          .ok());
  node.Drain();
  std::string context;
  for (const auto& m : node.sent) {
    if (m.type == MessageType::kHeartbeat && m.to == 2) context = m.context;
  }
  ASSERT_EQ(context.size(), 8u);
  EXPECT_TRUE(node.reads.empty());
  ASSERT_TRUE(node.raw
                  ->Step({.type = MessageType::kHeartbeatResp,
                          .to = 1,
                          .from = 2,
                          .term = node.Term(),
                          .context = context})
                  .ok());
  node.Drain();
  ASSERT_EQ(node.reads.size(), 1u);
  EXPECT_EQ(node.reads[0].index, 11u);
  EXPECT_EQ(Describe(node.sent.back()),
            "1->3 MsgReadIndexResp Term:2 Log:0/11 Entries:[0/0 EntryNormal \"remote\"]");
}

TEST(RawNodeTest, AppendsAreCutToTheirLimit) {
  Config config;
  config.max_size_per_msg = 0;
  TestNode node(Voters({1, 2}), config);
  node.Elect();
  std::vector<Payload> batch = Payloads({"a", "b", "c"});
  ASSERT_TRUE(node.raw->ProposeBatch(batch).ok());
  node.Drain();
  ASSERT_TRUE(
      node.raw->Step({.type = MessageType::kAppResp, .to = 1, .from = 2, .term = node.Term(), .index = 11})
          .ok());
  node.sent.clear();
  node.Drain();
  size_t with_entries = 0;
  for (const auto& m : node.sent) with_entries += m.entries.size() == 1;
  EXPECT_EQ(with_entries, 3u);
}

TEST(RawNodeTest, AFollowerForwardsUnlessItMayNot) {
  for (bool disable : {false, true}) {
    Config config;
    config.disable_proposal_forwarding = disable;
    TestNode node(Voters({1, 2}), config);
    ASSERT_TRUE(node.raw->Step({.type = MessageType::kHeartbeat, .to = 1, .from = 2, .term = 3}).ok());
    node.Drain();
    node.sent.clear();
    EXPECT_EQ(IsProposalDropped(node.raw->Propose("a")), disable);
    node.Drain();
    ASSERT_EQ(node.sent.size(), disable ? 0u : 1u);
    if (disable) continue;
    EXPECT_EQ(Describe(node.sent[0]), "1->2 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal \"a\"]");
  }
}

TEST(RawNodeTest, ALeaderWithoutQuorumStepsDown) {
  Config config;
  config.check_quorum = true;
  TestNode node(Voters({1, 2, 3}), config);
  node.Elect();
  for (int i = 0; i < 2 * config.election_tick; ++i) node.raw->Tick();
  EXPECT_NE(node.raw->GetBasicStatus().soft_state.role, Role::kLeader);
}

TEST(RawNodeTest, MembershipChangesOneAtATime) {
  TestNode node(Voters({1}));
  node.Elect();
  const ConfChange add{.type = ConfChangeType::kAddLearnerNode, .node_id = 2, .context = {}};
  ASSERT_TRUE(node.raw->ProposeConfChange(add).ok());
  ASSERT_TRUE(node.raw->ProposeConfChange(add).ok());
  node.Drain();
  ASSERT_EQ(node.applied.size(), 3u);
  EXPECT_EQ(node.applied[1].type, EntryType::kConfChange);
  EXPECT_EQ(node.applied[2].type, EntryType::kNormal) << "the second became an empty entry";
  const StatusOr<ConfState> state = node.raw->ApplyConfChange(*DecodeConfChange(node.applied[1].data.view()));
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->learners, std::vector<NodeId>{2});
  EXPECT_EQ(node.raw->ApplyConfChange(ConfChange{})->voters, std::vector<NodeId>{1})
      << "node 0 changes nothing";
  EXPECT_FALSE(
      node.raw->ApplyConfChange(ConfChange{.type = ConfChangeType::kRemoveNode, .node_id = 1, .context = {}})
          .ok());
}

// Else the change would be applied on top of the snapshot's configuration, which has it already.
TEST(RawNodeTest, ASnapshotWaitsForAChangeOfMembershipThatIsBeingApplied) {
  TestNode node(Voters({1, 2, 3}));
  using M = quorate::raft::Message;
  M append{.type = MessageType::kApp, .to = 1, .from = 2, .term = 2, .log_term = 1, .index = 10};
  const ConfChange add{.type = ConfChangeType::kAddNode, .node_id = 4, .context = {}};
  append.entries.push_back(
      {.term = 2, .index = 11, .data = EncodeConfChange(add), .type = EntryType::kConfChange});
  append.commit = 11;
  ASSERT_TRUE(node.raw->Step(append).ok());
  Ready write = node.Take();
  node.Persisted(write);
  Ready apply = node.Take();
  ASSERT_EQ(apply.committed_entries.size(), 1u);

  auto snapshot = std::make_shared<Snapshot>();
  snapshot->metadata = {Voters({1, 2, 3, 4}), 20, 2};
  const M offer{.type = MessageType::kSnap, .to = 1, .from = 2, .term = 2, .snapshot = snapshot};
  ASSERT_TRUE(node.raw->Step(offer).ok());
  EXPECT_EQ(node.raw->GetBasicStatus().last_index, 11u) << "not yet";
  ASSERT_TRUE(node.raw->ApplyConfChange(add).ok());
  node.raw->OnApplied(apply.apply);
  ASSERT_TRUE(node.raw->Step(offer).ok());
  EXPECT_EQ(node.raw->GetBasicStatus().last_index, 20u);
}

TEST(RawNodeTest, BadConfigurationsAndStoredStatesAreErrors) {
  MemoryStorage storage;
  Config good;
  good.id = 1;
  good.storage = &storage;
  good.random = &fixed_random;
  good.logger = &no_log;
  ASSERT_TRUE(RawNode::Create(good).ok());
  auto bad = [&good](auto change) {
    Config config = good;
    change(config);
    return absl::IsInvalidArgument(RawNode::Create(config).status());
  };
  EXPECT_TRUE(bad([](Config& c) { c.id = kNone; }));
  EXPECT_TRUE(bad([](Config& c) { c.id = UINT64_MAX; }));
  EXPECT_TRUE(bad([](Config& c) { c.heartbeat_tick = 0; }));
  EXPECT_TRUE(bad([](Config& c) { c.election_tick = 1; }));
  EXPECT_TRUE(bad([](Config& c) { c.storage = nullptr; }));
  EXPECT_TRUE(bad([](Config& c) { c.random = nullptr; }));
  EXPECT_TRUE(bad([](Config& c) { c.max_inflight_msgs = 0; }));
  EXPECT_TRUE(bad([](Config& c) { c.read_only_option = ReadOnlyOption::kLeaseBased; }));

  storage.SetHardState({1, 0, 5});
  EXPECT_TRUE(absl::IsDataLoss(RawNode::Create(good).status())) << "committed beyond the log";
  storage.SetHardState({});
  good.applied = 3;
  EXPECT_TRUE(absl::IsDataLoss(RawNode::Create(good).status())) << "applied beyond the log";
}

TEST(RawNodeTest, MembersDrivenToTheLimitOfTermsStillHearEachOther) {
  constexpr Term kLimit = Term{1} << 62;
  TestNode node(Voters({1, 2, 3}));
  EXPECT_TRUE(absl::IsInvalidArgument(
      node.raw->Step({.type = MessageType::kHeartbeat, .to = 1, .from = 2, .term = kLimit + 1})));
  EXPECT_EQ(node.Term(), 1u);
  ASSERT_TRUE(node.raw->Step({.type = MessageType::kHeartbeat, .to = 1, .from = 2, .term = kLimit}).ok());
  node.Drain();
  ASSERT_EQ(node.Term(), kLimit);
  quorate::raft::Message vote{.type = MessageType::kVote, .to = 1, .from = 3, .term = kLimit + 1};
  vote.log_term = kLimit;
  vote.index = 10;
  node.sent.clear();
  ASSERT_TRUE(node.raw->Step(vote).ok());
  node.Drain();
  ASSERT_EQ(node.sent.size(), 1u);
  EXPECT_EQ(node.sent[0].type, MessageType::kVoteResp);
  EXPECT_FALSE(node.sent[0].reject);
  EXPECT_EQ(node.Term(), kLimit + 1);
}

}  // namespace
}  // namespace quorate::raft
