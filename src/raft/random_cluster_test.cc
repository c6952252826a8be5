// Whole groups under random faults: lost, doubled and reordered messages, partitions, crashes that lose what
// was not yet on disk, compaction, snapshots, changes of membership. Asserts what Raft promises (figure 3.2
// of the thesis):
//   election safety       at most one leader a term; a member votes for at most one candidate a term, crashes
//   included log matching          two logs that agree on the term at an index agree on everything up to it
//   state machine safety  all members apply the same entry at an index (which contains leader completeness)
//   linearizable reads    a read index is not below what was applied anywhere when it was asked for
// and that the group makes progress once the faults end.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "absl/hash/hash.h"
#include "absl/strings/str_format.h"
#include "base/test_seed.h"
#include "raft/confchange_codec.h"
#include "raft/describe.h"
#include "raft/raw_node.h"

namespace quorate::raft {
namespace {

using Envelope = quorate::raft::Message;

struct NoLog : Logger {
  bool Enabled(LogLevel) const override { return false; }
  void Write(LogLevel, std::string_view) override {}
};
NoLog no_log;

struct Engine : Random {
  explicit Engine(uint64_t seed) : engine(seed) {}
  uint64_t Next() override { return engine(); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  std::mt19937_64 engine;
};

// The state machine: a hash over all entries applied.
uint64_t Chain(uint64_t before, const Entry& entry) {
  return absl::HashOf(before, entry.term, entry.index, static_cast<int>(entry.type),
                      absl::string_view(entry.data.view().data(), entry.data.size()));
}

class Group {
 public:
  explicit Group(uint64_t seed) : random_(seed) {
    base_.id = 0;
    base_.logger = &no_log;
    base_.random = &random_;
    base_.async_storage_writes = !random_.OneIn(4);
    base_.election_tick = static_cast<int>(2 + random_.Below(9));
    base_.check_quorum = random_.OneIn(2);
    base_.pre_vote = random_.OneIn(2);
    base_.step_down_on_removal = random_.OneIn(2);
    base_.max_size_per_msg = random_.Below(3) * 40;
    base_.max_committed_size_per_ready = 100;
    base_.max_inflight_msgs = static_cast<int>(1 + random_.Below(4));
    early_ = random_.OneIn(2);
    const size_t members = random_.OneIn(3) ? 3 : 5;
    for (size_t i = 0; i < members; ++i) AddMember();
  }

  void Faults(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      FaultStep();
      if (i % 50 == 0) CheckLogMatching();
    }
  }

  // Without faults: a leader comes up and a new entry reaches all of its members.
  void Heal() {
    partition_.clear();
    for (auto& [id, member] : members_) {
      if (member.down) Restart(member);
    }
    const std::string last_word = "last word";
    for (int round = 0; round < 3000 && !testing::Test::HasFatalFailure(); ++round) {
      for (auto& [id, member] : members_) {
        if (random_.OneIn(2)) member.raw->Tick();
        const NodeStatus status = member.raw->GetStatus();
        if (status.soft_state.role == Role::kLeader && !status.config.voters.Contains(id)) {
          // Without step_down_on_removal it would lead on, and take no proposals, until its owner stops it.
          Crash(member);
          Restart(member);
        }
        if (round % 50 == 0 && status.soft_state.role == Role::kLeader) {
          member.raw->Propose(last_word).IgnoreError();
          // The sender of a snapshot has to say when it was lost; many were. And it must know its receiver: a
          // new one.
          Compact(member);
          for (auto& [other, ignored] : members_) member.raw->ReportSnapshot(other, false);
        }
      }
      for (int i = 0; i < 20 && Settle(); ++i) {
      }
      if (round % 50 == 49 && Heard(last_word)) return;
    }
    if (!DemotedHoldTheLog()) FAIL() << "no progress without faults:\n" << DescribeMembers();
  }

  Index applied() const { return highest_applied_; }
  int leaders() const { return static_cast<int>(leaders_.size()); }
  int snapshots() const { return snapshots_restored_; }
  int changes() const { return changes_applied_; }
  int reads() const { return reads_answered_; }

