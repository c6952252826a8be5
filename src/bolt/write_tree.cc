#include "bolt/write_tree.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"

namespace quorate::bolt {
namespace {

// bbolt's minKeysPerPage: a split leaves as many on either side.
constexpr size_t kPageItemsMin = 2;
// Positions in a page are 32 bits wide, so pages end before; a page of one element may be longer.
constexpr uint64_t kPageSplitBytes = uint64_t{1} << 31;
// The count of a page has 16 bits, and bbolt keeps the highest value free.
constexpr size_t kPageItemsMax = UINT16_MAX - 1;
// A leaf in memory is cut in two beyond so many items, so that inserting in the middle stays cheap.
constexpr size_t kNodeItemsMax = 512;

bool Underfilled(const TreeNode& node, uint32_t page_size) {
  return node.bytes <= page_size / 4 || (!node.leaf && node.items.size() < kPageItemsMin);
}

// How many of the items go to the next page, and their size as a page; all of them if they fit.
size_t PageItems(std::span<const TreeItem> items, bool leaf, uint64_t total_bytes, uint32_t page_size,
                 double fill_percent, uint64_t* bytes) {
  const bool splittable =
      (items.size() > kPageItemsMin * 2 && total_bytes >= page_size) || items.size() > kPageItemsMax;
  if (!splittable && total_bytes < kPageSplitBytes) {
    *bytes = total_bytes;
    return items.size();
  }
  const auto threshold = static_cast<uint64_t>(page_size * fill_percent);
  uint64_t size = kPageHeaderBytes;
  size_t n = 0;
  for (; n < items.size(); ++n) {
    const uint64_t item_bytes = items[n].bytes();
    if (leaf && n > 0 && size + item_bytes >= kPageSplitBytes) break;
    const bool enough = (n >= kPageItemsMin && size + item_bytes > threshold) || n == kPageItemsMax;
    if (splittable && (enough || items.size() - n <= kPageItemsMin)) break;
    size += item_bytes;
  }
  *bytes = size;
  return n;
}

}  // namespace

void WriteTree::set_fill_percent(double fraction) { fill_percent_ = std::clamp(fraction, 0.1, 1.0); }

Cursor WriteTree::NewCursor() const { return Cursor(&writer_->source(), {root_, inline_page_, page_}); }

StatusOr<std::optional<LeafElement>> WriteTree::Find(std::string_view key) const {
  const TreeNode* node = root_;
  PageId page = page_;
  while (node != nullptr && !node->leaf) {
    const uint32_t i = node->ChildIndex(key);
    page = node->items[i].child_or_flags;
    node = node->kids[i];
  }
  if (node != nullptr) {
    const uint32_t i = node->LowerBound(key);
    if (i == node->items.size() || node->items[i].key() != key) return std::nullopt;
    return node->items[i].leaf_element();
  }
  return FindInPages(writer_->source(), page, inline_page_, key);
}

Status WriteTree::LoadRoot() {
  if (root_ != nullptr) return absl::OkStatus();
  auto node = page_ == 0 ? writer_->LoadInline(inline_page_) : writer_->LoadNode(page_);
  if (!node.ok()) return node.status();
  root_ = *node;
  return absl::OkStatus();
}

StatusOr<TreeNode*> WriteTree::Child(TreeNode* node, uint32_t index) {
  if (node->kids[index] == nullptr) {
    QUORATE_ASSIGN_OR_RETURN(node->kids[index], writer_->LoadNode(node->items[index].child_or_flags));
  }
  return node->kids[index];
}

Status WriteTree::Descend(std::string_view key) {
  QUORATE_RETURN_IF_ERROR(LoadRoot());
  path_.clear();
  leaf_ = root_;
  bool last = true;
  while (!leaf_->leaf) {
    if (path_.size() >= kTreeDepthMax)
      return writer_->source().Damage(leaf_->page, "the tree runs in a circle");
    const uint32_t i = leaf_->ChildIndex(key);
    last = last && i + 1 == leaf_->items.size();
    path_.push_back({leaf_, i});
    QUORATE_ASSIGN_OR_RETURN(leaf_, Child(leaf_, i));
  }
  if (last) tail_ = leaf_;
  return absl::OkStatus();
}

bool WriteTree::AppendToTail(std::string_view key, std::string_view value, uint32_t flags) {
  if (tail_ == nullptr || tail_->items.empty() || tail_->items.back().key() >= key) return false;
  if (tail_->items.size() >= kNodeItemsMax) return false;
  tail_->items.push_back({writer_->Copy(key, value), static_cast<uint32_t>(key.size()),
                          static_cast<uint32_t>(value.size()), flags});
  tail_->bytes += tail_->items.back().bytes();
  return true;
}

StatusOr<uint64_t> WriteTree::SpanOnPath(PageId page, std::string_view key) const {
  const TreeNode* node = root_;
  PageId at = page_;
  while (node != nullptr) {
    if (node->page == page) return node->page_count;
    if (node->leaf || node->items.empty()) return 0;
    const uint32_t i = node->ChildIndex(key);
    at = node->items[i].child_or_flags;
    node = node->kids[i];
  }
  for (int depth = 0; at != 0; ++depth) {
    if (depth > kTreeDepthMax) return writer_->source().Damage(at, "the tree runs in a circle");
    QUORATE_ASSIGN_OR_RETURN(const PageView view, writer_->LoadPage(at));
    if (at == page) return view.extent() / writer_->page_size();
    uint32_t i = 0;
    if (view.is_leaf()) return 0;
    if (!view.ChildIndex(key, &i)) return writer_->source().Damage(at, "a key lies outside");
    at = view.Child(i);
  }
  return 0;
}

StatusOr<WriteTree::MoveResult> WriteTree::Move(PageId page, std::string_view key, const Reserve& reserve) {
  QUORATE_ASSIGN_OR_RETURN(const uint64_t span, SpanOnPath(page, key));
  if (span == 0) return MoveResult::kGone;
  const std::optional<PageId> to = reserve(span);
  if (!to) return MoveResult::kNoRoom;
  QUORATE_RETURN_IF_ERROR(LoadRoot());
  TreeNode* node = root_;
  while (node->page != page) {
    QUORATE_ASSIGN_OR_RETURN(node, Child(node, node->ChildIndex(key)));
  }
  node->reserved = *to;
  return MoveResult::kMoved;
}

StatusOr<WriteTree::PutResult> WriteTree::Put(std::string_view key, std::string_view value, uint32_t flags) {
  if (AppendToTail(key, value, flags)) return PutResult::kDone;
  QUORATE_RETURN_IF_ERROR(Descend(key));
  const uint32_t i = leaf_->LowerBound(key);
  const bool present = i < leaf_->items.size() && leaf_->items[i].key() == key;
  if (present && leaf_->items[i].leaf_element().is_bucket() && (flags & kBucketElement) == 0) {
    return PutResult::kHoldsBucket;
  }
  const TreeItem item{writer_->Copy(key, value), static_cast<uint32_t>(key.size()),
                      static_cast<uint32_t>(value.size()), flags};
  leaf_->bytes += item.bytes();
  const bool appended = i == leaf_->items.size();
  if (present) {
    leaf_->bytes -= leaf_->items[i].bytes();
    if (item.bytes() < leaf_->items[i].bytes()) leaf_->shrunk = true;
    leaf_->items[i] = item;
  } else {
    leaf_->items.insert(leaf_->items.begin() + i, item);
  }
  if (leaf_->items.size() > kNodeItemsMax) SplitLeaf(appended);
  return PutResult::kDone;
}

void WriteTree::SplitLeaf(bool appended) {
  TreeNode* left = leaf_;
  TreeNode* right = writer_->NewNode(true);
  // Keys that come in order leave a full node behind.
  const size_t middle = appended ? left->items.size() - 1 : left->items.size() / 2;
  right->items.assign(left->items.begin() + static_cast<ptrdiff_t>(middle), left->items.end());
  left->items.resize(middle);
  for (const TreeItem& item : right->items) right->bytes += item.bytes();
  left->bytes -= right->bytes - kPageHeaderBytes;
  if (tail_ == left) tail_ = right;

  TreeItem separator = right->items.front();
  separator.value_size = 0;
  separator.child_or_flags = 0;
  if (path_.empty()) {
    TreeNode* root = writer_->NewNode(false);
    TreeItem first = left->items.front();
    first.value_size = 0;
    first.child_or_flags = 0;
    root->items = {first, separator};
    root->kids = {left, right};
    root->bytes += first.bytes() + separator.bytes();
    root_ = root;
    return;
  }
  const Step& above = path_.back();
  above.node->items.insert(above.node->items.begin() + above.index + 1, separator);
  above.node->kids.insert(above.node->kids.begin() + above.index + 1, right);
  above.node->bytes += separator.bytes();
}

Status WriteTree::Remove(std::string_view key) {
  QUORATE_RETURN_IF_ERROR(Descend(key));
  const uint32_t i = leaf_->LowerBound(key);
  QUORATE_CHECK(i < leaf_->items.size());
  QUORATE_CHECK(leaf_->items[i].key() == key);
  leaf_->bytes -= leaf_->items[i].bytes();
  leaf_->items.erase(leaf_->items.begin() + i);
  leaf_->shrunk = true;
  return absl::OkStatus();
}

void WriteTree::FreeNodePages(TreeNode* node) {
  if (node->page != 0) writer_->FreePages({node->page, node->page_count});
  node->page = 0;
}

Status WriteTree::Rebalance() {
  if (root_ == nullptr) return absl::OkStatus();
  tail_ = nullptr;
  if (!root_->leaf) QUORATE_RETURN_IF_ERROR(RebalanceChildren(root_));
  while (root_ != nullptr && !root_->leaf && root_->items.size() <= 1) {
    FreeNodePages(root_);
    page_changed_ = true;
    if (root_->items.empty()) {
      root_ = writer_->NewNode(true);
    } else {
      page_ = root_->items[0].child_or_flags;
      root_ = root_->kids[0];
    }
  }
  return absl::OkStatus();
}

Status WriteTree::RebalanceChildren(TreeNode* node) {
  bool any_small = false;
  for (TreeNode* kid : node->kids) {
    if (kid == nullptr) continue;
    if (!kid->leaf) QUORATE_RETURN_IF_ERROR(RebalanceChildren(kid));
    any_small = any_small || (kid->shrunk && Underfilled(*kid, writer_->page_size()));
  }
  if (!any_small) return absl::OkStatus();

  // One pass to the right: a small child joins the one before it, or takes the one after it in.
  const auto items = std::exchange(node->items, {});
  const auto kids = std::exchange(node->kids, {});
  node->bytes = kPageHeaderBytes;
  bool last_small = false;
  for (size_t i = 0; i < items.size(); ++i) {
    TreeNode* kid = kids[i];
    if (kid != nullptr && kid->items.empty()) {
      FreeNodePages(kid);
      continue;
    }
    const bool small = kid != nullptr && kid->shrunk && Underfilled(*kid, writer_->page_size());
    node->items.push_back(items[i]);
    node->kids.push_back(kid);
    node->bytes += items[i].bytes();
    if (node->items.size() < 2 || !(small || last_small)) {
      last_small = small;
      continue;
    }
    const auto last = static_cast<uint32_t>(node->items.size() - 1);
    QUORATE_ASSIGN_OR_RETURN(TreeNode* const right, Child(node, last));
    QUORATE_ASSIGN_OR_RETURN(TreeNode* const left, Child(node, last - 1));
    QUORATE_RETURN_IF_ERROR(Merge(left, right));
    node->bytes -= node->items.back().bytes();
    node->items.pop_back();
    node->kids.pop_back();
    last_small = Underfilled(*left, writer_->page_size());
  }
  node->shrunk = node->shrunk || node->items.size() < items.size();
  return absl::OkStatus();
}

Status WriteTree::Merge(TreeNode* left, TreeNode* right) {
  if (left->leaf != right->leaf) {
    return writer_->source().Damage(right->page != 0 ? right->page : left->page,
                                    "its siblings are of another kind");
  }
  if (!left->items.empty() && !right->items.empty() &&
      left->items.back().key() >= right->items.front().key()) {
    return writer_->source().Damage(right->page != 0 ? right->page : left->page, "keys of siblings overlap");
  }
  left->items.insert(left->items.end(), right->items.begin(), right->items.end());
  left->kids.insert(left->kids.end(), right->kids.begin(), right->kids.end());
  left->bytes += right->bytes - kPageHeaderBytes;
  left->shrunk = true;
  FreeNodePages(right);
  return absl::OkStatus();
}

bool WriteTree::Inlineable() const {
  if (root_ == nullptr || !root_->leaf || root_->bytes > writer_->page_size() / 4) return false;
  return std::none_of(root_->items.begin(), root_->items.end(),
                      [](const TreeItem& item) { return item.leaf_element().is_bucket(); });
}

void WriteTree::MoveInline(std::string* out) {
  FreeNodePages(root_);
  const size_t before = out->size();
  out->resize(before + root_->bytes);
  StorePage(out->data() + before, {0, kLeafPage, static_cast<uint16_t>(root_->items.size()), 0},
            root_->items);
  page_ = 0;
}

void WriteTree::Spill() {
  if (root_ == nullptr) return;
  std::vector<TreeItem> pages;
  SpillNode(root_, &pages);
  while (pages.size() > 1) {
    TreeNode above;
    above.leaf = false;
    for (const TreeItem& page : pages) above.bytes += page.bytes();
    above.items = std::exchange(pages, {});
    above.kids.resize(above.items.size());
    SpillNode(&above, &pages);
  }
  page_ = pages[0].child_or_flags;
}

void WriteTree::SpillNode(TreeNode* node, std::vector<TreeItem>* out) {
  if (!node->leaf) {
    const auto items = std::exchange(node->items, {});
    for (size_t i = 0; i < items.size(); ++i) {
      if (node->kids[i] == nullptr) {
        node->items.push_back(items[i]);
      } else {
        SpillNode(node->kids[i], &node->items);
      }
    }
    node->bytes = kPageHeaderBytes;
    for (const TreeItem& item : node->items) node->bytes += item.bytes();
  }
  PageSpan wanted;
  if (node->reserved != 0) wanted = {node->reserved, node->page_count};
  FreeNodePages(node);
  std::span<const TreeItem> rest = node->items;
  uint64_t rest_bytes = node->bytes;
  do {
    uint64_t bytes = 0;
    const size_t n = PageItems(rest, node->leaf, rest_bytes, writer_->page_size(), fill_percent_, &bytes);
    const PageId id = writer_->EmitPage(node->leaf, rest.first(n), bytes, std::exchange(wanted, {}));
    // The key of an empty root is not used.
    const TreeItem first = rest.empty() ? TreeItem{} : rest.front();
    out->push_back({first.data, first.key_size, 0, id});
    rest = rest.subspan(n);
    rest_bytes -= bytes - kPageHeaderBytes;
  } while (!rest.empty());
}

Status WriteTree::FreePages() {
  if (root_ == nullptr && page_ == 0) return absl::OkStatus();
  if (root_ == nullptr) return FreePagesBelow(page_, 0);
  return FreeNodesBelow(root_, 0);
}

Status WriteTree::FreeNodesBelow(TreeNode* node, int depth) {
  FreeNodePages(node);
  for (size_t i = 0; i < node->kids.size(); ++i) {
    if (node->kids[i] != nullptr) {
      QUORATE_RETURN_IF_ERROR(FreeNodesBelow(node->kids[i], depth + 1));
    } else {
      QUORATE_RETURN_IF_ERROR(FreePagesBelow(node->items[i].child_or_flags, depth + 1));
    }
  }
  return absl::OkStatus();
}

Status WriteTree::FreePagesBelow(PageId page, int depth) {
  if (depth > kTreeDepthMax) return writer_->source().Damage(page, "the tree runs in a circle");
  QUORATE_ASSIGN_OR_RETURN(const PageView view, writer_->LoadPage(page));
  writer_->FreePages({page, view.extent() / writer_->page_size()});
  for (uint32_t i = 0; !view.is_leaf() && i < view.count(); ++i) {
    QUORATE_RETURN_IF_ERROR(FreePagesBelow(view.Child(i), depth + 1));
  }
  return absl::OkStatus();
}

}  // namespace quorate::bolt
