#include "sim/fault_injector.h"

#include <algorithm>
#include <utility>

namespace quorate::sim {
namespace {

constexpr int64_t kRestartLeast = 100 * kMillisecond;

}  // namespace

void FaultInjector::Schedule(const std::vector<Fault>& plan) {
  for (const Fault& fault : plan) {
    world_.scheduler->At(fault.at, [this, fault] { Begin(fault); });
    if (fault.kind != FaultKind::kDiskSetBack) continue;
    // The image that comes back is one of the disk as it was then.
    auto image = std::make_shared<std::map<std::string, std::string>>();
    if (fault.number <= fault.at)
      world_.scheduler->At(fault.at - fault.number, [this, fault, image] {
        if (Node* node = hooks_.node(fault.a); node != nullptr) *image = node->CopyDisk();
      });
    world_.scheduler->At(fault.at, [this, fault, image] {
      Node* node = hooks_.node(fault.a);
      if (node == nullptr || healed_) return;
      // The others answer that they know it (Config::known_as_started).
      if (image->empty()) node->config().known_as_started = true;
      node->Crash(false);
      world_.scheduler->After(kMillisecond, [fault, node, image] {
        if (!node->up()) node->ReplaceDisk(*image, fault.b % 2 == 0);
      });
    });
  }
}

void FaultInjector::Until(int64_t duration, std::function<void()> heal) {
  const uint64_t id = next_healing_++;
  healing_[id] = std::move(heal);
  world_.scheduler->After(duration, [this, id] {
    const auto it = healing_.find(id);
    if (it == healing_.end()) return;
    const auto fn = std::move(it->second);
    healing_.erase(it);
    fn();
  });
}

void FaultInjector::HealAll() {
  healed_ = true;
  world_.trace->Note(kSimulator, "heals-all");
  auto healing = std::move(healing_);
  healing_.clear();
  for (auto& [id, heal] : healing) heal();
}

int64_t FaultInjector::RestartAt(const Node& node) const {
  const auto it = restart_at_.find(node.index());
  return std::max(world_.now() + kRestartLeast, it == restart_at_.end() ? 0 : it->second);
}

void FaultInjector::Block(int from, int to, int64_t duration) {
  world_.network->Block(from, to);
  Until(duration, [this, from, to] { world_.network->Unblock(from, to); });
}

void FaultInjector::Cut(const Fault& fault) {
  for (const Node* node : hooks_.nodes()) {
    const int other = node->index();
    const int a = fault.a;
    switch (fault.kind) {
      case FaultKind::kIsolate:
      case FaultKind::kDeaf:
      case FaultKind::kMute:
        if (other == a) break;
        if (fault.kind != FaultKind::kMute) Block(other, a, fault.duration);
        if (fault.kind != FaultKind::kDeaf) Block(a, other, fault.duration);
        break;
      case FaultKind::kSplit:
        for (const Node* second : hooks_.nodes()) {
          const bool apart = (other < fault.number) != (second->index() < fault.number);
          if (apart) Block(other, second->index(), fault.duration);
        }
        break;
      case FaultKind::kOneWay:
        if (other == fault.b && other != a) Block(a, other, fault.duration);
        break;
      default:
        break;
    }
  }
}

void FaultInjector::Flap(const Fault& fault, int64_t until, bool down) {
  constexpr int64_t kPeriod = 170 * kMillisecond;
  const int64_t left = until - world_.now();
  if (left <= 0 || healed_ || fault.a == fault.b) return;
  if (down) {
    Block(fault.a, fault.b, std::min(kPeriod, left));
    Block(fault.b, fault.a, std::min(kPeriod, left));
  }
  world_.scheduler->After(kPeriod, [this, fault, until, down] { Flap(fault, until, !down); });
}

void FaultInjector::Begin(const Fault& fault) {
  if (healed_) return;
  world_.trace->Note(kSimulator, "fault", {{"what", Describe(fault)}});
  switch (fault.kind) {
    case FaultKind::kIsolate:
    case FaultKind::kOneWay:
    case FaultKind::kDeaf:
    case FaultKind::kMute:
    case FaultKind::kSplit:
      return Cut(fault);
    case FaultKind::kFlap:
      return Flap(fault, world_.now() + fault.duration, true);
    case FaultKind::kBadNetwork: {
      NetworkConditions& now = world_.network->conditions();
      const NetworkConditions before;
      now.loss = static_cast<int>(fault.number);
      now.duplication = now.reordering = static_cast<int>(fault.number) / 2;
      now.delay_spread = fault.number * kMillisecond / 5;
      return Until(fault.duration, [this, before] {
        const int damage = world_.network->conditions().damage;
        world_.network->conditions() = before;
        world_.network->conditions().damage = damage;
      });
    }
    case FaultKind::kBadBytes:
      world_.network->conditions().damage = static_cast<int>(fault.number);
      return Until(fault.duration, [this] { world_.network->conditions().damage = 0; });
    case FaultKind::kPowerLossOfAll:
      for (Node* node : hooks_.nodes()) {
        restart_at_[node->index()] = world_.now() + fault.duration;
        node->Crash(true);
      }
      return;
    case FaultKind::kAddLearner:
    case FaultKind::kPromote:
    case FaultKind::kRemove:
      return hooks_.change_members(fault);
    default:
      if (Node* node = hooks_.node(fault.a); node != nullptr) BeginOnMember(fault, *node);
  }
}

void FaultInjector::CrashMember(const Fault& fault, Node& node) {
  restart_at_[node.index()] = world_.now() + fault.duration;
  if (fault.kind == FaultKind::kPowerLoss || fault.kind == FaultKind::kKill) {
    return node.Crash(fault.kind == FaultKind::kPowerLoss);
  }
  node.CrashAtOperation(fault.number, fault.kind == FaultKind::kCrashAtOperation);
}

void FaultInjector::BeginOnMember(const Fault& fault, Node& node) {
  constexpr int64_t kExcuse = 20 * kSecond;
  switch (fault.kind) {
    case FaultKind::kPowerLoss:
    case FaultKind::kKill:
    case FaultKind::kCrashAtOperation:
    case FaultKind::kKillAtOperation:
      return CrashMember(fault, node);
    case FaultKind::kTerminate:
      restart_at_[node.index()] = world_.now() + fault.duration;
      return node.Terminate();
    case FaultKind::kPause:
      return node.Pause(fault.duration);
    case FaultKind::kCutClients:
      for (const int client : hooks_.clients()) {
        Block(client, node.index(), fault.duration);
        Block(node.index(), client, fault.duration);
      }
      return;
    case FaultKind::kSlowDisk:
      node.executor().set_slowness(fault.number);
      return Until(fault.duration, [&node] { node.executor().set_slowness(1); });
    case FaultKind::kFullDisk:
      node.Excuse(world_.now() + fault.duration + kExcuse);
      node.files().set_capacity_bytes(node.files().used_bytes() + static_cast<uint64_t>(fault.number));
      return Until(fault.duration, [&node] { node.files().set_capacity_bytes(UINT64_MAX); });
    case FaultKind::kFailedSync:
    case FaultKind::kFailedWrite:
      return node.FailOperation(
          fault.kind == FaultKind::kFailedSync ? SimOperation::kSync : SimOperation::kWrite,
          static_cast<uint64_t>(fault.number));
    case FaultKind::kWallJump:
      return node.JumpWallClock(fault.number);
    default:
      return;
  }
}

}  // namespace quorate::sim