 private:
  struct Write {
    Ready ready;
    bool stored = false;  // In `storage` already.
  };
  struct Member {
    NodeId id = kNone;
    std::unique_ptr<RawNode> raw;
    MemoryStorage storage;
    MemoryStorage disk;  // What a crash leaves.
    std::deque<Write> writes;
    std::deque<std::pair<std::vector<Entry>, ApplyAck>> applies;
    bool down = false;
    Index applied = 0;
    uint64_t state = 0;
    ConfState members;
    HardState previous;  // For the checks of transitions.
    Index previous_applied = 0;
    std::vector<std::string> words;
  };

  void AddMember() {
    const NodeId id = members_.size() + 1;
    Member& member = members_[id];
    member.id = id;
    if (id <= 3) {
      auto snapshot = std::make_shared<Snapshot>();
      snapshot->metadata = {
          {.voters = {1, 2, 3}, .learners = {}, .voters_outgoing = {}, .learners_next = {}}, 2, 1};
      snapshot->data = "0";
      ASSERT_TRUE(member.disk.ApplySnapshot(snapshot).ok());
    }
    Restart(member);
  }

  void Crash(Member& member) {
    // Some of what was under way may have reached the disk, in order.
    for (uint64_t n = random_.Below(member.writes.size() + 1); n > 0; --n) {
      ToDisk(member.disk, member.writes.front().ready);
      member.writes.pop_front();
    }
    member.writes.clear();
    member.applies.clear();
    member.raw.reset();
    member.down = true;
  }

  void Restart(Member& member) {
    member.down = false;
    member.storage = member.disk;
    const std::shared_ptr<const Snapshot> snapshot = member.disk.LatestSnapshot();
    member.applied = snapshot->metadata.index;
    member.state = snapshot->data.empty() ? 0 : std::stoull(snapshot->data);
    member.members = snapshot->metadata.conf_state;
    member.previous = {};
    member.previous_applied = 0;
    Config config = base_;
    config.id = member.id;
    config.storage = &member.storage;
    config.applied = member.applied;
    StatusOr<std::unique_ptr<RawNode>> raw = RawNode::Create(config);
    ASSERT_TRUE(raw.ok()) << raw.status();
    member.raw = *std::move(raw);
  }

  static void ToDisk(MemoryStorage& disk, const Ready& ready) {
    if (ready.hard_state.has_value()) disk.SetHardState(*ready.hard_state);
    if (ready.snapshot != nullptr) {
      ASSERT_TRUE(disk.ApplySnapshot(ready.snapshot).ok());
    }
    disk.Append(ready.entries);
  }

  Member& Any() {
    auto it = members_.begin();
    std::advance(it, static_cast<ptrdiff_t>(random_.Below(members_.size())));
    return it->second;
  }

  void FaultStep() {
    Member& member = Any();
    if (member.down) {
      if (random_.OneIn(10)) Restart(member);
      return;
    }
    const uint64_t dice = random_.Below(1000);
    if (dice < 250) {
      member.raw->Tick();
    } else if (dice < 600) {
      DeliverOne();
    } else if (dice < 750) {
      TakeReady(member);
    } else if (dice < 850) {
      FinishWrite(member);
    } else if (dice < 900) {
      FinishApply(member);
    } else if (dice < 950) {
      member.raw->Propose(absl::StrFormat("%d", ++proposals_)).IgnoreError();
    } else if (dice < 965) {
      AskRead(member);
    } else if (dice < 975) {
      ProposeChange(member);
    } else if (dice < 980) {
      member.raw->TransferLeader(Any().id);
    } else if (dice < 988) {
      Crash(member);
      return;
    } else if (dice < 994) {
      Compact(member);
    } else if (dice < 996) {
      partition_.clear();
      if (random_.OneIn(2)) {
        for (const auto& [id, other] : members_) partition_[id] = random_.OneIn(2);
      }
    } else if (dice < 998) {
      member.raw->ForgetLeader().IgnoreError();
    } else {
      const NodeId other = Any().id;
      if (random_.OneIn(2)) {
        member.raw->ReportUnreachable(other);
      } else {
        member.raw->ReportSnapshot(other, random_.OneIn(2));
      }
    }
    CheckMember(member);
  }

