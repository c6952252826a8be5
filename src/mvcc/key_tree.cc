#include "mvcc/key_tree.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/endian.h"

namespace quorate::mvcc {
namespace {

// The first position whose head is >= h, without a branch that depends on the data.
template <typename HeadAt>
uint32_t HeadLowerBound(uint32_t count, uint64_t h, HeadAt&& head) {
  uint32_t base = 0;
  uint32_t n = count;
  while (n > 1) {
    const uint32_t half = n / 2;
    base += head(base + half - 1) < h ? half : 0;
    n -= half;
  }
  return base + (n == 1 && head(base) < h ? 1 : 0);
}

uint32_t HeadLowerBound(const KeyTree::Leaf& leaf, uint64_t h) {
  return HeadLowerBound(leaf.count, h, [&leaf](uint32_t i) { return leaf.entry[i].head; });
}

// Fetches the part of a tree node that a search looks at, all of it at once instead of line after line.
void Prefetch(const void* node, size_t bytes) {
  constexpr size_t kLineBytes = 64;
  for (size_t i = 0; i < bytes; i += kLineBytes) __builtin_prefetch(static_cast<const char*>(node) + i);
}

std::string_view After(std::string_view key, size_t skip) { return key.substr(std::min(skip, key.size())); }

}  // namespace

uint64_t KeyHead(std::string_view key, size_t skip) {
  if (key.size() >= skip + 8) return LoadBig64(key.data() + skip);
  char bytes[8] = {};
  if (key.size() > skip) std::memcpy(bytes, key.data() + skip, key.size() - skip);
  return LoadBig64(bytes);
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first - a.begin());
}

// Invariant: separators ascend; `skip` and `head` are to separators what they are to keys in a leaf.
struct KeyTree::Inner {
  static constexpr size_t kPrefixMax = 112;  // Longer common prefixes are used in part.

  uint32_t count = 0;  // Children; separators are one fewer.
  uint32_t skip = 0;
  char prefix[kPrefixMax];  // What the separators share, `skip` bytes.
  uint64_t head[kInnerMax];
  void* child[kInnerMax];
  int64_t live[kInnerMax];
  std::string separator[kInnerMax];

  void Rehead() {
    if (count < 2) return;
    skip = static_cast<uint32_t>(std::min(kPrefixMax, CommonPrefix(separator[0], separator[count - 2])));
    separator[0].copy(prefix, skip);
    for (uint32_t i = 0; i + 1 < count; ++i) head[i] = KeyHead(separator[i], skip);
  }

