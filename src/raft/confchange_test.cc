#include "raft/confchange.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_format.h"
#include "base/test_seed.h"
#include "raft/confchange_codec.h"
#include "raft/datadriven_test.h"
#include "raft/interaction_test.h"

namespace quorate::raft {
namespace {

std::string RunConfChangeCommand(ProgressTracker& tracker, Index last_index, const Command& command) {
  std::vector<ConfChangeSingle> changes;
  if (const std::string error = ParseConfChanges(command.input, &changes); !error.empty()) return error;
  const Changer changer(tracker, last_index);
  StatusOr<ChangedConfig> changed = FailedPrecondition("unknown command");
  if (command.name == "simple") {
    changed = changer.Simple(changes);
  } else if (command.name == "enter-joint") {
    const std::vector<std::string> auto_leave = command.Values("autoleave");
    changed = changer.EnterJoint(!auto_leave.empty() && auto_leave.front() == "true", changes);
  } else if (command.name == "leave-joint") {
    changed = changes.empty() ? changer.LeaveJoint()
                              : StatusOr<ChangedConfig>(FailedPrecondition("this command takes no input"));
  }
  if (!changed.ok()) return std::string(quorate::Message(changed.status())) + "\n";
  tracker.config = changed->config;
  tracker.progress = changed->progress;
  return Describe(tracker.config) + "\n" + Describe(tracker.progress);
}

TEST(ConfChangeTest, RecordedBehaviour) {
  const std::vector<std::string> scripts = FindScripts(ScriptKind::kConfChange);
  if (scripts.empty()) GTEST_SKIP() << "no recorded behaviour at hand";
  for (const std::string& path : scripts) {
    ProgressTracker tracker(10, 0);
    Index last_index = 0;
    RunScript(path,
              [&](const Command& command) { return RunConfChangeCommand(tracker, last_index++, command); });
  }
}

// A random walk over legal and illegal changes: what is accepted keeps the invariants, and the ConfState of
// every configuration on the way restores to that configuration.
TEST(ConfChangeTest, EveryConfigurationRestores) {
  const uint64_t seed = TestSeed(2);
  SCOPED_TRACE(absl::StrFormat("QUORATE_TEST_SEED=%d", seed));
  std::mt19937_64 random(seed);
  for (int walk = 0; walk < 100; ++walk) {
    ProgressTracker tracker(10, 0);
    for (int step = 0; step < 40; ++step) {
      std::vector<ConfChangeSingle> changes;
      for (uint64_t i = random() % 4; i > 0; --i) {
        changes.push_back({static_cast<ConfChangeType>(random() % 4), random() % 6});
      }
      const Changer changer(tracker, 7);
      StatusOr<ChangedConfig> changed = random() % 3 == 0   ? changer.LeaveJoint()
                                        : random() % 2 == 0 ? changer.EnterJoint(random() % 2 == 0, changes)
                                                            : changer.Simple(changes);
      if (!changed.ok()) continue;
      tracker.config = changed->config;
      tracker.progress = changed->progress;
      ASSERT_TRUE(CheckConfig(tracker.config, tracker.progress).ok());
      const StatusOr<ChangedConfig> restored = RestoreConfig(tracker, 7, tracker.ToConfState());
      ASSERT_TRUE(restored.ok()) << restored.status() << " " << Describe(tracker.config);
      ASSERT_EQ(restored->config, tracker.config)
          << Describe(restored->config) << " " << Describe(tracker.config);
      for (const auto& [id, member] : tracker.progress) {
        ASSERT_TRUE(restored->progress.contains(id));
        ASSERT_EQ(restored->progress.at(id).learner, member.learner);
      }
    }
  }
}

TEST(ConfChangeTest, DamagedConfStatesAreErrors) {
  const ProgressTracker limits(10, 0);
  ConfState no_voters_left;
  no_voters_left.voters_outgoing = {1};
  EXPECT_FALSE(RestoreConfig(limits, 1, no_voters_left).ok());
  ConfState only_learners;
  only_learners.learners = {1};
  EXPECT_FALSE(RestoreConfig(limits, 1, only_learners).ok());
}

TEST(ConfChangeCodecTest, RoundTripsAndEtcdsBytes) {
  ConfChange change{.id = 5, .type = ConfChangeType::kAddLearnerNode, .node_id = 300, .context = "x"};
  EXPECT_EQ(EncodeConfChange(change), std::string("\x08\x05\x10\x03\x18\xac\x02\x22\x01x", 10));
  EXPECT_EQ(*DecodeConfChange(EncodeConfChange(change)), change);
  EXPECT_EQ(EncodeConfChange(ConfChange{}), std::string("\x08\x00\x10\x00\x18\x00", 6));

  ConfChangeV2 v2{.transition = ConfChangeTransition::kJointExplicit,
                  .changes = {{ConfChangeType::kAddNode, 1}, {ConfChangeType::kRemoveNode, 2}},
                  .context = "y"};
  EXPECT_EQ(*DecodeConfChangeV2(EncodeConfChange(v2)), v2);
  EXPECT_EQ(*DecodeConfChangeV2(""), ConfChangeV2{});
}

TEST(ConfChangeCodecTest, MalformedBytesAreErrors) {
  EXPECT_FALSE(DecodeConfChange(std::string_view("\x10\x07", 2)).ok()) << "a type that is none";
  EXPECT_FALSE(DecodeConfChange(std::string_view("\x22\x05x", 3)).ok()) << "a length beyond the end";
  EXPECT_FALSE(DecodeConfChangeV2(std::string_view("\x08\x03", 2)).ok()) << "a transition that is none";
  EXPECT_FALSE(DecodeConfChangeV2(std::string_view("\x12\x02\x08", 3)).ok());
  EXPECT_FALSE(DecodeConfChangeV2(std::string_view("\x12\x02\x08\x09", 4)).ok());
}

TEST(ConfChangeCodecTest, EncodedSizeIsThatOfTheWire) {
  EXPECT_EQ(EncodedSize({}), 6u);
  EXPECT_EQ(EncodedSize({.term = 1, .index = 300, .data = std::string(200, 'x')}), 2u + 2 + 3 + 1 + 2 + 200);
}

}  // namespace
}  // namespace quorate::raft