  // A configuration counts from when it is applied (as in the original, unlike in the thesis). So when a
  // leader that was demoted goes down before it told the voters that the change is committed, they still ask
  // it, and those that followed it, for votes; and these hold entries that the voters lack. Nobody can be
  // elected. No promise of safety is broken, and an owner avoids it: it transfers the leadership before it
  // removes or demotes a leader.
  bool DemotedHoldTheLog() {
    std::pair<Term, Index> voters{0, 0};
    std::pair<Term, Index> others{0, 0};
    for (auto& [id, member] : members_) {
      const NodeStatus status = member.raw->GetStatus();
      auto& best = status.config.voters.Contains(id) ? voters : others;
      best = std::max(best, {*member.disk.TermAt(status.last_index), status.last_index});
    }
    return others > voters;
  }

  std::string DescribeMembers() {
    std::string text;
    for (auto& [id, member] : members_) {
      const NodeStatus status = member.raw->GetStatus();
      text += absl::StrFormat("%d: %s, %s, %s, applied %d, last %d\n%s", id, Describe(status.soft_state),
                              Describe(status.hard_state), Describe(status.config), status.applied,
                              status.last_index, Describe(status.progress));
    }
    return text;
  }

  // Everything there is to do, once; returns whether there was anything.
  bool Settle() {
    bool busy = false;
    for (auto& [id, member] : members_) {
      if (member.raw->HasReady()) {
        TakeReady(member);
        busy = true;
      }
      while (!member.writes.empty()) FinishWrite(member);
      while (!member.applies.empty()) FinishApply(member);
      CheckMember(member);
    }
    std::deque<Envelope> arriving = std::exchange(network_, {});
    for (Envelope& m : arriving) {
      Deliver(std::move(m));
      busy = true;
    }
    return busy;
  }

  bool Heard(const std::string& word) {
    for (auto& [id, leader] : members_) {
      const NodeStatus status = leader.raw->GetStatus();
      if (status.soft_state.role != Role::kLeader) continue;
      for (const auto& [other, progress] : status.progress) {
        const Member& member = members_.at(other);
        if (member.applied < status.applied || member.words.empty()) return false;
      }
      return std::find(leader.words.begin(), leader.words.end(), word) != leader.words.end();
    }
    return false;
  }

  void DeliverOne() {
    if (network_.empty()) return;
    const auto at =
        network_.begin() + static_cast<ptrdiff_t>(random_.Below(std::min<size_t>(network_.size(), 8)));
    Envelope m = *at;
    if (!random_.OneIn(30)) network_.erase(at);  // Else it arrives again.
    if (random_.OneIn(12)) {
      if (m.type == MessageType::kSnap && !members_.at(m.from).down)
        members_.at(m.from).raw->ReportSnapshot(m.to, false);
      return;
    }
    Deliver(std::move(m));
  }

  void Deliver(Envelope m) {
    Member& to = members_.at(m.to);
    if (to.down || (!partition_.empty() && partition_[m.from] != partition_[m.to])) return;
    to.raw->Step(std::move(m)).IgnoreError();
    CheckMember(to);
  }

  void Send(std::vector<Envelope> messages) {
    for (Envelope& m : messages) {
      if (m.type == MessageType::kVoteResp && !m.reject) {
        const auto [it, first] = votes_.try_emplace({m.from, m.term}, m.to);
        ASSERT_EQ(it->second, m.to) << m.from << " voted twice in term " << m.term;
      }
      if (members_.contains(m.to)) network_.push_back(std::move(m));
    }
    while (network_.size() > 400) network_.pop_front();
  }

  void TakeReady(Member& member) {
    if (!member.raw->HasReady()) return;
    Ready ready = member.raw->NextReady();
    TakeReads(ready.read_states);
    if (!base_.async_storage_writes) {
      ToDisk(member.disk, ready);
      Store(member, ready);
      Send(std::move(ready.messages));
      Apply(member, ready.committed_entries);
      member.raw->Advance();
      return;
    }
    Send(std::move(ready.messages));
    if (!ready.committed_entries.empty())
      member.applies.emplace_back(std::move(ready.committed_entries), ready.apply);
    if (!ready.NeedsPersist()) return;
    // Entries may be shown to the node's storage before they are on disk, but in order.
    const bool early =
        early_ && ready.snapshot == nullptr && (member.writes.empty() || member.writes.back().stored);
    if (early) Store(member, ready);
    member.writes.push_back({std::move(ready), early});
  }

