#include "sim/faults.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/env_sim.h"
#include "sim/scheduler.h"

namespace quorate::sim {
namespace {

struct Weight {
  FaultKind kind;
  uint64_t weight;
};

constexpr Weight kWeights[] = {
    {FaultKind::kPowerLoss, 10},
    {FaultKind::kKill, 8},
    {FaultKind::kCrashAtOperation, 14},
    {FaultKind::kKillAtOperation, 6},
    {FaultKind::kTerminate, 6},
    {FaultKind::kPowerLossOfAll, 2},
    {FaultKind::kPause, 10},
    {FaultKind::kIsolate, 10},
    {FaultKind::kOneWay, 6},
    {FaultKind::kDeaf, 4},
    {FaultKind::kMute, 4},
    {FaultKind::kSplit, 6},
    {FaultKind::kFlap, 5},
    {FaultKind::kBadNetwork, 10},
    {FaultKind::kCutClients, 4},
    {FaultKind::kSlowDisk, 6},
    {FaultKind::kWallJump, 3},
};
constexpr Weight kDiskWeights[] = {
    {FaultKind::kFullDisk, 3}, {FaultKind::kFailedSync, 4}, {FaultKind::kFailedWrite, 3}};

class Planner {
 public:
  explicit Planner(const PlanOptions& options) : options_(options), random_(options.seed) {
    weights_.assign(std::begin(kWeights), std::end(kWeights));
    if (options.disk_faults)
      weights_.insert(weights_.end(), std::begin(kDiskWeights), std::end(kDiskWeights));
    if (options.bad_bytes) weights_.push_back({FaultKind::kBadBytes, 10});
    if (options.disks_set_back) ChooseForSetBacks();
    for (const Weight& weight : weights_) total_ += weight.weight;
  }

  std::vector<Fault> Make() {
    std::vector<Fault> plan;
    for (int64_t at = options_.begin + Mean(options_.interval); at < options_.end;
         at += Mean(options_.interval)) {
      plan.push_back(One(at));
    }
    if (options_.member_changes) AddMemberChanges(&plan);
    std::stable_sort(plan.begin(), plan.end(), [](const Fault& x, const Fault& y) { return x.at < y.at; });
    return plan;
  }

 private:
  // A member that has lost its power, or whose start was cut short, can't show that its disk was not set
  // back, too: two of those may wait for a leader for ever when they are told not to trust their disks.
  void ChooseForSetBacks() {
    std::erase_if(weights_, [this](const Weight& weight) {
      const bool disturbs = weight.kind != FaultKind::kSlowDisk && weight.kind != FaultKind::kWallJump &&
                            weight.kind != FaultKind::kCutClients;
      const bool loses_power =
          weight.kind == FaultKind::kPowerLoss || weight.kind == FaultKind::kPowerLossOfAll ||
          weight.kind == FaultKind::kCrashAtOperation || weight.kind == FaultKind::kKillAtOperation ||
          weight.kind == FaultKind::kFullDisk || weight.kind == FaultKind::kFailedSync ||
          weight.kind == FaultKind::kFailedWrite;
      return loses_power || (options_.undisturbed && disturbs);
    });
    weights_.push_back({FaultKind::kDiskSetBack, 12});
  }

  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(random_.Below(static_cast<uint64_t>(std::max<int64_t>(bound, 1))));
  }
  int64_t Mean(int64_t nanos) { return 1 + Below(2 * nanos); }
  int Member() { return static_cast<int>(Below(options_.members)); }

  FaultKind Kind() {
    uint64_t dice = random_.Below(total_);
    for (const Weight& weight : weights_) {
      if (dice < weight.weight) return weight.kind;
      dice -= weight.weight;
    }
    return FaultKind::kKill;
  }