  // The child that holds `key`: the number of separators <= key.
  uint32_t ChildOf(std::string_view key) const {
    const uint32_t n = count - 1;
    if (n == 0) return 0;
    const int order = key.substr(0, skip).compare({prefix, skip});
    if (order < 0) return 0;
    if (order > 0) return n;
    const uint64_t h = KeyHead(key, skip);
    uint32_t low = HeadLowerBound(n, h, [this](uint32_t i) { return head[i]; });
    uint32_t high = low;
    while (high < n && head[high] == h) ++high;
    const std::string_view rest = After(key, skip);
    while (low < high) {
      const uint32_t middle = (low + high) / 2;
      if (After(separator[middle], skip) <= rest) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  void Insert(uint32_t at, std::string&& before, void* node, int64_t node_live) {
    std::copy_backward(child + at, child + count, child + count + 1);
    std::copy_backward(live + at, live + count, live + count + 1);
    std::move_backward(separator + at - 1, separator + count - 1, separator + count);
    child[at] = node;
    live[at] = node_live;
    separator[at - 1] = std::move(before);
    ++count;
    Rehead();
  }

  // Moves the children from `keep` on to `right`; returns the separator between the two.
  std::string MoveTail(uint32_t keep, Inner* right) {
    right->count = count - keep;
    std::copy(child + keep, child + count, right->child);
    std::copy(live + keep, live + count, right->live);
    std::move(separator + keep, separator + count - 1, right->separator);
    std::string middle = std::exchange(separator[keep - 1], {});
    count = keep;
    Rehead();
    right->Rehead();
    return middle;
  }

  int64_t LiveSum() const {
    int64_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) sum += live[i];
    return sum;
  }

  void RemoveChild(uint32_t i) {
    const uint32_t s = i == 0 ? 0 : i - 1;
    if (count > 1) {
      std::move(separator + s + 1, separator + count - 1, separator + s);
      separator[count - 2].clear();
      separator[count - 2].shrink_to_fit();
    }
    std::copy(child + i + 1, child + count, child + i);
    std::copy(live + i + 1, live + count, live + i);
    --count;
    Rehead();
  }
};

KeyTree::KeyTree() { root_ = first_ = NewLeaf(); }

KeyTree::~KeyTree() { FreeSubtree(root_, 0); }

void KeyTree::FreeSubtree(void* node, int depth) {
  if (depth == depth_) {
    delete static_cast<Leaf*>(node);
    return;
  }
  auto* inner = static_cast<Inner*>(node);
  for (uint32_t i = 0; i < inner->count; ++i) FreeSubtree(inner->child[i], depth + 1);
  delete inner;
}

KeyTree::Leaf* KeyTree::NewLeaf() {
  bytes_ += sizeof(Leaf);
  return new Leaf;
}

KeyTree::Inner* KeyTree::NewInner() {
  bytes_ += sizeof(Inner);
  return new Inner;
}

KeyTree::Leaf* KeyTree::Descend(std::string_view key, Path* path) const {
  void* node = root_;
  for (int level = 0; level < depth_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    const uint32_t child = inner->ChildOf(key);
    if (path != nullptr) {
      path->inner[level] = inner;
      path->child[level] = child;
    }
    node = inner->child[child];
    Prefetch(node, level + 1 == depth_ ? sizeof(Leaf) : offsetof(Inner, child));
  }
  auto* leaf = static_cast<Leaf*>(node);
  if (path != nullptr) path->leaf = leaf;
  return leaf;
}

// Trusts that the key shares the leaf's prefix; if it does not, no entry compares equal.
uint32_t KeyTree::FindInLeaf(const Leaf& leaf, std::string_view key, bool* found) {
  *found = false;
  const uint64_t h = KeyHead(key, leaf.skip);
  uint32_t low = HeadLowerBound(leaf, h);
  if (low == leaf.count || leaf.entry[low].head != h) return 0;
  uint32_t high = low + 1;
  while (high < leaf.count && leaf.entry[high].head == h) ++high;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const int order = leaf.entry[middle].node->key().compare(key);
    if (order == 0) {
      *found = true;
      return middle;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return 0;
}

uint32_t KeyTree::LeafLowerBound(const Leaf& leaf, std::string_view key, bool* found) {
  *found = false;
  if (leaf.count == 0) return 0;
  const int order = key.substr(0, leaf.skip).compare(leaf.entry[0].node->key().substr(0, leaf.skip));
  if (order < 0) return 0;
  if (order > 0) return leaf.count;
  const uint64_t h = KeyHead(key, leaf.skip);
  uint32_t low = HeadLowerBound(leaf, h);
  uint32_t high = low;
  while (high < leaf.count && leaf.entry[high].head == h) ++high;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const int compared = leaf.entry[middle].node->key().compare(key);
    if (compared == 0) *found = true;
    if (compared < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

KeyNode* KeyTree::Find(std::string_view key) const {
  const Leaf* leaf = Descend(key, nullptr);
  bool found;
  const uint32_t position = FindInLeaf(*leaf, key, &found);
  return found ? leaf->entry[position].node : nullptr;
}

KeyTree::Place KeyTree::LowerBound(std::string_view key) const {
  const Leaf* leaf = Descend(key, nullptr);
  bool found;
  const uint32_t position = LeafLowerBound(*leaf, key, &found);
  if (position == leaf->count && leaf->next != nullptr) return {leaf->next, 0};
  return {leaf, position};
}

int64_t KeyTree::LiveBefore(std::string_view key) const {
  Path path;
  const Leaf* leaf = Descend(key, &path);
  int64_t live = 0;
  for (int level = 0; level < depth_; ++level) {
    for (uint32_t i = 0; i < path.child[level]; ++i) live += path.inner[level]->live[i];
  }
  bool found;
  const uint32_t position = LeafLowerBound(*leaf, key, &found);
  if (leaf->live == leaf->count) return live + position;
  for (uint32_t i = 0; i < position; ++i) live += leaf->entry[i].node->alive() ? 1 : 0;
  return live;
}

void KeyTree::AddLive(const Path& path, int64_t delta) {
  for (int level = 0; level < depth_; ++level) path.inner[level]->live[path.child[level]] += delta;
  path.leaf->live += delta;
  live_ += delta;
}

void KeyTree::Rehead(Leaf& leaf) {
  if (leaf.count == 0) {
    leaf.skip = 0;
    return;
  }
  leaf.skip =
      static_cast<uint32_t>(CommonPrefix(leaf.entry[0].node->key(), leaf.entry[leaf.count - 1].node->key()));
  for (uint32_t i = 0; i < leaf.count; ++i)
    leaf.entry[i].head = KeyHead(leaf.entry[i].node->key(), leaf.skip);
}

void KeyTree::InsertAt(Path& path, uint32_t position, std::string_view key, KeyNode* node) {
  Leaf* leaf = path.leaf;
  if (leaf->count == kLeafMax) {
    // Keys that only grow leave full leaves behind.
    SplitLeaf(path, position == kLeafMax && leaf->next == nullptr ? kLeafMax - 1 : kLeafMax / 2);
    leaf = Descend(key, &path);
    bool found;
    position = LeafLowerBound(*leaf, key, &found);
  }
  std::copy_backward(leaf->entry + position, leaf->entry + leaf->count, leaf->entry + leaf->count + 1);
  leaf->entry[position].node = node;
  ++leaf->count;
  ++size_;
  if (leaf->count == 1) {
    leaf->skip = 0;
  } else {
    const KeyNode* neighbour = leaf->entry[position == 0 ? 1 : 0].node;
    if (CommonPrefix(key.substr(0, leaf->skip), neighbour->key()) < leaf->skip) Rehead(*leaf);
  }
  leaf->entry[position].head = KeyHead(key, leaf->skip);
  if (node->alive()) AddLive(path, 1);
}

// Moves all but `keep` entries of the path's leaf to a new one. The path is void afterwards.
void KeyTree::SplitLeaf(Path& path, uint32_t keep) {
  Leaf* left = path.leaf;
  Leaf* right = NewLeaf();
  right->count = left->count - keep;
  std::copy(left->entry + keep, left->entry + left->count, right->entry);
  left->count = keep;
  for (uint32_t i = 0; i < right->count; ++i) right->live += right->entry[i].node->alive() ? 1 : 0;
  left->live -= right->live;
  right->next = left->next;
  right->prev = left;
  if (right->next != nullptr) right->next->prev = right;
  left->next = right;
  Rehead(*left);
  Rehead(*right);
  if (depth_ > 0) path.inner[depth_ - 1]->live[path.child[depth_ - 1]] -= right->live;
  InsertChild(path, depth_ - 1, Separator(*left, *right), right, right->live);
}

// Puts `child` behind the path's child at `level`; its share of live nodes has been taken from that one
// already.
void KeyTree::InsertChild(Path& path, int level, std::string separator, void* child, int64_t child_live) {
  if (level < 0) {
    Inner* root = NewInner();
    root->count = 1;
    root->child[0] = root_;
    root->live[0] = live_ - child_live;
    root->Insert(1, std::move(separator), child, child_live);
    root_ = root;
    QUORATE_CHECK(++depth_ < kDepthMax);
    return;
  }
  Inner* inner = path.inner[level];
  const uint32_t at = path.child[level] + 1;
  if (inner->count < kInnerMax) {
    inner->Insert(at, std::move(separator), child, child_live);
    return;
  }
  const uint32_t keep = at == kInnerMax ? kInnerMax - 1 : kInnerMax / 2;
  Inner* right = NewInner();
  std::string middle = inner->MoveTail(keep, right);
  if (at > keep) {
    right->Insert(at - keep, std::move(separator), child, child_live);
  } else {
    inner->Insert(at, std::move(separator), child, child_live);
  }
  const int64_t right_live = right->LiveSum();
  if (level > 0) path.inner[level - 1]->live[path.child[level - 1]] -= right_live;
  InsertChild(path, level - 1, std::move(middle), right, right_live);
}

void KeyTree::Erase(std::string_view key) {
  Path path;
  Leaf* leaf = Descend(key, &path);
  bool found;
  const uint32_t position = FindInLeaf(*leaf, key, &found);
  QUORATE_CHECK(found);
  if (leaf->entry[position].node->alive()) AddLive(path, -1);
  std::copy(leaf->entry + position + 1, leaf->entry + leaf->count, leaf->entry + position);
  --leaf->count;
  --size_;
  if (depth_ <= 0) return;
  if (leaf->count == 0) {
    RemoveLeaf(path);
  } else if (leaf->count < kLeafMax / 4) {
    MergeWithNext(path);
  }
}

void KeyTree::Unlink(Leaf* leaf) {
  if (leaf->prev != nullptr) leaf->prev->next = leaf->next;
  if (leaf->next != nullptr) leaf->next->prev = leaf->prev;
  if (first_ == leaf) first_ = leaf->next;
  bytes_ -= sizeof(Leaf);
  delete leaf;
}

// The path's leaf is empty and not the only one.
void KeyTree::RemoveLeaf(Path& path) {
  Unlink(path.leaf);
  for (int level = depth_ - 1; level >= 0; --level) {
    Inner* inner = path.inner[level];
    inner->RemoveChild(path.child[level]);
    if (inner->count > 0) break;
    QUORATE_CHECK(level > 0);  // A root that is no leaf has two children.
    bytes_ -= sizeof(Inner);
    delete inner;
  }
  CollapseRoot();
}

// Takes in the next leaf of the same parent if together they leave room to grow.
void KeyTree::MergeWithNext(Path& path) {
  Inner* parent = path.inner[depth_ - 1];
  const uint32_t child = path.child[depth_ - 1];
  if (child + 1 == parent->count) return;
  Leaf* left = path.leaf;
  Leaf* right = static_cast<Leaf*>(parent->child[child + 1]);
  if (left->count + right->count > kLeafMax * 3 / 4) return;
  std::copy(right->entry, right->entry + right->count, left->entry + left->count);
  left->count += right->count;
  left->live += right->live;
  parent->live[child] += parent->live[child + 1];
  Rehead(*left);
  Unlink(right);
  parent->RemoveChild(child + 1);
  CollapseRoot();
}

void KeyTree::CollapseRoot() {
  while (depth_ > 0 && static_cast<Inner*>(root_)->count == 1) {
    auto* root = static_cast<Inner*>(root_);
    root_ = root->child[0];
    --depth_;
    bytes_ -= sizeof(Inner);
    delete root;
  }
}

// The shortest text that is > all of left and <= all of right.
std::string KeyTree::Separator(const Leaf& left, const Leaf& right) {
  const std::string_view first = right.entry[0].node->key();
  return std::string(first.substr(0, CommonPrefix(left.entry[left.count - 1].node->key(), first) + 1));
}

void KeyTree::BulkLoad(std::span<KeyNode* const> nodes) {
  QUORATE_CHECK(size_ == 0);
  if (nodes.empty()) return;
  struct Child {
    void* node;
    int64_t live;
    std::string separator;  // Before it.
  };
  // Room is left in each node, so that the first insertions afterwards do not split them all.
  constexpr size_t kLeafFill = kLeafMax * 7 / 8;
  constexpr size_t kInnerFill = kInnerMax * 7 / 8;
  std::vector<Child> children;
  Leaf* previous = nullptr;
  for (size_t begin = 0; begin < nodes.size(); begin += kLeafFill) {
    Leaf* leaf = previous == nullptr ? first_ : NewLeaf();
    leaf->count = static_cast<uint32_t>(std::min(kLeafFill, nodes.size() - begin));
    for (uint32_t i = 0; i < leaf->count; ++i) {
      leaf->entry[i].node = nodes[begin + i];
      leaf->live += leaf->entry[i].node->alive() ? 1 : 0;
    }
    Rehead(*leaf);
    live_ += leaf->live;
    leaf->prev = previous;
    if (previous != nullptr) previous->next = leaf;
    children.push_back({leaf, leaf->live, previous == nullptr ? std::string() : Separator(*previous, *leaf)});
    previous = leaf;
  }
  size_ = nodes.size();
  while (children.size() > 1) {
    std::vector<Child> parents;
    for (size_t begin = 0; begin < children.size(); begin += kInnerFill) {
      Inner* inner = NewInner();
      inner->count = static_cast<uint32_t>(std::min(kInnerFill, children.size() - begin));
      for (uint32_t i = 0; i < inner->count; ++i) {
        Child& child = children[begin + i];
        inner->child[i] = child.node;
        inner->live[i] = child.live;
        if (i > 0) inner->separator[i - 1] = std::move(child.separator);
      }
      inner->Rehead();
      parents.push_back({inner, inner->LiveSum(), std::move(children[begin].separator)});
    }
    children = std::move(parents);
    QUORATE_CHECK(++depth_ < kDepthMax);
  }
  root_ = children.front().node;
}

int64_t KeyTree::CheckSubtree(const void* node, int depth, std::string_view low, const std::string* high,
                              std::string* problem) const {
  int64_t live = 0;
  if (depth == depth_) {
    const auto* leaf = static_cast<const Leaf*>(node);
    if (leaf->count == 0 && depth_ > 0) *problem = "1: empty leaf";
    for (uint32_t i = 0; i < leaf->count; ++i) {
      const std::string_view key = leaf->entry[i].node->key();
      if (key < low || (high != nullptr && key >= *high)) *problem = "2: key outside its separators";
      if (i > 0 && leaf->entry[i - 1].node->key() >= key) *problem = "1: keys do not ascend";
      if (leaf->entry[i].head != KeyHead(key, leaf->skip)) *problem = "head does not belong to its key";
      live += leaf->entry[i].node->alive() ? 1 : 0;
    }
    if (live != leaf->live) *problem = "3: live count of a leaf";
    return live;
  }
  const auto* inner = static_cast<const Inner*>(node);
  for (uint32_t i = 0; i < inner->count; ++i) {
    const std::string_view child_low = i == 0 ? low : std::string_view(inner->separator[i - 1]);
    const std::string* child_high = i + 1 == inner->count ? high : &inner->separator[i];
    const int64_t child_live = CheckSubtree(inner->child[i], depth + 1, child_low, child_high, problem);
    if (child_live != inner->live[i]) *problem = "3: live count of a child";
    live += child_live;
  }
  return live;
}

std::string KeyTree::CheckInvariants() const {
  std::string problem;
  if (CheckSubtree(root_, 0, {}, nullptr, &problem) != live_) problem = "3: live count of the tree";
  size_t count = 0;
  for (const Leaf* leaf = first_; leaf != nullptr; leaf = leaf->next) {
    count += leaf->count;
    if (leaf->next != nullptr && leaf->next->prev != leaf) problem = "1: the chain of leaves is broken";
  }
  if (count != size_) problem = "1: the chain of leaves lacks keys";
  return problem;
}

}  // namespace quorate::mvcc
