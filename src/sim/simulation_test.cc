// Whole simulations: the named scenarios, some seeds, the same seed twice, and a server that is broken on
// purpose.
#include "sim/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/logging.h"
#include "base/test_seed.h"
#include "sim/program/peer_wire.h"
#include "sim/runner.h"
#include "sim/scenarios.h"

namespace quorate::sim {
namespace {

constexpr int kRunSeconds = 300;

void BeQuiet() {
  std::string error;
  log::Configure({.level = log::Level::kFatal}, &error);
}

RunResult RunSeed(SimulationOptions options) {
  BeQuiet();
  options.wire = &PeerWire();
  return RunInChild([&] { return Simulation(options).Run(PlanFor(options)); }, kRunSeconds);
}

class SimScenario : public testing::TestWithParam<Scenario> {};

TEST_P(SimScenario, Holds) {
  BeQuiet();
  const RunResult result = RunInChild([] { return RunScenario(GetParam(), false); }, kRunSeconds);
  EXPECT_TRUE(result.ok) << result.check << ": " << result.failure << "\nreplay: ./dev sim --scenario "
                         << GetParam().name;
  EXPECT_GT(result.applied, 0u);
}

INSTANTIATE_TEST_SUITE_P(Originals, SimScenario, testing::ValuesIn(Scenarios().begin(), Scenarios().end()),
                         [](const auto& scenario) {
                           std::string name = scenario.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(SimSearch, NoSeedBreaksAPromise) {
  const bool replay = std::getenv("QUORATE_TEST_SEED") != nullptr;
  const uint64_t first = TestSeed(1);
  uint64_t acknowledged = 0;
  uint64_t watched = 0;
  for (uint64_t seed = first; seed < first + (replay ? 1 : 30); ++seed) {
    const RunResult result = RunSeed(OptionsForSeed(seed));
    EXPECT_TRUE(result.ok) << result.check << ": " << result.failure << "\nreplay: ./dev sim --seed " << seed;
    acknowledged += result.acknowledged;
    watched += result.watch_events;
  }
  // It did what it is for.
  EXPECT_TRUE(replay || (acknowledged > 5000 && watched > 5000)) << acknowledged << " " << watched;
}

// A member whose disk was set back, or lost, harms no one; it says so, and nobody else does.
TEST(SimSearch, ADiskSetBackBreaksNoPromise) {
  const bool replay = std::getenv("QUORATE_TEST_SEED") != nullptr;
  const uint64_t first = TestSeed(1);
  for (uint64_t seed = first; seed < first + (replay ? 1 : 10); ++seed) {
    const RunResult result = RunSeed(OptionsWithSetBacks(seed));
    EXPECT_TRUE(result.ok) << result.check << ": " << result.failure
                           << "\nreplay: ./dev sim --set-back --seed " << seed;
  }
}

TEST(SimSearch, TheSameSeedIsTheSameRun) {
  for (const uint64_t seed : {3, 4}) {
    const RunResult first = RunSeed(OptionsForSeed(seed));
    const RunResult second = RunSeed(OptionsForSeed(seed));
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.events, second.events);
    EXPECT_GT(first.applied, 50u);
  }
}

// A server that does not sync its log loses what it has acknowledged: the simulator must see it.
TEST(SimSearch, AServerThatDoesNotSyncIsFound) {
  BeQuiet();
  int found = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SimulationOptions options;
    options.seed = seed;
    options.load_nanos = 6 * kSecond;
    options.member_changes = false;
    options.configure = [](server::Config* config) { config->sync = false; };
    std::vector<Fault> plan;
    for (int64_t at = 3 * kSecond; at < 7 * kSecond; at += kSecond) {
      Fault fault;
      fault.kind = FaultKind::kPowerLossOfAll;
      fault.at = at;
      fault.duration = 200 * kMillisecond;
      plan.push_back(fault);
    }
    found += !RunInChild([&] { return Simulation(options).Run(plan); }, kRunSeconds).ok;
  }
  EXPECT_GT(found, 0);
}

// A codec that makes something of half a frame.
TEST(SimSearch, ACodecThatTakesHalfAMessageIsFound) {
  BeQuiet();
  SimulationOptions options;
  options.load_nanos = 4 * kSecond;
  options.member_changes = false;
  Wire wire = PeerWire();
  wire.decode = [](uint64_t local, uint64_t remote, std::string_view bytes) {
    auto messages = PeerWire().decode(local, remote, bytes);
    if (messages.ok() && messages->empty()) messages->emplace_back();
    return messages;
  };
  Fault fault;
  fault.kind = FaultKind::kBadBytes;
  fault.at = 3 * kSecond;
  fault.duration = kSecond;
  fault.number = 100;
  options.wire = &wire;
  EXPECT_EQ(RunInChild([&] { return Simulation(options).Run({fault}); }, kRunSeconds).check,
            "half-a-message");
  options.wire = &PeerWire();
  EXPECT_TRUE(RunInChild([&] { return Simulation(options).Run({fault}); }, kRunSeconds).ok);
}

// After a failed sync the process dies and another goes on with what the page cache shows; then the power
// goes.
TEST(SimSearch, ASyncThatFailedLosesNothingUnlessItIsForgotten) {
  BeQuiet();
  int lost = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SimulationOptions options;
    options.seed = seed;
    options.members = 1;
    options.load_nanos = 8 * kSecond;
    options.member_changes = false;
    std::vector<Fault> plan;
    for (int64_t at = 3 * kSecond; at < 9 * kSecond; at += kSecond) {
      Fault fault;
      fault.kind = at / kSecond % 2 == 1 ? FaultKind::kFailedSync : FaultKind::kPowerLoss;
      fault.at = at;
      fault.duration = 100 * kMillisecond;
      fault.number = fault.kind == FaultKind::kFailedSync ? 3 : 0;
      plan.push_back(fault);
    }
    const RunResult result = RunInChild([&] { return Simulation(options).Run(plan); }, kRunSeconds);
    EXPECT_TRUE(result.ok) << "seed " << seed << ": " << result.check << ": " << result.failure;
    options.marks_failed_syncs = false;
    lost += !RunInChild([&] { return Simulation(options).Run(plan); }, kRunSeconds).ok;
  }
  EXPECT_GT(lost, 0);
}

}  // namespace
}  // namespace quorate::sim