  void Store(Member& member, const Ready& ready) {
    if (ready.snapshot != nullptr) {
      ASSERT_TRUE(member.storage.ApplySnapshot(ready.snapshot).ok());
      const SnapshotMetadata& metadata = ready.snapshot->metadata;
      ASSERT_GT(metadata.index, member.applied);
      member.applied = metadata.index;
      member.state = std::stoull(ready.snapshot->data);
      member.members = metadata.conf_state;
      ASSERT_EQ(member.state, states_.at(member.applied));
      ++snapshots_restored_;
    }
    member.storage.Append(ready.entries);
  }

  void FinishWrite(Member& member) {
    if (member.writes.empty()) return;
    Write write = std::move(member.writes.front());
    // A snapshot replaces the state machine: what was to be applied before it goes first.
    if (write.ready.snapshot != nullptr) {
      while (!member.applies.empty()) FinishApply(member);
    }
    member.writes.pop_front();
    ToDisk(member.disk, write.ready);
    if (!write.stored) Store(member, write.ready);
    std::vector<Envelope> outgoing;
    member.raw->OnPersisted(std::move(write.ready.persist), &outgoing);
    Send(std::move(outgoing));
  }

  void FinishApply(Member& member) {
    if (member.applies.empty()) return;
    auto [entries, ack] = std::move(member.applies.front());
    member.applies.pop_front();
    Apply(member, entries);
    member.raw->OnApplied(ack);
  }

  void Apply(Member& member, const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) {
      ASSERT_EQ(entry.index, member.applied + 1) << "member " << member.id;
      if (entry.type != EntryType::kNormal) {
        const StatusOr<ConfChangeV2> change = DecodeConfChange(entry);
        ASSERT_TRUE(change.ok());
        StatusOr<ConfState> members = member.raw->ApplyConfChange(*change);
        ASSERT_TRUE(members.ok()) << members.status() << " " << Describe(entry);
        member.members = *std::move(members);
        ++changes_applied_;
      }
      member.applied = entry.index;
      member.state = Chain(member.state, entry);
      member.words.emplace_back(entry.data.view());
      if (member.words.size() > 20) member.words.erase(member.words.begin());
      const auto [it, first] = states_.try_emplace(entry.index, member.state);
      ASSERT_EQ(it->second, member.state)
          << "member " << member.id << " applied something else: " << Describe(entry);
      highest_applied_ = std::max(highest_applied_, entry.index);
    }
  }

  void AskRead(Member& member) {
    const std::string context = absl::StrFormat("read %d", reads_asked_.size());
    reads_asked_[context] = highest_applied_;
    member.raw->ReadIndex(context);
  }

  void TakeReads(const std::vector<ReadState>& states) {
    for (const ReadState& state : states) {
      ASSERT_GE(state.index, reads_asked_.at(state.context)) << state.context;
      ++reads_answered_;
    }
  }

  void ProposeChange(Member& member) {
    auto single = [this] {
      const ConfChangeType types[] = {ConfChangeType::kAddNode, ConfChangeType::kRemoveNode,
                                      ConfChangeType::kAddLearnerNode};
      return ConfChangeSingle{types[random_.Below(3)], 1 + random_.Below(members_.size())};
    };
    ConfChangeV2 change;
    const uint64_t kind = random_.Below(4);
    // Joint throughout, so that every change is legal whatever it meets; at times the empty one that leaves.
    if (kind > 0) change.transition = static_cast<ConfChangeTransition>(1 + random_.Below(2));
    for (uint64_t i = 0; i < kind; ++i) change.changes.push_back(single());
    // Never without a voter, whatever else it does.
    if (kind > 0) change.changes.push_back({ConfChangeType::kAddNode, 1});
    member.raw->ProposeConfChange(change).IgnoreError();
  }

  void Compact(Member& member) {
    if (!member.applies.empty() || !member.writes.empty()) return;
    if (member.applied <= member.storage.LatestSnapshot()->metadata.index) return;
    for (MemoryStorage* storage : {&member.storage, &member.disk}) {
      ASSERT_TRUE(
          storage->CreateSnapshot(member.applied, &member.members, absl::StrFormat("%d", member.state)).ok());
    }
    const Index keep = random_.Below(6);
    if (member.applied <= keep || member.applied - keep < member.storage.FirstIndex()) return;
    for (MemoryStorage* storage : {&member.storage, &member.disk}) {
      ASSERT_TRUE(storage->Compact(member.applied - keep).ok());
    }
  }

