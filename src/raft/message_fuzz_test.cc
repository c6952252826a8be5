// Messages of a member that lies or is damaged: whatever arrives, nothing crashes and the invariants hold.
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_format.h"
#include "base/test_seed.h"
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
  std::mt19937_64 engine;
};

// Mostly near what is true of a small group, at times far off.
uint64_t Near(Engine& random, uint64_t value) {
  switch (random.Below(12)) {
    case 0:
      return random.Next();
    case 1:
      return UINT64_MAX - random.Below(3);
    case 2:
      return 0;
    default:
      return value + random.Below(5) - std::min<uint64_t>(value, 2);
  }
}

Envelope RandomMessage(Engine& random, const BasicStatus& status) {
  Envelope m;
  m.type = static_cast<MessageType>(random.Below(26));
  m.to = 1;
  m.from = random.Below(5);
  m.term = random.Below(3) == 0 ? Near(random, status.hard_state.term) : status.hard_state.term;
  m.log_term = Near(random, status.hard_state.term);
  m.index = Near(random, random.Below(2) == 0 ? status.last_index : status.hard_state.commit);
  m.commit = Near(random, status.last_index);
  m.reject = random.Below(3) == 0;
  m.reject_hint = Near(random, status.hard_state.commit);
  if (random.Below(4) == 0) m.context = std::string(random.Below(12), '\1');
  Index index = m.index;
  for (uint64_t i = random.Below(4); i > 0; --i) {
    index = random.Below(10) == 0 ? Near(random, index) : index + 1;
    m.entries.push_back({.term = random.Below(4) == 0 ? Near(random, m.term) : m.log_term,
                         .index = index,
                         .data = std::string(random.Below(6), '\10'),
                         .type = static_cast<EntryType>(random.Below(12) == 0 ? random.Below(3) : 0)});
  }
  if (m.type == MessageType::kSnap && random.Below(8) != 0) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->metadata.index = Near(random, status.last_index);
    snapshot->metadata.term = random.Below(2) == 0 ? Near(random, m.term) : m.term;
    for (std::vector<NodeId>* ids :
         {&snapshot->metadata.conf_state.voters, &snapshot->metadata.conf_state.learners,
          &snapshot->metadata.conf_state.voters_outgoing, &snapshot->metadata.conf_state.learners_next}) {
      for (uint64_t i = random.Below(3); i > 0; --i) ids->push_back(random.Below(4));
    }
    m.snapshot = std::move(snapshot);
  }
  return m;
}

TEST(MessageFuzzTest, NothingThatArrivesBreaksTheNode) {
  const uint64_t seed = TestSeed(77);
  SCOPED_TRACE(absl::StrFormat("QUORATE_TEST_SEED=%d", seed));
  Engine random(seed);
  for (int run = 0; run < 60; ++run) {
    MemoryStorage storage;
    auto first = std::make_shared<Snapshot>();
    first->metadata = {
        {.voters = {1, 2, 3}, .learners = {}, .voters_outgoing = {}, .learners_next = {}}, 5, 1};
    ASSERT_TRUE(storage.ApplySnapshot(first).ok());
    Config config;
    config.id = 1;
    config.storage = &storage;
    config.random = &random;
    config.logger = &no_log;
    config.applied = 5;
    config.check_quorum = random.Below(2) == 0;
    config.pre_vote = random.Below(2) == 0;
    config.max_inflight_msgs = 2;
    std::unique_ptr<RawNode> node = *RawNode::Create(config);
    for (int step = 0; step < 400; ++step) {
      const BasicStatus before = node->GetBasicStatus();
      const Envelope m = RandomMessage(random, before);
      node->Step(m).IgnoreError();
      if (random.Below(8) == 0) node->Tick();
      if (random.Below(20) == 0) node->Campaign().IgnoreError();
      if (random.Below(10) == 0) node->Propose("x").IgnoreError();
      if (random.Below(20) == 0) node->ReadIndex("r");
      Status status = node->CheckInvariants();
      ASSERT_TRUE(status.ok()) << "run " << run << " step " << step << ": " << status << "\n" << Describe(m);
      while (node->HasReady() && random.Below(3) != 0) {
        Ready ready = node->NextReady();
        std::vector<Envelope> outgoing;
        if (ready.snapshot != nullptr) {
          ASSERT_TRUE(storage.ApplySnapshot(ready.snapshot).ok());
        }
        storage.Append(ready.entries);
        if (ready.NeedsPersist()) node->OnPersisted(std::move(ready.persist), &outgoing);
        if (!ready.committed_entries.empty()) node->OnApplied(ready.apply);
      }
      status = node->CheckInvariants();
      ASSERT_TRUE(status.ok()) << "run " << run << " step " << step << ": " << status << "\n" << Describe(m);
      ASSERT_GE(node->GetBasicStatus().hard_state.term, before.hard_state.term);
      ASSERT_GE(node->GetBasicStatus().hard_state.commit, before.hard_state.commit);
    }
  }
}

}  // namespace
}  // namespace quorate::raft
