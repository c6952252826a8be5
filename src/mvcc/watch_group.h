// Watchers by what they watch: one group for each distinct key or range, found from an event's key without
// looking at the others. Core thread (a catch-up step has a tree of its own).
//
// Invariants of WatchRangeTree:
//  1. In-order by (key, end), no two alike; a node without end is the greatest of its key.
//  2. Heap order by priority, so the depth is logarithmic whatever the order of insertion.
//  3. `last` of a node is the one with the greatest end in its subtree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/check.h"
#include "base/hash.h"

namespace quorate::mvcc {

class WatchStream;
struct WatchGroup;

enum class WatcherPlace : uint8_t {
  kSynced,   // In group->synced.
  kReady,    // Behind, waiting for a catch-up step.
  kParked,   // Behind, its stream's sink is full.
  kReading,  // Behind, a catch-up step is under way.
  kEnded,    // Its start was compacted; it only holds its id until the client cancels.
};

// Bits of Watcher::flags; the first three choose what is in a response.
constexpr uint8_t kWatchNoPut = 1;
constexpr uint8_t kWatchNoDelete = 2;
constexpr uint8_t kWatchPrevKv = 4;
constexpr uint8_t kWatchSelectionMask = 7;
constexpr uint8_t kWatchFragment = 8;
constexpr uint8_t kWatchProgress = 16;
constexpr uint8_t kWatchProgressDue = 32;  // No event was sent since the last progress tick.
constexpr uint8_t kWatchFuture =
    64;  // next_revision is a start the client asked for and the store has not reached.

struct Watcher {
  WatchStream* stream;
  WatchGroup* group;  // Null when ended.
  int64_t id;
  int64_t next_revision;  // All matching changes below were handed over.
  uint32_t slot;          // Position in the vector of its place.
  WatcherPlace place;
  uint8_t step;  // Which catch-up step, while kReading.
  uint8_t flags;
};

constexpr uint32_t kNotTouched = UINT32_MAX;

struct WatchGroup {
  std::string key;
  absl::InlinedVector<Watcher*, 1> synced;
  uint32_t watchers = 0;           // Of any place.
  uint32_t touched = kNotTouched;  // Position in the hub's list of this round.
  bool range = false;              // Then it is a WatchRangeGroup.
};

struct WatchGroupHash {
  using is_transparent = void;
  size_t operator()(std::string_view key) const { return StringHash()(key); }
  size_t operator()(const WatchGroup* group) const { return StringHash()(group->key); }
};
struct WatchGroupEq {
  using is_transparent = void;
  static std::string_view Key(std::string_view key) { return key; }
  static std::string_view Key(const WatchGroup* group) { return group->key; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Key(a) == Key(b);
  }
};

// [key, end), or everything from key on when `unbounded`.
struct WatchRangeGroup : WatchGroup {
  std::string end;
  bool unbounded = false;
  uint32_t priority = 0;
  WatchRangeGroup* left = nullptr;
  WatchRangeGroup* right = nullptr;
  WatchRangeGroup* last = nullptr;
};

// An interval tree (a treap) over nodes that it does not own: Node has key, end, unbounded, priority, left,
// right, last.
template <typename Node>
class WatchRangeTree {
 public:
  size_t size() const { return size_; }

  void Insert(Node* node) {
    node->priority = NextPriority();
    node->left = node->right = nullptr;
    node->last = node;
    auto [below, above] = Split(root_, *node);
    root_ = Merge(Merge(below, node), above);
    ++size_;
  }

  void Erase(Node* node) {
    root_ = EraseFrom(root_, node);
    --size_;
  }

  Node* Find(std::string_view key, std::string_view end, bool unbounded) const {
    Node* at = root_;
    while (at != nullptr) {
      const int order = Compare(key, end, unbounded, *at);
      if (order == 0) return at;
      at = order < 0 ? at->left : at->right;
    }
    return nullptr;
  }