  Fault One(int64_t at) {
    Fault fault;
    fault.kind = Kind();
    fault.at = at;
    fault.a = Member();
    fault.b = (fault.a + 1 + static_cast<int>(Below(options_.members - 1))) % std::max(options_.members, 1);
    fault.duration = Below(4) == 0 ? Mean(4 * kSecond) : Mean(kSecond);
    fault.duration = std::min(fault.duration, options_.end - at);
    switch (fault.kind) {
      case FaultKind::kCrashAtOperation:
      case FaultKind::kKillAtOperation:
        fault.number = 1 + Below(Below(2) == 0 ? 20 : 300);
        break;
      case FaultKind::kFailedSync:
      case FaultKind::kFailedWrite:
        fault.number = 1 + Below(30);
        break;
      case FaultKind::kSplit:
        fault.number = 1 + Below(options_.members - 1);
        break;
      case FaultKind::kBadNetwork:
      case FaultKind::kBadBytes:
        fault.number = 5 + Below(150);
        break;
      case FaultKind::kSlowDisk:
        fault.number = 5 + Below(500);
        break;
      case FaultKind::kFullDisk:
        fault.number = Below(200'000);
        break;
      case FaultKind::kWallJump:
        fault.number = Below(7200 * kSecond) - 3600 * kSecond;
        break;
      case FaultKind::kDiskSetBack:
        // One member of a cluster: more may take what was acknowledged with them.
        fault.a = 0;
        fault.b = static_cast<int>(Below(2));
        fault.number = Below(6) == 0 ? at + 1 : Mean(5 * kSecond);
        break;
      default:
        break;
    }
    return fault;
  }

  void AddMemberChanges(std::vector<Fault>* plan) {
    const int64_t span = options_.end - options_.begin;
    for (int i = 0; i < 2; ++i) {
      Fault add;
      add.kind = FaultKind::kAddLearner;
      add.at = options_.begin + span * i / 2 + Below(span / 6);
      Fault promote = add;
      promote.kind = FaultKind::kPromote;
      promote.at = add.at + kSecond + Below(span / 8);
      Fault remove = add;
      remove.kind = FaultKind::kRemove;
      remove.a = Member();
      remove.at = promote.at + kSecond + Below(span / 8);
      plan->insert(plan->end(), {add, promote, remove});
    }
  }

  const PlanOptions options_;
  SeededRandom random_;
  std::vector<Weight> weights_;
  uint64_t total_ = 0;
};

bool NamesMember(FaultKind kind) {
  return kind != FaultKind::kPowerLossOfAll && kind != FaultKind::kSplit && kind != FaultKind::kBadNetwork &&
         kind != FaultKind::kBadBytes && kind != FaultKind::kAddLearner && kind != FaultKind::kPromote;
}

}  // namespace

std::string_view FaultName(FaultKind kind) {
  static constexpr std::array<std::string_view, 25> kNames = {"power-loss",
                                                              "kill",
                                                              "crash-at-operation",
                                                              "kill-at-operation",
                                                              "terminate",
                                                              "power-loss-of-all",
                                                              "pause",
                                                              "isolate",
                                                              "one-way",
                                                              "deaf",
                                                              "mute",
                                                              "split",
                                                              "flap",
                                                              "bad-network",
                                                              "bad-bytes",
                                                              "cut-clients",
                                                              "slow-disk",
                                                              "full-disk",
                                                              "failed-sync",
                                                              "failed-write",
                                                              "wall-jump",
                                                              "disk-set-back",
                                                              "add-learner",
                                                              "promote",
                                                              "remove"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Describe(const Fault& fault) {
  char time[64];
  std::snprintf(time, sizeof time, "%.3fs ", static_cast<double>(fault.at) / kSecond);
  std::string text = time + std::string(FaultName(fault.kind));
  if (NamesMember(fault.kind)) text += " m" + std::to_string(fault.a);
  if (fault.kind == FaultKind::kOneWay || fault.kind == FaultKind::kFlap)
    text += "-m" + std::to_string(fault.b);
  if (fault.number != 0) text += " number=" + std::to_string(fault.number);
  std::snprintf(time, sizeof time, " for %.3fs", static_cast<double>(fault.duration) / kSecond);
  return text + (fault.duration > 0 ? time : "");
}

std::vector<Fault> MakePlan(const PlanOptions& options) { return Planner(options).Make(); }

}  // namespace quorate::sim