  void CheckMember(Member& member) {
    if (member.down) return;
    const Status invariants = member.raw->CheckInvariants();
    ASSERT_TRUE(invariants.ok()) << "member " << member.id << ": " << invariants;
    const BasicStatus status = member.raw->GetBasicStatus();
    ASSERT_GE(status.hard_state.term, member.previous.term);
    ASSERT_GE(status.hard_state.commit, member.previous.commit);
    ASSERT_GE(status.applied, member.previous_applied);
    if (status.hard_state.term == member.previous.term && member.previous.vote != kNone) {
      ASSERT_EQ(status.hard_state.vote, member.previous.vote);
    }
    member.previous = status.hard_state;
    member.previous_applied = status.applied;
    ASSERT_EQ(status.claimed_commit, 0u) << "no disk went back in time";
    if (status.soft_state.role == Role::kLeader) {
      const auto [it, first] = leaders_.try_emplace(status.hard_state.term, member.id);
      ASSERT_EQ(it->second, member.id) << "two leaders in term " << status.hard_state.term;
    }
  }

  // Over the disks, where the logs are whole.
  void CheckLogMatching() {
    for (auto a = members_.begin(); a != members_.end(); ++a) {
      for (auto b = std::next(a); b != members_.end(); ++b) {
        const MemoryStorage& x = a->second.disk;
        const MemoryStorage& y = b->second.disk;
        const Index first = std::max(x.FirstIndex(), y.FirstIndex());
        Index match = std::min(x.LastIndex(), y.LastIndex());
        while (match >= first && x.TermAt(match) != y.TermAt(match)) --match;
        std::vector<Entry> left;
        std::vector<Entry> right;
        if (match < first) continue;
        ASSERT_TRUE(x.Entries(first, match + 1, kNoLimit, &left));
        ASSERT_TRUE(y.Entries(first, match + 1, kNoLimit, &right));
        ASSERT_EQ(Describe(left), Describe(right)) << "members " << a->first << " and " << b->first;
      }
    }
  }

  Engine random_;
  Config base_;
  bool early_ = false;
  std::map<NodeId, Member> members_;
  std::deque<Envelope> network_;
  std::map<NodeId, bool> partition_;  // Which side; empty: none.

  std::map<Term, NodeId> leaders_;
  std::map<std::pair<NodeId, Term>, NodeId> votes_;
  std::map<Index, uint64_t> states_{{2, 0}};  // The state after each index, whoever applied it first.
  std::map<std::string, Index> reads_asked_;
  Index highest_applied_ = 2;
  int proposals_ = 0;
  int snapshots_restored_ = 0;
  int changes_applied_ = 0;
  int reads_answered_ = 0;
};

TEST(RandomClusterTest, KeepsItsPromisesUnderFaults) {
  const uint64_t seed = TestSeed(1000);
  Index applied = 0;
  int leaders = 0;
  int snapshots = 0;
  int changes = 0;
  int reads = 0;
  for (uint64_t run = 0; run < 30; ++run) {
    SCOPED_TRACE(absl::StrFormat("QUORATE_TEST_SEED=%d", seed + run));
    Group group(seed + run);
    group.Faults(5000);
    if (!HasFatalFailure()) group.Heal();
    if (HasFatalFailure()) FAIL() << "replay with QUORATE_TEST_SEED=" << seed + run;
    applied += group.applied();
    leaders += group.leaders();
    snapshots += group.snapshots();
    changes += group.changes();
    reads += group.reads();
  }
  // The faults were not so many that nothing happened.
  std::printf("applied %llu entries, %d leaders, %d snapshots, %d changes, %d reads\n",
              static_cast<unsigned long long>(applied), leaders, snapshots, changes, reads);
  EXPECT_GT(applied, 200u);
  EXPECT_GT(leaders, 20);
  EXPECT_GT(snapshots, 0);
  EXPECT_GT(changes, 5);
  EXPECT_GT(reads, 5);
}

}  // namespace
}  // namespace quorate::raft