  // Calls visit(Node*) for each range that holds `point`, in order.
  template <typename Visit>
  void Stab(std::string_view point, Visit&& visit) const {
    StabFrom(root_, point, visit);
  }

  template <typename Visit>
  void ForEach(Visit&& visit) const {
    ForEachFrom(root_, visit);
  }

  // Asserts the invariants; costs a full walk.
  void CheckInvariants() const { QUORATE_CHECK(CheckFrom(root_) == size_); }

 private:
  static int Compare(std::string_view key, std::string_view end, bool unbounded, const Node& node) {
    if (const int order = key.compare(node.key); order != 0) return order;
    if (unbounded || node.unbounded) return static_cast<int>(unbounded) - static_cast<int>(node.unbounded);
    return end.compare(node.end);
  }
  static int Compare(const Node& a, const Node& b) { return Compare(a.key, a.end, a.unbounded, b); }
  static bool EndsAfter(const Node& node, std::string_view point) {
    return node.unbounded || point < node.end;
  }
  static bool EndsBefore(const Node& a, const Node& b) {
    return !a.unbounded && (b.unbounded || a.end < b.end);
  }

  // Deterministic, so that a simulated run repeats.
  uint32_t NextPriority() {
    uint64_t z = (seed_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<uint32_t>(z >> 32);
  }

  static void Update(Node* node) {
    node->last = node;
    for (Node* child : {node->left, node->right})
      if (child != nullptr && EndsBefore(*node->last, *child->last)) node->last = child->last;
  }

  // Those below `pivot`, and the rest.
  static std::pair<Node*, Node*> Split(Node* node, const Node& pivot) {
    if (node == nullptr) return {nullptr, nullptr};
    if (Compare(*node, pivot) < 0) {
      auto [below, above] = Split(node->right, pivot);
      node->right = below;
      Update(node);
      return {node, above};
    }
    auto [below, above] = Split(node->left, pivot);
    node->left = above;
    Update(node);
    return {below, node};
  }

  static Node* Merge(Node* below, Node* above) {
    if (below == nullptr) return above;
    if (above == nullptr) return below;
    if (below->priority >= above->priority) {
      below->right = Merge(below->right, above);
      Update(below);
      return below;
    }
    above->left = Merge(below, above->left);
    Update(above);
    return above;
  }

  static Node* EraseFrom(Node* at, Node* node) {
    QUORATE_CHECK(at != nullptr);
    if (at == node) return Merge(at->left, at->right);
    if (Compare(*node, *at) < 0) {
      at->left = EraseFrom(at->left, node);
    } else {
      at->right = EraseFrom(at->right, node);
    }
    Update(at);
    return at;
  }

  template <typename Visit>
  static void StabFrom(Node* node, std::string_view point, Visit& visit) {
    // A subtree whose greatest end is not past the point holds nothing; nor does what starts after it.
    while (node != nullptr && EndsAfter(*node->last, point)) {
      StabFrom(node->left, point, visit);
      if (point < node->key) return;
      if (EndsAfter(*node, point)) visit(node);
      node = node->right;
    }
  }

  template <typename Visit>
  static void ForEachFrom(Node* node, Visit& visit) {
    for (; node != nullptr; node = node->right) {
      ForEachFrom(node->left, visit);
      visit(node);
    }
  }

  static size_t CheckFrom(Node* node) {
    if (node == nullptr) return 0;
    const size_t count = 1 + CheckFrom(node->left) + CheckFrom(node->right);
    Node* last = node->last;
    QUORATE_CHECK(!EndsBefore(*last, *node));
    for (Node* child : {node->left, node->right}) {
      if (child == nullptr) continue;
      QUORATE_CHECK((Compare(*child, *node) < 0) == (child == node->left));
      QUORATE_CHECK(child->priority <= node->priority);
      QUORATE_CHECK(!EndsBefore(*last, *child->last));
    }
    return count;
  }

  Node* root_ = nullptr;
  size_t size_ = 0;
  uint64_t seed_ = 0;
};

}  // namespace quorate::mvcc
