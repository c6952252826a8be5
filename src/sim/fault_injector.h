// Carries out a schedule of faults, and takes each back in time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "sim/node.h"
#include "sim/world.h"

namespace quorate::sim {

class FaultInjector {
 public:
  struct Hooks {
    // By index from 0; null when there is no such machine.
    std::function<Node*(int)> node;
    std::function<std::vector<Node*>()> nodes;
    std::function<std::vector<int>()> clients;  // Actors.
    // kAddLearner, kPromote, kRemove.
    std::function<void(const Fault&)> change_members;
  };

  FaultInjector(World* world, Hooks hooks) : world_(*world), hooks_(std::move(hooks)) {}

  void Schedule(const std::vector<Fault>& plan);
  // No fault is in force any more; processes that are down stay down.
  void HealAll();
  // When a process that has ended now is to be started again.
  int64_t RestartAt(const Node& node) const;

 private:
  void Begin(const Fault& fault);
  void BeginOnMember(const Fault& fault, Node& node);
  void CrashMember(const Fault& fault, Node& node);
  void Cut(const Fault& fault);
  void Flap(const Fault& fault, int64_t until, bool down);
  // Runs `heal` after the time, or when everything is healed.
  void Until(int64_t duration, std::function<void()> heal);
  void Block(int from, int to, int64_t duration);

  World& world_;
  const Hooks hooks_;
  std::map<uint64_t, std::function<void()>> healing_;
  uint64_t next_healing_ = 1;
  std::map<int, int64_t> restart_at_;
  bool healed_ = false;
};

}  // namespace quorate::sim
