#include "raft/quorum.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_format.h"
#include "base/test_seed.h"
#include "raft/datadriven_test.h"

namespace quorate::raft {
namespace {

using Acks = std::map<NodeId, Index>;

auto Lookup(const Acks& acks) {
  return [&acks](NodeId id) -> std::optional<Index> {
    const auto it = acks.find(id);
    return it == acks.end() ? std::nullopt : std::optional<Index>(it->second);
  };
}

std::string IndexText(Index index) { return index == kIndexMax ? "∞" : absl::StrFormat("%d", index); }

// By trying: the highest acknowledged index that a majority has reached.
Index DumbCommittedIndex(const IdSet& voters, const Acks& acks) {
  if (voters.empty()) return kIndexMax;
  Index best = 0;
  for (const auto& [candidate, index] : acks) {
    if (!voters.Contains(candidate)) continue;
    size_t reached = 0;
    for (NodeId id : voters) reached += acks.contains(id) && acks.at(id) >= index;
    if (reached > voters.size() / 2) best = std::max(best, index);
  }
  return best;
}

// A bar for each voter, the longer the higher its index stands among all.
std::string DescribeAcks(const IdSet& voters, const Acks& acks) {
  if (voters.empty()) return "<empty majority quorum>";
  const size_t n = voters.size();
  std::string text = std::string(n, ' ') + "    idx\n";
  for (NodeId id : voters) {
    const Index index = acks.contains(id) ? acks.at(id) : 0;
    size_t bar = 0;
    for (NodeId other : voters) bar += (acks.contains(other) ? acks.at(other) : 0) < index;
    text += acks.contains(id) ? std::string(bar, 'x') + ">" + std::string(n - bar, ' ')
                              : "?" + std::string(n, ' ');
    absl::StrAppendFormat(&text, " %5d    (id=%x)\n", index, id);
  }
  return text;
}

struct QuorumCase {
  JointConfig config;
  bool joint = false;
  std::vector<Index> inputs;  // Per voter in order of appearance; 0: none.
  Acks acks;
};

QuorumCase ParseCase(const Command& command) {
  QuorumCase c;
  std::vector<NodeId> order;
  auto add = [&order](IdSet& half, const std::string& text) {
    const NodeId id = std::stoull(text);
    half.Insert(id);
    if (std::find(order.begin(), order.end(), id) == order.end()) order.push_back(id);
  };
  for (const std::string& value : command.Values("cfg")) add(c.config.incoming, value);
  for (const std::string& value : command.Values("cfgj")) {
    c.joint = true;
    if (value != "zero") add(c.config.outgoing, value);
  }
  for (const std::string& value : command.Values("idx"))
    c.inputs.push_back(value == "_" ? 0 : std::stoull(value));
  for (const std::string& value : command.Values("votes")) {
    c.inputs.push_back(value == "y" ? 2 : value == "n" ? 1 : 0);
  }
  for (size_t i = 0; i < order.size() && i < c.inputs.size(); ++i) {
    if (c.inputs[i] != 0) c.acks[order[i]] = c.inputs[i];
  }
  return c;
}

std::string Mismatch(const QuorumCase& c) {
  std::string voters;
  for (NodeId id : c.config.Ids()) absl::StrAppendFormat(&voters, "%s%d:{}", voters.empty() ? "" : " ", id);
  std::string inputs;
  for (Index index : c.inputs) inputs += (inputs.empty() ? "" : " ") + IndexText(index);
  return "error: mismatched input (explicit or _) for voters map[" + voters + "]: [" + inputs + "]";
}

std::string RunQuorumCommand(const Command& command) {
  const QuorumCase c = ParseCase(command);
  if (c.config.Ids().size() != c.inputs.size()) return Mismatch(c);
  const JointConfig swapped{c.config.outgoing, c.config.incoming};
  if (command.name == "committed") {
    const Index index = c.config.CommittedIndex(Lookup(c.acks));
    EXPECT_EQ(swapped.CommittedIndex(Lookup(c.acks)), index) << "by symmetry";
    if (!c.joint) {
      const JointConfig twice{c.config.incoming, c.config.incoming};
      EXPECT_EQ(twice.CommittedIndex(Lookup(c.acks)), index) << "joint with itself";
      EXPECT_EQ(DumbCommittedIndex(c.config.incoming, c.acks), index);
    }
    return DescribeAcks(c.config.Ids(), c.acks) + IndexText(index) + "\n";
  }
  if (command.name != "vote") return "unknown command: " + command.name;
  Votes votes;
  for (const auto& [id, vote] : c.acks) votes[id] = vote == 2;
  EXPECT_EQ(swapped.Result(votes), c.config.Result(votes)) << "by symmetry";
  return std::string(Describe(c.config.Result(votes))) + "\n";
}

TEST(QuorumTest, RecordedBehaviour) {
  const std::vector<std::string> scripts = FindScripts(ScriptKind::kQuorum);
  if (scripts.empty()) GTEST_SKIP() << "no recorded behaviour at hand";
  for (const std::string& path : scripts) RunScript(path, RunQuorumCommand);
}

TEST(QuorumTest, AgreesWithTrying) {
  const uint64_t seed = TestSeed(1);
  SCOPED_TRACE(absl::StrFormat("QUORATE_TEST_SEED=%d", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20000; ++round) {
    IdSet voters;
    Acks acks;
    const uint64_t n = random() % 12;
    for (uint64_t i = 0; i < n; ++i) voters.Insert(random() % 20);
    for (uint64_t i = 0; i < n; ++i) acks[random() % 20] = random() % 10;
    ASSERT_EQ(MajorityCommittedIndex(voters, Lookup(acks)), DumbCommittedIndex(voters, acks))
        << "round " << round;
  }
}

TEST(IdSetTest, IsASortedSet) {
  IdSet ids{3, 1, 2, 3};
  EXPECT_EQ(ids.ids(), (std::vector<NodeId>{1, 2, 3}));
  ids.Erase(2);
  ids.Erase(9);
  EXPECT_TRUE(ids.Contains(3));
  EXPECT_FALSE(ids.Contains(2));
  EXPECT_EQ(Describe(IdSet{1, 255}), "(1 ff)");
  EXPECT_EQ(Describe(JointConfig{{1, 2}, {1}}), "(1 2)&&(1)");
}

}  // namespace
}  // namespace quorate::raft
